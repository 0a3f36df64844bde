"""One loss for every task: squared velocity error over valid pixels."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vbanana_jax.diffusion import paths


def velocity_loss(
  prediction: Float[Array, 'b h w c'],
  x: Float[Array, 'b h w c'],
  z: Float[Array, 'b h w c'],
  time: Float[Array, 'b'],
  valid_px: Bool[Array, 'b h w'],
) -> Float[Array, 'b']:
  """Mean squared error of the velocity, per example.

  At time 0 this is the plain squared error of the picture, which makes the
  one-pass answer from an empty canvas a special case and not a second loss.

  Args:
    prediction: the network's clean picture, network units.
    x: the true one.
    z: where on the path the network stood.
    time: its time.
    valid_px: pixels that count; an example without any has loss 0.
  """
  error = paths.velocity(prediction, z, time) - paths.velocity(x, z, time)
  squared = jnp.where(valid_px, jnp.mean(error * error, axis=-1), 0.0)
  count = jnp.sum(valid_px, axis=(1, 2))
  return jnp.sum(squared, axis=(1, 2)) / jnp.maximum(count, 1)
