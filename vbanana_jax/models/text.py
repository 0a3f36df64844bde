"""The text stack: instruction tokens to features, knowing nothing of images.

Because neither time nor image enters here, the features of a prompt, and the
keys and values that the image blocks make of them, are computed once a
prompt however many sampler steps follow.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vbanana_jax.models import attention, layers, numerics

PAD = 0
_RADIUS = 4  # of the kernel: tokens to either side


class DepthwiseConv1D(nn.Module):
  """A depthwise convolution over real tokens, `[b l d]` to `[b l d]`.

  A legend says which color a class has within a few words. Attention would
  first have to learn to look there; this binds them from the first step.
  """

  @nn.compact
  def __call__(self, x, mask):
    l, d = x.shape[1:]
    kernel = self.param(
      'weights',
      layers.named(nn.initializers.normal(_RADIUS**-0.5), 'kernel', 'vector'),
      (2 * _RADIUS + 1, d),
    )
    x = jnp.where(mask[..., None], x, 0.0)
    x = jnp.pad(x, ((0, 0), (_RADIUS, _RADIUS), (0, 0)))
    shifted = [x[:, k : k + l] * kernel[k] for k in range(2 * _RADIUS + 1)]
    return sum(shifted).astype(x.dtype)


class TextBlock(nn.Module):
  """Depthwise convolution, bidirectional attention, SwiGLU; pre-norm."""

  heads: int
  precision: numerics.Precision
  constrain: layers.ActivationConstraint

  @nn.compact
  def __call__(self, x, mask):
    b, l, d = x.shape
    e = d // self.heads
    tables = layers.rope_sin_cos(np.arange(l)[:, None], e)

    def project(name, x):
      y = layers.Dense(d, self.precision, ('embed', 'heads'), name=name)(x)
      return y.reshape(b, l, self.heads, e)

    y = layers.RMSNorm(name='neighbors_norm')(x)  #      b l d
    x = x + DepthwiseConv1D(name='neighbors')(y, mask)

    y = layers.RMSNorm(name='attention_norm')(x)
    q = layers.RMSNorm(name='q_norm')(project('q', y))  # b l k e
    k = layers.RMSNorm(name='k_norm')(project('k', y))  # b l k e
    q, k = (
      layers.apply_rope(y, tables, self.precision.matmul_dtype) for y in (q, k)
    )
    y = attention.attend(q, k, project('v', y), mask, self.precision)  # b l d
    x = x + layers.Dense(d, self.precision, ('heads', 'embed'), name='out')(y)
    y = layers.RMSNorm(name='mlp_norm')(x)
    x = x + layers.SwiGLU(self.precision, name='mlp')(y)
    return self.constrain(x), None


class TextStack(nn.Module):
  """Tokens `[b, l]`, padded with 0, to features `[b, l + 1, d]` and a mask.

  A learned start token stands before every instruction, so that an empty one
  still has something to attend to.
  """

  vocab_size: int
  width: int
  depth: int
  heads: int
  precision: numerics.Precision
  remat: str = 'none'
  constrain: layers.ActivationConstraint = layers.identity

  @nn.compact
  def __call__(self, tokens):
    normal = nn.initializers.normal(1.0)
    table = self.param(
      'embedding',
      layers.named(normal, 'vocab', 'vector'),  # rows are looked up: whole
      (self.vocab_size, self.width),
    )
    start = self.param('start', layers.named(normal, 'vector'), (self.width,))
    b = tokens.shape[0]
    x = jnp.concatenate(
      [jnp.broadcast_to(start, (b, 1, self.width)), table[tokens]], axis=1
    ).astype(self.precision.activation_dtype)  #                  b l+1 d
    mask = jnp.concatenate([jnp.ones((b, 1), bool), tokens != PAD], axis=1)
    x, _ = layers.apply_blocks(
      TextBlock,
      self.depth,
      per_block=0,
      shared=1,
      remat=self.remat,
      heads=self.heads,
      precision=self.precision,
      constrain=self.constrain,
      name='blocks',
    )(self.constrain(x), mask)
    return layers.RMSNorm(name='norm')(x), mask
