"""Synthetic answers of the codecs, and what may happen to them on the way.

A picture is cut into cells by random seeds; each cell is a slanted surface of
its own depth, normal and label, so that edges, ramps and flat parts all occur.
Damage is done to colors in [0, 1] and always ends in 8-bit levels.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from vbanana_jax.codecs import palettes
from vbanana_jax.tasks import prompt_parser

NEAR_M, FAR_M = 0.1, 80.0
NOT_ASKED = 0.2  # of a painting's cells, on average, where there are some
_MOST_COLORS = 20


def make_cells(rng: np.random.Generator, size: int) -> np.ndarray:
  """Cell numbers int32[size size]: nearest of 6 to 40 seeds."""
  seeds = rng.uniform(0, size, (int(rng.integers(6, 41)), 2))
  y, x = np.mgrid[:size, :size] + 0.5
  gap = (y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2
  return gap.argmin(-1).astype(np.int32)


def make_depth(rng: np.random.Generator, size: int) -> np.ndarray:
  """Depth in meters float32[size size], log-uniform between NEAR_M and FAR_M.

  Along a cell the depth changes by up to a factor of two over the picture.
  """
  cells = make_cells(rng, size)
  count = cells.max() + 1
  low, high = np.log(NEAR_M), np.log(FAR_M)
  slope_y, slope_x = rng.uniform(-0.7, 0.7, (2, count))
  y, x = np.mgrid[:size, :size] / size - 0.5
  log_m = rng.uniform(low, high, count)[cells]
  log_m += slope_y[cells] * y + slope_x[cells] * x
  return np.exp(np.clip(log_m, low, high)).astype(np.float32)


def make_normals(rng: np.random.Generator, size: int) -> np.ndarray:
  """Unit normals float32[size size 3] to the viewer, a bent plane a cell."""
  cells = make_cells(rng, size)
  plane = rng.standard_normal((cells.max() + 1, 3))
  plane[:, 2] = np.abs(plane[:, 2])
  plane /= np.linalg.norm(plane, axis=-1, keepdims=True)
  y, x = np.mgrid[:size, :size] / size - 0.5
  bend = rng.uniform(0, 1.5, cells.max() + 1)[cells]
  normals = plane[cells]
  normals[..., 0] += bend * x
  normals[..., 1] -= bend * y
  length = np.linalg.norm(normals, axis=-1, keepdims=True)
  return (normals / np.maximum(length, 1e-6)).astype(np.float32)


def make_labels(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
  """Labels int32[size size] below `count`."""
  cells = make_cells(rng, size)
  return rng.integers(0, count, cells.max() + 1).astype(np.int32)[cells]


def make_texture(rng: np.random.Generator, size: int) -> np.ndarray:
  """RGB float32[size size 3] as of a photograph: light and shade, faint hues.

  Smooth noise at three scales, three times as strong in grey as in hue.
  """
  rgb = np.full((size, size, 3), rng.uniform(0.2, 0.6), np.float32)
  for side, spread in ((4, 0.35), (12, 0.25), (48, 0.15)):
    gray = rng.normal(0, spread, (side, side, 1))
    coarse = gray + rng.normal(0, spread / 3, (side, side, 3))
    for k in range(3):
      channel = Image.fromarray(coarse[..., k].astype(np.float32))
      rgb[..., k] += channel.resize((size, size), Image.Resampling.BICUBIC)
  return np.clip(rgb, 0, 1)


def round_levels(rgb: np.ndarray) -> np.ndarray:
  """To the nearest 8-bit color, float32 in [0, 1]."""
  return np.round(np.clip(rgb, 0, 1) * 255).astype(np.float32) / 255


def add_gaussian(rgb, rng: np.random.Generator, levels: float) -> np.ndarray:
  """Independent noise of a standard deviation in 8-bit levels."""
  noise = rng.standard_normal(rgb.shape, np.float32)
  return round_levels(rgb + noise * (levels / 255))


def pass_jpeg(rgb, quality: int) -> np.ndarray:
  """Through a JPEG file (Pillow; color at half resolution)."""
  file = io.BytesIO()
  levels = np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
  Image.fromarray(levels).save(file, 'JPEG', quality=quality)
  file.seek(0)
  return np.asarray(Image.open(file), np.float32) / 255


def blur(rgb, pixels: float) -> np.ndarray:
  """Gaussian blur of a standard deviation in pixels, edges repeated."""
  reach = max(1, int(np.ceil(3 * pixels)))
  window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / pixels) ** 2)
  window = (window / window.sum()).astype(np.float32)
  for axis in (0, 1):
    width = [(0, 0)] * rgb.ndim
    width[axis] = (reach, reach)
    padded = np.pad(rgb, width, mode='edge')
    span = rgb.shape[axis]
    rgb = sum(
      weight * np.take(padded, range(k, k + span), axis)
      for k, weight in enumerate(window)
    )
  return round_levels(rgb)


Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# One damage at a time, by name: the rows of the tables.
DAMAGES: dict[str, Damage] = {
  '8-bit rounding': lambda rgb, rng: round_levels(rgb),
  'Gaussian, 4 levels': lambda rgb, rng: add_gaussian(rgb, rng, 4),
  'Gaussian, 8 levels': lambda rgb, rng: add_gaussian(rgb, rng, 8),
  'Gaussian, 16 levels': lambda rgb, rng: add_gaussian(rgb, rng, 16),
  'JPEG, quality 95': lambda rgb, rng: pass_jpeg(rgb, 95),
  'JPEG, quality 75': lambda rgb, rng: pass_jpeg(rgb, 75),
  'JPEG, quality 50': lambda rgb, rng: pass_jpeg(rgb, 50),
  'blur, 1 pixel': lambda rgb, rng: blur(rgb, 1.0),
}


def damage(rgb, rng: np.random.Generator) -> np.ndarray:
  """A random mix: what the confidences are calibrated on.

  Gaussian noise of 0 to 16 levels; for every second picture blur of 0.3 to
  1.5 pixels before it; for every second one JPEG of quality 50 to 95 after.
  """
  if rng.random() < 0.5:
    rgb = blur(rgb, rng.uniform(0.3, 1.5))
  rgb = add_gaussian(rgb, rng, rng.uniform(0, 16))
  if rng.random() < 0.5:
    rgb = pass_jpeg(rgb, int(rng.integers(50, 96)))
  return rgb


def paint_labels(rng, size, others, spoil=damage):
  """A damaged painting, its palette and valid rows, and the labels meant.

  Where it is painted in what the legend does not ask for no label is right: -1.
  """
  count = int(rng.integers(2, _MOST_COLORS + 1))
  colors = _draw_legend(count, rng)
  valid = np.arange(_MOST_COLORS) < count
  palette = palettes.to_rgb(colors + [(0, 0, 0)] * (_MOST_COLORS - count))
  truth = make_labels(rng, size, count)
  rgb, asked = palette[truth], np.ones(truth.shape, bool)
  if others == 'some':
    rgb, asked = _cover(rgb, colors, rng)
  elif others == 'everything':
    rgb, asked = make_texture(rng, size), np.zeros_like(asked)
  rgb = spoil(rgb, rng)
  return rgb, palette, valid, np.where(asked, truth, -1)


def _draw_legend(count, rng) -> list[palettes.Color]:
  """Far apart, by name, or of any colors, every second one near another."""
  kind = rng.integers(3)
  if kind == 0:
    return palettes.farthest_point_palette(count, rng)
  if kind == 1:
    named = list(palettes.NAMED.values())
    return [named[k] for k in rng.permutation(len(named))[:count]]
  drawn = rng.integers(0, 256, (1, 3))
  while len(drawn) < count:
    new = rng.integers(0, 256, 3)
    if rng.random() < 0.5:
      new = drawn[rng.integers(len(drawn))] + rng.normal(0, 25, 3)
      new = np.clip(np.rint(new), 0, 255).astype(int)
    gap = np.linalg.norm(drawn - new, axis=-1).min()
    if gap >= prompt_parser.READABLE_DISTANCE:
      drawn = np.append(drawn, new[None], axis=0)
  return [tuple(int(level) for level in color) for color in drawn]


def _cover(rgb, colors, rng) -> tuple[np.ndarray, np.ndarray]:
  """Paints cells in colors not asked for, or textures; and where none is.

  The colors are named ones or any, at least as far from the legend's as two
  of a legend are.
  """
  cells = make_cells(rng, len(rgb))
  count = cells.max() + 1
  named = np.array(list(palettes.NAMED.values()))
  paint = np.where(
    rng.random((count, 1)) < 0.5,
    named[rng.integers(0, len(named), count)],
    rng.integers(0, 256, (count, 3)),
  )
  gap = np.linalg.norm(paint[:, None] - np.array(colors), axis=-1).min(-1)
  chosen = (rng.random(count) < rng.uniform(0, 2 * NOT_ASKED)) & (
    gap >= prompt_parser.READABLE_DISTANCE
  )
  textured = rng.random(count) < 0.5
  cover = np.where(
    textured[cells, None],
    make_texture(rng, len(rgb)),
    np.float32(paint / 255)[cells],
  )
  asked = ~chosen[cells]
  return np.where(asked[..., None], rgb, cover), asked
