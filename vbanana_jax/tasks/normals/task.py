"""Surface normals: x right, y up, z to the viewer, red mirrored."""

import dataclasses
import types
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.codecs import normals as codec
from vbanana_jax.metrics import normals as metric
from vbanana_jax.tasks import base
from vbanana_jax.tasks.benchmark import Benchmark
from vbanana_jax.tasks.normals.benchmark import NormalsBenchmark
from vbanana_jax.tasks.normals.painted import NormalsReader
from vbanana_jax.tasks.normals.value import NORMALS
from vbanana_jax.tasks.painted import PaintedReader
from vbanana_jax.tasks.pixel_map import PixelMap
from vbanana_jax.tasks.value import Value

_WORDINGS = (
  'Predict the surface normal of this scene.',
  'Generate a surface normal map of the input image.',
)

_paint = jax.jit(codec.encode)


def _make_directions(count: int) -> tuple[tuple[float, float, float], ...]:
  """Directions spread over the half sphere that faces the viewer."""
  k = np.arange(count)
  z = 1.0 - k / (count - 1)
  angle = k * np.pi * (3.0 - np.sqrt(5.0))  # golden angle
  radius = np.sqrt(1.0 - z**2)
  xyz = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1)
  return tuple(tuple(float(v) for v in row) for row in xyz)


@dataclasses.dataclass(frozen=True)
class Normals(PixelMap):
  """Paints unit normals; the sky has none and is not scored.

  Prediction: `normals` f32[b h w 3], unit, or zero where the color is of no
  direction, and `distance` from the sphere of legal colors.

  Source: Vision Banana, section 2.5.
  """

  name: ClassVar[str] = 'normals'
  wordings: ClassVar[tuple[str, ...]] = _WORDINGS
  value: ClassVar[Value] = NORMALS
  note: ClassVar[str] = (
    'As painted: left is red, up is green, to the viewer is blue. Error: dark '
    'is right, pale is 45 degrees off or more.'
  )
  benchmark: ClassVar[Benchmark] = NormalsBenchmark()
  reader: ClassVar[PaintedReader] = NormalsReader()
  needs: ClassVar[tuple[str, ...]] = ('normals',)
  # Straight to the viewer, straight up, and 30 in between.
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {'mean_deg': 'min', 'median_deg': 'min', 'within_11.25': 'max'}
  )
  constants: ClassVar[tuple[tuple[float, float, float], ...]] = (
    *_make_directions(31),
    (0.0, 1.0, 0.0),
  )

  def encode(
    self, example: base.Example, rng: np.random.Generator
  ) -> base.EncodedExample:
    """Paints the normal of every pixel that has one."""
    base.check_needs(self, example)
    normals = example['normals']
    valid_px = np.square(normals).sum(-1) > 0.5
    return self.make_encoded(
      example,
      rng,
      target=base.paint_on_host(_paint, normals),
      valid_px=valid_px,
      aux={'normals': normals},
    )

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """Unit normals; zero where there is no surface."""
    del aux
    return {
      'normals': codec.decode_surface(rgb),
      'distance': codec.residual(rgb),
    }

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Angular errors where there is a true normal."""
    where = aux['valid_px'] & metric.is_direction(aux['normals'])
    where &= valid[:, None, None]
    return {
      **metric.normals_states(
        prediction['normals'], aux['normals'], where=where, valid=valid
      ),
      **base.make_distance_states(prediction['distance'], where),
    }

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Angles in degrees over all pixels."""
    return {
      **metric.summarize_normals(states),
      **base.summarize_distance(states),
    }

  def constant_prediction(self, candidate, aux: base.Arrays) -> base.Arrays:
    """The direction `candidate` everywhere."""
    shape = aux['normals'].shape
    normals = jnp.broadcast_to(jnp.asarray(candidate, jnp.float32), shape)
    distance = jnp.zeros(shape[:-1], jnp.float32)
    return {'normals': normals, 'distance': distance}
