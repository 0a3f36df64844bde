"""The text encoder of FLUX.2 klein: the first layers of Qwen3."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.models import layers, numerics
from vbanana_jax.models.klein import attention, rotary
from vbanana_jax.models.klein.config import TextConfig
from vbanana_jax.models.klein.norms import RMSNorm


class TextLayer(nn.Module):
  """Causal attention with few key heads, then SwiGLU; pre-norm."""

  config: TextConfig
  precision: numerics.Precision
  constrain: layers.ActivationConstraint

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b l d'],
    mask: Bool[Array, 'b 1 l l'],
    tables: rotary.Tables,
  ) -> tuple[Float[Array, 'b l d'], None]:
    c = self.config

    def dense(name, width, axes, x):
      return layers.Dense(width, self.precision, axes, name=name)(x)

    def project(name, heads):
      y = dense(name, heads * c.head_width, ('embed', 'heads'), normed)
      return y.reshape(*y.shape[:2], heads, c.head_width)

    normed = RMSNorm(c.eps, name='attention_norm')(x)
    q = RMSNorm(c.eps, name='q_norm')(project('q', c.heads))
    k = RMSNorm(c.eps, name='k_norm')(project('k', c.key_heads))
    q, k = (rotary.turn_halves(y, tables) for y in (q, k))
    v = project('v', c.key_heads)
    y = attention.attend(q, k, v, self.precision, mask)
    x = x + dense('out', c.width, ('heads', 'embed'), y)
    normed = RMSNorm(c.eps, name='mlp_norm')(x)
    gate = dense('gate', c.hidden, ('embed', 'mlp'), normed)
    y = nn.silu(gate) * dense('up', c.hidden, ('embed', 'mlp'), normed)
    x = x + dense('down', c.width, ('mlp', 'embed'), y)
    return self.constrain(x), None


class TextEncoder(nn.Module):
  """Features of prompts: the states after a few layers, side by side.

  Attributes:
    config: shape.
    precision: arithmetic.
    constrain: says where the devices keep activations `[b, ...]`.
  """

  config: TextConfig
  precision: numerics.Precision
  constrain: layers.ActivationConstraint = layers.identity

  @nn.compact
  def __call__(
    self, tokens: Int[Array, 'b l'], mask: Bool[Array, 'b l']
  ) -> Float[Array, 'b l j']:
    """Features of all tokens, pads included; no norm stands behind them.

    Args:
      tokens: ids, padded on the right.
      mask: False at pads, which other tokens do not see.
    """
    c = self.config
    table = self.param(
      'table',
      layers.named(nn.initializers.normal(0.02), 'vocab', 'vector'),
      (c.vocab_size, c.width),
    )
    x = self.constrain(table[tokens].astype(self.precision.activation_dtype))
    l = tokens.shape[1]
    seen = jnp.tril(jnp.ones((l, l), bool)) & mask[:, None, None, :]
    tables = rotary.half_tables(l, c.head_width, c.theta)
    states, first = [], 0
    for last in c.states:
      if last > first:
        x, _ = layers.apply_blocks(
          TextLayer,
          last - first,
          per_block=0,
          shared=2,
          remat='none',
          precision=self.precision,
          config=c,
          constrain=self.constrain,
          name=f'layers_to_{last}',
        )(x, seen, tables)
      states.append(x)
      first = last
    return jnp.concatenate(states, axis=-1)
