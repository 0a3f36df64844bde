"""Our train step against the same network in PyTorch, in turns in one process.

  python -m perf.train_step [--widths 256 384 768] [--output JSON]

For every width: our forward and backward pass, our whole step with optimizer
and average, the twin's passes (eager and compiled, float32 and bfloat16 by
autocast), and matrix products as a ceiling. Ratios to the twins are of passes
alone: optimizers are not compared, since ours is another one, and what it costs
is our whole step over our passes. On a GPU the twin's float32 products are
TensorFloat-32, as JAX's are.

Before anything is timed both networks, with the same weights, must have the
same loss and gradient norm on a few examples: in float32, and less strictly in
the arithmetic that we are timed in. FLOPs are those of
`vbanana_jax.training.flops`, the same for everybody; a share of the ceiling
is what was achieved over our bfloat16 product of the same process. A CPU
without bfloat16 instructions would emulate them, product for product: what
needs them is left out there, and the ceiling is of float32.
"""

import argparse
import importlib.util
import shutil
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from perf import ceiling, timing, workload
from vbanana_jax import keys, sharding, train
from vbanana_jax.training import flops, optim, weights
from vbanana_jax.training.step import make_example_losses

# Some seconds a round on two cores.
BATCH_SIZES = {256: 32, 384: 16, 768: 4}
IN_A_ROW = 3  # calls that count in a turn
# A short look at the ceiling in every round.
_CEILING_FLOPS = 4e9
OURS = 'ours'
STEP = 'ours, whole step'
TWINS = {
  'torch eager float32': {'autocast': False, 'compiled': False},
  'torch eager bfloat16': {'autocast': True, 'compiled': False},
  'torch compiled float32': {'autocast': False, 'compiled': True},
  'torch compiled bfloat16': {'autocast': True, 'compiled': True},
}
_INSTALL = (
  "perf.train_step needs PyTorch: pip install -e '.[perf]' (without a "
  'GPU, from the index of CPU wheels that pytorch.org names)'
)


def measure(
  widths: Sequence[int] = tuple(BATCH_SIZES),
  *,
  rounds: int = 5,
  minutes: float = 30.0,
  batch_size: int | None = None,
  compiled: bool = True,
) -> dict[str, Any]:
  """Ratios, shares of the ceiling and times of every width.

  Args:
    widths: of the network; see `workload.SIZES`.
    rounds: turns that each of them has.
    minutes: of all widths' rounds together; where they are over, a width has
      fewer rounds, and one at least.
    batch_size: of all widths; `BATCH_SIZES` if not given.
    compiled: with the compiled twins, which take a minute each to compile.

  Raises:
    ImportError: PyTorch is not installed.
    ValueError: the networks do not have the same loss.
  """
  found, load = {}, timing.get_load()
  most_s = 60 * minutes / len(widths)
  timing.say(
    f'{rounds} rounds a width, beside compilation; none begins after '
    f'{most_s / 60:.0f} minutes of them (--minutes, --rounds, --widths)'
  )
  for width in widths:
    timing.say(f'width {width}')
    config = workload.make_config(
      width, batch_size=batch_size or BATCH_SIZES[width]
    )
    found[str(width)] = measure_width(config, rounds, compiled, most_s)
  return {
    'ratios': {
      f'{width}: {name}': ratio
      for width, result in found.items()
      for name, ratio in result['ratios'].items()
    },
    'load_before': load,
    'compiler': find_compiler() if compiled else 'not asked for',
    'widths': found,
  }


