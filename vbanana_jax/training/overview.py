"""What a network is made of, as a table: by module, and array by array."""

import math
from collections.abc import Iterable
from typing import Any

import jax

from vbanana_jax.runtime import paths, processes

_MIB = 2**20


def save_overview(path: paths.Path, params: Any) -> None:
  """Prints the modules, and writes all arrays; the first process does both.

  Args:
    path: of the file.
    params: arrays, or shapes with shardings.
  """
  if processes.is_first():
    paths.write_whole(path, (make_array_table(params) + '\n').encode())
  processes.print_from_first(
    f'{make_module_table(params)}\n(array by array: {path})'
  )


def make_array_table(params: Any) -> str:
  """Name, shape, count, type and sharding of every array, and their sum."""
  rows = [
    (
      name,
      'x'.join(map(str, leaf.shape)),
      f'{leaf.size:,}',
      str(leaf.dtype),
      describe_sharding(leaf),
    )
    for name, leaf in _name_leaves(params)
  ]
  total = (
    'total',
    '',
    f'{sum(leaf.size for _, leaf in _name_leaves(params)):,}',
  )
  header = ('array', 'shape', 'parameters', 'type', 'sharding')
  return _align([header, *rows, (*total, '', '')], right=(2,))


def make_module_table(params: Any) -> str:
  """Arrays, parameters and memory of every module, and their sum.

  A module is what the first part of its arrays' names says; the blocks of a
  stack are one array each.
  """
  modules: dict[str, list] = {}
  for name, leaf in _name_leaves(params):
    modules.setdefault(name.partition('/')[0], []).append(leaf)
  rows = [_sum_up(name, leaves) for name, leaves in modules.items()]
  rows.append(_sum_up('total', [leaf for _, leaf in _name_leaves(params)]))
  header = ('module', 'arrays', 'parameters', 'type', 'MiB', 'MiB a device')
  return _align([header, *rows], right=(1, 2, 4, 5))


def describe_sharding(leaf: Any) -> str:
  """Mesh axes that split each axis of an array; '-' where none does."""
  spec = getattr(leaf.sharding, 'spec', ())
  axes = [*spec, *[None] * (leaf.ndim - len(spec))]
  return ', '.join(
    '+'.join(axis) if isinstance(axis, tuple) else axis or '-' for axis in axes
  )


def _sum_up(name: str, leaves: list) -> tuple[str, ...]:
  whole = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
  own = sum(
    math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    for leaf in leaves
  )
  return (
    name,
    f'{len(leaves)}',
    f'{sum(leaf.size for leaf in leaves):,}',
    ', '.join(sorted({str(leaf.dtype) for leaf in leaves})),
    f'{whole / _MIB:.2f}',
    f'{own / _MIB:.2f}',
  )


def _name_leaves(params: Any) -> list[tuple[str, Any]]:
  return [
    (jax.tree_util.keystr(path, simple=True, separator='/'), leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params)
  ]


def _align(rows: list[tuple[str, ...]], right: Iterable[int]) -> str:
  """Rows of text as columns; numbers of columns in `right` end together."""
  widths = [max(map(len, column)) for column in zip(*rows)]
  return '\n'.join(
    '  '.join(
      cell.rjust(width) if k in right else cell.ljust(width)
      for k, (cell, width) in enumerate(zip(row, widths))
    ).rstrip()
    for row in rows
  )
