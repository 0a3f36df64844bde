"""The network of `vbanana_jax.models` as `torch.nn` modules.

Same arithmetic, PyTorch's own ways: one linear layer for queries, keys and
values, one for gate and up, `F.scaled_dot_product_attention`, `F.rms_norm`,
a grouped convolution for neighbors. `build_precision` has no counterpart here:
types are the caller's, by `torch.autocast`.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vbanana_jax.models import ModelConfig, layers

_EPSILON = 1e-6
_REACH = 4  # of a text block's neighbors
_TIME_FEATURES = 128
_POSITION_OCTAVES = 6


class Norm(nn.RMSNorm):
  """`nn.RMSNorm` whose gain has the input's type, which the fused one needs."""

  def __init__(self, width: int):
    super().__init__(width, eps=_EPSILON)

  def forward(self, x):
    gain = self.weight.to(x.dtype)
    return F.rms_norm(x, self.normalized_shape, gain, eps=_EPSILON)


class SwiGLU(nn.Module):
  """`down(silu(gate(x)) * up(x))`, gate and up in one product."""

  def __init__(self, width: int):
    super().__init__()
    hidden = layers.hidden_width(width)
    self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
    self.down = nn.Linear(hidden, width, bias=False)

  def forward(self, x):
    gate, up = self.gate_up(x).chunk(2, dim=-1)
    return self.down(F.silu(gate) * up)


