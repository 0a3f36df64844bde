"""Metric depth as a colour: a power curve walked along the edges of the cube.

Depth 0 is black, infinity is white; between them the colour follows seven
edges of the RGB cube (black, red, yellow, green, cyan, blue, magenta, white),
a seventh of the curve each.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

LAM = -3.0
C = 10.0 / 3.0

# Corners of the walk; consecutive corners differ in exactly one channel.
CORNERS = (
  (0, 0, 0),
  (1, 0, 0),
  (1, 1, 0),
  (0, 1, 0),
  (0, 1, 1),
  (0, 0, 1),
  (1, 0, 1),
  (1, 1, 1),
)
EDGES = len(CORNERS) - 1


def encode(
  depth_m: Float[ArrayLike, '...'], *, lam: float = LAM, c: float = C
) -> Float[Array, '... 3']:
  """Paints depth in metres as RGB in [0, 1].

  Negative depth and NaN are painted black (mask them: black means 0 m), +inf
  white. Needs lam < -1 and c > 0, else the curve does not end at infinity.

  Source: Vision Banana, section 2.4 and equation 1 (lam = -3, c = 10/3).
  """
  depth_m = jnp.asarray(depth_m, jnp.float32)
  depth_m = jnp.clip(jnp.where(jnp.isnan(depth_m), 0.0, depth_m), 0.0, 1e30)
  exponent = (lam + 1.0) * jnp.log1p(depth_m / (-lam * c))
  # Edges walked since black, and edges left until white. Each is exact near
  # its own end, where 1 minus the other would cancel.
  walked = -EDGES * jnp.expm1(exponent)
  left = EDGES * jnp.exp(exponent)

  def ramp(edges):
    return jnp.clip(edges, 0.0, 1.0)

  red = ramp(walked) - ramp(walked - 2) + ramp(2 - left)
  green = ramp(walked - 1) - ramp(3 - left) + ramp(1 - left)
  blue = ramp(4 - left)
  return jnp.stack([red, green, blue], axis=-1)


def _project(rgb):
  """Nearest point of the walk: edges walked, edges left, squared distance."""
  rgb = jnp.asarray(rgb, jnp.float32)
  walked = jnp.full(rgb.shape[:-1], jnp.nan)
  left = walked
  nearest = jnp.full(rgb.shape[:-1], jnp.inf)
  for k in range(EDGES):
    start, end = CORNERS[k], CORNERS[k + 1]
    axis = next(i for i in range(3) if start[i] != end[i])
    rising = end[axis] > start[axis]
    value = rgb[..., axis]
    foot = jnp.clip(value, 0.0, 1.0)
    along = foot if rising else 1.0 - foot
    squared = jnp.square(value - foot)
    for i in range(3):
      if i != axis:
        squared += jnp.square(rgb[..., i] - start[i])
    # Clearly nearer: the first edge keeps a tie, whatever the rounding.
    nearer = squared < nearest * (1.0 - 1e-6)
    walked = jnp.where(nearer, k + along, walked)
    left = jnp.where(nearer, (EDGES - 1 - k) + (1.0 - along), left)
    nearest = jnp.where(nearer, squared, nearest)
  return walked, left, nearest


def decode(
  rgb: Float[ArrayLike, '... 3'], *, lam: float = LAM, c: float = C
) -> Float[Array, '...']:
  """Reads depth in metres from RGB in [0, 1] by the nearest point of the walk.

  Colours off the walk, and outside the cube, are projected on it; a tie goes
  to the edge nearer to black. White is +inf, black +0.0, NaN stays NaN.
  Decode at the painted size and resize the depth: blended colours leave the
  walk and decode to depths that neither neighbour has.

  Source: Vision Banana, section 2.4 (inverse of equation 1).
  """
  walked, left, _ = _project(rgb)
  near = walked < EDGES / 2
  white = left <= 0.0
  # Inactive branches get harmless inputs, so that gradients stay finite.
  near_log = jnp.log1p(-jnp.where(near, walked, 0.0) / EDGES)
  far_log = jnp.log(jnp.where(near | white, EDGES, left) / EDGES)
  log_left = jnp.where(near, near_log, far_log)
  depth_m = -lam * c * jnp.expm1(log_left / (lam + 1.0))
  # Not above zero means black: never hand out -0.0, which breaks ratios.
  depth_m = jnp.where(depth_m <= 0.0, 0.0, depth_m)
  return jnp.where(white, jnp.inf, depth_m)


def residual(rgb: Float[ArrayLike, '... 3']) -> Float[Array, '...']:
  """Euclidean distance of a colour from the walk, in units of RGB [0, 1]."""
  squared = _project(rgb)[2]
  on_walk = squared <= 0.0
  distance = jnp.sqrt(jnp.where(on_walk, 1.0, squared))
  return jnp.where(on_walk, 0.0, distance)
