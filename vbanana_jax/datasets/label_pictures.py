"""Label pictures by a table of classes: numbers, palettes and colors."""

import pathlib

import numpy as np
from jaxtyping import Int32

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import files
from vbanana_jax.datasets.class_tables import LabelTable
from vbanana_jax.errors import UserError

_PALETTE, _GRAY = 3, 0  # PNG color types
_UNKNOWN = -2
_MANY = 4  # values that no table has: mixtures of others
_MIXED = (
  'the mask was antialiased, resized or saved as a JPEG: export it again '
  'without'
)


def load_semantic(
  path: pathlib.Path, table: LabelTable, void: int | None = 255
) -> Int32[np.ndarray, 'h w']:
  """Class ids of a PNG of labels.

  A grey one holds numbers. One in color is read by the table's colors, and so
  is one with a palette if the table has any; else the palette's numbers count.

  Args:
    path: of the PNG.
    table: what its values mean.
    void: a number that is ignored, whatever the table says; None for none.

  Raises:
    UserError: names the file, and a value or color that the table lacks.
  """
  header = files.read_png_header(files.load_bytes(path), path)
  if header.color == _GRAY or (header.color == _PALETTE and not table.colors):
    return _read_numbers(files.load_labels(path), table, void, path)
  if not table.colors:
    raise UserError(
      f'{path}: a picture in color, and {table.place} has no colors: '
      f'{table.remedies.color}'
    )
  return _read_colors(files.load_rgb(path), table, path)


def _read_numbers(numbers, table, void, path):
  lookup = np.full(int(np.iinfo(numbers.dtype).max) + 1, _UNKNOWN, np.int32)
  if void is not None:
    lookup[void] = labels.VOID
  for value, number in table.values.items():
    if value < len(lookup):
      lookup[value] = number
  semantic = lookup[numbers]
  wrong = semantic == _UNKNOWN
  if wrong.any():
    values = np.unique(numbers[wrong])
    remedy = f'add it there, or {table.remedies.ignore}'
    raise UserError(
      f'{path}: value {values[0]} is not in {table.place}, which has '
      f'{min(table.values)} to {max(table.values)} '
      f'({_count(wrong, values, "values")}): {_advise(values, remedy)}'
    )
  return semantic


def _read_colors(rgb_u8, table, path):
  packed = rgb_u8.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
  found, place = np.unique(packed, return_inverse=True)
  known = {
    (r << 16) | (g << 8) | b: number
    for (r, g, b), number in table.colors.items()
  }
  ids = np.array([known.get(int(x), _UNKNOWN) for x in found], np.int32)
  semantic = ids[place].reshape(packed.shape)
  wrong = semantic == _UNKNOWN
  if wrong.any():
    strange = found[ids == _UNKNOWN]
    remedy = 'add it there, as a class or as void'
    color = int(strange[0])
    levels = (color >> 16, color >> 8 & 255, color & 255)
    raise UserError(
      f'{path}: color {levels} is not in {table.place} '
      f'({_count(wrong, strange, "colors")}): {_advise(strange, remedy)}'
    )
  return semantic


def _count(wrong, strange, what: str) -> str:
  more = f' in {len(strange)} such {what}' if len(strange) > 1 else ''
  return f'{wrong.mean():.2%} of the pixels{more}'


def _advise(strange, remedy: str) -> str:
  if len(strange) >= _MANY:
    return f'{_MIXED}, or add what the table lacks'
  return f'{remedy}; if it was a JPEG or was resized, get the original'
