"""Reads normals that anything painted."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.codecs import normals as codec
from vbanana_jax.tasks.painted import PERCENTILES, PaintedReader
from vbanana_jax.tasks.prompts import PromptSpec

_MOST_OF_SKY = 0.9  # of what has no surface
_SKY_LEVELS = 14  # from the color of the sky
_SAMPLE = 1000  # pixels that a median is taken of

_find_surface = jax.jit(codec.find_surface)


class NormalsReader(PaintedReader):
  """Unit vectors; zero where the color is of no direction."""

  odd_pixels: ClassVar[tuple[str, ...]] = ('no_surface',)

  def read_prompt(self, prompt):
    """Nothing: the colors are always the same.

    Source: Vision Banana, section 2.5.
    """
    del prompt
    return PromptSpec('normals')

  def read(self, spec, rgb, palette, settings):
    del spec, palette, settings
    return _read_normals(rgb)

  def describe(self, spec, found, settings):
    del spec, settings
    length = found['painted_length']
    return {
      'painted_length_percentiles': {
        str(p): float(x)
        for p, x in zip(PERCENTILES, np.percentile(length, PERCENTILES))
      },
      'painted_length_median': float(np.median(length)),
      'facing_viewer_share': float((found['value'][..., 2] > 0).mean()),
      'no_surface_share': float(found['no_surface'].mean()),
    }

  def limits_colors(self, spec):
    del spec
    return True

  def measure_distance(self, rgb, palette):
    del palette
    return codec.residual(rgb)

  def find_unpainted(self, painted_u8):
    """What has no surface, if all of it is of one color; nothing otherwise.

    The color is the median, and nine tenths are within 14 levels of it. What a
    photograph has of such colors is light and dark.
    """
    rgb = painted_u8.astype(np.float32) / np.float32(255.0)
    bare = ~np.asarray(_find_surface(rgb))
    colors = painted_u8[bare].astype(np.int16)
    if not len(colors):
      return bare
    middle = np.median(colors[:: 1 + len(colors) // _SAMPLE], axis=0)
    near = np.abs(colors - middle).max(-1) <= _SKY_LEVELS
    return bare if near.mean() >= _MOST_OF_SKY else np.zeros_like(bare)


@jax.jit
def _read_normals(rgb):
  length = jnp.linalg.norm(2.0 * rgb - 1.0, axis=-1)
  return {
    'value': codec.decode_surface(rgb),
    'confidence': codec.confidence(rgb),
    'painted_length': length,
    'no_surface': ~codec.find_surface(rgb),
  }
