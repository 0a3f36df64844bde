"""One check that states do not depend on the form they are computed in."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from vbanana_jax import sharding


def assert_same_in_all_forms(
  states_fn: Callable,
  arrays: tuple,
  *,
  rtol: float = 1e-6,
  atol: float = 1e-6,
  **options,
) -> dict[str, np.ndarray]:
  """Sums of states: eager, jit, vmap, split, padded and on eight devices.

  Args:
    states_fn: `states_fn(*arrays, valid=bool[n], **options)`, a dict of states
      with one row an example: int32 counts (compared exactly) or float32 sums.
    arrays: inputs whose rows are examples, all with the same even number of
      rows (fewer shapes to compile), `where` and the like among them.
    rtol: relative tolerance of float sums.
    atol: absolute tolerance of float sums, for those that cancel.
    **options: other keyword arguments, the same for all rows, not traced.

  Returns:
    the summed states of the eager form, float64 or int64.
  """
  states_fn = functools.partial(states_fn, **options)
  arrays = tuple(np.asarray(x) for x in arrays)
  rows = len(arrays[0])
  assert rows % 2 == 0 and all(len(x) == rows for x in arrays)
  everyone = np.ones(rows, bool)
  want = _sum_rows(states_fn(*arrays, valid=everyone))

  traced = jax.jit(lambda valid, *args: states_fn(*args, valid=valid))
  # Two batches of the same shape: half of it real, the rest garbage.
  halves = [
    _pad(tuple(x[half] for x in (everyone, *arrays)), rows)
    for half in (slice(rows // 2), slice(rows // 2, None))
  ]
  first, second = (_sum_rows(traced(*half), rows // 2) for half in halves)

  def one_row(*args):
    states = states_fn(*(x[None] for x in args[1:]), valid=args[0][None])
    return {name: state[0] for name, state in states.items()}

  mesh = sharding.build_mesh()
  assert mesh.size == 8
  padded = _pad((everyone, *arrays), rows + 8 - rows % 8)
  spread = jax.device_put(padded, sharding.batch_sharding(mesh))
  own_rows = sharding.shard_map_over_batch(traced, mesh)
  found = {
    'jit': _sum_rows(traced(everyone, *arrays)),
    'vmap': _sum_rows(jax.jit(jax.vmap(one_row))(everyone, *arrays)),
    'split and padded': {name: first[name] + second[name] for name in want},
    'sharded': _sum_rows(traced(*spread), rows),
    'on own rows': _sum_rows(jax.jit(own_rows)(*spread), rows),
  }
  for form, states in found.items():
    assert states.keys() == want.keys(), form
    for name, value in states.items():
      where = f'{name}, {form}'
      if value.dtype == np.int64:
        np.testing.assert_array_equal(value, want[name], where)
      else:
        np.testing.assert_allclose(
          value, want[name], rtol=rtol, atol=atol, err_msg=where
        )
  return want


def _sum_rows(states, rows=None):
  """Sums on the host; rows after the first `rows` must be zeros."""
  sums = {}
  for name, state in states.items():
    assert state.dtype in (np.int32, np.float32), (name, state.dtype)
    state = np.asarray(state)
    if rows is not None:
      assert not state[rows:].any(), f'{name}: a row that is not valid counts'
    wide = np.int64 if state.dtype == np.int32 else np.float64
    sums[name] = state.sum(axis=0, dtype=wide)
  return sums


def _pad(arrays, rows):
  """As many rows; the new ones are garbage and, by the first array, invalid."""
  more = rows - len(arrays[0])
  padded = [np.concatenate([arrays[0], np.zeros(more, bool)])]
  for x in arrays[1:]:
    junk = np.resize(_garbage(x.dtype), (more, *x.shape[1:]))
    padded.append(np.concatenate([x, junk]))
  return tuple(padded)


def _garbage(dtype):
  if np.issubdtype(dtype, np.floating):
    return np.asarray([np.nan, np.inf, -np.inf, 0.5, -0.0, 3.0, 1e30], dtype)
  if np.issubdtype(dtype, np.integer):
    limits = np.iinfo(dtype)
    return np.asarray([1, limits.max, 2, limits.min, 0, 3, 100], dtype)
  return np.asarray([True, True, False])
