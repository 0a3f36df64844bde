"""One loss for every task: squared velocity error, weighted by pixel."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vbanana_jax.diffusion import flow


def velocity_loss(
  prediction: Float[Array, 'b h w c'],
  x: Float[Array, 'b h w c'],
  z: Float[Array, 'b h w c'],
  time: Float[Array, 'b'],
  weight_px: Float[Array, 'b h w'],
) -> Float[Array, 'b']:
  """Mean squared error of the velocity, per example.

  At time 0 this is the plain squared error of the picture, which makes the
  one-pass answer from an empty image a special case and not a second loss.

  Args:
    prediction: the network's clean picture, network units.
    x: the true one.
    z: where on the path the network stood.
    time: its time.
    weight_px: what each pixel counts for; an example of zeros has loss 0.
  """
  error = flow.velocity(prediction, z, time) - flow.velocity(x, z, time)
  squared = jnp.mean(error * error, axis=-1)
  weighted = jnp.where(weight_px > 0, weight_px * squared, 0.0)
  total = jnp.sum(weight_px, axis=(1, 2))
  return jnp.sum(weighted, axis=(1, 2)) / jnp.maximum(total, 1.0)
