"""The JSON files of a snapshot, read strictly.

What a network is built from is taken by name. Keys that no network reads are
listed. Anything else that is set to something is refused: it may change what
the weights mean.
"""

import pathlib
from collections.abc import Collection, Mapping
from typing import Any

from vbanana_jax.errors import UserError
from vbanana_jax.models.klein.config import (
  AutoencoderConfig,
  TextConfig,
  TransformerConfig,
)

# Values that the networks here are built for; a key may be missing.
_TRANSFORMER_FIXED = {
  '_class_name': 'Flux2Transformer2DModel',
  'guidance_embeds': False,
  'patch_size': 1,
}
_AUTOENCODER_FIXED = {
  '_class_name': 'AutoencoderKLFlux2',
  'act_fn': 'silu',
  'in_channels': 3,
  'mid_block_add_attention': True,
  'out_channels': 3,
  'use_post_quant_conv': True,
  'use_quant_conv': True,
}
_TEXT_FIXED = {
  'attention_bias': False,
  'hidden_act': 'silu',
  'model_type': 'qwen3',
  'use_sliding_window': False,
}
_SCHEDULER_FIXED = {
  '_class_name': 'FlowMatchEulerDiscreteScheduler',
  'invert_sigmas': False,
  'num_train_timesteps': 1000,
  'shift_terminal': None,
  'stochastic_sampling': False,
  'time_shift_type': 'exponential',
  'use_beta_sigmas': False,
  'use_dynamic_shifting': True,
  'use_exponential_sigmas': False,
  'use_karras_sigmas': False,
}
# Keys that change nothing here.
_AUTOENCODER_DEAD = ('batch_norm_momentum', 'force_upcast', 'sample_size')
_TEXT_DEAD = (
  'architectures', 'attention_dropout', 'bos_token_id', 'dtype',
  'eos_token_id', 'initializer_range', 'max_position_embeddings',
  'max_window_layers', 'pad_token_id', 'sliding_window',
  'tie_word_embeddings', 'torch_dtype', 'transformers_version', 'use_cache',
)  # fmt: skip
# The shift is by another formula; see `diffusion.schedules`.
_SCHEDULER_DEAD = (
  'base_image_seq_len', 'base_shift', 'max_image_seq_len', 'max_shift', 'shift',
)  # fmt: skip


class _Fields:
  """Keys of one file; asks for each by name and refuses the rest."""

  def __init__(self, path: pathlib.Path, values: Mapping[str, Any]):
    self._path, self._values = path, dict(values)

  def take(self, key: str, kind: type | tuple[type, ...]) -> Any:
    """The value of `key`, which must be there."""
    if key not in self._values:
      raise UserError(f'{self._path} has no {key!r}: download it again')
    value = self._values.pop(key)
    if not isinstance(value, kind) or isinstance(value, bool):
      raise self.refuse(key, value)
    return value

  def take_int(self, key: str) -> int:
    value = self.take(key, int)
    if value < 1:
      raise self.refuse(key, value)
    return value

  def take_float(self, key: str) -> float:
    value = float(self.take(key, (int, float)))
    if not value > 0:
      raise self.refuse(key, value)
    return value

  def take_ints(
    self, key: str, default: tuple[int, ...] | None = None
  ) -> tuple[int, ...]:
    if default and self._values.get(key) is None:
      self._values[key] = default
    value = self.take(key, (list, tuple))
    if not value or any(type(each) is not int or each < 1 for each in value):
      raise self.refuse(key, value)
    return tuple(value)

  def put(self, key: str, value: Any) -> None:
    self._values[key] = value

  def take_optional(self, key: str) -> Any:
    return self._values.pop(key, None)

  def check_fixed(self, fixed: Mapping[str, Any]) -> None:
    """Raises UserError for another value than the one that is built."""
    for key, wanted in fixed.items():
      value = self._values.pop(key, wanted)
      if value != wanted:
        raise UserError(
          f'{self._path}: {key} is {value!r}, and only {wanted!r} is '
          'implemented: take a snapshot of FLUX.2 klein'
        )

  def check_rest(self, dead: Collection[str]) -> None:
    """Raises UserError for a key that is set and that nobody asked for."""
    for key, value in self._values.items():
      if value and key not in dead and not key.startswith('_'):
        raise UserError(
          f'{self._path}: {key} is {value!r}, which is unknown here: take a '
          'snapshot of FLUX.2 klein, or a newer vbanana_jax'
        )

  def refuse(self, key: str, value: Any) -> UserError:
    return UserError(
      f'{self._path}: {key} cannot be {value!r}: take a snapshot of FLUX.2 '
      'klein'
    )


