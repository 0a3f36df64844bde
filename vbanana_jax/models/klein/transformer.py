"""The transformer of FLUX.2 klein, which moves latents from noise to pictures.

Tokens of the noisy target and of clean reference pictures, and those of a
prompt, attend to each other in every block. The output is the velocity
noise - data of the flow `z = (1 - sigma) x + sigma noise`.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int

from vbanana_jax.models import layers, numerics
from vbanana_jax.models.klein import rotary
from vbanana_jax.models.klein.blocks import (
  DoubleBlock,
  SingleBlock,
  modulate,
)
from vbanana_jax.models.klein.config import TransformerConfig

# Sigma in [0, 1] is told to the network in thousandths.
_TIME_UNIT = 1000.0
_LONGEST_PERIOD = 10000.0


class Transformer(nn.Module):
  """See the module's docstring.

  Attributes:
    config: shape.
    precision: arithmetic; time and output are float32 in any case.
    constrain: says where the devices keep activations `[b, ...]`.
  """

  config: TransformerConfig
  precision: numerics.Precision
  constrain: layers.ActivationConstraint = layers.identity

  def setup(self):
    c, precision, exact = self.config, self.precision, numerics.Precision()
    dense = layers.Dense
    self.picture_in = dense(c.width, precision, ('patch', 'embed'))
    self.text_in = dense(c.width, precision, ('features', 'embed'))
    self.time_in = dense(c.width, exact, ('features', 'mlp'))
    self.time_out = dense(c.width, exact, ('mlp', 'embed'))
    axes = ('embed', 'modulation')
    self.picture_modulation = dense(6 * c.width, precision, axes)
    self.text_modulation = dense(6 * c.width, precision, axes)
    self.single_modulation = dense(3 * c.width, precision, axes)
    self.head_modulation = dense(2 * c.width, precision, axes)
    kind = {
      'per_block': 0,
      'remat': c.remat,
      'precision': precision,
      'config': c,
      'constrain': self.constrain,
    }
    self.double = layers.apply_blocks(
      DoubleBlock, c.double_blocks, shared=4, **kind
    )
    self.single = layers.apply_blocks(
      SingleBlock, c.single_blocks, shared=3, **kind
    )
    self.head = dense(c.channels, exact, ('embed', 'patch'))

  def __call__(
    self,
    tokens: Float[Array, 'b n c'],
    sigma: Float[Array, 'b'],
    text: Float[Array, 'b l j'],
    places: Int[np.ndarray, 'n 4'],
    seen: Bool[Array, 'b m'] | None = None,
  ) -> Float32[Array, 'b n c']:
    """Velocity at all tokens of pictures; only the target's is of use.

    Args:
      tokens: of the noisy target, then of the clean references.
      sigma: share of noise in the target, in [0, 1].
      text: features of the prompt; all of them are seen, pads included.
      places: from `rotary.picture_places`.
      seen: which tokens, of the prompt and then of pictures, others may see;
        all of them if not given.

    Returns:
      noise - data, in the units of `tokens`.
    """
    c, kept = self.config, self.precision.activation_dtype
    l = text.shape[1]
    places = np.concatenate([rotary.text_places(l), places])
    tables = rotary.axes_tables(places, c.axes, c.theta)
    time = nn.silu(self.embed_time(sigma))
    streams = (
      self.constrain(self.text_in(text.astype(kept))),
      self.constrain(self.picture_in(tokens.astype(kept))),
    )
    streams, _ = self.double(
      streams,
      _in_chunks(self.text_modulation(time), 6),
      _in_chunks(self.picture_modulation(time), 6),
      tables,
      seen,
    )
    x = jnp.concatenate(streams, axis=1)
    modulation = _in_chunks(self.single_modulation(time), 3)
    x, _ = self.single(x, modulation, tables, seen)
    # Scale comes first here, and second in the blocks.
    scale, shift = jnp.split(self.head_modulation(time), 2, axis=-1)
    x = modulate(x[:, l:].astype(jnp.float32), shift, scale, c.eps)
    return self.head(x)

  def embed_time(self, sigma: Float[Array, 'b']) -> Float32[Array, 'b d']:
    """What the modulations are made of."""
    half = self.config.time_features // 2
    frequencies = _LONGEST_PERIOD ** (-np.arange(half) / half)
    time = _TIME_UNIT * sigma.astype(jnp.float32)
    angles = time[:, None] * frequencies.astype('f')
    waves = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
    return self.time_out(nn.silu(self.time_in(waves)))


def _in_chunks(x: Float[Array, 'b d'], count: int) -> Float[Array, 'b k e']:
  """`[b, count * d]` as `[b, count, d]`."""
  return x.reshape(x.shape[0], count, -1)
