"""The pixel-space diffusion transformer that answers every task.

Image tokens are patches of the noisy (or empty) image with the patch of the
source picture at the same place added to them. They attend to one sequence
`[text | image]`; text enters as keys and values that were finished by the
text stack. The output is the clean picture itself (x-prediction, as in JiT,
"Back to Basics: Let Denoising Generative Models Denoise"), in which a gate says
of every pixel how much of it is the source's: most of an edited picture is.
"""

import dataclasses
import types
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vbanana_jax.models import (
  block,
  layers,
  numerics,
  patches,
  text,
  units,
)
from vbanana_jax.models.contract import FlowTraits

# Of a pixel, this much is the source's before anything is learned: sigmoid(-2).
_COPY_BIAS = -2.0


@dataclasses.dataclass(frozen=True)
class ModelConfig:
  """Shape of a network; `models.SIZES` names the usual ones.

  Attributes:
    width: d of the image tokens.
    depth: number of image blocks.
    heads: attention heads of the image blocks.
    patch: side of a patch in pixels.
    bottleneck: width that a patch passes through before d.
    text_width: d of the text stack.
    text_depth: number of text blocks.
    text_heads: attention heads of the text blocks.
    vocab_size: number of instruction tokens.
    max_text: longest instruction in tokens; longer ones are refused.
    remat: what the backward pass computes again: 'none', 'dots', 'full'.
  """

  width: int
  depth: int
  heads: int
  patch: int
  bottleneck: int
  text_width: int
  text_depth: int
  text_heads: int
  vocab_size: int
  max_text: int
  remat: str = 'none'


class TextKV(NamedTuple):
  """What the image blocks know of an instruction; leading axis is the block.

  Attributes:
    keys: `[depth, b, l, k, e]`.
    values: `[depth, b, l, k, e]`.
    mask: `[b, l]`, True at real tokens.
  """

  keys: jax.Array
  values: jax.Array
  mask: jax.Array


