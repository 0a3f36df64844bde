"""How fast this machine multiplies matrices: what a train step is held against.

  python -m perf.ceiling [--output JSON]

Products of several shapes take turns; a ceiling is the best of them. Float32,
bfloat16 with a float32 result (what the network's products are, but on a CPU
that would emulate them), and PyTorch's own where it is installed. On a GPU
float32 is what JAX makes of it there, TensorFloat-32, on both sides.
"""

import argparse
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from perf import timing
from vbanana_jax import models

# Rows, columns and what is summed over: square ones, and an MLP's.
CPU_SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 1024, 256))
ACCELERATOR_SHAPES = ((8192, 8192, 8192), (16384, 4096, 4096))
# Enough for one call to take longer than starting it does.
_LEAST_FLOPS = {'cpu': 1.5e10, 'accelerator': 2e13}


EMULATED = 'this CPU has no bfloat16 instructions and would emulate it'


class Product(NamedTuple):
  """Products to be timed: so many FLOPs in one call."""

  call: Callable[[], Any]
  flops: float


def find_types() -> tuple[str, ...]:
  """Types of products that this device has; the network's own comes last."""
  own = models.build_precision().matmul_dtype
  return ('float32',) if own == 'float32' else ('float32', own)


def count_flops(rows: int, columns: int, summed: int) -> float:
  """Of `[rows, summed] @ [summed, columns]`: a multiplication and a sum."""
  return 2.0 * rows * columns * summed


def build_products(
  shapes: tuple[tuple[int, int, int], ...] | None = None,
  least_flops: float | None = None,
) -> dict[str, Product]:
  """By 'library type rows x columns x summed', ready for `interleave`."""
  place = 'cpu' if jax.default_backend() == 'cpu' else 'accelerator'
  shapes = shapes or (CPU_SHAPES if place == 'cpu' else ACCELERATOR_SHAPES)
  least_flops = least_flops or _LEAST_FLOPS[place]
  built = {}
  for shape in shapes:
    flops = count_flops(*shape)
    repeats = max(1, round(least_flops / flops))
    for name, call in _build_calls(shape, repeats, place).items():
      label = f'{name} {"x".join(map(str, shape))}'
      built[label] = Product(call, repeats * flops)
  return built


def _build_calls(shape, repeats, place) -> dict[str, Callable[[], Any]]:
  rows, columns, summed = shape
  rng = np.random.default_rng(0)
  left = rng.standard_normal((rows, summed), np.float32)
  right = rng.standard_normal((summed, columns), np.float32)

  def build_jax(dtype: str) -> Callable[[], Any]:
    a, b = jnp.asarray(left, dtype), jnp.asarray(right, dtype)
    multiply = jax.jit(
      lambda a, b: jnp.dot(a, b, preferred_element_type=jnp.float32)
    )

    def call() -> jax.Array:
      # Each is waited for while the next one runs: the device is never idle,
      # and no more than two results are in its memory.
      last = multiply(a, b)
      for _ in range(repeats - 1):
        before, last = last, multiply(a, b)
        jax.block_until_ready(before)
      return last

    return call

  def build_torch(type_name: str) -> Callable[[], Any]:
    import torch

    dtype = getattr(torch, type_name)
    device = 'cpu' if place == 'cpu' else 'cuda'
    if device == 'cuda':
      torch.set_float32_matmul_precision('high')
    a, b = (torch.from_numpy(x).to(device, dtype) for x in (left, right))

    def call() -> None:
      for _ in range(repeats):
        torch.mm(a, b)
      if device == 'cuda':
        torch.cuda.synchronize()

    return call

  calls = {f'jax {name}': build_jax(name) for name in find_types()}
  if _has_torch(place):
    calls |= {f'torch {name}': build_torch(name) for name in find_types()}
  return calls


def _has_torch(place: str) -> bool:
  """Whether PyTorch is installed and sees the device."""
  if importlib.util.find_spec('torch') is None:
    return False
  import torch

  torch.set_num_threads(timing.count_cores())
  return place == 'cpu' or torch.cuda.is_available()


def find_ceilings(
  products: dict[str, Product], times: dict[str, timing.Times]
) -> dict[str, dict[str, float]]:
  """GFLOP/s of every library and type: of its best shape, over the rounds.

  Args:
    products: from `build_products`.
    times: of them, and of whatever else took turns with them.

  Returns:
    by 'library type': `median`, `min` and `max`.
  """
  best: dict[str, dict[str, float]] = {}
  for label, product in products.items():
    name = ' '.join(label.split()[:2])
    rates = [product.flops / 1e9 / wall for wall in times[label]['wall']]
    found = timing.summarize(rates)
    if name not in best or found['median'] > best[name]['median']:
      best[name] = {**found, 'shape': label.split()[2]}
  return best


def measure(rounds: int = 7, **changes: Any) -> dict[str, Any]:
  """All ceilings; `changes` are those of `build_products`."""
  products = build_products(**changes)
  times = timing.interleave(
    {label: product.call for label, product in products.items()}, rounds
  )
  ceilings = find_ceilings(products, times)
  base = ceilings['jax float32']['median']
  return {
    'ratios': {
      f'{name} over jax float32': timing.shorten(found['median'] / base)
      for name, found in ceilings.items()
      if name != 'jax float32'
    },
    'left_out': {} if 'bfloat16' in find_types() else {'bfloat16': EMULATED},
    'gflops_per_s': ceilings,
    'times': timing.summarize_times(times),
  }


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--rounds', type=int, default=7)
  parser.add_argument('--quick', action='store_true', help='small and rough')
  parser.add_argument('--output', help='JSON file to write')
  args = parser.parse_args()
  quick = {'shapes': ((512, 512, 512),), 'least_flops': 1e9}
  result = measure(args.rounds, **(quick if args.quick else {}))
  for name, found in result['gflops_per_s'].items():
    print(f'{name:15} {found["median"]:8.0f} GFLOP/s  ({found["shape"]})')
  for name, reason in result['left_out'].items():
    print(f'{name} is left out: {reason}')
  if args.output:
    timing.save('ceiling', result, output=args.output)


if __name__ == '__main__':
  main()
