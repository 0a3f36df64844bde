"""What training changes: step, weights, their average, optimizer moments.

Nothing callable and nothing random is kept here: noise, times and data are
functions of (seed, step), so a checkpoint is just these arrays.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vbanana_jax import keys, models


class TrainState(NamedTuple):
  """A pytree; `step` counts finished updates."""

  step: jax.Array
  params: Any
  ema_params: Any
  opt_state: Any


def make_params(model, *, size: int, seed: int) -> Any:
  """Fresh weights; `size` is the side of the pictures they are traced with."""
  return models.unbox(_make_named_params(model, size=size, seed=seed))


def make_logical_axes(model, *, size: int) -> Any:
  """Logical names of the axes of all weights, as `make_shardings` reads them.

  Nothing is computed.

  Returns:
    a tree like that of `make_params`, each leaf a PartitionSpec of names.
  """
  return models.get_axes(
    jax.eval_shape(lambda: _make_named_params(model, size=size, seed=0))
  )


def _make_named_params(model, *, size: int, seed: int) -> Any:
  picture = jnp.zeros((1, size, size, 3))
  return model.init(
    keys.make_key(seed, 'init'),
    picture,
    jnp.zeros(1),
    jnp.zeros((1, model.config.max_text), jnp.int32),
    picture,
    jnp.ones(1, bool),
  )['params']


def make_state(
  model, optimizer: optax.GradientTransformation, *, size: int, seed: int
) -> TrainState:
  """Fresh weights and moments; trace it or run it under `jax.jit`.

  Args:
    model: from `models.build_model`.
    optimizer: from `optim.build_optimizer`.
    size: side in pixels of the pictures that the weights are traced with.
    seed: of the run.
  """
  params = make_params(model, size=size, seed=seed)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema_params=jax.tree.map(jnp.copy, params),
    opt_state=optimizer.init(params),
  )
