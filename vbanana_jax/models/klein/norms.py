"""Norms with the small constant that a snapshot names."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vbanana_jax.models import layers


def layer_norm(x: Float[Array, '... d'], eps: float) -> Float[Array, '... d']:
  """`x` without its mean and over its spread, in float32; no gain, no bias."""
  x32 = x.astype(jnp.float32)
  x32 = x32 - jnp.mean(x32, axis=-1, keepdims=True)
  variance = jnp.mean(x32 * x32, axis=-1, keepdims=True)
  return (x32 * jax.lax.rsqrt(variance + eps)).astype(x.dtype)


class RMSNorm(nn.Module):
  """`x` over its root mean square, in float32, times a learned gain."""

  eps: float

  @nn.compact
  def __call__(self, x: Float[Array, '... d']) -> Float[Array, '... d']:
    ones = layers.named(nn.initializers.ones, 'vector')
    gain = self.param('scale', ones, (x.shape[-1],))
    x32 = x.astype(jnp.float32)
    mean = jnp.mean(x32 * x32, axis=-1, keepdims=True)
    x32 = x32 * jax.lax.rsqrt(mean + self.eps)
    return (x32 * gain.astype(jnp.float32)).astype(x.dtype)
