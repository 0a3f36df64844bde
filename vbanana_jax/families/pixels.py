"""The pixel-space diffusion transformer, whose weights begin as noise."""

from collections.abc import Mapping
from typing import Any

from vbanana_jax import models
from vbanana_jax.errors import UserError
from vbanana_jax.families.work import StepFlops, count_muon
from vbanana_jax.models import SIZES, layers
from vbanana_jax.models.layers import hidden_width
from vbanana_jax.tokenizer.tokenizer import Tokenizer

_PLACE_FEATURES = 24
_TIME_FEATURES = 128
# Keys of a config's section that describe the network.
_SHAPE = ('size', 'patch', 'max_text', 'remat')


class Pixels:
  """See `base.Family`."""

  def label(self, model: Mapping[str, Any]) -> str:
    return model['size']

  def load_tokenizer(self, model: Mapping[str, Any]) -> Tokenizer:
    del model  # the package ships one vocabulary
    return Tokenizer.load()

  def build_network(
    self,
    model: Mapping[str, Any],
    precision: models.Precision,
    constrain: layers.ActivationConstraint,
  ) -> models.Network:
    if model['lora']['rank']:
      raise UserError(
        f'config.model.lora.rank is {model["lora"]["rank"]}: only the family '
        'klein has adapters'
      )
    if model['text_cache']:
      self.describe_memory(model, precision)
    shape = {key: model[key] for key in _SHAPE}
    shape['vocab_size'] = Tokenizer.load().vocab_size
    return models.build_model(shape, precision, constrain)

  def describe_memory(
    self, model: Mapping[str, Any], precision: models.Precision
  ) -> dict[str, Any]:
    raise UserError(
      f'config.model.text_cache is {model["text_cache"]!r}: only the family '
      'klein has a text encoder that is never trained'
    )

  def load_parts(
    self, model: Mapping[str, Any], abstract: Mapping[str, Any], seed: int
  ) -> dict[str, Any]:
    del model, abstract, seed
    return {}

  def describe(self, model: Mapping[str, Any]) -> dict[str, str]:
    return {'tokenizer': self.load_tokenizer(model).hash}

  def count_step_flops(
    self, config: Mapping[str, Any], text_length: int
  ) -> StepFlops:
    return _count_step_flops(config, text_length)


def _count_step_flops(config: Mapping[str, Any], text_length: int) -> StepFlops:
  s, b = SIZES[config['model']['size']], config['batch_size']
  d, t = s['width'], s['text_width']
  n = (config['image_size'] // config['model']['patch']) ** 2
  l = text_length + 1  # and the start
  patch = 3 * config['model']['patch'] ** 2

  # Multiplications of one example; a block's and the text block's apart,
  # since they are what rematerialization computes again.
  block = 4 * n * d * d + 3 * n * d * hidden_width(d)
  attention = 2 * n * (n + l) * d
  text_block = 4 * l * t * t + 3 * l * t * hidden_width(t)
  text_attention = 2 * l * l * t
  rope = 2 * n * d * (d // s['heads'])
  text_rope = 2 * l * t * (t // s['text_heads'])
  text_kv = 2 * l * t * s['depth'] * d  # keys and values for all blocks
  bottleneck = 2 * n * s['bottleneck'] * d
  time_mlp = d * d + 8 * d * d
  # Patches that reach into their neighbors, and what is copied.
  head = n * d * (4 * patch + config['model']['patch'] ** 2)
  from_data = 2 * n * patch * s['bottleneck'] + _TIME_FEATURES * d
  position = _PLACE_FEATURES * n * d  # once a batch, from constants

  blocks = s['depth'] * (block + attention)
  text_blocks = s['text_depth'] * (text_block + text_attention)
  rope_all = s['depth'] * rope + s['text_depth'] * text_rope
  # A text block ends in a sum, whose gradient needs no summand.
  ungated = s['text_depth'] * l * t * hidden_width(t)
  both_passes = blocks + text_blocks + text_kv + bottleneck + time_mlp + head
  remat = {
    'none': 0,
    'dots': s['depth'] * attention + s['text_depth'] * text_attention,
    'full': blocks + text_blocks + rope_all - ungated,
  }[config['model']['remat']]
  return StepFlops(
    forward=2.0 * (b * (both_passes + from_data) + position),
    backward=2.0 * (b * (2 * both_passes + from_data) + position),
    rotation=2.0 * b * 2 * rope_all,
    again=2.0 * b * remat,
    muon=_count_muon(config, s),
  )


def _count_muon(config, s) -> float:
  if config['optim']['name'] != 'muon':
    return 0.0
  d, t = s['width'], s['text_width']
  matrices = [
    (s['depth'], 4, d, d),
    (s['depth'], 3, d, hidden_width(d)),
    (s['depth'], 2, t, d),
    (s['text_depth'], 4, t, t),
    (s['text_depth'], 3, t, hidden_width(t)),
  ]
  return count_muon(matrices, config['optim']['muon_iterations'])