class Attention(nn.Module):
  """Normalized and turned queries and keys; keys may begin with lent ones."""

  def __init__(self, width: int, heads: int):
    super().__init__()
    self.heads = heads
    self.qkv = nn.Linear(width, 3 * width, bias=False)
    self.q_norm = Norm(width // heads)
    self.k_norm = Norm(width // heads)
    self.out = nn.Linear(width, width, bias=False)

  def forward(self, x, mask, tables, lent=None):
    b, n, d = x.shape
    qkv = self.qkv(x).view(b, n, 3, self.heads, d // self.heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  #                   b k n e
    q = rotate(self.q_norm(q), tables)
    k = rotate(self.k_norm(k), tables)
    if lent is not None:
      k = torch.cat([lent[0].to(k.dtype), k], dim=2)
      v = torch.cat([lent[1].to(v.dtype), v], dim=2)
    y = F.scaled_dot_product_attention(
      q.to(v.dtype), k.to(v.dtype), v, attn_mask=mask
    )
    return self.out(y.transpose(1, 2).reshape(b, n, d))


class Block(nn.Module):
  """An image block: modulated attention, modulated SwiGLU."""

  def __init__(self, width: int, heads: int):
    super().__init__()
    self.modulation_bias = nn.Parameter(torch.zeros(6, width))
    self.attention = Attention(width, heads)
    self.mlp = SwiGLU(width)

  def forward(self, x, lent, modulation, mask, tables):
    shift1, scale1, gate1, shift2, scale2, gate2 = (
      modulation + self.modulation_bias
    )[:, :, None].unbind(
      1
    )  #                                                      6 x [b 1 d]
    y = normalize(x) * (1 + scale1) + shift1
    x = x + gate1 * self.attention(y, mask, tables, lent)
    y = normalize(x) * (1 + scale2) + shift2
    return x + gate2 * self.mlp(y)


class TextBlock(nn.Module):
  """Neighbors, attention, SwiGLU; pre-norm."""

  def __init__(self, width: int, heads: int):
    super().__init__()
    self.neighbors_norm = Norm(width)
    self.neighbors = nn.Conv1d(
      width, width, 2 * _REACH + 1, padding=_REACH, groups=width, bias=False
    )
    self.attention_norm = Norm(width)
    self.attention = Attention(width, heads)
    self.mlp_norm = Norm(width)
    self.mlp = SwiGLU(width)

  def forward(self, x, real, mask, tables):
    y = self.neighbors_norm(x) * real[..., None]
    x = x + self.neighbors(y.transpose(1, 2)).transpose(1, 2)
    x = x + self.attention(self.attention_norm(x), mask, tables)
    return x + self.mlp(self.mlp_norm(x))


class TextStack(nn.Module):
  """Tokens `[b, l]` to features `[b, l + 1, d]`, and which of them are real."""

  def __init__(self, config: ModelConfig):
    super().__init__()
    width, heads = config.text_width, config.text_heads
    self.head_width = width // heads
    self.embedding = nn.Embedding(config.vocab_size, width)
    self.start = nn.Parameter(torch.zeros(width))
    self.blocks = nn.ModuleList(
      TextBlock(width, heads) for _ in range(config.text_depth)
    )
    self.norm = Norm(width)

  def forward(self, tokens):
    b, l = tokens.shape
    start = self.start.expand(b, 1, -1)
    x = torch.cat([start, self.embedding(tokens)], dim=1)
    real = F.pad(tokens != 0, (1, 0), value=True)
    tables = make_tables(np.arange(l + 1)[:, None], self.head_width, x)
    for block in self.blocks:
      x = block(x, real, real[:, None, None], tables)
    return self.norm(x), real


class DiT(nn.Module):
  """The whole network; pictures are `[b, h, w, 3]` in [-1, 1], as ours."""

  def __init__(self, config: ModelConfig):
    super().__init__()
    c = self.config = config
    patch = 3 * c.patch**2

    def linear(i, o, bias=False):
      return nn.Linear(i, o, bias=bias)

    self.text = TextStack(c)
    self.text_key = linear(c.text_width, c.depth * c.width)
    self.text_value = linear(c.text_width, c.depth * c.width)
    self.text_key_norm = nn.Parameter(torch.ones(c.depth, c.width // c.heads))
    self.noisy_in = linear(patch, c.bottleneck)
    self.noisy_out = linear(c.bottleneck, c.width)
    self.source_in = linear(patch, c.bottleneck)
    self.source_out = linear(c.bottleneck, c.width)
    self.no_source = nn.Parameter(torch.zeros(c.width))
    self.position = linear(4 * _POSITION_OCTAVES, c.width)
    self.time_in = linear(_TIME_FEATURES, c.width, bias=True)
    self.time_out = linear(c.width, c.width, bias=True)
    self.modulation = linear(c.width, 6 * c.width)
    self.blocks = nn.ModuleList(Block(c.width, c.heads) for _ in range(c.depth))
    self.head_modulation = linear(c.width, 2 * c.width)
    self.head = linear(c.width, patch)

  def forward(self, noisy, time, tokens, source, has_source):
    memory = self.encode_text(tokens)
    return self.denoise(noisy, time, memory, source, has_source)

  def encode_text(self, tokens):
    """Keys and values for every block, `[depth, b, k, l, e]`, and a mask."""
    c = self.config
    features, real = self.text(tokens)

    def project(linear):
      y = linear(features)
      y = y.unflatten(-1, (c.depth, c.heads, c.width // c.heads))
      return y.permute(2, 0, 3, 1, 4)

    gain = self.text_key_norm[:, None, None, None]
    return (
      normalize(project(self.text_key)) * gain,
      project(self.text_value),
      real,
    )

  def denoise(self, noisy, time, memory, source, has_source):
    c = self.config
    keys, values, real = memory
    grid = (noisy.shape[1] // c.patch, noisy.shape[2] // c.patch)
    seen = self.source_out(self.source_in(patchify(source, c.patch)))
    seen = torch.where(has_source[:, None, None], seen, self.no_source)
    x = self.noisy_out(self.noisy_in(patchify(noisy, c.patch)))
    place = make_constant(make_place_features(grid), noisy)
    x = x + seen + self.position(place)

    clock = F.silu(self.time_in(make_time_features(time)))
    clock = F.silu(self.time_out(clock))
    modulation = self.modulation(clock).unflatten(-1, (6, c.width))
    mask = F.pad(real, (0, grid[0] * grid[1]), value=True)[:, None, None]
    tables = make_tables(make_grid(grid), c.width // c.heads, noisy)
    for index, block in enumerate(self.blocks):
      x = block(x, (keys[index], values[index]), modulation, mask, tables)
    shift, scale = self.head_modulation(clock)[:, None].chunk(2, dim=-1)
    x = normalize(x) * (1 + scale) + shift
    with torch.autocast(x.device.type, enabled=False):
      x = self.head(x.float())
    return unpatchify(x, grid, c.patch)


def normalize(x):
  """RMS normalization without a gain."""
  return F.rms_norm(x, x.shape[-1:], eps=_EPSILON)


def rotate(x, tables):
  """Rotary position embedding of `x [b, k, n, e]`, by pairs of neighbors.

  Only the half of a head that turns is touched.
  """
  cos, sin = tables
  turning, still = x.chunk(2, dim=-1)
  even, odd = turning.unflatten(-1, (-1, 2)).unbind(-1)
  turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1)
  return torch.cat([turned.flatten(-2), still], dim=-1)


def make_constant(array: np.ndarray, like) -> torch.Tensor:
  return torch.from_numpy(np.asarray(array, 'f')).to(like.device)


def make_tables(positions, head_width, like):
  """Cosines and sines of the pairs that turn, `[n, e / 4]`."""
  cos, sin = layers.rope_sin_cos(positions, head_width)
  half = slice(0, head_width // 2, 2)
  return make_constant(cos[:, half], like), make_constant(sin[:, half], like)


def make_grid(grid):
  return np.stack(np.indices(grid), axis=-1).reshape(-1, 2).astype('f')


def make_place_features(grid):
  place = (make_grid(grid) + 0.5) / np.array(grid, 'f')
  angles = np.pi * place[:, :, None] * 2.0 ** np.arange(_POSITION_OCTAVES)
  angles = angles.reshape(len(place), -1)
  return np.concatenate([np.sin(angles), np.cos(angles)], 1)


def make_time_features(time):
  frequencies = np.pi * np.geomspace(0.5, 500.0, _TIME_FEATURES // 2)
  angles = time[:, None] * make_constant(frequencies, time)
  return torch.cat([angles.sin(), angles.cos()], dim=-1)


def patchify(picture, patch):
  b, h, w, c = picture.shape
  x = picture.reshape(b, h // patch, patch, w // patch, patch, c)
  return x.transpose(2, 3).reshape(b, -1, patch * patch * c)


def unpatchify(x, grid, patch):
  b, (rows, columns) = len(x), grid
  x = x.reshape(b, rows, columns, patch, patch, 3).transpose(2, 3)
  return x.reshape(b, rows * patch, columns * patch, 3)
