"""Metric depth as a color: a power curve walked along the edges of the cube.

Depth 0 is black, infinity is white; between them the color follows seven
edges of the RGB cube (black, red, yellow, green, cyan, blue, magenta, white),
a seventh of the curve each.
"""

import jax
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
_LARGEST = 1e15  # a channel beyond it is no color; its square is finite

# Weights of 1, 1 / (1 + room), room and distance in the log odds of
# `confidence`. Fitted by `python -m perf.confidence`.
CONFIDENCE = (3.635, -19.89, 0.02886, -0.04969)


def encode(
  depth_m: Float[ArrayLike, '...'], *, lam: float = LAM, c: float = C
) -> Float[Array, '... 3']:
  """Paints depth in meters as RGB in [0, 1].

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
  usable = jnp.all(jnp.abs(rgb) < _LARGEST, axis=-1)
  rgb = jnp.where(usable[..., None], rgb, 0.0)
  # Not jnp.clip, which halves the slope where a channel is exactly 0 or 1.
  inside = jnp.where(rgb < 0.0, 0.0, jnp.where(rgb > 1.0, 1.0, rgb))
  over = jnp.abs(rgb - inside)
  # What a channel adds to the squared distance when the edge is at 0 or at 1
  # there, less over^2, which all edges share: far out it would drown them.
  cost = [(gap * (gap + 2.0 * over)) for gap in (inside, 1.0 - inside)]
  walked = left = jnp.zeros(rgb.shape[:-1])
  nearest = jnp.full(rgb.shape[:-1], jnp.inf)
  for k in range(EDGES):
    start, end = CORNERS[k], CORNERS[k + 1]
    axis = next(i for i in range(3) if start[i] != end[i])
    one, other = (i for i in range(3) if i != axis)
    excess = cost[start[one]][..., one] + cost[start[other]][..., other]
    along = inside[..., axis]
    if end[axis] < start[axis]:
      along = 1.0 - along
    # Clearly nearer: the first edge keeps a tie, whatever the rounding.
    nearer = excess < nearest * (1.0 - 1e-6)
    walked = jnp.where(nearer, k + along, walked)
    left = jnp.where(nearer, (EDGES - 1 - k) + (1.0 - along), left)
    nearest = jnp.where(nearer, excess, nearest)
  squared = nearest + jnp.sum(jnp.square(over), axis=-1)
  return (
    jnp.where(usable, walked, jnp.nan),
    jnp.where(usable, left, jnp.nan),
    jnp.where(usable, squared, jnp.inf),
  )


def _measure(walked, left, lam, c):
  """Depth in meters of a place on the walk; +inf at its end, NaN off it."""
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


def decode(
  rgb: Float[ArrayLike, '... 3'], *, lam: float = LAM, c: float = C
) -> Float[Array, '...']:
  """Reads depth in meters from RGB in [0, 1] by the nearest point of the walk.

  Colors off the walk, and outside the cube, are projected on it; a tie goes
  to the edge nearer to black. White is +inf, black +0.0; a color with a
  channel that is NaN, infinite or beyond 1e15 is NaN.
  Decode at the painted size and resize the depth: blended colors leave the
  walk and decode to depths that neither neighbor has.

  Source: Vision Banana, section 2.4 (inverse of equation 1).
  """
  walked, left, _ = _project(rgb)
  return _measure(walked, left, lam, c)


def residual(rgb: Float[ArrayLike, '... 3']) -> Float[Array, '...']:
  """Euclidean distance of a color from the walk, in units of RGB [0, 1].

  Infinite where a channel is NaN or infinite.
  """
  return _root(_project(rgb)[2])


def _root(squared):
  on_walk = squared <= 0.0
  distance = jnp.sqrt(jnp.where(on_walk, 1.0, squared))
  return jnp.where(on_walk, 0.0, distance)


def evidence(
  rgb: Float[ArrayLike, '... 3'], *, lam: float = LAM, c: float = C
) -> tuple[Float[Array, '...'], Float[Array, '...']]:
  """What the confidence weighs: room and distance, in 8-bit levels.

  Room is how far along the walk the depth is another by 25 %, 0 where no
  depth above 0 is decoded; distance is the `residual`.
  """
  walked, left, squared = _project(rgb)
  depth_m = _measure(walked, left, lam, c)
  inner = jnp.isfinite(depth_m) & (depth_m > 0.0)
  depth_m = jnp.where(inner, depth_m, 1.0)
  # A depth k times as large leaves (1 + (k - 1) share)^(lam + 1) of `left`.
  share = depth_m / (depth_m - lam * c)
  beyond = -jnp.expm1((lam + 1.0) * jnp.log1p(0.25 * share))
  before = jnp.expm1((lam + 1.0) * jnp.log1p(-0.2 * share))
  room = 255.0 * jnp.where(inner, left, 0.0) * jnp.minimum(beyond, before)
  return jnp.where(inner, room, 0.0), 255.0 * _root(squared)


def confidence(
  rgb: Float[ArrayLike, '... 3'], *, lam: float = LAM, c: float = C
) -> Float[Array, '...']:
  """Probability that the decoded depth is within 25 % of the true one.

  It rises with the room along the walk and falls with the distance from it
  (see `evidence`). Black, white (no finite depth) and NaN get 0.

  Calibrated on paintings of depths log-uniform from 0.1 to 80 m under mixed
  Gaussian noise, blur and JPEG (`perf/paintings.py`): of the pixels of
  confidence p a share p is right. Another generator errs in other ways; the
  order of its pixels then means more than the number.

  Source: ours; right as delta1 has it.
  """
  room, distance = evidence(rgb, lam=lam, c=c)
  constant, tight, wide, off = CONFIDENCE
  odds = constant + tight / (1.0 + room) + wide * room + off * distance
  return jnp.where(room > 0.0, jax.nn.sigmoid(odds), 0.0)
