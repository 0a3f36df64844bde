"""The network of `vbanana_jax.models` in PyTorch, to be timed against.

Same arithmetic, PyTorch's own ways: one linear layer for queries, keys and
values, one for gate and up, `F.scaled_dot_product_attention`, `F.rms_norm`, a
grouped convolution for neighbors. Types are the caller's, by `torch.autocast`.
"""

import re

import jax
import numpy as np
import torch
import torch.nn.functional as F
from flax import traverse_util
from torch import nn

from vbanana_jax.models import ModelConfig, layers

_EPSILON = 1e-6
_REACH = 4  # of a text block's neighbors
_TIME_FEATURES = 128
_POSITION_OCTAVES = 6


def linear(width: int, out: int, bias: bool = False) -> nn.Linear:
  return nn.Linear(width, out, bias=bias)


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
    self.gate_up = linear(width, 2 * hidden)
    self.down = linear(hidden, width)

  def forward(self, x):
    gate, up = self.gate_up(x).chunk(2, dim=-1)
    return self.down(F.silu(gate) * up)


class Attention(nn.Module):
  """Normalized and rotated queries and keys; keys may begin with the text's."""

  def __init__(self, width: int, heads: int):
    super().__init__()
    self.heads = heads
    self.qkv = linear(width, 3 * width)
    self.q_norm, self.k_norm = Norm(width // heads), Norm(width // heads)
    self.out = linear(width, width)

  def forward(self, x, mask, tables, text=None):
    b, n, d = x.shape
    qkv = self.qkv(x).view(b, n, 3, self.heads, d // self.heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  #                   b k n e
    q, k = rotate(self.q_norm(q), tables), rotate(self.k_norm(k), tables)
    if text is not None:
      k = torch.cat([text[0].to(k.dtype), k], dim=2)
      v = torch.cat([text[1].to(v.dtype), v], dim=2)
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

  def forward(self, x, text, modulation, mask, tables):
    all_six = (modulation + self.modulation_bias)[:, :, None]  # b 6 1 d
    shift1, scale1, gate1, shift2, scale2, gate2 = all_six.unbind(1)
    y = normalize(x) * (1 + scale1) + shift1
    x = x + gate1 * self.attention(y, mask, tables, text)
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

  def __init__(self, c: ModelConfig):
    super().__init__()
    width, heads = c.text_width, c.text_heads
    self.head_width = width // heads
    self.embedding = nn.Embedding(c.vocab_size, width)
    self.start = nn.Parameter(torch.zeros(width))
    blocks = [TextBlock(width, heads) for _ in range(c.text_depth)]
    self.blocks = nn.ModuleList(blocks)
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
    pixels = 3 * c.patch**2
    self.text = TextStack(c)
    self.text_key = linear(c.text_width, c.depth * c.width)
    self.text_value = linear(c.text_width, c.depth * c.width)
    self.text_key_norm = nn.Parameter(torch.ones(c.depth, c.width // c.heads))
    self.noisy_in = linear(pixels, c.bottleneck)
    self.noisy_out = linear(c.bottleneck, c.width)
    self.source_in = linear(pixels, c.bottleneck)
    self.source_out = linear(c.bottleneck, c.width)
    self.no_source = nn.Parameter(torch.zeros(c.width))
    self.position = linear(4 * _POSITION_OCTAVES, c.width)
    self.time_in = linear(_TIME_FEATURES, c.width, bias=True)
    self.time_out = linear(c.width, c.width, bias=True)
    self.modulation = linear(c.width, 6 * c.width)
    self.blocks = nn.ModuleList(Block(c.width, c.heads) for _ in range(c.depth))
    self.head_modulation = linear(c.width, 2 * c.width)
    self.head = linear(c.width, 4 * pixels)
    self.copy = linear(c.width, c.patch**2)
    self.copy_bias = nn.Parameter(torch.zeros(c.patch**2))

  def encode_text(self, tokens):
    """Keys and values for every block, `[depth, b, k, l, e]`, and a mask."""
    c = self.config
    features, real = self.text(tokens)
    keys, values = (
      project(features)
      .unflatten(-1, (c.depth, c.heads, c.width // c.heads))
      .permute(2, 0, 3, 1, 4)
      for project in (self.text_key, self.text_value)
    )
    gain = self.text_key_norm[:, None, None, None]
    return normalize(keys) * gain, values, real

  def forward(self, noisy, time, tokens, source, has_source):
    c = self.config
    keys, values, real = self.encode_text(tokens)
    grid = (noisy.shape[1] // c.patch, noisy.shape[2] // c.patch)
    seen = self.source_out(self.source_in(patchify(source, c.patch)))
    seen = torch.where(has_source[:, None, None], seen, self.no_source)
    x = self.noisy_out(self.noisy_in(patchify(noisy, c.patch)))
    x = x + seen + self.position(make_position_features(grid, noisy))
    t = F.silu(self.time_in(make_time_features(time)))
    t = F.silu(self.time_out(t))
    modulation = self.modulation(t).unflatten(-1, (6, c.width))
    mask = F.pad(real, (0, grid[0] * grid[1]), value=True)[:, None, None]
    tables = make_tables(make_grid(grid), c.width // c.heads, noisy)
    for block, k, v in zip(self.blocks, keys, values):
      x = block(x, (k, v), modulation, mask, tables)
    shift, scale = self.head_modulation(t)[:, None].chunk(2, dim=-1)
    x = normalize(x) * (1 + scale) + shift
    with torch.autocast(x.device.type, enabled=False):
      painted = blend_patches(self.head(x.float()), grid, c.patch)
      share = torch.sigmoid(self.copy(x.float()) + self.copy_bias)
    share = unpatchify(share, grid, c.patch)
    copied = share * source + (1.0 - share) * painted
    return torch.where(has_source[:, None, None, None], copied, painted)


def unpatchify(x, grid, p):
  """`[b, n, c * p**2]` to `[b, h, w, c]`."""
  x = x.unflatten(1, grid).unflatten(-1, (p, p, -1)).transpose(2, 3)
  return x.flatten(1, 2).flatten(2, 3)


def blend_patches(x, grid, p):
  """`[b, n, c * (2 p)**2]` to `[b, h, w, c]`; see `patches.blend_patches`."""
  rise = (torch.arange(p, device=x.device) + 0.5) / p
  fade = torch.cat([rise, rise.flip(0)])
  fade = fade[:, None] * fade
  settings = {'kernel_size': 2 * p, 'stride': p, 'padding': p // 2}
  size = (grid[0] * p, grid[1] * p)
  x = x.unflatten(-1, (2 * p, 2 * p, -1)) * fade[..., None]
  columns = x.permute(0, 4, 2, 3, 1).flatten(1, 3)  #      b c*(2p)**2 n
  cover = fade.flatten()[:, None].expand(-1, columns.shape[-1])[None]
  cover = F.fold(cover, size, **settings)
  return (F.fold(columns, size, **settings) / cover).permute(0, 2, 3, 1)


def normalize(x):
  """RMS normalization without a gain."""
  return F.rms_norm(x, x.shape[-1:], eps=_EPSILON)


def rotate(x, tables):
  """Rotary embedding of the first half of each head of `x [b, k, n, e]`."""
  cos, sin = tables
  turning, still = x.chunk(2, dim=-1)
  even, odd = turning.unflatten(-1, (-1, 2)).unbind(-1)
  turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1)
  return torch.cat([turned.flatten(-2), still], dim=-1)


def make_constant(array: np.ndarray, like) -> torch.Tensor:
  return torch.from_numpy(np.asarray(array, 'f')).to(like.device)


def make_tables(positions, head_width, like):
  """Cosines and sines of the pairs that turn, `[n, e / 4]`."""
  half = slice(0, head_width // 2, 2)
  pair = layers.rope_sin_cos(positions, head_width)
  return [make_constant(table[:, half], like) for table in pair]


def make_grid(grid):
  return np.stack(np.indices(grid), axis=-1).reshape(-1, 2).astype('f')


def make_position_features(grid, like):
  at = (make_grid(grid) + 0.5) / np.array(grid, 'f')
  angles = np.pi * at[:, :, None] * 2.0 ** np.arange(_POSITION_OCTAVES)
  angles = angles.reshape(len(at), -1)
  return make_constant(np.hstack([np.sin(angles), np.cos(angles)]), like)


def make_time_features(time):
  frequencies = np.pi * np.geomspace(0.5, 500.0, _TIME_FEATURES // 2)
  angles = time[:, None] * make_constant(frequencies, time)
  return torch.cat([angles.sin(), angles.cos()], dim=-1)


def patchify(picture, p):
  b, h, w, c = picture.shape
  x = picture.reshape(b, h // p, p, w // p, p, c).transpose(2, 3)
  return x.reshape(b, -1, p * p * c)


def build(config: ModelConfig, params) -> DiT:
  """The twin of a network of ours, with a copy of its weights.

  Every array of ours has to have a place, and every place an array.
  """
  flat = traverse_util.flatten_dict(jax.device_get(params), sep='.')
  state = {}
  for name, value in flat.items():
    if not (stack := re.match(r'(text\.)?blocks\.', name)):
      state |= convert(name, np.asarray(value))
      continue
    prefix = stack[0]
    for index, one in enumerate(np.asarray(value)):
      inside = convert(name.removeprefix(prefix), one)
      state |= {f'{prefix}{index}.{key}': x for key, x in inside.items()}
  twin = DiT(config)
  for name in twin.state_dict():
    for parts in ('gate', 'up'), ('q', 'k', 'v'):  # joined in one product
      joined = ('_' if 'gate' in parts else '').join(parts)
      if f'.{joined}.weight' in name:
        stem = name.removesuffix(f'{joined}.weight')
        found = [state.pop(f'{stem}{part}.weight') for part in parts]
        state[name] = np.concatenate(found)
  tensors = {k: torch.from_numpy(np.array(v)) for k, v in state.items()}
  twin.load_state_dict(tensors)
  return twin


def convert(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
  """One array of ours by the twin's name; products as `[out, in]`."""
  if name in ('text_key', 'text_value'):  # depth i o -> depth*o i
    value = np.swapaxes(value, 1, 2).reshape(-1, value.shape[1])
    return {f'{name}.weight': value}
  if name == 'neighbors.weights':  # reach d -> d 1 reach
    return {'neighbors.weight': value.T[:, None]}
  first = name.split('.')[0]
  if first in ('q', 'k', 'v', 'out', 'q_norm', 'k_norm'):
    name = f'attention.{name}'
  path, _, leaf = name.rpartition('.')
  if leaf == 'kernel':
    return {f'{path}.weight': value.T}
  if leaf == 'scale':
    return {f'{path}.weight': value}
  if name in ('head', 'copy'):
    return {f'{name}.weight': value.T}
  if name == 'text.embedding':
    return {f'{name}.weight': value}
  return {name: value}
