"""The linear path between noise (time 0) and data (time 1).

  z = t x + (1 - t) s e,     v = dz/dt = x - s e = (x - z) / (1 - t)

with data x, unit Gaussian noise e and noise scale s. A network predicts x or v
(`PREDICTIONS`); both the target and the loss live in velocity space, where the
error of x is weighted by 1 / (1 - t)^2 (JiT, "Back to Basics", section 4).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# What a network's output is: the clean picture, or the velocity.
PREDICTIONS = ('x', 'v')
# Below this distance from the data the velocity's denominator stops shrinking.
MIN_TIME_LEFT = 0.05
# Noise of all pictures up to 1024 px, whose scale is more beyond.
_LEAST_NOISE_SCALE = 4.0


def noise_scale_for(size: int) -> float:
  """Noise scale of a picture, by the longer of its sides in pixels.

  More pixels repeat the same content, so hiding it takes more noise (JiT:
  1.0 at 256 px, 2.0 at 512 px). The rule stops at four times unit noise: with
  less, the layout of a small picture shows at almost every time, and the
  network learns to clean it up instead of reading its instruction.
  """
  return max(_LEAST_NOISE_SCALE, size / 256)


def sample_times(
  keys: jax.Array, mean: float = -0.8, std: float = 0.8
) -> Float[Array, 'b']:
  """Logit-normal times, one per key."""
  normal = jax.vmap(jax.random.normal)(keys)
  return jax.nn.sigmoid(mean + std * normal)


def make_noise(
  keys: jax.Array, shape: tuple[int, ...], scale: Float[Array, 'b']
) -> Float[Array, 'b h w c']:
  """Gaussian noise of one picture's `shape` per key, times its scale."""
  noise = jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
  return noise * scale[:, None, None, None]


def interpolate(
  x: Float[Array, 'b h w c'],
  noise: Float[Array, 'b h w c'],
  time: Float[Array, 'b'],
) -> Float[Array, 'b h w c']:
  """The point of the path at `time`; `noise` already carries its scale."""
  t = time[:, None, None, None]
  return t * x + (1.0 - t) * noise


def velocity(
  x: Float[Array, 'b h w c'],
  z: Float[Array, 'b h w c'],
  time: Float[Array, 'b'],
  min_time_left: float = MIN_TIME_LEFT,
) -> Float[Array, 'b h w c']:
  """Velocity at `z` of the path that ends in `x`."""
  left = jnp.maximum(1.0 - time, min_time_left)
  return (x - z) / left[:, None, None, None]


def find_velocity_error(
  prediction: Float[Array, 'b h w c'],
  x: Float[Array, 'b h w c'],
  noise: Float[Array, 'b h w c'],
  time: Float[Array, 'b'],
  kind: str,
) -> Float[Array, 'b h w c']:
  """Predicted less true velocity at the point of the path at `time`.

  Args:
    prediction: the network's output there.
    x: the true picture, network units.
    noise: at the start of the path, already scaled.
    time: of the point.
    kind: of the prediction, of `PREDICTIONS`.
  """
  if kind == 'v':
    return prediction - (x - noise)
  z = interpolate(x, noise, time)
  return velocity(prediction, z, time) - velocity(x, z, time)


def to_picture(
  prediction: Float[Array, 'b h w c'],
  z: Float[Array, 'b h w c'],
  time: Float[Array, 'b'],
  kind: str,
) -> Float[Array, 'b h w c']:
  """The clean picture that a prediction at `z` and `time` means."""
  if kind == 'v':
    return z + (1.0 - time)[:, None, None, None] * prediction
  return prediction
