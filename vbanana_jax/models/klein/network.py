"""FLUX.2 klein as one network of `models.contract`: words, latents and all.

Its latents are tokens in rows and columns. A source picture is the first
reference of its example. Autoencoder and text encoder stay as they are; the
transformer is trained. Where batches bring what the text encoder made before,
there is none.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.models import numerics, units
from vbanana_jax.models.contract import FlowTraits
from vbanana_jax.models.klein import rotary
from vbanana_jax.models.klein.autoencoder import Autoencoder
from vbanana_jax.models.klein.qwen import TextEncoder
from vbanana_jax.models.klein.transformer import Transformer


@dataclasses.dataclass(frozen=True)
class KleinConfig:
  """What the parts do not know of each other.

  Attributes:
    max_text: tokens of every instruction, its form and pads included.
    patch: divides the sides of pictures in pixels.
    pad: id that fills up an instruction.
    nothing: ids of the form around no words.
  """

  max_text: int
  patch: int
  pad: int
  nothing: tuple[int, ...]


@runtime_checkable
class LowRank(Protocol):
  """A change of the transformer, trained instead of it: see `klein.lora`."""

  def make_factors(self, key: jax.Array) -> Any:
    """Its first factors."""

  def spread(self, factors: Any) -> Any:
    """Variables `lora` of the transformer's layers."""


class Klein(nn.Module):
  """See `contract.Network` for the members.

  Tokens of instructions are ids of the tokenizer plus one, 0 at pads.
  """

  config: KleinConfig
  transformer: Transformer
  vae: Autoencoder
  text_encoder: TextEncoder | None
  change: LowRank | None = None

  flow = FlowTraits(
    prediction='v',
    times='flux2',
    start_time=0.0,
    guided=(-1.0, 1.0),  # at all times
    unit_noise=True,
  )
  memory_rows = 0

  @property
  def precision(self) -> numerics.Precision:
    """Arithmetic of the part that is trained."""
    return self.transformer.precision

  @property
  def heads(self) -> dict[str, int]:
    """Numbers of attention heads."""
    heads = {'heads of the transformer': self.transformer.config.heads}
    if self.text_encoder is None:
      return heads
    text = self.text_encoder.config
    return heads | {
      'heads of the text encoder': text.heads,
      'key heads of the text encoder': text.key_heads,
    }

  @property
  def frozen(self) -> dict[str, str]:
    """Types of the frozen parts; products round their factors anyway."""
    narrow = self.precision.matmul_dtype
    types = {'vae': 'float32'}
    if self.text_encoder is not None:
      types['text_encoder'] = narrow
    return {**types, 'transformer': narrow} if self.change else types

  def setup(self):
    if self.change:
      self.factors = self.param('lora', self.change.make_factors)

  def __call__(
    self,
    latents: Float[Array, 'b p q f'],
    time: Float[Array, 'b'],
    tokens: Int[Array, 'b l'],
    source: Float[Array, 'b p q f'],
    has_source: Bool[Array, 'b'],
  ) -> Float[Array, 'b p q f']:
    if self.is_initializing():
      self.vae(jnp.zeros((1, *self.vae.config.token_px, 3)))
    if self.text_encoder is None:  # any states have these shapes
      memory = jnp.zeros((*tokens.shape, self.transformer.config.text_width))
    else:
      memory = self.encode_text(tokens)
    return self.denoise(latents, time, memory, source, has_source)

  @nn.nowrap
  def make_inputs(self, size: int) -> tuple[jax.Array, ...]:
    rows, columns = (size // side for side in self.vae.config.token_px)
    latents = jnp.zeros((1, rows, columns, self.vae.config.channels))
    tokens = jnp.zeros((1, self.config.max_text), jnp.int32)
    return latents, jnp.zeros(1), tokens, latents, jnp.ones(1, bool)

  def encode_text(
    self, tokens: Int[Array, 'b l']
  ) -> Float[Array, 'b max_text j']:
    c = self.config
    nothing = np.zeros(c.max_text, np.int32)
    nothing[: len(c.nothing)] = np.array(c.nothing) + 1
    # As many as the base was trained with, whatever a batch is padded to.
    tokens = jnp.pad(tokens, ((0, 0), (0, c.max_text - tokens.shape[1])))
    told = jnp.any(tokens > 0, axis=1, keepdims=True)
    tokens = jnp.where(told, tokens, nothing)
    real = tokens > 0
    return self.text_encoder(jnp.where(real, tokens - 1, c.pad), real)

  def encode_nothing(
    self, memory: Float[Array, 'b max_text j']
  ) -> Float[Array, '1 max_text j']:
    del memory  # all are of one length
    return self.encode_text(jnp.zeros((1, 1), jnp.int32))

  def denoise(
    self,
    latents: Float[Array, 'b p q f'],
    time: Float[Array, 'b'],
    memory: Float[Array, 'b l j'],
    source: Float[Array, 'b _ _ f'],
    has_source: Bool[Array, 'b'],
  ) -> Float[Array, 'b p q f']:
    """Data - noise. A source that is not there is seen by nobody."""
    b, *grid, f = latents.shape
    target, reference = (x.reshape(b, -1, f) for x in (latents, source))
    n, r = target.shape[1], reference.shape[1]
    always = jnp.ones((b, memory.shape[1] + n), bool)
    seen = jnp.broadcast_to(has_source[:, None], (b, r))
    seen = jnp.concatenate([always, seen], axis=1)
    velocity = self._move(
      jnp.concatenate([target, reference], axis=1),
      1.0 - time,
      memory,
      rotary.picture_places([tuple(grid), source.shape[1:3]]),
      seen,
    )
    return -velocity[:, :n].reshape(latents.shape)

  def _move(self, *inputs) -> jax.Array:
    """The transformer, as it is or changed."""
    if not self.change or self.is_initializing():
      return self.transformer(*inputs)
    variables = {
      'params': self.transformer.variables['params'],
      'lora': self.change.spread(self.factors),
    }
    return self.transformer.clone(parent=None).apply(variables, *inputs)

  def to_latents(self, rgb: Float[Array, 'b h w 3']) -> Float[Array, 'b p q f']:
    return self.vae.to_tokens(self.vae.encode(units.to_network(rgb)))

  def from_latents(
    self, latents: Float[Array, 'b p q f']
  ) -> Float[Array, 'b h w 3']:
    return units.from_network(self.vae.decode(self.vae.from_tokens(latents)))

  @nn.nowrap
  def pool_weights(
    self, weight_px: Float[Array, 'b h w']
  ) -> Float[Array, 'b p q']:
    b, h, w = weight_px.shape
    rows, columns = self.vae.config.token_px
    patches = weight_px.reshape(b, h // rows, rows, w // columns, columns)
    return jnp.sum(patches, axis=(2, 4))
