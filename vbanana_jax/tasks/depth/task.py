"""Metric depth: z-depth in meters, painted along the edges of the RGB cube."""

import dataclasses
import types
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.codecs import depth as codec
from vbanana_jax.metrics import depth as metric
from vbanana_jax.tasks import base
from vbanana_jax.tasks.benchmark import Benchmark
from vbanana_jax.tasks.depth.benchmark import DepthBenchmark
from vbanana_jax.tasks.depth.painted import DepthReader
from vbanana_jax.tasks.depth.value import DEPTH_M
from vbanana_jax.tasks.painted import PaintedReader
from vbanana_jax.tasks.pixel_map import PixelMap
from vbanana_jax.tasks.value import Value

_WORDINGS = (
  'Predict the metric depth of this scene as an image. Visualized in the '
  'rainbow colormap.',
  'Generate a metric depth map of the input image.',
  'Generate a metric depth map of the provided image.',
  'Predict the metric depth of this scene as an image. Visualized in the '
  'rainbow (black-red-yellow-green-cyan-blue-violet-white) color palette.',
)
_NEAR_M, _FAR_M = 0.5, 50.0  # of constant answers
CAP_M = 80.0  # farther pixels are not scored

_paint = jax.jit(codec.encode)


@dataclasses.dataclass(frozen=True)
class Depth(PixelMap):
  """Paints depth; the sky is infinitely far and white.

  Prediction: `depth_m` f32[b h w] and `distance` from the color walk.

  Source: Vision Banana, section 2.4.
  """

  name: ClassVar[str] = 'depth'
  wordings: ClassVar[tuple[str, ...]] = _WORDINGS
  value: ClassVar[Value] = DEPTH_M
  note: ClassVar[str] = (
    'Near is bright, far is dark, in even steps of log meters; sky is pale '
    'blue. Error: dark is right, pale is 50 % off or more.'
  )
  benchmark: ClassVar[Benchmark] = DepthBenchmark()
  reader: ClassVar[PaintedReader] = DepthReader()
  needs: ClassVar[tuple[str, ...]] = ('depth_m',)
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {'delta1': 'max', 'abs_rel': 'min', 'rmse': 'min', 'silog': 'min'}
  )
  constants: ClassVar[tuple[float, ...]] = tuple(
    float(d) for d in np.geomspace(_NEAR_M, _FAR_M, 24)
  )

  def encode(
    self, example: base.Example, rng: np.random.Generator
  ) -> base.EncodedExample:
    """Paints the depth of every pixel."""
    base.check_needs(self, example)
    depth_m = example['depth_m']
    valid_px = ~np.isnan(depth_m)
    return self.make_encoded(
      example,
      rng,
      target=base.paint_on_host(_paint, depth_m),
      valid_px=valid_px,
      aux={'depth_m': depth_m},
    )

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """Depth of the nearest color of the walk."""
    del aux
    return {'depth_m': codec.decode(rgb), 'distance': codec.residual(rgb)}

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Errors in meters where the true depth is within the cap."""
    truth_m = aux['depth_m']
    where = (truth_m > metric.NEAREST_M) & (truth_m < CAP_M)
    where &= valid[:, None, None]
    return {
      **metric.depth_states(
        prediction['depth_m'], truth_m, cap_m=CAP_M, where=where, valid=valid
      ),
      **base.make_distance_states(prediction['distance'], where),
    }

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Means over images, and `pooled_*` over pixels."""
    return {
      **metric.summarize_depth(states),
      **base.summarize_distance(states),
    }

  def constant_prediction(self, candidate, aux: base.Arrays) -> base.Arrays:
    """`candidate` meters everywhere."""
    shape = aux['depth_m'].shape
    depth_m = jnp.full(shape, candidate, jnp.float32)
    return {'depth_m': depth_m, 'distance': jnp.zeros(shape, jnp.float32)}
