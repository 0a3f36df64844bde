"""Polygons as masks, by the two rules that the benchmarks use.

Both note where a line of pixels (a column in COCO, a row in OpenCV) enters or
leaves the outline: a pixel is inside after an odd number of such crossings.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Int

_UPSAMPLING = 5  # COCO's: its outlines are drawn in fifths of a pixel


def draw_coco(
  polygons: Iterable[Sequence[float]], height: int, width: int
) -> Bool[np.ndarray, 'h w']:
  """Union of polygons [x0, y0, x1, y1, ...], as COCO's tools rasterise them.

  Coordinates are pixels; (0, 0) is the corner of the picture. Where polygons
  of one object overlap, the pixel is in the mask.

  Raises:
    ValueError: fewer than three vertices, and for coordinates that are odd in
      number, not finite, or outside by more than the picture's size.

  Source: COCO's mask interface (maskApi): an outline upsampled five-fold,
  sampled at the centers of the columns.
  """
  mask = np.zeros((height, width), bool)
  for polygon in polygons:
    vertices = _check_vertices(polygon, height, width, least=3)
    fine = _truncate(_UPSAMPLING * vertices + 0.5)
    outline = np.concatenate([_fine_edge(*edge) for edge in _edges(fine)])
    low = np.minimum(outline[:-1], outline[1:])
    stepped = outline[:-1, 0] != outline[1:, 0]
    # The third of five fine columns is the center of a column of pixels.
    x, y = low[stepped & (low[:, 0] % _UPSAMPLING == 2)].T
    row = (y + _UPSAMPLING // 2) // _UPSAMPLING
    mask |= _inside(x // _UPSAMPLING, row, width, height).T
  return mask


def draw_opencv(
  points: Sequence[Sequence[float]], height: int, width: int
) -> Bool[np.ndarray, 'h w']:
  """Polygon [[x, y], ...] filled, with its outline, as OpenCV draws it.

  Coordinates are truncated to whole pixels; (0, 0) is the center of the first
  one. Where an edge leaves the picture it may lie a pixel or two off OpenCV's,
  which cuts edges at the border first; elsewhere they are equal.

  Raises:
    ValueError: no vertex, and for coordinates that are not finite or outside by
      more than the picture's size.

  Source: OpenCV's polylines and fillPoly, 8-connected lines, even-odd rule.
  """
  flat = [coordinate for point in points for coordinate in point]
  vertices = _check_vertices(flat, height, width, least=1)
  edges = _edges(_truncate(vertices))
  row, column = np.concatenate([_row_crossings(*edge) for edge in edges]).T
  mask = _inside(row, column, height, width)
  x, y = np.concatenate([_line(*edge) for edge in edges]).T
  shown = (x >= 0) & (x < width) & (y >= 0) & (y < height)
  mask[y[shown], x[shown]] = True
  return mask


def _check_vertices(flat, height, width, *, least):
  """Coordinates [n 2], x and y, of a flat list."""
  try:
    coordinates = np.asarray(flat, np.float64).reshape(-1)
  except OverflowError as error:
    raise ValueError(f'a coordinate beyond all numbers ({error})') from error
  if coordinates.size % 2 or coordinates.size < 2 * least:
    raise ValueError(f'a polygon of {coordinates.size} coordinates')
  vertices = coordinates.reshape(-1, 2)
  size = np.asarray([width, height])
  # Also keeps a damaged file from asking for an endless outline.
  if not np.all((vertices >= -size) & (vertices <= 2 * size)):
    raise ValueError(f'a polygon far outside of {width} x {height} pixels')
  return vertices


def _truncate(values) -> Int[np.ndarray, '...']:
  return np.trunc(values).astype(np.int64)


def _edges(vertices):
  """Pairs of neighboring vertices, the last with the first."""
  return list(zip(vertices, np.roll(vertices, -1, axis=0)))


def _fine_edge(start, end):
  """Fine pixels [n 2] from start to end, one a step of the longer axis.

  Halves are rounded up, seen from the end with the lower coordinate.
  """
  long = 0 if abs(end - start)[0] >= abs(end - start)[1] else 1
  flipped = start[long] > end[long]
  low, high = (end, start) if flipped else (start, end)
  steps = np.arange(high[long] - low[long] + 1)
  slope = (high[1 - long] - low[1 - long]) / max(len(steps) - 1, 1)
  edge = np.empty((len(steps), 2), np.int64)
  edge[:, long] = low[long] + steps
  edge[:, 1 - long] = _truncate(low[1 - long] + slope * steps + 0.5)
  return edge[::-1] if flipped else edge


def _line(start, end):
  """Pixels [n 2] of an 8-connected line; halves go towards the left end."""
  left, right = (start, end) if start[0] <= end[0] else (end, start)
  size, sign = abs(right - left), np.sign(right - left)
  long = 0 if size[0] >= size[1] else 1
  steps = np.arange(size[long] + 1)
  moved = np.empty((len(steps), 2), np.int64)
  moved[:, long] = steps
  twice = 2 * max(size[long], 1)
  moved[:, 1 - long] = (2 * steps * size[1 - long] + size[long] - 1) // twice
  return left + sign * moved


def _row_crossings(start, end):
  """Row and first column right of the edge [n 2], without the lowest row."""
  top, bottom = (start, end) if start[1] <= end[1] else (end, start)
  across, down = bottom - top
  steps = np.arange(down)
  column = top[0] - (-across * steps) // max(down, 1)
  return np.stack([top[1] + steps, column], axis=-1)


def _inside(line, place, lines, length):
  """True [lines length] after an odd number of the crossings of a line."""
  shown = (line >= 0) & (line < lines)
  # At the end of its line a crossing only opens or closes the next one.
  place = np.clip(place, 0, length)[shown]
  crossings = np.bincount(
    line[shown] * length + place, minlength=lines * length + 1
  )
  odd = np.cumsum(crossings)[:-1] % 2 == 1
  return odd.reshape(lines, length)
