"""Reads depth that anything painted, along the RGB cube or in another map."""

import dataclasses
import functools
import math
import re

import jax
import numpy as np

from vbanana_jax.codecs import colormaps
from vbanana_jax.codecs import depth as codec
from vbanana_jax.drawing.pictures import SKY_M
from vbanana_jax.errors import UserError
from vbanana_jax.tasks.painted import (
  PERCENTILES,
  PaintedReader,
  describe_distance,
)
from vbanana_jax.tasks.prompts import PromptSpec

COLORMAPS = ('rainbow', 'grayscale', 'viridis', 'plasma', 'inferno')
# Maps that cannot be read: others', and ours turned round. A bare 'jet' may be
# a thing in the picture.
_FOREIGN = r'(turbo|jet|magma|cividis|spectral(?:_r)?|coolwarm|hsv)'
_UNREADABLE_MAPS = (
  rf'\b{_FOREIGN} (?:colou?rs?|colou?r ?map|(?:colou?r )?palette|map)\b',
  rf'\b(?:in|with|using|use)(?: the)? {_FOREIGN}\b',
  r'\b((?:inverted|inverse|reversed) (?:grayscale|viridis|plasma|inferno))\b',
  r'\b((?:grayscale|viridis|plasma|inferno)_r)\b',
)


class DepthReader(PaintedReader):
  """Meters of the rainbow, which has a scale of its own, or of other maps."""

  def read_prompt(self, prompt):
    """The color map.

    Raises:
      UserError: for a map that cannot be read.

    Source: Vision Banana, section 2.4.
    """
    return PromptSpec('depth', colormap=_read_colormap(prompt.lower()))

  def complete(self, spec, prompt, phrase):
    del phrase
    return dataclasses.replace(spec, colormap=self.read_prompt(prompt).colormap)

  def read(self, spec, rgb, palette, settings):
    del palette
    return _read_depth(rgb, spec.colormap, settings.near_m, settings.far_m)

  def check(self, spec, settings):
    _check_scale(spec.colormap, (settings.near_m, settings.far_m))

  def describe(self, spec, found, settings):
    del settings
    depth_m = found['value']
    finite = depth_m[np.isfinite(depth_m)]
    spread = np.percentile(finite, PERCENTILES) if finite.size else []
    return {
      'colormap': spec.colormap,
      'depth_m_percentiles': {
        str(p): float(x) for p, x in zip(PERCENTILES, spread)
      },
      'sky_share': float((depth_m >= SKY_M).mean()),
      **describe_distance(found['distance']),
    }

  def measure_distance(self, rgb, palette):
    del palette
    return codec.residual(rgb)

  def limits_colors(self, spec):
    return spec.colormap == 'rainbow'


def _read_colormap(prompt: str) -> str:
  text = re.sub(r'gr[ae]y[ -]?scale', 'grayscale', prompt)
  named = [name for name in COLORMAPS if re.search(rf'\b{name}\b', text)]
  foreign = next(
    filter(None, (re.search(m, text) for m in _UNREADABLE_MAPS)), None
  )
  if foreign:
    raise UserError(
      f'prompt: depth in {foreign[1]} colors cannot be read: ask for one of '
      f'{", ".join(COLORMAPS)}'
    )
  return named[0] if named else COLORMAPS[0]


def _check_scale(colormap: str, ends: tuple[float | None, ...]) -> None:
  """Refuses ends that make no scale, and ends where there is one already."""
  if colormap == 'rainbow':
    if ends != (None, None):
      raise UserError(
        '--near-m and --far-m are for other color maps: the rainbow of this '
        "prompt has meters of its own; name the map in --prompt, as in 'in the "
        "viridis colormap'"
      )
    return
  given = [end for end in ends if end is not None]
  if len(given) < 2:
    raise UserError(
      f'depth in {colormap} has no scale of its own: say which depths its dark '
      'and bright ends stand for with --near-m and --far-m'
    )
  if given[0] == given[1] or not all(0 <= end < math.inf for end in given):
    raise UserError(
      f'--near-m {given[0]:g} and --far-m {given[1]:g} make no scale: give two '
      'different depths from 0 on, in meters'
    )


@functools.partial(jax.jit, static_argnums=1)
def _read_depth(rgb, colormap, near_m, far_m):
  if colormap == 'rainbow':
    return {
      'value': codec.decode(rgb),
      'confidence': codec.confidence(rgb),
      'distance': codec.residual(rgb),
    }
  return {
    'value': colormaps.decode(rgb, colormap, near_m, far_m),
    'confidence': colormaps.confidence(rgb, colormap),
    'distance': colormaps.residual(rgb, colormap),
  }
