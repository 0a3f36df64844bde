"""Stored names of a snapshot, and the parameters that they fill.

A row says which part of a stored tensor is which part of a parameter. Where a
snapshot joins several matrices in one tensor, each has a row.
"""

from collections.abc import Iterator
from typing import NamedTuple

from vbanana_jax.models.klein.config import (
  AutoencoderConfig,
  TextConfig,
  TransformerConfig,
)

# How the axes of a parameter lie in the stored tensor.
VECTOR, TABLE = (0,), (0, 1)
LINEAR = (1, 0)  # [in, out] from [out, in]
CONVOLUTION = (2, 3, 1, 0)  # [h, w, in, out] from [out, in, h, w]


class Row(NamedTuple):
  """One part of a stored tensor.

  Attributes:
    stored: name of the tensor.
    path: of the parameter, its keys joined with '/'.
    order: for each axis of the parameter, or of one block of it, the stored
      axis.
    block: index along the leading axis of a stack of blocks.
    axis: the stored axis along which several parameters are joined.
    start: where this one begins along `axis`.
  """

  stored: str
  path: str
  order: tuple[int, ...]
  block: int | None = None
  axis: int = 0
  start: int = 0


def transformer_rows(config: TransformerConfig) -> list[Row]:
  """Rows of `diffusers`' Flux2Transformer2DModel."""
  outside = {
    'x_embedder': 'picture_in',
    'context_embedder': 'text_in',
    'time_guidance_embed.timestep_embedder.linear_1': 'time_in',
    'time_guidance_embed.timestep_embedder.linear_2': 'time_out',
    'double_stream_modulation_img.linear': 'picture_modulation',
    'double_stream_modulation_txt.linear': 'text_modulation',
    'single_stream_modulation.linear': 'single_modulation',
    'norm_out.linear': 'head_modulation',
    'proj_out': 'head',
  }
  rows = [_linear(stored, path) for stored, path in outside.items()]
  for block in range(config.double_blocks):
    rows += _double_rows(config, block)
  for block in range(config.single_blocks):
    rows += _single_rows(config, block)
  return rows


def _double_rows(config: TransformerConfig, block: int) -> Iterator[Row]:
  picture = ('to_q', 'to_k', 'to_v', 'to_out.0', 'norm_q', 'norm_k', 'ff')
  text = (
    'add_q_proj', 'add_k_proj', 'add_v_proj', 'to_add_out',
    'norm_added_q', 'norm_added_k', 'ff_context',
  )  # fmt: skip
  prefix = f'transformer_blocks.{block}'
  for side, names in (('picture', picture), ('text', text)):
    q, k, v, out, q_norm, k_norm, mlp = names
    attention, ours = f'{prefix}.attn', f'double/{side}'
    yield _linear(f'{attention}.{q}', f'{ours}/qkv/q', block)
    yield _linear(f'{attention}.{k}', f'{ours}/qkv/k', block)
    yield _linear(f'{attention}.{v}', f'{ours}/qkv/v', block)
    yield _gain(f'{attention}.{q_norm}', f'{ours}/qkv/q_norm', block)
    yield _gain(f'{attention}.{k_norm}', f'{ours}/qkv/k_norm', block)
    yield _linear(f'{attention}.{out}', f'{ours}/out', block)
    joined = f'{prefix}.{mlp}.linear_in'
    yield _linear(joined, f'{ours}/mlp/gate', block)
    yield _linear(joined, f'{ours}/mlp/up', block, start=config.hidden)
    yield _linear(f'{prefix}.{mlp}.linear_out', f'{ours}/down', block)


def _single_rows(config: TransformerConfig, block: int) -> Iterator[Row]:
  attention = f'single_transformer_blocks.{block}.attn'
  joined, d = f'{attention}.to_qkv_mlp_proj', config.width
  yield _linear(joined, 'single/qkv/q', block)
  yield _linear(joined, 'single/qkv/k', block, start=d)
  yield _linear(joined, 'single/qkv/v', block, start=2 * d)
  yield _linear(joined, 'single/mlp/gate', block, start=3 * d)
  yield _linear(joined, 'single/mlp/up', block, start=3 * d + config.hidden)
  yield _gain(f'{attention}.norm_q', 'single/qkv/q_norm', block)
  yield _gain(f'{attention}.norm_k', 'single/qkv/k_norm', block)
  # Attention and MLP are joined along the inputs of this one.
  yield _linear(f'{attention}.to_out', 'single/out', block, axis=1)
  yield _linear(f'{attention}.to_out', 'single/down', block, axis=1, start=d)


