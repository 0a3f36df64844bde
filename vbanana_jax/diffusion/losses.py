"""One loss for every task: squared velocity error, weighted by pixel."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def velocity_loss(
  error: Float[Array, 'b h w c'], weight: Float[Array, 'b h w']
) -> Float[Array, 'b']:
  """Mean squared error of the velocity, per example.

  At time 0 this is the plain squared error of the picture, which makes the
  one-pass answer from an empty image a special case and not a second loss.

  Args:
    error: from `flow.find_velocity_error`.
    weight: what each pixel counts for, or where a token stands for a patch of
      pixels, all of them together; an example of zeros has loss 0.
  """
  squared = jnp.mean(error * error, axis=-1)
  weighted = jnp.where(weight > 0, weight * squared, 0.0)
  total = jnp.sum(weight, axis=(1, 2))
  return jnp.sum(weighted, axis=(1, 2)) / jnp.maximum(total, 1.0)
