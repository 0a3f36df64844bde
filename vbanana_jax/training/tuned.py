"""The transformer of a run that tuned FLUX.2 klein, without its network."""

import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vbanana_jax import models
from vbanana_jax.errors import UserError
from vbanana_jax.klein import imported, lora, weights
from vbanana_jax.training import checkpoint, provenance

_PART = 'transformer'


class TunedRun(NamedTuple):
  """What a run made of an import.

  Attributes:
    snapshot: folder of the import that it began from.
    params: averaged weights of the transformer, float32.
    step: of the checkpoint.
  """

  snapshot: str
  params: Any
  step: int


def has_adapter(run: pathlib.Path) -> bool:
  """Whether a run trained an adapter and left the transformer as it was."""
  model = provenance.load_run_json(run)['config']['model']
  return bool(model['lora']['rank'])


def load_adapter(run: pathlib.Path) -> lora.Adapter:
  """The newest averaged factors of a run that trained an adapter.

  Args:
    run: a workdir with a checkpoint.

  Raises:
    UserError: the import that it began from is gone or is another one.
  """
  model = provenance.load_run_json(run)['config']['model']
  snapshot = imported.open_import(model['snapshot'], models.Precision())
  change = lora.make_change(model['lora'], snapshot.parts[_PART])
  abstract = _place(jax.eval_shape(change.make_factors, jax.random.key(0)))
  with checkpoint.Checkpoints(run) as checkpoints:
    factors = checkpoints.restore_ema({'lora': abstract}, partial=True)['lora']
  return lora.Adapter(factors, change.scale)


def load_tuned(run: pathlib.Path) -> TunedRun:
  """The newest averaged weights of the transformer, and nothing else.

  Args:
    run: a workdir with a checkpoint.

  Raises:
    UserError: it tuned another network, or all of its weights are elsewhere.
  """
  model = provenance.load_run_json(run)['config']['model']
  if not model['snapshot']:
    raise UserError(
      f'{run} did not tune FLUX.2 klein: --format diffusers writes that alone'
    )
  folder = model['snapshot']
  part = imported.open_import(folder, models.Precision()).parts[_PART]
  abstract = _place(part.make_abstract())
  with checkpoint.Checkpoints(run) as checkpoints:
    there = checkpoints.load_shapes()
    for path, leaf in weights.flatten({_PART: abstract}).items():
      if there.get(path) != leaf.shape:
        raise UserError(
          f'{run}: {path} has the shape {there.get(path)} and {folder} asks '
          f'for {leaf.shape}: is it the import that the run began from?'
        )
    restored = checkpoints.restore_ema({_PART: abstract}, partial=True)
    return TunedRun(folder, restored[_PART], checkpoints.latest_step())


def _place(abstract: Any) -> Any:
  """Shapes as float32, the type of what is trained, on the first device."""
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float32, sharding=device),
    abstract,
  )