def measure_width(
  config: dict[str, Any],
  rounds: int,
  compiled: bool,
  most_s: float = float('inf'),
) -> dict[str, Any]:
  """One width's ratios: each twin's time over ours, round by round."""
  ours, step, equality, twins = build_rivals(config, compiled)
  on_cpu = jax.default_backend() == 'cpu'
  products = ceiling.build_products(
    least_flops=_CEILING_FLOPS if on_cpu else None
  )
  calls = {OURS: ours, STEP: step, **twins}
  first, left_out = call_first(calls, set(twins))
  own = ceiling.find_types()[-1]
  if own != 'bfloat16':
    narrow = [name for name, how in TWINS.items() if how['autocast']]
    left_out |= dict.fromkeys([*narrow, 'bfloat16 ceilings'], ceiling.EMULATED)
  calls |= {label: product.call for label, product in products.items()}
  twins = [name for name in twins if name in calls]
  if compiled and not find_compiler():
    left_out['torch compiled'] = 'no C++ compiler is here'
  timing.say(f'{rounds} rounds')
  times = timing.interleave(calls, rounds, in_a_row=IN_A_ROW, most_s=most_s)

  ceilings = ceiling.find_ceilings(products, times)
  counted = flops.count_step_flops(config)
  passes = counted.useful / 1e9
  top = ceilings[f'jax {own}']['median']
  achieved = {
    name: timing.summarize([passes / wall for wall in times[name]['wall']])
    for name in (OURS, *twins)
  }
  return {
    'ratios': {
      f'{name} over {OURS}': timing.compare(times, name, OURS)
      for name in (*twins, STEP)
    },
    'cpu_time_ratios': {
      f'{name} over {OURS}': timing.compare(times, name, OURS, 'cpu')
      for name in twins
    },
    'ceiling_type': own,
    f'share_of_{own}_ceiling': {
      name: timing.shorten(rate['median'] / top)
      for name, rate in achieved.items()
    },
    'gflops_per_s': {**achieved, **ceilings},
    'rounds': len(times[OURS]['wall']),
    'times': timing.summarize_times(
      {name: times[name] for name in (OURS, STEP, *twins)}
    ),
    'first_call_s': {name: first[name] for name in (OURS, STEP, *twins)},
    'left_out': left_out,
    'equality': equality,
    'gflops_of_passes': timing.shorten(passes),
    'gflops_of_optimizer': timing.shorten(counted.muon / 1e9),
    'model': config['model'],
    'batch_size': config['batch_size'],
    'image_size': config['image_size'],
    'text_length': config['data']['text_length'],
    'policy': str(weights.build_network(config).precision),
  }


def call_first(
  calls: dict[str, Callable[[], Any]], twins: Collection[str]
) -> tuple[dict[str, float], dict[str, str]]:
  """Calls everything once: compiles it and gives it its memory.

  A twin that PyTorch cannot compile here, or that does not fit into memory, is
  taken out of `calls`; whatever else fails is an error.

  Args:
    calls: by name.
    twins: those of PyTorch; what compiles has `compiled` in its name.

  Returns:
    seconds of the first calls; reasons of what was taken out.
  """
  first, left_out = {}, {}
  for name in list(calls):
    began = time.perf_counter()
    try:
      jax.block_until_ready(calls[name]())
    except RuntimeError as error:
      too_large = 'out of memory' in str(error)
      if name not in twins or not (too_large or 'compiled' in name):
        raise
      left_out[name] = str(error).partition('\n')[0]
    if name in left_out:
      timing.say(f'{name} is left out: {left_out[name]}')
      del calls[name]
      _release_torch_memory()  # the error's frames held it until here
      continue
    first[name] = timing.shorten(time.perf_counter() - began, 3)
    timing.say(f'first call of {name}: {first[name]} s')
  return first, left_out


def _release_torch_memory() -> None:
  import torch

  torch.cuda.empty_cache()


