"""The rows of a batch, split over the devices."""

import math
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vbanana_jax.errors import UserError
from vbanana_jax.sharding import legal
from vbanana_jax.sharding.mesh import replicated_sharding

# Axes of the mesh that share a batch; `tensor` works on the same rows.
ROWS = ('replica', 'fsdp')


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """The leading axis split over `replica` and `fsdp`, whole over `tensor`."""
  return NamedSharding(mesh, PartitionSpec(ROWS))


def build_activation_constraint(mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
  """A function that keeps an activation `[b, ...]` split by rows alone.

  Without it the compiler may split activations as the weights are split, and
  then the devices exchange them, which are larger, and not the weights. Rows
  that they cannot share, as the one instruction of many pictures, are whole on
  each.
  """
  if mesh.size == 1:
    return lambda x: x
  split, whole = batch_sharding(mesh), replicated_sharding(mesh)
  shards = num_batch_shards(mesh)

  def constrain(x):
    place = whole if x.shape[0] % shards else split
    return jax.lax.with_sharding_constraint(x, place)

  return constrain


def shard_map_over_batch(
  function: Callable, mesh: Mesh, *, shared: int = 0
) -> Callable:
  """`function`, computed by each device for its own rows alone.

  What loops until it is done, such as an assignment, would otherwise make the
  devices talk at every turn.

  Args:
    function: of trees whose leaves are split by rows, to such trees.
    mesh: the devices.
    shared: number of leading arguments that are whole on every device.
  """
  rows = PartitionSpec(ROWS)

  def own_rows(*args):
    specs = (PartitionSpec(),) * shared + (rows,) * (len(args) - shared)
    return jax.shard_map(
      function, mesh=mesh, in_specs=specs, out_specs=rows, check_vma=False
    )(*args)

  return own_rows


def shard_map_over_heads(attend: Callable, mesh: Mesh) -> Callable:
  """`attend`, computed by each device for its own rows and heads alone.

  A kernel is one piece to the compiler, which would gather all of them for it.

  Args:
    attend: of queries, keys and values `[b, n, k, e]` and, if it is given, a
      mask `[b, m]`.
    mesh: the devices; rows and heads that they cannot share are whole on
      each.
  """

  def own_heads(q, k, v, *mask):
    rows = None if q.shape[0] % num_batch_shards(mesh) else ROWS
    heads = None if q.shape[2] % mesh.shape['tensor'] else 'tensor'
    split = PartitionSpec(rows, None, heads)
    specs = (split,) * 3 + (PartitionSpec(rows),) * len(mask)
    return jax.shard_map(
      attend, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False
    )(q, k, v, *mask)

  return own_heads


def check_batch_size(
  key: str, batch_size: int, mesh: Mesh, accumulate: int = 1
) -> None:
  """Raises UserError unless the devices can share the batch evenly.

  Args:
    key: what the config calls it.
    batch_size: examples a step over all devices.
    mesh: from `build_mesh`.
    accumulate: parts that a step takes one after the other.
  """
  ways = num_batch_shards(mesh)
  unit = ways * accumulate
  if batch_size < 1 or batch_size % unit:
    multiples = range(unit, max(unit, batch_size) + unit + 1, unit)
    parts = f' in {accumulate} parts each' if accumulate > 1 else ''
    raise UserError(
      f'{key} is {batch_size}, which {ways} devices{parts} cannot share; the '
      f'nearest that they can: {legal.nearest(batch_size, multiples)}'
    )


def num_batch_shards(mesh: Mesh) -> int:
  """Number of parts that the rows of a batch are split into."""
  return math.prod(mesh.shape[axis] for axis in ROWS)


def round_up_rows(rows: int, mesh: Mesh) -> int:
  """The smallest number of rows from `rows` on that the devices can share."""
  shards = num_batch_shards(mesh)
  return -(-rows // shards) * shards


def local_batch_indices(batch_size: int, mesh: Mesh) -> np.ndarray:
  """Which rows of a batch this process holds, ascending.

  Several processes hold the same rows where `tensor` reaches across them.
  """
  parts = batch_sharding(mesh).addressable_devices_indices_map((batch_size,))
  rows = np.arange(batch_size)
  return np.unique(np.concatenate([rows[part] for part in parts.values()]))


def put_batch(batch: dict, mesh: Mesh) -> dict:
  """A host batch (nested dicts of arrays) to the devices, by rows.

  Of several processes each gives the rows of `local_batch_indices`, in order.
  """
  split = batch_sharding(mesh)
  if split.is_fully_addressable:
    return jax.tree.map(lambda x: jax.device_put(np.asarray(x), split), batch)
  shares = num_batch_shards(mesh)
  own = local_batch_indices(shares, mesh)

  def put(x):
    x = np.asarray(x)
    pieces = x.reshape(len(own), -1, *x.shape[1:])
    shape = (shares * pieces.shape[1], *x.shape[1:])
    indices = split.addressable_devices_indices_map((shares,))
    # Each device by itself: a process need not hold neighboring rows.
    return jax.make_array_from_single_device_arrays(
      shape,
      split,
      [
        jax.device_put(
          pieces[np.searchsorted(own, index[0].start or 0)], device
        )
        for device, index in indices.items()
      ],
    )

  return jax.tree.map(put, batch)
