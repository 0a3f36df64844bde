"""Rows of a batch, computed one after the other by the devices that share them.

A row then has the same numbers in any batch, on any number of devices.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax

from vbanana_jax import sharding

# Batches that an accelerator may have before it, so that it never idles and
# its memory holds few of them.
_IN_FLIGHT = 2


def map_rows(function: Callable) -> Callable:
  """`function` of rows, computed for one after the other.

  For how many rows it is compiled no longer decides the order of its sums, so
  a row has the same scores, to the last bit, on any number of devices.
  """

  def one_row(row):
    states = function(*jax.tree.map(lambda x: x[None], row))
    return jax.tree.map(lambda x: x[0], states)

  return lambda *rows: jax.lax.map(one_row, rows)


def spread_rows(function: Callable, mesh: jax.sharding.Mesh) -> Callable:
  """`function` of trees [1 ...], compiled for such trees [b ...] on a mesh.

  Every device has all of the result.
  """
  return jax.jit(
    sharding.shard_map_over_batch(map_rows(function), mesh),
    out_shardings=sharding.replicated_sharding(mesh),
  )


def put_rows(batch: Any, mesh: jax.sharding.Mesh) -> Any:
  """A batch to the devices; of several processes all have the same batch."""
  if not sharding.batch_sharding(mesh).is_fully_addressable:
    n = len(jax.tree.leaves(batch)[0])
    own = sharding.local_batch_indices(n, mesh)
    batch = jax.tree.map(lambda x: x[own], batch)
  return sharding.put_batch(batch, mesh)


def fetch_states(running: Iterable[Any], *, wait: bool) -> list[Any]:
  """Host copies of what a program returns for each batch, in order.

  Args:
    running: starts the program of the next batch when it is asked for it.
    wait: fetch each result before the next program starts. On a CPU, two
      programs that gather from all devices at once may starve each other of
      a small machine's threads. Otherwise all are fetched together at the end.
  """
  results = []
  for result in running:
    results.append(jax.device_get(result) if wait else result)
    if len(results) > _IN_FLIGHT:
      jax.block_until_ready(results[-1 - _IN_FLIGHT])
  return jax.device_get(results)


def is_cpu(mesh: jax.sharding.Mesh) -> bool:
  """Whether a mesh is of CPUs; see `fetch_states`."""
  return mesh.devices.flat[0].platform == 'cpu'
