"""Muon for the blocks' matrices, AdamW for everything else.

A stack of blocks is one leaf with the block as its first axis; to Muon that
axis is a batch of matrices.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from vbanana_jax.errors import UserError
from vbanana_jax.models import Precision
from vbanana_jax.training import muon

# Modules that are stacks of blocks.
_STACKS = {'blocks', 'double', 'single'}
# What a block reads of the instruction; computed apart, once a prompt.
_TEXT_MATRICES = ('text_key', 'text_value')


def build_schedule(config: Mapping, total_steps: int) -> optax.Schedule:
  """Linear warm-up to 1, a plateau, and a linear way down to 0.

  Args:
    config: `warmup` and `decay`, shares of the run.
    total_steps: length of the run.
  """
  warmup = max(1, round(config['warmup'] * total_steps))
  decay = max(1, round(config['decay'] * total_steps))
  return optax.join_schedules(
    [
      optax.linear_schedule(0.0, 1.0, warmup),
      optax.constant_schedule(1.0),
      optax.linear_schedule(1.0, 0.0, decay),
    ],
    [warmup, max(warmup, total_steps - decay)],
  )


def build_learning_rates(
  config: Mapping, total_steps: int
) -> Callable[[int], dict[str, float]]:
  """The function: number of an update, from 1 -> its learning rates.

  Args:
    config: as for `build_optimizer`.
    total_steps: length of the run.

  Returns:
    by the keys of `config` that they scale: `learning_rate` is that of Muon's
    matrices, `adam_learning_rate` that of everything else.
  """
  names = ['adam_learning_rate']
  if config['name'] == 'muon':
    names.insert(0, 'learning_rate')
  schedule = jax.jit(build_schedule(config, total_steps))

  def find(step: int) -> dict[str, float]:
    scale = float(schedule(step - 1))  # the first update is number 0 to optax
    return {name: scale * config[name] for name in names}

  return find


def build_optimizer(
  config: Mapping,
  total_steps: int,
  precision: Precision,
  mesh: Mesh | None = None,
) -> optax.GradientTransformation:
  """Gradient clipping, then the optimizer that the config names.

  Args:
    config: `name` (a key of `OPTIMIZERS`), `learning_rate`,
      `adam_learning_rate`, `weight_decay`, `clip`, `warmup`, `decay`.
    total_steps: length of the run.
    precision: of the network's products.
    mesh: of the devices, if known: Muon takes matrices in turn where a single
      CPU has all of them, and those of a kind together elsewhere.

  Raises:
    UserError: for an unknown name.
  """
  name = config['name']
  if name not in OPTIMIZERS:
    raise UserError(
      f'config.optim.name is {name!r}: choose of {sorted(OPTIMIZERS)}'
    )
  schedule = build_schedule(config, total_steps)
  single_cpu = mesh is not None and mesh.size == 1 and not precision.accelerator
  return optax.chain(
    optax.clip_by_global_norm(config['clip']),
    OPTIMIZERS[name](
      config,
      schedule,
      matmul_dtype=precision.matmul_dtype,
      sequential=single_cpu,
    ),
  )


def find_matrices(params):
  """Which leaves Muon owns, a tree of bools: one matrix a block, stacked."""

  def is_owned(path, _):
    name = path[-1].key
    stacked = any(key.key in _STACKS for key in path)
    return (stacked and name == 'kernel') or name in _TEXT_MATRICES

  return jax.tree_util.tree_map_with_path(is_owned, params)


def find_stacks(config: Mapping, params):
  """Which leaves the optimizer takes matrix by matrix, as a tree of bools."""
  if config['name'] != 'muon':
    return jax.tree.map(lambda _: False, params)
  return find_matrices(params)


def make_ema_decay(decay: float, step: jax.Array) -> jax.Array:
  """EMA decay with a ramp, so that a short run forgets its initial weights."""
  return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def _scaled(schedule: optax.Schedule, factor: float) -> Callable:
  return lambda step: factor * schedule(step)


def _muon(config, schedule, **products):
  return muon.muon(
    _scaled(schedule, config['learning_rate']),
    muon_mask=find_matrices,
    fallback=_adamw(config, schedule, nesterov=True),
    iterations=config['muon_iterations'],
    weight_decay=config['weight_decay'],
    **products,
  )


def _adamw(config, schedule, nesterov=False, **products):
  del products  # it has none
  return optax.adamw(
    _scaled(schedule, config['adam_learning_rate']),
    b2=0.99,
    weight_decay=config['weight_decay'],
    nesterov=nesterov,
  )


OPTIMIZERS = {'muon': _muon, 'adamw': _adamw}
