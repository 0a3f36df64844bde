"""What training changes: step, weights, their average, optimizer moments.

Nothing callable and nothing random is kept here: noise, times and data are
functions of (seed, step), so a checkpoint is just these arrays.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from vbanana_jax import keys, models
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths


class TrainState(NamedTuple):
  """A pytree; `step` counts finished updates.

  Attributes:
    step: number of updates.
    params: what is trained.
    ema_params: their average; None if none is taken.
    opt_state: moments of the optimizer.
    frozen: parts of the network that are never trained, by name; None for
      none. They are in no checkpoint.
  """

  step: jax.Array
  params: Any
  ema_params: Any
  opt_state: Any
  frozen: Any = None

  @property
  def weights(self) -> Any:
    """All that the network computes with."""
    return join_weights(self.params, self.frozen)

  @property
  def ema_weights(self) -> Any:
    """The same with the averaged weights, if there are any."""
    averaged = self.params if self.ema_params is None else self.ema_params
    return join_weights(averaged, self.frozen)

  def restart(self, params: Any) -> 'TrainState':
    """This state with other weights, of which the average begins anew."""
    if self.ema_params is None:
      return self._replace(params=params)
    average = jax.tree.map(jnp.copy, params)
    return self._replace(params=params, ema_params=average)


def join_weights(params: Any, frozen: Any) -> Any:
  """Trained and frozen parts as the one tree that the network computes with."""
  return {**params, **frozen} if frozen else params


def split_weights(model, weights: Any) -> tuple[Any, Any]:
  """Inverse of `join_weights`: trained parts, and those of `model.frozen`."""
  frozen = {name: weights[name] for name in model.frozen}
  return {k: v for k, v in weights.items() if k not in frozen}, frozen or None


def make_params(model, *, size: int, seed: int) -> Any:
  """Fresh weights, frozen parts included.

  Args:
    model: see `models.contract.Network`.
    size: side in pixels of the pictures that the weights are traced with.
    seed: of the run.
  """
  made = models.unbox(_make_named_params(model, size=size, seed=seed))
  for name, dtype in model.frozen.items():
    made[name] = jax.tree.map(
      lambda x, dtype=dtype: x.astype(dtype), made[name]
    )
  return made


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
  inputs = model.make_inputs(size)
  return model.init(keys.make_key(seed, 'init'), *inputs)['params']


def make_state(
  model,
  optimizer: optax.GradientTransformation,
  *,
  size: int,
  seed: int,
  averaged: bool = True,
) -> TrainState:
  """Fresh weights and moments; trace it or run it under `jax.jit`.

  Args:
    model: from `models.build_model`.
    optimizer: from `optim.build_optimizer`.
    size: side in pixels of the pictures that the weights are traced with.
    seed: of the run.
    averaged: whether an average of the weights is taken.
  """
  params = make_params(model, size=size, seed=seed)
  return begin_state(model, optimizer, params, averaged=averaged)


def begin_state(
  model,
  optimizer: optax.GradientTransformation,
  weights: Any,
  *,
  averaged: bool = True,
) -> TrainState:
  """The state of step 0 of these weights, frozen parts included."""
  params, frozen = split_weights(model, weights)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema_params=jax.tree.map(jnp.copy, params) if averaged else None,
    opt_state=optimizer.init(params),
    frozen=frozen,
  )


def get_shapes(params: Any) -> dict[str, tuple[int, ...]]:
  """Shapes of all weights by name."""
  named = traverse_util.flatten_dict(params, sep='/')
  return {name: tuple(leaf.shape) for name, leaf in named.items()}


def check_fit(
  place: paths.Path, there: Mapping[str, tuple[int, ...]], params: Any
) -> None:
  """Raises UserError unless stored weights are of a network.

  Args:
    place: where they lie.
    there: shapes of the stored ones by name.
    params: those of the network, or their shapes.
  """
  here = get_shapes(params)
  for name in sorted(there.keys() | here.keys()):
    if there.get(name) != here.get(name):
      raise UserError(
        f'{place} does not fit this model: {name} has the shape '
        f'{there.get(name)} there and {here.get(name)} here'
      )
