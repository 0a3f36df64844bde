"""Our train step against the same network in PyTorch, in turns in one process.

  python -m perf.train_step [--widths 256 384 768] [--rounds 5]

For every width: our forward and backward pass, our whole step with optimizer
and average, the twin's passes (eager and compiled, float32 and bfloat16 by
autocast), and matrix products as a ceiling. Ratios to the twins are of passes
alone: optimizers are not compared. On a GPU the twin's float32 products are
TensorFloat-32, as JAX's are.

Before anything is timed both networks, with the same weights, must have the
same loss and gradient norm on a few examples: in float32, and less strictly in
the arithmetic that we are timed in. FLOPs are those of
`vbanana_jax.training.flops`, the same for everybody; a share of the ceiling
is what was achieved over our bfloat16 product of the same process. A CPU
without bfloat16 instructions would emulate them: what needs them is left out
there, and the ceiling is of float32.
"""

import shutil
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp

from perf import ceiling, run, timing, workload
from vbanana_jax import keys, sharding
from vbanana_jax.errors import UserError
from vbanana_jax.training import flops, optim, setup, weights
from vbanana_jax.training.step import make_example_losses

# Some seconds a round on two cores.
BATCH_SIZES = {256: 32, 384: 16, 768: 4}
IN_A_ROW = 3  # calls that count in a turn
_CEILING_FLOPS = 4e9  # a short look in every round
OURS = 'ours'
STEP = 'ours, whole step'
TWINS = {
  'torch eager float32': {'autocast': False, 'compiled': False},
  'torch eager bfloat16': {'autocast': True, 'compiled': False},
  'torch compiled float32': {'autocast': False, 'compiled': True},
  'torch compiled bfloat16': {'autocast': True, 'compiled': True},
}


def measure(
  widths: tuple[int, ...] = tuple(BATCH_SIZES),
  rounds: int = 5,
  minutes: float = 30.0,
  batch_size: int = 0,
  image_size: int = 64,
  patch: int = 8,
  compiled: bool = True,
) -> dict[str, Any]:
  """Ratios, shares of the ceiling and times of every width.

  Args:
    widths: of the network; see `workload.SIZES`.
    rounds: turns that each of them has.
    minutes: of all widths' rounds together; where they are over, a width has
      fewer rounds, and one at least.
    batch_size: of all widths; `BATCH_SIZES` if 0.
    image_size: side of the pictures in pixels.
    patch: side of a token in pixels.
    compiled: with the compiled twins, which take a minute each to compile.

  Raises:
    UserError: PyTorch is not installed, or a width is unknown.
    ValueError: the networks do not have the same loss.
  """
  run.need_torch()
  unknown = set(widths) - set(workload.SIZES)
  if unknown:
    raise UserError(f'--widths {unknown}: choose of {sorted(workload.SIZES)}')
  passes, ceilings, networks = {}, {}, {}
  for width in widths:
    timing.say(f'width {width}')
    config = workload.make_config(
      width,
      batch_size=batch_size or BATCH_SIZES.get(width, 4),
      image_size=image_size,
      patch=patch,
    )
    found = measure_width(config, rounds, compiled, 60 * minutes / len(widths))
    passes |= {f'{width}: {x}': row for x, row in found.pop('passes').items()}
    ceilings |= {f'{width}: {x}': r for x, r in found.pop('ceilings').items()}
    networks[str(width)] = found
  return {
    'tables': {'passes': passes, 'ceilings': ceilings},
    'ceiling': ceiling.find_types()[-1],
    'compiler': find_compiler() if compiled else 'not asked for',
    'networks': networks,
  }


