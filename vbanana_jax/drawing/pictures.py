"""Answers as pictures that a person wants to look at: numpy and Pillow only.

Every function takes arrays at one size [h w ...] and returns uint8 RGB. Maps
keep that size; `with_scale` adds a strip below. Labels are in masks.py.
"""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from vbanana_jax.codecs import normals as normals_codec
from vbanana_jax.drawing import strips

Picture = UInt8[np.ndarray, 'h w 3']
SKY = (150, 190, 230)  # depth: infinitely far
NOTHING = (40, 40, 44)  # no answer or no label here
SKY_M = 200.0  # drawn as sky from here on
WRONG = (230, 60, 60)
RIGHT = (60, 140, 90)
MAX_RELATIVE_ERROR = 0.5  # the bright end of the depth error map
MAX_ANGLE_DEG = 45.0  # the bright end of the normals error map

_RAMP_STEPS = 4096


def ramp(value: Float[np.ndarray, '...']) -> UInt8[np.ndarray, '... 3']:
  """Color map from dark blue (0) by red to pale yellow (1).

  Lightness is linear in `value` by construction: the path is drawn in OKLCH
  (Ottosson 2020, "A perceptual color space for image processing"). Looked up
  in 4097 steps, finer than 8 bits and ten times faster than computed.
  """
  value = np.clip(np.nan_to_num(np.asarray(value, np.float32)), 0.0, 1.0)
  return _make_ramp()[np.rint(value * _RAMP_STEPS).astype(np.int16)]


@functools.cache
def _make_ramp() -> UInt8[np.ndarray, 'n 3']:
  value = np.linspace(0.0, 1.0, _RAMP_STEPS + 1)
  lightness = 0.22 + 0.74 * value
  hue = np.deg2rad(-90.0 + 190.0 * value)
  chroma = 0.04 + 0.15 * np.sin(np.pi * value) ** 0.8
  a, b = chroma * np.cos(hue), chroma * np.sin(hue)
  long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
  medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
  short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
  linear = np.stack(
    [
      4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
      -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
      -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    ],
    axis=-1,
  )
  linear = np.clip(linear, 0.0, 1.0)
  srgb = np.where(
    linear <= 0.0031308,
    12.92 * linear,
    1.055 * linear ** (1 / 2.4) - 0.055,
  )
  return to_u8(srgb)


def list_ramp(
  range_: tuple[float, float], to_text: Callable[[float], str], steps: int = 3
) -> list[tuple[str, tuple[int, int, int]]]:
  """Even steps of `ramp` by what they stand for, dark ones first."""
  values = np.linspace(*range_, steps)
  colors = ramp(np.linspace(0.0, 1.0, steps)).tolist()
  return [(to_text(x), tuple(color)) for x, color in zip(values, colors)]


def to_u8(rgb: Float[np.ndarray, '... 3']) -> UInt8[np.ndarray, '... 3']:
  """Colors in [0, 1] as bytes, rounded."""
  rgb = np.clip(np.asarray(rgb, np.float32), 0.0, 1.0)
  return np.round(rgb * 255.0).astype(np.uint8)


def upscale(picture: Picture, long_edge: int) -> Picture:
  """Repeats pixels a whole number of times, up to about `long_edge`."""
  times = max(1, round(long_edge / max(picture.shape[:2])))
  return np.repeat(np.repeat(picture, times, 0), times, 1)


# Depth.


def depth_range_m(*depths_m: Float[np.ndarray, 'h w']) -> tuple[float, float]:
  """Nearest and farthest meters worth a color, over all the maps given."""
  values = np.concatenate([np.ravel(depth_m) for depth_m in depths_m])
  values = values[(values < SKY_M) & (values > 0)]
  if not values.size:
    return 1.0, 10.0
  near, far = np.percentile(values, [0.5, 99.5])
  return float(near), float(max(far, near * 1.1))


def draw_depth(
  depth_m: Float[np.ndarray, 'h w'], range_m: tuple[float, float]
) -> Picture:
  """Near is bright, far is dark, even steps of log meters; sky is pale blue.

  Sky begins at 200 m: the last 8-bit steps before white are 412 and 288 m.
  Meters that are not positive numbers are drawn as nothing.
  """
  depth_m = np.asarray(depth_m, np.float64)
  seen = np.isfinite(depth_m) & (depth_m > 0)
  picture = ramp(1.0 - _log_place(np.where(seen, depth_m, 1.0), range_m))
  picture[~seen] = NOTHING
  picture[depth_m >= SKY_M] = SKY
  return picture


def list_depth_colors(
  range_m: tuple[float, float],
) -> list[tuple[str, tuple[int, int, int]]]:
  """Colors of `draw_depth` by meters, near first, and the sky's."""
  ticks_m = sorted({range_m[0], *_ticks(range_m), range_m[1]})
  colors = ramp(1.0 - _log_place(np.array(ticks_m), range_m)).tolist()
  meters = [f'{tick:.3g} m' for tick in ticks_m]
  # Ends that are printed as a tick is are said once.
  found = dict(zip(meters, map(tuple, colors)))
  return [*found.items(), ('sky', SKY)]


