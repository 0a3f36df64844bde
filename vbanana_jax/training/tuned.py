"""The transformer of a run that tuned FLUX.2 klein, without its network."""

import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vbanana_jax import models
from vbanana_jax.errors import UserError
from vbanana_jax.klein import imported, weights
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


def load_tuned(run: pathlib.Path) -> TunedRun:
  """The newest averaged weights of the transformer, and nothing else.

  Args:
    run: a workdir with a checkpoint.

  Raises:
    UserError: it tuned another network, or all of its weights are elsewhere.
  """
  model = provenance.load_run_json(run)['config']['model']
  if not model.get('snapshot'):
    raise UserError(
      f'{run} did not tune FLUX.2 klein: --format diffusers writes that alone'
    )
  folder = model['snapshot']
  part = imported.open_import(folder, models.Precision()).parts[_PART]
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  abstract = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(
      leaf.shape, jnp.float32, sharding=device
    ),
    part.make_abstract(),
  )  # fmt: skip
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