def text_rows(config: TextConfig) -> list[Row]:
  """Rows of `transformers`' Qwen3ForCausalLM, up to the last state taken."""
  rows = [Row('model.embed_tokens.weight', 'table', TABLE)]
  first = 0
  for last in config.states:
    for layer in range(first, last):
      prefix, ours = f'model.layers.{layer}', f'layers_to_{last}'
      rows += _text_layer_rows(prefix, ours, layer - first)
    first = last
  return rows


def _text_layer_rows(prefix: str, ours: str, block: int) -> Iterator[Row]:
  for name in ('q', 'k', 'v'):
    stored = f'{prefix}.self_attn.{name}_proj'
    yield _linear(stored, f'{ours}/{name}', block)
  yield _linear(f'{prefix}.self_attn.o_proj', f'{ours}/out', block)
  for name in ('gate', 'up', 'down'):
    yield _linear(f'{prefix}.mlp.{name}_proj', f'{ours}/{name}', block)
  for stored, name in (
    ('self_attn.q_norm', 'q_norm'),
    ('self_attn.k_norm', 'k_norm'),
    ('input_layernorm', 'attention_norm'),
    ('post_attention_layernorm', 'mlp_norm'),
  ):
    yield _gain(f'{prefix}.{stored}', f'{ours}/{name}', block)


def autoencoder_rows(config: AutoencoderConfig) -> list[Row]:
  """Rows of `diffusers`' AutoencoderKLFlux2."""
  rows = [
    Row('bn.running_mean', 'mean', VECTOR),
    Row('bn.running_var', 'variance', VECTOR),
  ]
  rows += _convolution('quant_conv', 'quant')
  rows += _convolution('post_quant_conv', 'post_quant')
  sides = (
    ('encoder', config.encoder_widths, config.layers, 'down', 'downsamplers'),
    (
      'decoder',
      config.decoder_widths[::-1],
      config.layers + 1,
      'up',
      'upsamplers',
    ),
  )
  for side, widths, layers, way, samplers in sides:
    rows += _convolution(f'{side}.conv_in', f'{side}/conv_in')
    rows += _norm(f'{side}.conv_norm_out', f'{side}/norm_out')
    rows += _convolution(f'{side}.conv_out', f'{side}/conv_out')
    rows += _middle_rows(f'{side}.mid_block', f'{side}/middle')
    # The middle of the decoder stands before its levels, and is as wide.
    before = widths[0]
    for level, width in enumerate(widths):
      stored = f'{side}.{way}_blocks.{level}'
      for layer in range(layers):
        name, ours = f'{stored}.resnets.{layer}', f'{side}/level_{level}'
        rows += _residual_rows(name, f'{ours}/layer_{layer}', before != width)
        before = width
      if level < len(widths) - 1:
        rows += _convolution(
          f'{stored}.{samplers}.0.conv', f'{side}/level_{level}/resize'
        )
  return rows


def _middle_rows(stored: str, ours: str) -> Iterator[Row]:
  for layer in (0, 1):
    yield from _residual_rows(
      f'{stored}.resnets.{layer}', f'{ours}/layer_{layer}', False
    )
  attention = f'{stored}.attentions.0'
  yield from _norm(f'{attention}.group_norm', f'{ours}/norm')
  for name, path in (('to_q', 'q'), ('to_k', 'k'), ('to_v', 'v')):
    yield from _biased_linear(f'{attention}.{name}', f'{ours}/{path}')
  yield from _biased_linear(f'{attention}.to_out.0', f'{ours}/out')


def _residual_rows(stored: str, ours: str, widens: bool) -> Iterator[Row]:
  for number in (1, 2):
    yield from _norm(f'{stored}.norm{number}', f'{ours}/norm{number}')
    yield from _convolution(f'{stored}.conv{number}', f'{ours}/conv{number}')
  if widens:
    yield from _convolution(f'{stored}.conv_shortcut', f'{ours}/shortcut')


def _linear(stored, path, block=None, *, axis=0, start=0) -> Row:
  return Row(f'{stored}.weight', f'{path}/kernel', LINEAR, block, axis, start)


def _gain(stored, path, block=None) -> Row:
  return Row(f'{stored}.weight', f'{path}/scale', VECTOR, block)


def _norm(stored, path) -> Iterator[Row]:
  yield _gain(stored, path)
  yield Row(f'{stored}.bias', f'{path}/bias', VECTOR)


def _convolution(stored, path) -> Iterator[Row]:
  yield Row(f'{stored}.weight', f'{path}/kernel', CONVOLUTION)
  yield Row(f'{stored}.bias', f'{path}/bias', VECTOR)


def _biased_linear(stored, path) -> Iterator[Row]:
  yield _linear(stored, path)
  yield Row(f'{stored}.bias', f'{path}/bias', VECTOR)