def measure_width(
  config: dict[str, Any],
  rounds: int,
  compiled: bool,
  most_s: float = float('inf'),
) -> dict[str, Any]:
  """One width's rivals, round by round, and the ceilings of those rounds."""
  ours, step, equality, twins = build_rivals(config, compiled)
  on_cpu = jax.default_backend() == 'cpu'
  products = ceiling.build_products(
    least_flops=_CEILING_FLOPS if on_cpu else None
  )
  calls = {OURS: ours, STEP: step, **twins}
  left_out = call_first(calls, set(twins))
  own = ceiling.find_types()[-1]
  if own != 'bfloat16':
    narrow = [name for name, how in TWINS.items() if how['autocast']]
    left_out |= dict.fromkeys([*narrow, 'bfloat16 ceilings'], ceiling.EMULATED)
  if compiled and not find_compiler():
    left_out['torch compiled'] = 'no C++ compiler is here'
  rivals = list(calls)
  calls |= {label: product.call for label, product in products.items()}
  times = timing.interleave(calls, rounds, in_a_row=IN_A_ROW, most_s=most_s)

  ceilings = ceiling.find_ceilings(products, times)
  counted = flops.count_step_flops(config)
  gflops = counted.useful / 1e9
  top = ceilings[f'jax {own}']['gflops_per_s']['median']
  passes = {}
  for name in rivals:
    row = {'batch': config['batch_size']}
    row['time_over_ours'] = timing.compare(times, name, OURS)
    row['cpu_time_over_ours'] = timing.compare(times, name, OURS, 'cpu')
    if name != STEP:
      rates = [gflops / wall for wall in times[name]['wall']]
      row['ceiling_share'] = timing.shorten(
        timing.summarize(rates)['median'] / top
      )
    passes[name] = row
  return {
    'passes': passes,
    'ceilings': ceilings,
    'rounds': len(times[OURS]['wall']),
    'times': timing.summarize_times({name: times[name] for name in rivals}),
    'left_out': left_out,
    'equality': equality,
    'gflops_of_passes': timing.shorten(gflops),
    'gflops_of_optimizer': timing.shorten(counted.muon / 1e9),
    'model': config['model'],
    'image_size': config['image_size'],
    'text_length': config['data']['text_length'],
    'precision': str(weights.build_network(config).precision),
  }


def call_first(
  calls: dict[str, Callable[[], Any]], twins: Collection[str]
) -> dict[str, str]:
  """Calls everything once: compiles it and gives it its memory.

  A twin that PyTorch cannot compile here, or that does not fit into memory, is
  taken out of `calls`; whatever else fails is an error.

  Args:
    calls: by name.
    twins: those of PyTorch; what compiles has `compiled` in its name.

  Returns:
    reasons of what was taken out.
  """
  left_out = {}
  for name in list(calls):
    timing.say(f'first call of {name}')
    try:
      jax.block_until_ready(calls[name]())
    except RuntimeError as error:
      too_large = 'out of memory' in str(error)
      if name not in twins or not (too_large or 'compiled' in name):
        raise
      left_out[name] = str(error).partition('\n')[0]
    if name in left_out:
      del calls[name]
      _release_torch_memory()  # the error's frames held it until here
  return left_out


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
  from perf.torch_twin import training

  torch.set_num_threads(timing.count_cores())
  torch.manual_seed(0)
  model = weights.build_network(config)
  params = workload.make_random_params(model, config)
  batch = workload.make_batch(config)
  device = find_torch_device()
  twin = torch_twin.build(model.config, params).to(device)
  same = training.check(twin, config, params, batch, make_passes)
  _release_torch_memory()
  if device == 'cuda':
    torch.set_float32_matmul_precision('high')
  on_torch = training.to_torch(batch, device)
  times = training.get_times(config)
  twins = {
    name: training.Trainer(twin, on_torch, times, **how).step
    for name, how in TWINS.items()
    if not how['compiled'] or (compiled and find_compiler())
    if not how['autocast'] or 'bfloat16' in ceiling.find_types()
  }
  ours = jax.jit(make_passes(model, config))
  placed, on_jax = jax.device_put((params, batch))
  return lambda: ours(placed, on_jax), Step(config, model, batch), same, twins


def make_passes(model, config: dict[str, Any]) -> Callable:
  """(weights, batch) -> loss and its gradient, as `step` takes them."""
  key = keys.make_key(config['seed'], 'noise')
  times = {name: config['loss'][name] for name in ('time_mean', 'time_std')}

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
    step = setup.jit_train_step(config, model, optimizer, mesh, self._state, 2)
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
  names = ('g++', 'clang++', 'c++')
  return next((name for name in names if shutil.which(name)), '')


if __name__ == '__main__':
  run.run_main(
    measure,
    quick={'widths': (256,), 'rounds': 2, 'batch_size': 8, 'compiled': False},
  )
