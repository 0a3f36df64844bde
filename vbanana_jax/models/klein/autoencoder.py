"""The autoencoder of FLUX.2: pictures to tokens of latents and back.

Pictures and latents have their channels last. A token is a patch of latents,
channel slowest, normalized by statistics that were measured on pictures.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vbanana_jax.models import layers, numerics
from vbanana_jax.models.klein import attention
from vbanana_jax.models.klein.config import AutoencoderConfig

_COLORS = 3
_EPS = 1e-6  # of the group norms; no snapshot names another


class Convolution(nn.Module):
  """Side by side `[h w i]` to `[h/s w/s features]`.

  Attributes:
    features: channels of the result.
    precision: arithmetic.
    side: of the kernel.
    stride: s; with 2, the picture is padded at its end only.
  """

  features: int
  precision: numerics.Precision
  side: int = 3
  stride: int = 1

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w i']) -> Float[Array, 'b y x o']:
    init = nn.initializers.lecun_normal()
    names = ('kernel', 'kernel', 'vector', 'vector')
    shape = (self.side, self.side, x.shape[-1], self.features)
    kernel = self.param('kernel', layers.named(init, *names), shape)
    zeros = layers.named(nn.initializers.zeros, 'vector')
    bias = self.param('bias', zeros, (self.features,))
    kept = self.precision.activation_dtype
    edge = (0, 1) if self.stride == 2 else (self.side // 2, self.side // 2)
    y = jax.lax.conv_general_dilated(
      x.astype(kept),
      kernel.astype(kept),
      (self.stride, self.stride),
      (edge, edge),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
    return y + bias.astype(kept)


class GroupNorm(nn.Module):
  """Groups of channels without their mean and over their spread, in float32."""

  groups: int

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    vector = (x.shape[-1],)
    ones, zeros = nn.initializers.ones, nn.initializers.zeros
    scale = self.param('scale', layers.named(ones, 'vector'), vector)
    bias = self.param('bias', layers.named(zeros, 'vector'), vector)
    x32 = x.astype(jnp.float32).reshape(*x.shape[:3], self.groups, -1)
    x32 = x32 - jnp.mean(x32, axis=(1, 2, 4), keepdims=True)
    variance = jnp.mean(x32 * x32, axis=(1, 2, 4), keepdims=True)
    x32 = (x32 * jax.lax.rsqrt(variance + _EPS)).reshape(x.shape)
    return (x32 * scale + bias).astype(x.dtype)


class Residual(nn.Module):
  """Two convolutions beside the identity, or beside a map to more channels."""

  width: int
  groups: int
  precision: numerics.Precision

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w i']) -> Float[Array, 'b h w o']:
    y = x
    for number in (1, 2):
      y = nn.silu(GroupNorm(self.groups, name=f'norm{number}')(y))
      y = Convolution(self.width, self.precision, name=f'conv{number}')(y)
    if x.shape[-1] != self.width:
      x = Convolution(self.width, self.precision, side=1, name='shortcut')(x)
    return x + y


class Middle(nn.Module):
  """Residual, attention with one head over all places, residual."""

  groups: int
  precision: numerics.Precision

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    b, h, w, width = x.shape

    def dense(name, x):
      axes = ('vector', 'vector')
      return layers.Dense(
        width, self.precision, axes, use_bias=True, name=name
      )(x)

    def residual(name, x):
      return Residual(width, self.groups, self.precision, name=name)(x)

    x = residual('layer_0', x)
    y = GroupNorm(self.groups, name='norm')(x).reshape(b, h * w, width)
    q, k, v = (dense(name, y)[:, :, None] for name in 'qkv')
    y = dense('out', attention.attend(q, k, v, self.precision))
    return residual('layer_1', x + y.reshape(b, h, w, width))


class Encoder(nn.Module):
  """Pictures `[b, h, w, 3]` to means and log-variances before `quant`."""

  config: AutoencoderConfig
  precision: numerics.Precision

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w 3']) -> Float[Array, 'b y x c']:
    c, precision = self.config, self.precision
    x = Convolution(c.encoder_widths[0], precision, name='conv_in')(x)
    for level, width in enumerate(c.encoder_widths):
      last = level == len(c.encoder_widths) - 1
      shape = (width, c.layers, c.groups, precision)
      x = Level(*shape, '' if last else 'down', name=f'level_{level}')(x)
    x = Middle(c.groups, precision, name='middle')(x)
    x = nn.silu(GroupNorm(c.groups, name='norm_out')(x))
    return Convolution(2 * c.latent_channels, precision, name='conv_out')(x)


class Decoder(nn.Module):
  """Latents behind `post_quant` to pictures `[b, h, w, 3]`."""

  config: AutoencoderConfig
  precision: numerics.Precision

  @nn.compact
  def __call__(self, x: Float[Array, 'b y x c']) -> Float[Array, 'b h w 3']:
    c, precision = self.config, self.precision
    widths = c.decoder_widths[::-1]
    x = Convolution(widths[0], precision, name='conv_in')(x)
    x = Middle(c.groups, precision, name='middle')(x)
    for level, width in enumerate(widths):
      last = level == len(widths) - 1
      shape = (width, c.layers + 1, c.groups, precision)
      x = Level(*shape, '' if last else 'up', name=f'level_{level}')(x)
    x = nn.silu(GroupNorm(c.groups, name='norm_out')(x))
    return Convolution(_COLORS, precision, name='conv_out')(x)


class Level(nn.Module):
  """Residual layers at one resolution, then half or twice as many pixels.

  Attributes:
    width: channels.
    layers: number of residual layers.
    groups: of the norms.
    precision: arithmetic.
    resize: 'down', 'up', or ''.
  """

  width: int
  layers: int
  groups: int
  precision: numerics.Precision
  resize: str

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w i']) -> Float[Array, 'b y x o']:
    for layer in range(self.layers):
      name = f'layer_{layer}'
      x = Residual(self.width, self.groups, self.precision, name=name)(x)
    if not self.resize:
      return x
    if self.resize == 'up':
      x = x.repeat(2, axis=1).repeat(2, axis=2)
    stride = 2 if self.resize == 'down' else 1
    resize = Convolution(
      self.width, self.precision, stride=stride, name='resize'
    )
    return resize(x)


class Autoencoder(nn.Module):
  """See the module's docstring. Pictures are in network units, [-1, 1].

  Attributes:
    config: shape.
    precision: arithmetic; latents and tokens are float32 in any case.
  """

  config: AutoencoderConfig
  precision: numerics.Precision

  def setup(self):
    c, precision = self.config, self.precision
    self.encoder = Encoder(c, precision)
    self.decoder = Decoder(c, precision)
    self.quant = Convolution(2 * c.latent_channels, precision, side=1)
    self.post_quant = Convolution(c.latent_channels, precision, side=1)
    ones, zeros = nn.initializers.ones, nn.initializers.zeros
    shape = (c.channels,)
    self.mean = self.param('mean', layers.named(zeros, 'vector'), shape)
    self.variance = self.param('variance', layers.named(ones, 'vector'), shape)

  def __call__(self, pictures: Float[Array, 'b h w 3']) -> jax.Array:
    """Pictures, encoded and decoded; see the other methods."""
    tokens = self.to_tokens(self.encode(pictures))
    return self.decode(self.from_tokens(tokens))

  def encode_moments(
    self, pictures: Float[Array, 'b h w 3']
  ) -> Float[Array, 'b y x c']:
    """Means and log-variances of latents, one after the other.

    Raises:
      ValueError: the sides are no multiples of `config.token_px`.
    """
    h, w = pictures.shape[1:3]
    if h % self.config.token_px[0] or w % self.config.token_px[1]:
      raise ValueError(
        f'a {h}x{w} picture does not divide into tokens of '
        f'{self.config.token_px} pixels'
      )
    return self.quant(self.encoder(pictures)).astype(jnp.float32)

  def encode(self, pictures: Float[Array, 'b h w 3']) -> jax.Array:
    """The latents of pictures, `[b, h/8, w/8, c]`: the mean, nothing drawn."""
    return self.encode_moments(pictures)[..., : self.config.latent_channels]

  def decode(self, latents: Float[Array, 'b y x c']) -> jax.Array:
    """Pictures of latents, float32, not clipped."""
    return self.decoder(self.post_quant(latents)).astype(jnp.float32)

  def to_tokens(
    self, latents: Float[Array, 'b y x c']
  ) -> Float[Array, 'b p q f']:
    """Patches of latents as normalized tokens, in rows and columns."""
    return (pack(latents, self.config.patch) - self.mean) / self._spread()

  def from_tokens(
    self, tokens: Float[Array, 'b p q f']
  ) -> Float[Array, 'b y x c']:
    """Inverse of `to_tokens`."""
    return unpack(tokens * self._spread() + self.mean, self.config.patch)

  def _spread(self) -> jax.Array:
    variance = self.variance.astype(jnp.float32)
    return jnp.sqrt(variance + self.config.statistics_eps)


def pack(
  latents: Float[Array, 'b y x c'], patch: tuple[int, int]
) -> Float[Array, 'b p q f']:
  """Patches as tokens; the channel is slowest inside a token."""
  b, y, x, c = latents.shape
  rows, columns = patch
  z = latents.reshape(b, y // rows, rows, x // columns, columns, c)
  z = z.transpose(0, 1, 3, 5, 2, 4)
  return z.reshape(b, y // rows, x // columns, c * rows * columns)


def unpack(
  tokens: Float[Array, 'b p q f'], patch: tuple[int, int]
) -> Float[Array, 'b y x c']:
  """Inverse of `pack`."""
  b, p, q, _ = tokens.shape
  z = tokens.reshape(b, p, q, -1, *patch).transpose(0, 1, 4, 2, 5, 3)
  return z.reshape(b, p * patch[0], q * patch[1], -1)
