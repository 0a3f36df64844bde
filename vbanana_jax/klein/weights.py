"""Stored tensors to parameters: all of them, each in its shape, or an error."""

import collections
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vbanana_jax.errors import UserError
from vbanana_jax.klein import stored as files
from vbanana_jax.klein.tables import Row

# Types that a weight may be stored in.
_TYPES = tuple(files.ITEM_BYTES)
# Of tensors that were measured and not learned.
_MEASURED = 'bn.'


def check(
  rows: Sequence[Row],
  abstract: Mapping[str, Any],
  tensors: Mapping[str, files.Stored],
  dead: Iterable[str],
) -> None:
  """Asks whether a snapshot fills these parameters, and has nothing else.

  Args:
    rows: of `tables`.
    abstract: parameters as `module.init` makes them, shapes are enough.
    tensors: what is stored.
    dead: names of tensors that no parameter needs.

  Raises:
    UserError: a tensor is missing, has another shape or a type that is no
      weight's; or one is stored that nobody knows.
    ValueError: `rows` leave a part of a parameter or of a tensor out, or
      take it twice: a mistake in the table.
  """
  wanted = find_shapes(rows, abstract)
  where = next(iter(tensors.values())).file.parent if tensors else 'a file'
  compare(where, wanted, tensors, dead)


def find_shapes(
  rows: Sequence[Row], abstract: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
  """Shapes of the stored tensors that fill parameters, by their names.

  Raises:
    ValueError: a mistake in the table, see `check`.
  """
  leaves = flatten(abstract)
  _check_filled(rows, leaves)
  return _get_wanted_shapes(rows, leaves)


def compare(
  where: str | os.PathLike,
  wanted: Mapping[str, tuple[int, ...]],
  tensors: Mapping[str, files.Stored],
  dead: Iterable[str],
) -> None:
  """Raises UserError unless the stored tensors are those that are wanted.

  Args:
    where: a file or folder, for messages.
    wanted: shapes by name.
    tensors: what is stored.
    dead: names of tensors that nothing needs.
  """
  again = 'download config.json and the weights again, of one snapshot'
  if missing := sorted(set(wanted) - set(tensors)):
    raise UserError(f'{where} lacks {files.name_some(missing)}: {again}')
  if unknown := sorted(set(tensors) - set(wanted) - set(dead)):
    raise UserError(
      f'{where} has {files.name_some(unknown)}, unknown here: {again}'
    )
  for name, shape in wanted.items():
    if tensors[name].shape != shape:
      raise UserError(
        f'{tensors[name].file}: {name} is {list(tensors[name].shape)} and '
        f'the config asks for {list(shape)}: {again}'
      )
  _check_types(wanted, tensors)


def _check_types(
  wanted: Iterable[str], tensors: Mapping[str, files.Stored]
) -> None:
  """Raises UserError unless all weights have one type that weights have.

  Measured statistics may have another one than the weights beside them.
  """
  types = {name: tensors[name].dtype for name in wanted}
  weights = (t for name, t in types.items() if not name.startswith(_MEASURED))
  (usual, _), *_ = collections.Counter(weights).most_common(1)
  for name, dtype in types.items():
    if dtype not in _TYPES:
      raise UserError(
        f'{tensors[name].file}: {name} is stored as {dtype}: take a snapshot '
        f'in {", ".join(_TYPES)}, not a quantized one'
      )
    if dtype != usual and not name.startswith(_MEASURED):
      raise UserError(
        f'{tensors[name].file}: {name} is stored as {dtype} and the other '
        f'weights as {usual}: download the weights again, of one snapshot'
      )


def load(
  rows: Sequence[Row],
  abstract: Mapping[str, Any],
  tensors: Mapping[str, files.Stored],
  dtype: Any,
) -> Any:
  """Parameters from a snapshot that `check` has passed.

  Of each tensor a process reads what its own devices hold.

  Args:
    rows: of `tables`.
    abstract: shapes and, where they have any, shardings.
    tensors: what is stored.
    dtype: of the parameters; None keeps what is stored.

  Returns:
    a tree like `abstract`.

  Raises:
    UserError: a file cannot be read any more.
  """
  by_path: dict[str, list[Row]] = {}
  for row in rows:
    by_path.setdefault(row.path, []).append(row)
  here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

  def make(path, leaf):
    own = sorted(by_path[_join(path)], key=lambda row: row.block or 0)
    return jax.make_array_from_callback(
      leaf.shape,
      leaf.sharding or here,
      lambda index: _read_part(own, leaf.shape, tensors, index, dtype),
    )

  return jax.tree.map_with_path(make, abstract)


def _read_part(rows, shape, tensors, index, dtype) -> np.ndarray:
  """The part `index` of one parameter, from the tensors of its rows."""
  bounds = [range(size)[part] for size, part in zip(shape, index, strict=True)]
  if rows[0].block is None:
    part = _read_row(rows[0], tensors, bounds)
    return part if dtype is None else part.astype(dtype)
  # Block by block into one array: never a second copy of a whole stack.
  part = None
  for place, number in enumerate(bounds[0]):
    block = _read_row(rows[number], tensors, bounds[1:])
    if part is None:
      shape = (len(bounds[0]), *block.shape)
      part = np.empty(shape, block.dtype if dtype is None else dtype)
    part[place] = block
  return part


def _read_row(row, tensors, bounds: Sequence[range]) -> np.ndarray:
  part = [slice(None)] * len(bounds)
  for axis, bound in zip(row.order, bounds, strict=True):
    start = row.start if axis == row.axis else 0
    part[axis] = slice(start + bound.start, start + bound.stop)
  array = files.read(tensors[row.stored], row.stored, tuple(part))
  return array.transpose(row.order)


def flatten(tree: Any) -> dict[str, Any]:
  """Leaves by their path, its keys joined with '/'."""
  return {_join(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _join(path) -> str:
  return '/'.join(str(key.key) for key in path)


def _check_filled(rows: Sequence[Row], leaves: Mapping[str, Any]) -> None:
  """Raises ValueError unless each block of each parameter has one row."""
  filled = [(row.path, row.block) for row in rows]
  single = {row.path for row in rows if row.block is None}
  needed = [
    (path, None if path in single else block)
    for path, leaf in leaves.items()
    for block in range(1 if path in single else leaf.shape[0])
  ]
  if sorted(map(str, filled)) != sorted(map(str, needed)):
    wrong = sorted(map(str, set(filled) ^ set(needed)))
    raise ValueError(f'rows and parameters differ: {files.name_some(wrong)}')


def _get_wanted_shapes(
  rows: Sequence[Row], leaves: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
  """Shapes of stored tensors, put together from those of parameters."""
  by_name: dict[str, list[tuple[Row, list[int]]]] = {}
  for row in rows:
    shape = leaves[row.path].shape
    shape = shape if row.block is None else shape[1:]
    if len(shape) != len(row.order):
      raise ValueError(f'{row.path} is {shape}, unlike {row.stored}')
    sizes = [shape[row.order.index(axis)] for axis in range(len(shape))]
    by_name.setdefault(row.stored, []).append((row, sizes))
  wanted = {}
  for name, parts in by_name.items():
    axis, end = parts[0][0].axis, 0
    for row, sizes in sorted(parts, key=lambda part: part[0].start):
      if row.start != end or row.axis != axis:
        raise ValueError(f'rows of {name} leave a gap at {end}, or overlap')
      end += sizes[axis]
    wanted[name] = tuple(end if k == axis else s for k, s in enumerate(sizes))
  return wanted