def with_scale(picture: Picture, range_m: tuple[float, float]) -> Picture:
  """Adds the color bar of `draw_depth` below, with meters."""
  width = picture.shape[1]
  # Room for three numbers, also below a narrow picture.
  size = min(strips.measure_font(picture.shape), width // 12)
  font = strips.load_font(max(strips.LEAST_FONT, size))
  margin = round(font.size * 1.5)
  bar_height = round(font.size * 0.8)
  strip = Image.new('RGB', (width, round(font.size * 3.2)), strips.PAPER)
  draw = ImageDraw.Draw(strip)
  inner = max(width - 2 * margin, 1)
  bar = np.broadcast_to(
    ramp(1.0 - np.linspace(0.0, 1.0, inner)), (bar_height, inner, 3)
  )
  top = round(font.size * 0.5)
  strip.paste(Image.fromarray(np.ascontiguousarray(bar)), (margin, top))
  free_from = 0.0
  for meters in _ticks(range_m):
    x = margin + float(_log_place(meters, range_m)) * (inner - 1)
    label = f'{meters:.3g} m'
    half = font.getlength(label) / 2
    if x - half < free_from or x + half > width:
      continue
    tick = top + bar_height + font.size // 4
    line = [(x, top + bar_height), (x, tick)]
    draw.line(line, strips.INK, max(1, font.size // 12))
    draw.text((x - half, tick), label, strips.INK, font)
    free_from = x + half + font.size * 0.6
  return np.concatenate([picture, np.asarray(strip)])


def draw_depth_error(
  depth_m: Float[np.ndarray, 'h w'], truth_m: Float[np.ndarray, 'h w']
) -> Picture:
  """|answer - truth| / truth; bright from `MAX_RELATIVE_ERROR` on."""
  labeled = np.isfinite(truth_m) & (truth_m > 0)
  truth = np.where(labeled, truth_m, 1.0)
  answer = np.where(np.isfinite(depth_m), depth_m, np.float32(1e9))
  picture = ramp(np.abs(answer - truth) / truth / MAX_RELATIVE_ERROR)
  picture[~labeled] = NOTHING
  return picture


def _log_place(meters, range_m):
  """Place of `meters` in the range, 0 at the near end and 1 at the far."""
  near, far = np.log(range_m[0]), np.log(range_m[1])
  return np.clip((np.log(meters) - near) / max(far - near, 1e-9), 0.0, 1.0)


def _ticks(range_m: tuple[float, float]) -> list[float]:
  near, far = range_m
  low, high = int(np.floor(np.log10(near))), int(np.ceil(np.log10(far)))
  for leads in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), np.arange(1, 10, 0.25)):
    ticks = [m * 10.0**k for k in range(low, high + 1) for m in leads]
    ticks = [tick for tick in ticks if near <= tick <= far]
    if len(ticks) >= 3:
      return ticks
  return [near, far]


# Normals.


def draw_normals(normals: Float[np.ndarray, 'h w 3']) -> Picture:
  """In the colors they are painted in: left is red, up green, near blue."""
  picture = to_u8((normals_codec.SIGNS * np.asarray(normals) + 1.0) / 2.0)
  picture[~_has_length(normals)] = NOTHING
  return picture


def list_normal_colors() -> list[tuple[str, tuple[int, int, int]]]:
  """Colors of `draw_normals` by the direction that a surface looks in."""
  directions = {
    'left': (-1, 0, 0), 'right': (1, 0, 0), 'up': (0, 1, 0),
    'down': (0, -1, 0), 'to the viewer': (0, 0, 1),
  }  # fmt: skip
  colors = draw_normals(np.array([[*directions.values()]], np.float32))[0]
  return list(zip(directions, map(tuple, colors.tolist())))


def draw_normals_error(
  normals: Float[np.ndarray, 'h w 3'], truth: Float[np.ndarray, 'h w 3']
) -> Picture:
  """Angle between two unit maps; bright from `MAX_ANGLE_DEG` on."""
  cosine = np.clip(np.sum(np.asarray(normals) * truth, -1), -1.0, 1.0)
  picture = ramp(np.rad2deg(np.arccos(cosine)) / MAX_ANGLE_DEG)
  picture[~_has_length(truth)] = NOTHING
  return picture


def _has_length(normals):
  return np.sum(np.square(normals), axis=-1) > 0.25


# Right and wrong.


def draw_wrong(
  wrong: Bool[np.ndarray, 'h w'], valid_px: Bool[np.ndarray, 'h w']
) -> Picture:
  """Wrong pixels red, right ones green, unlabeled ones dark."""
  picture = np.where(np.asarray(wrong)[..., None], WRONG, RIGHT)
  return np.where(valid_px[..., None], picture, NOTHING).astype(np.uint8)
