"""Labels drawn over a photo so that they can be told from any photo.

A photo may be dark, bright or of a label's own color. So nothing that matters
rests on a fill: a white line cased in black runs along every boundary, the
label's color stands unmixed beside it, and numbers are white cased in black.
The contrast of black to white is 21, and whatever lies beside the line, one of
the two has at least `LEAST_CONTRAST` to it.
"""

import itertools

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from PIL import Image, ImageDraw

from vbanana_jax import resizing
from vbanana_jax.codecs import palettes
from vbanana_jax.drawing import strips

Picture = UInt8[np.ndarray, 'h w 3']
LEAST_CONTRAST = 4.5  # what WCAG 2.2 asks of text, 1.4.3 (AA)
OPACITY = 0.55  # of a label's color inside of its rim
_GROUND = np.linspace(40, 190, 256).astype(np.uint8)  # of a photo's greys
_GRAYS = tuple((v, v, v) for v in range(256))
_COARSE_EDGE = 256  # where the middles of regions are looked for


def measure_luminance(
  rgb_u8: UInt8[np.ndarray, '*s 3'],
) -> Float[np.ndarray, '*s']:
  """Relative luminance of sRGB bytes, 0 to 1 (WCAG 2.2)."""
  rgb = np.asarray(rgb_u8) / 255.0
  linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
  return linear @ np.array([0.2126, 0.7152, 0.0722])


def measure_contrast(
  one_u8: UInt8[np.ndarray, '*s 3'], other_u8: UInt8[np.ndarray, '*s 3']
) -> Float[np.ndarray, '*s']:
  """Contrast ratio of two sRGB colors, 1 to 21 (WCAG 2.2)."""
  one, other = measure_luminance(one_u8), measure_luminance(other_u8)
  return (np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)


def make_instance_colors(n: int) -> UInt8[np.ndarray, 'n 3']:
  """Colors for instances whose prompt names none: far apart, none grey."""
  chosen = palettes.farthest_point_palette(n, avoid=_GRAYS)
  return np.array(chosen, np.uint8).reshape(-1, 3)


def dim(photo_u8: Picture) -> Picture:
  """The photo in middle greys: a ground that hides neither black nor white."""
  return np.repeat(_GROUND[_to_gray(photo_u8)][..., None], 3, -1)


def measure_line(shape: tuple[int, ...]) -> int:
  """Half the width of a drawing's white line, in pixels of a picture."""
  return max(1, round(max(shape[:2]) / 1000))


def draw_labels(
  photo_u8: Picture,
  labels: Int[np.ndarray, 'h w'],
  colors_u8: UInt8[np.ndarray, 'q 3'],
) -> Picture:
  """Labels 0..q-1 as colors over the greyed photo; others stay photo.

  From every boundary inward: half of a white line, its black casing, a rim of
  exactly the label's color, and the color mixed with the photo.
  """
  shown = (labels >= 0) & (labels < len(colors_u8))
  if not shown.any():
    return dim(photo_u8)
  rows = np.where(shown, labels, -1) + 1  # 0 is the photo
  paint = np.concatenate([[(0, 0, 0)], colors_u8]).astype(np.uint8)
  # What every row makes of every gray: looked up, for large photos.
  mixed = OPACITY * paint[:, None] + (1.0 - OPACITY) * _GROUND[:, None]
  mixed[0] = _GROUND[:, None]
  picture = np.rint(mixed).astype(np.uint8)[rows, _to_gray(photo_u8)]
  line = measure_line(labels.shape)
  white = _grow(_edges(rows), line - 1)
  cased = _grow(white, line)
  rim = _grow(cased, 2 * line) & shown
  picture[rim] = paint[rows[rim]]
  picture[cased] = 0
  picture[white] = 255
  return picture


def write_numbers(picture: Picture, labels: Int[np.ndarray, 'h w']) -> Picture:
  """Writes k + 1 into each region of label k >= 0, where it is widest.

  The digits are white, cased in black, and as large as the picture asks for;
  smaller in a small region, but never below what can be read.
  """
  image = Image.fromarray(picture)
  draw = ImageDraw.Draw(image)
  most = strips.measure_font(picture.shape)
  for label, (x, y, room) in _find_middles(labels).items():
    text = str(label + 1)
    size = int(np.clip(1.6 * room / len(text) ** 0.5, 0.6 * most, most))
    draw.text(
      (x, y),
      text,
      (255, 255, 255),
      strips.load_font(max(strips.LEAST_FONT, size)),
      anchor='mm',
      stroke_width=max(1, size // 8),
      stroke_fill=(0, 0, 0),
    )
  return np.asarray(image)


def _find_middles(labels) -> dict[int, tuple[float, float, float]]:
  """Of each label >= 0: x, y and half the width of its widest place, in px."""
  height, width = labels.shape
  step = max(1.0, max(height, width) / _COARSE_EDGE)
  shape = (max(1, round(height / step)), max(1, round(width / step)))
  coarse = np.pad(resizing.resize_nearest(labels, shape), 1, constant_values=-1)
  depth = np.zeros(coarse.shape, np.int32)
  alive = coarse >= 0
  for i in itertools.count(1):
    if not alive.any():
      break
    depth[alive] = i
    same = alive.copy()
    for axis, by in itertools.product((0, 1), (-1, 1)):
      same &= np.roll(alive, by, axis) & (np.roll(coarse, by, axis) == coarse)
    alive = same
  middles = {}
  area = np.bincount(labels[labels >= 0].ravel())
  for label in np.flatnonzero(area).tolist():
    places = np.where(coarse == label, depth, 0)
    best = int(places.max())
    if best:
      # Of many widest places, that nearest to their mean.
      ys, xs = np.nonzero(places == best)
      i = np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2)
      y = (ys[i] - 0.5) * height / shape[0]
      x = (xs[i] - 0.5) * width / shape[1]
      middles[label] = (x, y, best * step)
    else:  # too small for the coarse grid
      y, x = (int(axis[0]) for axis in np.nonzero(labels == label))
      middles[label] = (x, y, 1.0)
  return middles


def _to_gray(photo_u8: Picture) -> UInt8[np.ndarray, 'h w']:
  return np.asarray(Image.fromarray(photo_u8).convert('L'))


def _grow(
  mask: Bool[np.ndarray, 'h w'], radius: int
) -> Bool[np.ndarray, 'h w']:
  """All pixels within `radius` of the mask, along rows and columns alike."""
  for axis in (0, 1):
    done = 0
    while done < radius:
      # Twice as far at each turn.
      by = min(radius - done, done + 1 if done else 1)
      mask = _shift(mask, by, axis) | mask | _shift(mask, -by, axis)
      done += by
  return mask


def _shift(mask, by: int, axis: int):
  """The mask moved by `by` pixels, with nothing coming in."""
  moved = np.zeros_like(mask)
  if abs(by) < mask.shape[axis]:
    here = [slice(None), slice(None)]
    there = [slice(None), slice(None)]
    here[axis] = slice(by, None) if by > 0 else slice(None, by)
    there[axis] = slice(None, -by) if by > 0 else slice(-by, None)
    moved[tuple(here)] = mask[tuple(there)]
  return moved


def _edges(
  labels: Shaped[np.ndarray, 'h w'],
) -> Bool[np.ndarray, 'h w']:
  """Pixels whose right, left, upper or lower neighbor differs."""
  edge = np.zeros(labels.shape, bool)
  down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
  edge[1:] |= down
  edge[:-1] |= down
  edge[:, 1:] |= right
  edge[:, :-1] |= right
  return edge