def build_rivals(
  config: dict[str, Any], compiled: bool
) -> tuple[Callable, Callable, dict[str, float], dict[str, Callable]]:
  """What takes turns: our passes, our step, and the twins' passes by name.

  The third of the four is how equal the networks were.
  """
  import torch

  from perf import torch_twin
  from perf.torch_twin import equality, training

  torch.set_num_threads(timing.count_cores())
  torch.manual_seed(0)
  model = weights.build_network(config)
  params = workload.make_random_params(model, config)
  batch = workload.make_batch(config)
  device = find_torch_device()
  twin = torch_twin.build(model.config, params).to(device)
  same = equality.check(twin, config, params, batch, make_passes)
  _release_torch_memory()
  if device == 'cuda':
    torch.set_float32_matmul_precision('high')
  on_torch = training.to_torch(batch, device)
  times = _get_times(config)
  twins = {
    name: training.Trainer(twin, on_torch, **how, **times).step
    for name, how in TWINS.items()
    if not how['compiled'] or (compiled and find_compiler())
    if not how['autocast'] or 'bfloat16' in ceiling.find_types()
  }
  ours = jax.jit(make_passes(model, config))
  on_jax = jax.device_put(batch)
  placed = jax.device_put(params)
  return (
    lambda: ours(placed, on_jax),
    Step(config, model, batch),
    same,
    twins,
  )


def make_passes(model, config: dict[str, Any]) -> Callable:
  """(weights, batch) -> loss and its gradient, as `step` takes them."""
  key = keys.make_key(config['seed'], 'noise')
  times = _get_times(config)

  def lose(params, batch):
    return jnp.mean(make_example_losses(model, params, batch, key=key, **times))

  return jax.value_and_grad(lose)


class Step:
  """The whole step as `train` compiles it; its state goes on by itself."""

  def __init__(self, config: dict[str, Any], model, batch):
    mesh = sharding.build_mesh()
    optimizer = optim.build_optimizer(
      config['optim'], 1000, model.precision, mesh
    )
    state = workload.make_state(model, optimizer, config)
    self._state = jax.device_put(state, sharding.replicated_sharding(mesh))
    self._batch = sharding.put_batch(batch, mesh)
    step = train.jit_train_step(config, model, optimizer, mesh, self._state, 2)
    self._run = step.lower(self._state, self._batch).compile()

  def __call__(self) -> Any:
    """One more step; returns its metrics."""
    self._state, metrics = self._run(self._state, self._batch)
    return metrics

  def count_temporaries(self) -> int:
    """Bytes that the compiler sets aside for what lives within a step."""
    return self._run.memory_analysis().temp_size_in_bytes


def find_torch_device() -> str:
  """Where the twin runs: on the kind of device that we run on."""
  return 'cpu' if jax.default_backend() == 'cpu' else 'cuda'


def find_compiler() -> str:
  """The C++ compiler that torch.compile needs on a CPU, or ''."""
  for name in ('g++', 'clang++', 'c++'):
    if shutil.which(name):
      return name
  return ''


def _get_times(config: dict[str, Any]) -> dict[str, float]:
  return {name: config['loss'][name] for name in ('time_mean', 'time_std')}


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument(
    '--widths', type=int, nargs='+', default=list(BATCH_SIZES)
  )
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument(
    '--minutes', type=float, default=30.0, help='of all rounds, most'
  )
  parser.add_argument('--batch-size', type=int)
  parser.add_argument('--no-compiled', action='store_true')
  parser.add_argument('--quick', action='store_true', help='one width, rough')
  parser.add_argument('--output', help='JSON file to write')
  args = parser.parse_args()
  if importlib.util.find_spec('torch') is None:
    sys.exit(_INSTALL)
  unknown = set(args.widths) - set(workload.SIZES)
  if unknown:
    parser.error(f'--widths {unknown}: choose of {sorted(workload.SIZES)}')
  if args.quick:
    result = measure([256], rounds=2, batch_size=8, compiled=False)
  else:
    result = measure(
      args.widths,
      rounds=args.rounds,
      minutes=args.minutes,
      batch_size=args.batch_size,
      compiled=not args.no_compiled,
    )
  if not result['compiler']:
    print('no C++ compiler is here, so that nothing was compiled by PyTorch')
  timing.print_ratios('train_step', result)
  for width, found in result['widths'].items():
    share = f'share_of_{found["ceiling_type"]}_ceiling'
    print(width, share.replace('_', ' '), found[share])
    for name, reason in found['left_out'].items():
      print(width, f'{name} is left out: {reason}')
  if args.output:
    timing.save('train_step', result, output=args.output)


if __name__ == '__main__':
  main()
