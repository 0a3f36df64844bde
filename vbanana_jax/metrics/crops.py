"""Evaluation crops of depth benchmarks, as masks made on the host.

Fractions of a size are cut to whole pixels in Python's float64: float32 inside
a compiled function can land on the neighbor.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from vbanana_jax.errors import UserError

KB_SHAPE = (352, 1216)

# Shares of the height and width: first row, end, first column, end.
_GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
_EIGEN = (0.3324324, 0.91351351, 0.03594771, 0.96405229)


def make_box_crop(
  shape: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> Bool[np.ndarray, 'h w']:
  """True inside rows[0]:rows[1] and columns[0]:columns[1].

  Raises UserError for a box that is empty or leaves the picture.
  """
  for size, (first, end), name in zip(
    shape, (rows, columns), ('row', 'column')
  ):
    if not 0 <= first < end <= size:
      raise UserError(
        f'{name}s {first}:{end} of the crop do not lie in a picture of '
        f'{shape[0]}x{shape[1]}: score depth of the size of the true depth'
      )
  inside = np.zeros(shape, bool)
  inside[slice(*rows), slice(*columns)] = True
  return inside


def kb_offsets(shape: tuple[int, int]) -> tuple[int, int]:
  """First row and column of KITTI's 352x1216: at the bottom, centered.

  Raises UserError for a smaller picture.
  """
  top = shape[0] - KB_SHAPE[0]
  left = int((shape[1] - KB_SHAPE[1]) / 2)
  if top < 0 or left < 0 or shape[1] < KB_SHAPE[1]:
    raise UserError(
      f'a picture of {shape[0]}x{shape[1]} is smaller than the KITTI crop of '
      f'{KB_SHAPE[0]}x{KB_SHAPE[1]}: score depth of the size of the true depth'
    )
  return top, left


def make_garg_crop(shape: tuple[int, int]) -> Bool[np.ndarray, 'h w']:
  """The crop of Garg et al. 2016: 143:349, 43:1172 of 352x1216."""
  return _make_share_crop(shape, _GARG)


def make_eigen_crop(shape: tuple[int, int]) -> Bool[np.ndarray, 'h w']:
  """Eigen's crop for KITTI: 117:321, 43:1172 of 352x1216."""
  return _make_share_crop(shape, _EIGEN)


def make_kb_crop(
  shape: tuple[int, int], inner: Bool[np.ndarray, '352 1216']
) -> Bool[np.ndarray, 'h w']:
  """`inner` put where the 352x1216 of the KITTI benchmark lies in a picture."""
  top, left = kb_offsets(shape)
  inside = np.zeros(shape, bool)
  inside[top : top + KB_SHAPE[0], left : left + KB_SHAPE[1]] = inner
  return inside


def make_crop(
  shape: tuple[int, int], crop: Mapping[str, Any] | None
) -> Bool[np.ndarray, 'h w']:
  """The crop of a protocol for pictures of `shape`; all of it for None.

  Its 'kind' is 'box' (with 'rows' and 'columns'), 'kb_garg' or 'kb_eigen':
  Garg's or Eigen's shares of the 352x1216 of the KITTI benchmark. Raises
  UserError for another kind and for pictures that the crop does not fit.
  """
  if crop is None:
    return np.ones(shape, bool)
  kind = crop['kind']
  if kind == 'box':
    return make_box_crop(shape, tuple(crop['rows']), tuple(crop['columns']))
  if kind == 'kb_garg':
    return make_kb_crop(shape, make_garg_crop(KB_SHAPE))
  if kind == 'kb_eigen':
    return make_kb_crop(shape, make_eigen_crop(KB_SHAPE))
  raise UserError(f'crop kind {kind!r}: known are box, kb_garg and kb_eigen')


def _make_share_crop(shape, shares):
  height, width = shape
  rows = (int(shares[0] * height), int(shares[1] * height))
  columns = (int(shares[2] * width), int(shares[3] * width))
  return make_box_crop(shape, rows, columns)
