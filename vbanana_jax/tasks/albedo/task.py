"""Albedo: base colors, as the surfaces are painted, without light."""

import dataclasses
import types
from collections.abc import Mapping
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from vbanana_jax.metrics import images as metric
from vbanana_jax.tasks import base
from vbanana_jax.tasks.albedo.painted import AlbedoReader
from vbanana_jax.tasks.albedo.value import ALBEDO
from vbanana_jax.tasks.painted import PaintedReader
from vbanana_jax.tasks.pixel_map import PixelMap
from vbanana_jax.tasks.value import Value

_WORDINGS = (
  'Predict the base color of this scene.',
  'Generate a base color map of the input image.',
)


@dataclasses.dataclass(frozen=True)
class Albedo(PixelMap):
  """Paints base colors without light, shadow, gloss and fog; the sky has none.

  Colors are those of the pictures, RGB in [0, 1] without a gamma curve.
  Prediction: `albedo` f32[b h w 3]. A photo is much like its own base colors,
  so the photo itself is among the constant answers, as are greys.

  Source: ours; the paper does not have it.
  """

  name: ClassVar[str] = 'albedo'
  wordings: ClassVar[tuple[str, ...]] = _WORDINGS
  needs: ClassVar[tuple[str, ...]] = ('albedo', 'depth_m')
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {'mae': 'min', 'psnr': 'max'}
  )
  # Share of the photo, and the level of the grey that is the rest.
  constants: ClassVar[tuple[tuple[float, float], ...]] = (
    (1.0, 0.0),
    (0.5, 0.5),
    *((0.0, level / 10) for level in range(2, 9)),
  )
  value: ClassVar[Value] = ALBEDO
  reader: ClassVar[PaintedReader] = AlbedoReader()
  note: ClassVar[str] = (
    'The colors of surfaces, without light; the sky has none. Error: dark is '
    'right, pale is a quarter of the range off or more.'
  )

  def encode(
    self, example: base.Example, rng: np.random.Generator
  ) -> base.EncodedExample:
    """Paints the base color of every pixel but the sky's."""
    base.check_needs(self, example)
    valid_px = np.isfinite(example['depth_m'])
    return self.make_encoded(
      example,
      rng,
      target=example['albedo'],
      valid_px=valid_px,
      aux={'albedo': example['albedo'], 'source': example['rgb']},
    )

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """The picture itself, clipped to [0, 1]."""
    del aux
    return {'albedo': jnp.clip(rgb, 0.0, 1.0)}

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Errors where there is a surface."""
    return metric.image_states(
      prediction['albedo'], aux['albedo'], where=aux['valid_px'], valid=valid
    )

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """mae in [0, 1] and psnr in dB, means over images."""
    return metric.summarize_images(states)

  def constant_prediction(self, candidate, aux: base.Arrays) -> base.Arrays:
    """The photo, mixed with a grey."""
    share, grey = candidate
    return {'albedo': share * aux['source'] + (1.0 - share) * grey}
