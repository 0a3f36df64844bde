"""Where arrays live: batches split over the devices, weights on each."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vbanana_jax.errors import UserError


def make_mesh() -> Mesh:
  """All devices along one axis, `data`."""
  return jax.make_mesh(
    (jax.device_count(),), ('data',), axis_types=(AxisType.Auto,)
  )


def make_replicated(mesh: Mesh) -> NamedSharding:
  """The whole array on every device."""
  return NamedSharding(mesh, PartitionSpec())


def make_split(mesh: Mesh) -> NamedSharding:
  """The leading axis split over `data`."""
  return NamedSharding(mesh, PartitionSpec('data'))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
  """Raises UserError unless the devices can share the batch evenly."""
  devices = mesh.size
  if batch_size % devices:
    below = batch_size // devices * devices
    raise UserError(
      f'config.batch_size is {batch_size}, which {devices} devices cannot '
      f'share; the nearest that they can are {below} and {below + devices}'
    )


def put_batch(batch: dict, mesh: Mesh) -> dict:
  """A host batch (nested dicts of arrays) to the devices, by rows."""
  split = make_split(mesh)
  return jax.tree.map(lambda x: jax.device_put(np.asarray(x), split), batch)