class DiT(nn.Module):
  """See the module's docstring, and `contract.Network` for its members.

  Latents are pixels in network units, [-1, 1].

  Attributes:
    config: shape.
    precision: arithmetic.
    constrain: says where the devices keep activations `[b, ...]`.
  """

  config: ModelConfig
  precision: numerics.Precision
  constrain: layers.ActivationConstraint = layers.identity

  flow = FlowTraits(
    prediction='x',
    times='even',
    # The logit-normal of training hardly draws an earlier time, and at 0 itself
    # the network answers in one pass.
    start_time=0.04,
    guided=(0.1, 1.0),  # as JiT guides
    unit_noise=False,
  )
  frozen = types.MappingProxyType({})
  memory_rows = TextKV(keys=1, values=1, mask=0)

  @property
  def heads(self) -> dict[str, int]:
    """Numbers of attention heads."""
    return {
      'heads of the pictures': self.config.heads,
      'heads of the text': self.config.text_heads,
    }

  def setup(self):
    c, precision = self.config, self.precision
    named, dense = layers.named, layers.Dense
    self.text = text.TextStack(
      vocab_size=c.vocab_size,
      width=c.text_width,
      depth=c.text_depth,
      heads=c.text_heads,
      precision=precision,
      remat=c.remat,
      constrain=self.constrain,
    )
    init = named(
      nn.initializers.lecun_normal(batch_axis=(0,)), 'layers', 'embed', 'heads'
    )
    shape = (c.depth, c.text_width, c.width)
    self.text_key = self.param('text_key', init, shape)
    self.text_value = self.param('text_value', init, shape)
    self.text_key_norm = self.param(
      'text_key_norm',
      named(nn.initializers.ones, 'layers', 'vector'),
      (c.depth, c.width // c.heads),
    )
    narrow, wide = ('patch', 'bottleneck'), ('bottleneck', 'embed')
    self.noisy_in = dense(c.bottleneck, precision, narrow)
    self.noisy_out = dense(c.width, precision, wide)
    self.source_in = dense(c.bottleneck, precision, narrow)
    self.source_out = dense(c.width, precision, wide)
    small = nn.initializers.normal(0.02)
    self.no_source = self.param('no_source', named(small, 'vector'), (c.width,))
    self.position = dense(c.width, precision, ('features', 'embed'))
    self.time_in = dense(c.width, precision, ('features', 'mlp'), use_bias=True)
    self.time_out = dense(c.width, precision, ('mlp', 'embed'), use_bias=True)
    zero_init = {
      'axes': ('embed', 'modulation'),
      'kernel_init': nn.initializers.zeros,
    }
    self.modulation = dense(6 * c.width, precision, **zero_init)
    self.blocks = layers.apply_blocks(
      block.Block,
      c.depth,
      per_block=2,
      shared=3,
      remat=c.remat,
      heads=c.heads,
      precision=precision,
      constrain=self.constrain,
    )
    self.head_modulation = dense(2 * c.width, precision, **zero_init)
    self.head = self.param(
      'head', named(small, 'embed', 'patch'), (c.width, 3 * (2 * c.patch) ** 2)
    )
    self.copy = self.param(
      'copy', named(small, 'embed', 'patch'), (c.width, c.patch**2)
    )
    self.copy_bias = self.param(
      'copy_bias',
      named(nn.initializers.constant(_COPY_BIAS), 'patch'),
      (c.patch**2,),
    )

  def __call__(self, noisy, time, tokens, source, has_source):
    """Clean picture for a noisy `noisy`; see `encode_text` and `denoise`."""
    text_kv = self.encode_text(tokens)
    return self.denoise(noisy, time, text_kv, source, has_source)

  def encode_text(self, tokens) -> TextKV:
    """Keys and values of instructions `[b, l]` for every image block."""
    c = self.config
    features, mask = self.text(tokens)  #                        b l d
    b, l, _ = features.shape

    def project(kernel):
      kernel = jnp.moveaxis(kernel, 0, 1).reshape(c.text_width, -1)
      y = numerics.dot(features, kernel, self.precision.matmul_dtype)
      y = y.reshape(b, l, c.depth, c.heads, c.width // c.heads)
      return jnp.moveaxis(y, 2, 0).astype(self.precision.activation_dtype)

    keys = layers.rms_norm(project(self.text_key))
    keys = keys * self.text_key_norm[:, None, None, None]
    return TextKV(
      keys.astype(self.precision.activation_dtype),
      project(self.text_value),
      mask,
    )

  def encode_nothing(self, text_kv: TextKV) -> TextKV:
    """Keys and values of no instruction, one row, as long as `text_kv`."""
    return self.encode_text(jnp.zeros((1, text_kv.mask.shape[1] - 1), int))

  def to_latents(self, rgb) -> jax.Array:
    """RGB in [0, 1] to the network's units, [-1, 1]."""
    return units.to_network(rgb)

  def from_latents(self, x) -> jax.Array:
    """Inverse of `to_latents`; does not clip."""
    return units.from_network(x)

  @nn.nowrap
  def make_inputs(self, size: int) -> tuple[jax.Array, ...]:
    """Of `__call__`, for one picture with sides of `size` pixels."""
    picture = jnp.zeros((1, size, size, 3))
    tokens = jnp.zeros((1, self.config.max_text), jnp.int32)
    return picture, jnp.zeros(1), tokens, picture, jnp.ones(1, bool)

  @nn.nowrap
  def pool_weights(self, weight_px) -> jax.Array:
    """The weights themselves: each place is a pixel."""
    return weight_px

  def denoise(self, noisy, time, text_kv, source, has_source) -> jax.Array:
    """The network's clean picture.

    Args:
      noisy: `[b, h, w, 3]`, the noisy picture, or zeros for a one-pass
        answer.
      time: `[b]` in [0, 1].
      text_kv: from `encode_text`.
      source: `[b, h, w, 3]`, ignored where `has_source` is False.
      has_source: `[b]`.

    Returns:
      `[b, h, w, 3]` float32 in network units, unclipped.
    """
    c = self.config
    b, h, w, _ = noisy.shape
    if h % c.patch or w % c.patch:
      raise ValueError(
        f'a {h}x{w} picture does not divide into patches of {c.patch} pixels'
      )
    grid = (h // c.patch, w // c.patch)
    source_tokens = self.source_out(
      self.source_in(patches.patchify(source, c.patch))
    )
    source_tokens = jnp.where(
      has_source[:, None, None], source_tokens, self.no_source
    )
    x = self.noisy_out(self.noisy_in(patches.patchify(noisy, c.patch)))
    x = (
      x + source_tokens + self.position(patches.position_features(grid))
    )  #       b n d
    x = self.constrain(x.astype(self.precision.activation_dtype))

    t_emb = nn.silu(self.time_in(patches.time_features(time)))
    t_emb = nn.silu(self.time_out(t_emb))  #                     b d
    modulation = self.modulation(t_emb).reshape(b, 6, c.width)
    n = grid[0] * grid[1]
    mask = jnp.concatenate([text_kv.mask, jnp.ones((b, n), bool)], axis=1)
    tables = layers.rope_sin_cos(patches.list_places(grid), c.width // c.heads)
    x, _ = self.blocks(
      x, text_kv.keys, text_kv.values, modulation, mask, tables
    )
    shift, scale = jnp.split(self.head_modulation(t_emb)[:, None], 2, axis=-1)
    x = layers.rms_norm(x) * (1 + scale) + shift
    # The output layer stays in float32: bf16 near +-1 is a 0.6 % step of depth.
    x = x.astype(jnp.float32)
    painted = patches.blend_patches(x @ self.head, grid, c.patch)
    share = nn.sigmoid(x @ self.copy + self.copy_bias)
    share = patches.unpatchify(share, grid, c.patch)
    copied = share * source + (1.0 - share) * painted
    return jnp.where(has_source[:, None, None, None], copied, painted)