def read_transformer(
  path: pathlib.Path, values: Mapping[str, Any]
) -> TransformerConfig:
  """From `transformer/config.json`.

  Args:
    path: of the file, for messages.
    values: what it holds.

  Raises:
    UserError: a key is missing, or has a value that is not implemented.
  """
  fields = _Fields(path, values)
  fields.check_fixed(_TRANSFORMER_FIXED)
  config = TransformerConfig(
    heads=fields.take_int('num_attention_heads'),
    head_width=fields.take_int('attention_head_dim'),
    axes=fields.take_ints('axes_dims_rope'),
    theta=fields.take_float('rope_theta'),
    double_blocks=fields.take_int('num_layers'),
    single_blocks=fields.take_int('num_single_layers'),
    channels=fields.take_int('in_channels'),
    text_width=fields.take_int('joint_attention_dim'),
    mlp_ratio=fields.take_float('mlp_ratio'),
    time_features=fields.take_int('timestep_guidance_channels'),
    eps=fields.take_float('eps'),
  )
  if (out := fields.take_optional('out_channels')) not in (
    None,
    config.channels,
  ):
    raise fields.refuse('out_channels', out)
  fields.check_rest(())
  if len(config.axes) != 4 or any(size % 2 for size in config.axes):
    raise fields.refuse('axes_dims_rope', config.axes)
  if sum(config.axes) != config.head_width:
    raise UserError(
      f'{path}: axes_dims_rope {list(config.axes)} do not sum up to '
      f'attention_head_dim {config.head_width}'
    )
  if config.time_features % 2:
    raise fields.refuse('timestep_guidance_channels', config.time_features)
  return config


def read_autoencoder(
  path: pathlib.Path, values: Mapping[str, Any]
) -> AutoencoderConfig:
  """From `vae/config.json`; arguments and errors as `read_transformer`."""
  fields = _Fields(path, values)
  fields.check_fixed(_AUTOENCODER_FIXED)
  widths = fields.take_ints('block_out_channels')
  kinds = {
    'down_block_types': ['DownEncoderBlock2D'] * len(widths),
    'up_block_types': ['UpDecoderBlock2D'] * len(widths),
  }
  fields.check_fixed(kinds)
  config = AutoencoderConfig(
    encoder_widths=widths,
    decoder_widths=fields.take_ints('decoder_block_out_channels', widths),
    layers=fields.take_int('layers_per_block'),
    groups=fields.take_int('norm_num_groups'),
    latent_channels=fields.take_int('latent_channels'),
    patch=fields.take_ints('patch_size'),
    statistics_eps=fields.take_float('batch_norm_eps'),
  )
  fields.check_rest(_AUTOENCODER_DEAD)
  if len(config.patch) != 2:
    raise fields.refuse('patch_size', config.patch)
  if len(config.decoder_widths) != len(widths):
    raise fields.refuse('decoder_block_out_channels', config.decoder_widths)
  if any(w % config.groups for w in (*widths, *config.decoder_widths)):
    raise fields.refuse('norm_num_groups', config.groups)
  return config


def read_text(
  path: pathlib.Path, values: Mapping[str, Any], states: tuple[int, ...]
) -> TextConfig:
  """From `text_encoder/config.json`; errors as `read_transformer`.

  Args:
    path: of the file, for messages.
    values: what it holds, in the form of old or new `transformers`.
    states: after which layers features are taken, rising.
  """
  fields = _Fields(path, values)
  fields.check_fixed(_TEXT_FIXED)
  depth = fields.take_int('num_hidden_layers')
  fields.check_fixed({'layer_types': ['full_attention'] * depth})
  # The state after the last layer would be normed in the reference.
  if list(states) != sorted(set(states) & set(range(depth))):
    raise UserError(
      f'{path}: states after layers {list(states)} are asked for, and they '
      f'must rise and stay below num_hidden_layers, {depth}'
    )
  for key in ('rope_parameters', 'rope_scaling'):
    rotation = dict(fields.take_optional(key) or {})
    if 'rope_theta' in rotation:
      fields.put('rope_theta', rotation.pop('rope_theta'))
    if rotation not in ({}, {'rope_type': 'default'}):
      raise fields.refuse(key, rotation)
  config = TextConfig(
    vocab_size=fields.take_int('vocab_size'),
    width=fields.take_int('hidden_size'),
    hidden=fields.take_int('intermediate_size'),
    heads=fields.take_int('num_attention_heads'),
    key_heads=fields.take_int('num_key_value_heads'),
    head_width=fields.take_int('head_dim'),
    theta=fields.take_float('rope_theta'),
    eps=fields.take_float('rms_norm_eps'),
    states=tuple(states),
  )
  fields.check_rest(_TEXT_DEAD)
  if config.heads % config.key_heads:
    raise fields.refuse('num_key_value_heads', config.key_heads)
  return config


def check_scheduler(path: pathlib.Path, values: Mapping[str, Any]) -> None:
  """Raises UserError unless `scheduler_config.json` is what klein is moved by.

  Args:
    path: of the file, for messages.
    values: what it holds.
  """
  fields = _Fields(path, values)
  fields.check_fixed(_SCHEDULER_FIXED)
  fields.check_rest(_SCHEDULER_DEAD)
