"""Sums over pixels that do not depend on how a batch is cut up."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float


def sum_pixels(x: Float[Array, 'b h w']) -> Float[Array, 'b']:
  """Sums of each row, halves added until one value is left.

  The order is the same whatever the compiler makes of the batch, so equal
  pixels have equal sums to the last bit. The error grows with the logarithm of
  the number of pixels only.
  """
  pixels = math.prod(x.shape[1:])
  x = x.reshape(len(x), pixels)
  x = jnp.pad(x, ((0, 0), (0, (1 << max(pixels - 1, 0).bit_length()) - pixels)))
  while x.shape[1] > 1:
    half = x.shape[1] // 2
    x = x[:, :half] + x[:, half:]
  return x[:, 0]
