"""Our train step, against the same network in PyTorch and against a ceiling.

  python -m perf.train_step [--widths 256 384 768] [--rounds 5] [--no-twins]

In turns in one process: our forward and backward pass, our whole step with
optimizer and average, matrix products, and the twin's passes (eager and
compiled, float32 and bfloat16 by autocast). Ratios to the twins are of passes
alone: optimizers are not compared. On a GPU the twin's float32 products are
TensorFloat-32, as JAX's are. A share of the ceiling is FLOPs a second
(`vbanana_jax.training.flops`, the same for everybody) over those of our best
product; MFU is the same over what the chips are published to do.

Before anything is timed both networks, with the same weights, must have the
same loss and gradient norm on a few examples in float32. A CPU without bfloat16
instructions would emulate them: what needs them is left out there.
"""

import importlib.util
import sys
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp

from perf import ceiling, run, timing, workload
from vbanana_jax import keys, sharding
from vbanana_jax.diffusion.schedules import build_levels
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
  batch_sizes: tuple[int, ...] = (),
  rounds: int = 5,
  minutes: float = 30.0,
  image_size: int = 64,
  patch: int = 8,
  twins: bool = True,
  compiled: bool = True,
) -> dict[str, Any]:
  """Ratios and shares of every width and batch size.

  Args:
    widths: of the network; see `workload.SIZES`.
    batch_sizes: of every width, ascending, until memory is out; one of each
      width, `BATCH_SIZES`, if none.
    rounds: turns that each of them has.
    minutes: of all rounds together; where they are over, there are fewer
      rounds, and one at least.
    image_size: side of the pictures in pixels.
    patch: side of a token in pixels.
    twins: beside PyTorch.
    compiled: also its compiled twins, which take a minute each to compile.

  Raises:
    UserError: PyTorch is not installed, or a width is unknown.
    ValueError: the networks do not have the same loss.
  """
  if twins and not has_torch():
    raise UserError(
      "needs PyTorch: pip install -e '.[perf]' (without a GPU, from the index "
      'of CPU wheels that pytorch.org names)'
    )
  if unknown := set(widths) - set(workload.SIZES):
    raise UserError(f'--widths {unknown}: choose of {sorted(workload.SIZES)}')
  passes, ceilings, networks = {}, {}, {}
  most_s = 60 * minutes / (len(widths) * max(1, len(batch_sizes)))
  for width in widths:
    for batch_size in batch_sizes or (BATCH_SIZES.get(width, 4),):
      label = f'{width}, batch of {batch_size}' if batch_sizes else f'{width}'
      timing.say(label)
      config = workload.make_config(
        width, batch_size=batch_size, image_size=image_size, patch=patch
      )
      modes = [how for how in TWINS if twins and (compiled or 'eager' in how)]
      try:
        found = measure_one(config, rounds, modes, most_s)
      except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):
          raise
        networks[label] = 'out of memory'
        break
      for name, row in found.pop('passes').items():
        passes[f'{label}: {name}'] = row
      for name, row in found.pop('ceilings').items():
        ceilings[f'{label}: {name}'] = row
      networks[label] = found
  return {
    'tables': {'passes': passes, 'ceilings': ceilings},
    'ceiling': ceiling.find_types()[-1],
    'networks': networks,
  }


def has_torch() -> bool:
  """Whether PyTorch is installed."""
  return importlib.util.find_spec('torch') is not None


def measure_one(
  config: dict[str, Any], rounds: int, modes: list[str], most_s: float
) -> dict[str, Any]:
  """Rows of the rivals, and the ceilings of the same rounds.

  Args:
    config: of the network and the batch.
    rounds: turns of each.
    modes: keys of `TWINS`.
    most_s: seconds after which no round begins.
  """
  own = ceiling.find_types()[-1]
  left_out = {
    name: ceiling.EMULATED
    for name in modes
    if own != 'bfloat16' and TWINS[name]['autocast']
  }
  calls, equality = build_rivals(
    config, [x for x in modes if x not in left_out]
  )
  on_cpu = jax.default_backend() == 'cpu'
  products = ceiling.build_products(
    least_flops=_CEILING_FLOPS if on_cpu else None
  )
  left_out |= call_first(calls, set(modes))
  rivals = list(calls)
  calls |= {label: product.call for label, product in products.items()}
  times = timing.interleave(calls, rounds, in_a_row=IN_A_ROW, most_s=most_s)
  ceilings = ceiling.find_ceilings(products, times)
  counted = flops.count_step_flops(config)
  top = ceilings[own]['gflops_per_s']['median'] * 1e9 * jax.device_count()
  peak = flops.find_peak(sharding.build_mesh())
  passes = {}
  for name in rivals:
    seconds = timing.summarize(times[name]['wall'])['median']
    passes[name] = {
      'batch': config['batch_size'],
      'step_ms': timing.shorten(1e3 * seconds),
      'time_over_ours': timing.compare(times, name, OURS),
      'cpu_time_over_ours': timing.compare(times, name, OURS, 'cpu'),
      'ceiling_share': timing.shorten(counted.useful / seconds / top),
    }
    if peak:
      mfu = timing.shorten(counted.useful / seconds / peak)
      passes[name]['mfu_share'] = mfu
  return {
    'passes': passes,
    'ceilings': ceilings,
    'rounds': len(times[OURS]['wall']),
    'left_out': left_out,
    'equality': equality,
    'gflops_of_passes': timing.shorten(counted.useful / 1e9),
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
      sys.modules['torch'].cuda.empty_cache()  # which the error's frames held
  return left_out


def build_rivals(
  config: dict[str, Any], modes: list[str]
) -> tuple[dict[str, Callable], dict[str, float]]:
  """Our passes, our step and the twins' passes; how equal the networks were."""
  model = weights.build_network(config)
  params = workload.make_random_params(model, config)
  batch = workload.make_batch(config)
  ours = jax.jit(make_passes(model, config))
  placed, on_jax = jax.device_put((params, batch))
  calls = {OURS: lambda: ours(placed, on_jax), STEP: Step(config, model, batch)}
  if not modes:
    return calls, {}
  import torch

  from perf import torch_training, torch_twin

  torch.set_num_threads(timing.count_cores())
  torch.manual_seed(0)
  device = 'cpu' if jax.default_backend() == 'cpu' else 'cuda'
  twin = torch_twin.build(model.config, params).to(device)
  equality = torch_training.check(twin, config, params, batch, make_passes)
  torch.cuda.empty_cache()
  if device == 'cuda':
    torch.set_float32_matmul_precision('high')
  on_torch = torch_training.to_torch(batch, device)
  levels = build_levels(config['loss'])
  for name in modes:
    trainer = torch_training.Trainer(twin, on_torch, levels, **TWINS[name])
    calls[name] = trainer.step
  return calls, equality


def make_passes(model, config: dict[str, Any]) -> Callable:
  """(weights, batch) -> loss and its gradient, as `step` takes them."""
  key = keys.make_key(config['seed'], 'noise')
  levels = build_levels(config['loss'])

  def lose(params, batch):
    return jnp.mean(
      make_example_losses(model, params, batch, key=key, levels=levels)
    )

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


if __name__ == '__main__':
  run.run_main(
    measure,
    quick={
      'widths': (32,),
      'batch_sizes': (2,),
      'rounds': 1,
      'image_size': 16,
      'twins': has_torch(),
      'compiled': False,
    },
  )
