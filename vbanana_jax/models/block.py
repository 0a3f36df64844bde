"""A block of the diffusion transformer."""

import flax.linen as nn
import jax.numpy as jnp

from vbanana_jax.models import attention, layers, numerics


class Block(nn.Module):
  """Modulated attention over `[text | image]`, then modulated SwiGLU."""

  heads: int
  precision: numerics.Precision
  constrain: layers.ActivationConstraint

  @nn.compact
  def __call__(self, x, text_keys, text_values, modulation, mask, tables):
    b, n, d = x.shape
    e = d // self.heads
    gates_open = layers.named(_gates_open, 'modulation', 'vector')
    bias = self.param('modulation_bias', gates_open, (6, d))
    shift1, scale1, gate1, shift2, scale2, gate2 = jnp.moveaxis(
      (modulation + bias).astype(x.dtype)[:, :, None], 1, 0
    )  #                                                       6 x [b 1 d]

    def project(name, x):
      y = layers.Dense(d, self.precision, ('embed', 'heads'), name=name)(x)
      return y.reshape(b, n, self.heads, e)

    y = layers.rms_norm(x) * (1 + scale1) + shift1  #            b n d
    q = layers.RMSNorm(name='q_norm')(project('q', y))  #        b n k e
    k = layers.RMSNorm(name='k_norm')(project('k', y))  #        b n k e
    q, k = (
      layers.apply_rope(y, tables, self.precision.matmul_dtype) for y in (q, k)
    )
    k = jnp.concatenate([text_keys, k], axis=1)  #               b l+n k e
    v = jnp.concatenate([text_values, project('v', y)], axis=1)
    y = attention.attend(q, k, v, mask, self.precision)  #             b n d
    out = layers.Dense(d, self.precision, ('heads', 'embed'), name='out')
    x = x + gate1 * out(y)

    y = layers.rms_norm(x) * (1 + scale2) + shift2
    x = x + gate2 * layers.SwiGLU(self.precision, name='mlp')(y)
    return self.constrain(x), None


def _gates_open(key, shape, dtype=jnp.float32):
  """Modulation that starts as the identity with both gates at one."""
  return jnp.zeros(shape, dtype).at[jnp.array([2, 5])].set(1.0)
