"""Blocks of the transformer; their modulation is shared by all of a kind.

Parameters are kept apart where a snapshot joins them (queries, keys, values,
gate and up), so that each is one matrix for the optimizer and for sharding.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vbanana_jax.models import layers, numerics
from vbanana_jax.models.klein import attention, rotary
from vbanana_jax.models.klein.config import TransformerConfig
from vbanana_jax.models.klein.norms import RMSNorm, layer_norm

_WIDE, _NARROW = ('embed', 'mlp'), ('mlp', 'embed')


def modulate(
  x: Float[Array, 'b n d'],
  shift: Float[Array, 'b d'],
  scale: Float[Array, 'b d'],
  eps: float,
) -> Float[Array, 'b n d']:
  """`x`, normalized, then stretched and moved as the time says."""
  return layer_norm(x, eps) * (1 + scale[:, None]) + shift[:, None]


class QueryKeyValue(nn.Module):
  """Three projections; queries and keys are normalized by head."""

  config: TransformerConfig
  precision: numerics.Precision

  @nn.compact
  def __call__(self, x: Float[Array, 'b n d']) -> list[jax.Array]:
    c = self.config

    def project(name):
      axes = ('embed', 'heads')
      y = layers.Dense(c.width, self.precision, axes, name=name)(x)
      return y.reshape(*y.shape[:2], c.heads, c.head_width)

    q = RMSNorm(c.eps, name='q_norm')(project('q'))
    k = RMSNorm(c.eps, name='k_norm')(project('k'))
    return [q, k, project('v')]  #                                 3 x [b n k e]


class Opened(nn.Module):
  """`silu(gate(x)) * up(x)`, the hidden units of an MLP."""

  config: TransformerConfig
  precision: numerics.Precision

  @nn.compact
  def __call__(self, x: Float[Array, 'b n d']) -> Float[Array, 'b n m']:
    hidden = self.config.hidden
    gate = layers.Dense(hidden, self.precision, _WIDE, name='gate')(x)
    up = layers.Dense(hidden, self.precision, _WIDE, name='up')(x)
    return nn.silu(gate) * up


class Stream(nn.Module):
  """One side of a double block: the text's, or the pictures'."""

  config: TransformerConfig
  precision: numerics.Precision

  def setup(self):
    c, precision = self.config, self.precision
    self.qkv = QueryKeyValue(c, precision)
    self.out = layers.Dense(c.width, precision, ('heads', 'embed'))
    self.mlp = Opened(c, precision)
    self.down = layers.Dense(c.width, precision, _NARROW)

  def ask(
    self, x: Float[Array, 'b n d'], modulation: Float[Array, 'b 6 d']
  ) -> list[jax.Array]:
    """Queries, keys and values of this side's tokens, `[b, n, k, e]` each."""
    shift, scale = modulation[:, 0], modulation[:, 1]
    return self.qkv(modulate(x, shift, scale, self.config.eps))

  def answer(
    self,
    x: Float[Array, 'b n d'],
    seen: Float[Array, 'b n d'],
    modulation: Float[Array, 'b 6 d'],
  ) -> Float[Array, 'b n d']:
    """`x` with what its tokens saw, and then with what the MLP makes of it."""
    _, _, gate1, shift2, scale2, gate2 = jnp.moveaxis(modulation, 1, 0)
    x = x + gate1[:, None] * self.out(seen)
    y = self.mlp(modulate(x, shift2, scale2, self.config.eps))
    return x + gate2[:, None] * self.down(y)


class DoubleBlock(nn.Module):
  """Two streams with weights of their own and one attention over both."""

  config: TransformerConfig
  precision: numerics.Precision
  constrain: layers.ActivationConstraint

  @nn.compact
  def __call__(
    self,
    streams: tuple[Float[Array, 'b l d'], Float[Array, 'b n d']],
    text_modulation: Float[Array, 'b 6 d'],
    picture_modulation: Float[Array, 'b 6 d'],
    tables: rotary.Tables,
    seen: Bool[Array, 'b m'] | None,
  ) -> tuple[tuple[Float[Array, 'b l d'], Float[Array, 'b n d']], None]:
    text, picture = streams
    text_side = Stream(self.config, self.precision, name='text')
    picture_side = Stream(self.config, self.precision, name='picture')
    q, k, v = (
      jnp.concatenate(pair, axis=1)
      for pair in zip(
        text_side.ask(text, text_modulation),
        picture_side.ask(picture, picture_modulation),
      )
    )  #                                                           b l+n k e
    y = attend_turned(q, k, v, tables, self.precision, seen)
    l = text.shape[1]
    text = text_side.answer(text, y[:, :l], text_modulation)
    picture = picture_side.answer(picture, y[:, l:], picture_modulation)
    return (self.constrain(text), self.constrain(picture)), None


class SingleBlock(nn.Module):
  """Attention and MLP side by side, on text and pictures as one sequence."""

  config: TransformerConfig
  precision: numerics.Precision
  constrain: layers.ActivationConstraint

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b m d'],
    modulation: Float[Array, 'b 3 d'],
    tables: rotary.Tables,
    seen: Bool[Array, 'b m'] | None,
  ) -> tuple[Float[Array, 'b m d'], None]:
    c, precision = self.config, self.precision
    shift, scale, gate = jnp.moveaxis(modulation, 1, 0)
    y = modulate(x, shift, scale, c.eps)
    q, k, v = QueryKeyValue(c, precision, name='qkv')(y)
    attended = attend_turned(q, k, v, tables, precision, seen)
    out = layers.Dense(c.width, precision, ('heads', 'embed'), name='out')
    down = layers.Dense(c.width, precision, _NARROW, name='down')
    y = out(attended) + down(Opened(c, precision, name='mlp')(y))
    return self.constrain(x + gate[:, None] * y), None


def attend_turned(
  q: Float[Array, 'b m k e'],
  k: Float[Array, 'b m k e'],
  v: Float[Array, 'b m k e'],
  tables: rotary.Tables,
  precision: numerics.Precision,
  seen: Bool[Array, 'b m'] | None,
) -> Float[Array, 'b m d']:
  """Attention of queries and keys that are turned by their places."""
  q, k = (layers.apply_rope(y, tables, precision.matmul_dtype) for y in (q, k))
  return attention.attend(q, k, v, precision, seen=seen)
