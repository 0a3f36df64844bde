"""Muon for the blocks' matrices, AdamW for everything else.

A stack of blocks is one leaf with the block as its first axis. To Muon that
axis is a batch of matrices and has to be declared so, or optax quietly hands
three-dimensional leaves to Adam.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from vbanana_jax.errors import UserError

_STACKED_MATRIX = contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)

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


def build_optimizer(
  config: Mapping, total_steps: int
) -> optax.GradientTransformation:
  """Gradient clipping, then the optimizer that the config names.

  Args:
    config: `name` (a key of `OPTIMIZERS`), `learning_rate`,
      `adam_learning_rate`, `weight_decay`, `clip`, `warmup`, `decay`.
    total_steps: length of the run.

  Raises:
    UserError: for an unknown name.
  """
  name = config['name']
  if name not in OPTIMIZERS:
    raise UserError(
      f'config.optim.name is {name!r}: choose of {sorted(OPTIMIZERS)}'
    )
  schedule = build_schedule(config, total_steps)
  return optax.chain(
    optax.clip_by_global_norm(config['clip']),
    OPTIMIZERS[name](config, schedule),
  )


def muon_dimensions(params):
  """Which leaves Muon owns: one matrix a block, stacked; None elsewhere."""

  def dimensions(path, leaf):
    name = path[-1].key
    stacked = any(key.key == 'blocks' for key in path) and name == 'kernel'
    return _STACKED_MATRIX if stacked or name in _TEXT_MATRICES else None

  return jax.tree_util.tree_map_with_path(dimensions, params)


def find_stacks(config: Mapping, params):
  """Which leaves the optimizer takes matrix by matrix, as a tree of bools."""
  if config['name'] != 'muon':
    return jax.tree.map(lambda _: False, params)
  return jax.tree.map(
    lambda dimensions, _: dimensions is not None,
    muon_dimensions(params),
    params,
    is_leaf=_is_dimensions,
  )


def _is_dimensions(x) -> bool:
  return x is None or isinstance(x, contrib.MuonDimensionNumbers)


def make_ema_decay(decay: float, step: jax.Array) -> jax.Array:
  """EMA decay with a ramp, so that a short run forgets its initial weights."""
  return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def _scaled(schedule: optax.Schedule, factor: float) -> Callable:
  return lambda step: factor * schedule(step)


def _muon(config, schedule):
  return contrib.muon(
    _scaled(schedule, config['learning_rate']),
    weight_decay=config['weight_decay'],
    adam_weight_decay=config['weight_decay'],
    adam_learning_rate=_scaled(schedule, config['adam_learning_rate']),
    adam_b2=0.99,
    ns_steps=config['muon_iterations'],
    muon_weight_dimension_numbers=muon_dimensions,
  )


def _adamw(config, schedule):
  return optax.adamw(
    _scaled(schedule, config['adam_learning_rate']),
    b2=0.99,
    weight_decay=config['weight_decay'],
  )


OPTIMIZERS = {'muon': _muon, 'adamw': _adamw}
