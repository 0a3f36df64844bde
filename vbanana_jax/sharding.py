"""Where arrays live: batches split over the devices, weights on each."""

from collections.abc import Callable
from typing import Any

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


def make_abstract(tree: Any, mesh: Mesh) -> Any:
  """Shapes and types of a tree that is whole on every device."""
  everywhere = make_replicated(mesh)
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=everywhere
    ),
    tree,
  )


def on_own_rows(function: Callable, mesh: Mesh, *, shared: int = 0) -> Callable:
  """`function`, computed by each device for its own rows alone.

  What loops until it is done, such as an assignment, would otherwise make the
  devices talk at every turn.

  Args:
    function: of trees whose leaves are split by rows, to such trees.
    mesh: the devices.
    shared: number of leading arguments that are whole on every device.
  """
  rows = PartitionSpec('data')

  def own_rows(*args):
    specs = (PartitionSpec(),) * shared + (rows,) * (len(args) - shared)
    return jax.shard_map(
      function, mesh=mesh, in_specs=specs, out_specs=rows, check_vma=False
    )(*args)

  return own_rows


def check_batch_size(key: str, batch_size: int, mesh: Mesh) -> None:
  """Raises UserError unless the devices can share the batch evenly."""
  if batch_size < 1 or batch_size % mesh.size:
    below = max(0, batch_size) // mesh.size * mesh.size
    legal = [str(size) for size in (below, below + mesh.size) if size]
    raise UserError(
      f'{key} is {batch_size}, which {mesh.size} devices cannot share; '
      f'the nearest that they can: {" and ".join(legal)}'
    )


def put_batch(batch: dict, mesh: Mesh) -> dict:
  """A host batch (nested dicts of arrays) to the devices, by rows."""
  split = make_split(mesh)
  return jax.tree.map(lambda x: jax.device_put(np.asarray(x), split), batch)
