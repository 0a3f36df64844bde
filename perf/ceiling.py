"""How fast this machine multiplies matrices: a ceiling for a train step.

  python -m perf.ceiling [--rounds 7]

Products of several shapes take turns; a ceiling is the best of them. Float32,
and bfloat16 with a float32 result (what the network's products are, but on a
CPU that would emulate them). On a GPU float32 is what JAX makes of it there,
TensorFloat-32.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from perf import run, timing
from vbanana_jax import models

# Rows, columns and what is summed over: square ones, and an MLP's.
CPU_SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 1024, 256))
ACCELERATOR_SHAPES = ((8192, 8192, 8192), (16384, 4096, 4096))
SMALL_SHAPES = ((512, 512, 512),)
# Enough for one call to take longer than starting it does.
_LEAST_FLOPS = {'cpu': 1.5e10, 'accelerator': 2e13}
EMULATED = 'this CPU has no bfloat16 instructions and would emulate it'


class Product(NamedTuple):
  """Products to be timed: so many FLOPs in one call."""

  call: Callable[[], Any]
  flops: float


def measure(rounds: int = 7, small: bool = False) -> dict[str, Any]:
  """Ceilings of every type."""
  how = {'shapes': SMALL_SHAPES, 'least_flops': 1e9} if small else {}
  products = build_products(**how)
  times = timing.interleave(
    {label: product.call for label, product in products.items()}, rounds
  )
  return {
    'tables': {'products': find_ceilings(products, times)},
    'left_out': {} if 'bfloat16' in find_types() else {'bfloat16': EMULATED},
  }


def find_types() -> tuple[str, ...]:
  """Types of products that this device has; the network's own comes last."""
  own = models.build_precision().matmul_dtype
  return ('float32',) if own == 'float32' else ('float32', own)


def build_products(
  shapes: tuple[tuple[int, int, int], ...] | None = None,
  least_flops: float | None = None,
) -> dict[str, Product]:
  """By 'type rows x columns x summed', ready for `interleave`."""
  place = 'cpu' if jax.default_backend() == 'cpu' else 'accelerator'
  shapes = shapes or (CPU_SHAPES if place == 'cpu' else ACCELERATOR_SHAPES)
  least_flops = least_flops or _LEAST_FLOPS[place]
  built = {}
  for shape in shapes:
    flops = 2.0 * np.prod(shape)
    repeats = max(1, round(least_flops / flops))
    rng = np.random.default_rng(0)
    rows, columns, summed = shape
    left = rng.standard_normal((rows, summed), np.float32)
    right = rng.standard_normal((summed, columns), np.float32)
    for name in find_types():
      call = _build_call(left, right, name, repeats)
      label = f'{name} {"x".join(map(str, shape))}'
      built[label] = Product(call, repeats * flops)
  return built


def _build_call(
  left, right, dtype: str, repeats: int
) -> Callable[[], jax.Array]:
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


def find_ceilings(
  products: dict[str, Product], times: dict[str, timing.Times]
) -> dict[str, dict[str, Any]]:
  """By type the `gflops_per_s` of its best shape, and that shape.

  Args:
    products: from `build_products`.
    times: of them, and of whatever else took turns with them.
  """
  best: dict[str, dict[str, Any]] = {}
  for label, product in products.items():
    name, _, shape = label.rpartition(' ')
    rate = timing.summarize(
      [product.flops / 1e9 / wall for wall in times[label]['wall']]
    )
    if name not in best or (
      rate['median'] > best[name]['gflops_per_s']['median']
    ):
      best[name] = {'gflops_per_s': rate, 'best_shape': shape}
  return best


if __name__ == '__main__':
  run.run_main(measure, quick={'rounds': 1, 'small': True})
