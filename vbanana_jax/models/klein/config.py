"""Shapes of the three networks of FLUX.2 klein.

Names follow the letters of `vbanana_jax.types`; which keys of a snapshot's
files they are read from is in `vbanana_jax.klein.configs`.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
  """The network that moves latents.

  Attributes:
    heads: attention heads; the width is `heads * head_width`.
    head_width: e, features of a head.
    axes: features of a head that turn with each of the four axes of a
      token's place: picture, row, column, text position. They sum up to e.
    theta: slowest wavelength of the rotation, over 2 pi.
    double_blocks: blocks with weights of their own for text and pictures.
    single_blocks: blocks on both as one sequence.
    channels: of a token of a picture.
    text_width: features of a text token.
    mlp_ratio: hidden width over width.
    time_features: sines and cosines that tell the time.
    eps: of every norm.
    remat: what the backward pass computes again; a key of `layers.REMAT`.
  """

  heads: int
  head_width: int
  axes: tuple[int, ...]
  theta: float
  double_blocks: int
  single_blocks: int
  channels: int
  text_width: int
  mlp_ratio: float
  time_features: int
  eps: float
  remat: str = 'none'

  @property
  def width(self) -> int:
    """Features of a token between the blocks, d."""
    return self.heads * self.head_width

  @property
  def hidden(self) -> int:
    """Width inside the MLPs."""
    return int(self.width * self.mlp_ratio)


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
  """Pictures to latents and back.

  Attributes:
    encoder_widths: channels at each resolution, finest first.
    decoder_widths: the same of the decoder, finest first.
    layers: residual layers at each resolution; the decoder has one more.
    groups: of the group norms.
    latent_channels: of the latents, before they are packed into tokens.
    patch: `(rows, columns)` of latents that make one token.
    statistics_eps: added to the running variance of the packed latents.
  """

  encoder_widths: tuple[int, ...]
  decoder_widths: tuple[int, ...]
  layers: int
  groups: int
  latent_channels: int
  patch: tuple[int, int]
  statistics_eps: float

  @property
  def channels(self) -> int:
    """Features of a token."""
    return self.latent_channels * self.patch[0] * self.patch[1]

  @property
  def token_px(self) -> tuple[int, int]:
    """Rows and columns of pixels that one token stands for."""
    scale = 2 ** (len(self.encoder_widths) - 1)
    return self.patch[0] * scale, self.patch[1] * scale


@dataclasses.dataclass(frozen=True)
class TextConfig:
  """The part of Qwen3 that klein listens to.

  Attributes:
    vocab_size: rows of the table of tokens.
    width: features of a token.
    hidden: width inside the MLPs.
    heads: heads of the queries.
    key_heads: heads of keys and values; each serves `heads / key_heads`.
    head_width: e, features of a head.
    theta: slowest wavelength of the rotation, over 2 pi.
    eps: of every norm.
    states: after which layers the features are taken, rising; 0 is the
      table. Later layers are neither built nor loaded.
  """

  vocab_size: int
  width: int
  hidden: int
  heads: int
  key_heads: int
  head_width: int
  theta: float
  eps: float
  states: tuple[int, ...] = (9, 18, 27)

  @property
  def features(self) -> int:
    """Width of what the transformer is given of a token."""
    return self.width * len(self.states)
