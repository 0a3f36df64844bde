"""FLOPs of a training step of FLUX.2 klein, by hand."""

import math
from collections.abc import Mapping
from typing import Any

import jax

from vbanana_jax import models
from vbanana_jax.families.work import StepFlops, count_muon
from vbanana_jax.klein import lora, weights
from vbanana_jax.klein.snapshot import Snapshot
from vbanana_jax.models.klein.config import TextConfig

_MODULATIONS = 6 + 6 + 3 + 2  # of width x width


def count_step_flops(
  config: Mapping[str, Any], snapshot: Snapshot
) -> StepFlops:
  """Of a target and a source for each example.

  Text and pictures are encoded in the step, without a backward pass; text not,
  if a cache has it.

  Args:
    config: see `configs/base.py`.
    snapshot: its shapes.
  """
  c = snapshot.parts['transformer'].network.config
  autoencoder = snapshot.parts['vae'].network.config
  l, b = config['model']['max_text'], config['batch_size']
  rows, columns = autoencoder.token_px
  size = config['image_size']
  n = 2 * (size // rows) * (size // columns)
  t, d, hidden = l + n, c.width, c.hidden

  # Multiplications of one example.
  blocks = c.double_blocks + c.single_blocks
  products = blocks * t * (4 * d * d + 3 * d * hidden)
  attention = blocks * 2 * t * t * d
  rope = blocks * 2 * t * d * c.head_width
  modulations = _MODULATIONS * d * d + d * d
  both_passes = products + attention + modulations + n * d * c.channels
  from_data = d * (n * c.channels + l * c.text_width + c.time_features)
  encoded = 2 * _count_encoder(snapshot, size)
  if not config['model']['text_cache']:
    encoded += _count_text(snapshot.parts['text_encoder'].network.config, l)
  again = {
    'none': 0,
    'dots': attention,
    'full': products + attention + rope,
  }[config['model']['remat']]
  muon = 0.0
  if config['optim']['name'] == 'muon' and not config['model']['lora']['rank']:
    both, one = c.double_blocks, c.single_blocks
    matrices = [
      (2 * both + one, 4, d, d),
      (2 * both + one, 3, d, hidden),
    ]
    muon = count_muon(matrices, config['optim']['muon_iterations'])
  backward = 2 * both_passes + from_data
  if config['model']['lora']['rank']:
    # Frozen matrices have no gradient: one product for each, not two.
    changes = t * _count_factors(config, snapshot)
    backward = both_passes + attention + 2 * changes
    both_passes += changes
  return StepFlops(
    forward=2.0 * b * (both_passes + from_data + encoded),
    backward=2.0 * b * backward,
    rotation=2.0 * b * 2 * rope,
    again=2.0 * b * again,
    muon=muon,
  )


def _count_factors(config: Mapping[str, Any], snapshot: Snapshot) -> int:
  """Numbers of an adapter."""
  change = lora.make_change(
    config['model']['lora'], snapshot.parts['transformer']
  )
  return models.count_parameters(
    jax.eval_shape(change.make_factors, jax.random.key(0))
  )


def _count_text(c: TextConfig, l: int) -> float:
  """Multiplications of the text encoder for one instruction."""
  wide, narrow = c.heads * c.head_width, c.key_heads * c.head_width
  layer = 2 * c.width * (wide + narrow) + 3 * c.width * c.hidden
  return c.states[-1] * (l * layer + 2 * l * l * wide)


def _count_encoder(snapshot: Snapshot, size: int) -> float:
  """Multiplications of the autoencoder for one square picture of `size`."""
  part = snapshot.parts['vae']
  c = part.network.config
  last = len(c.encoder_widths) - 1
  total = 0.0
  for path, leaf in weights.flatten(part.make_abstract()).items():
    side, *names = path.split('/')
    if side not in ('encoder', 'quant') or names[-1] != 'kernel':
      continue
    level = last
    if names[0] == 'conv_in':
      level = 0
    elif names[0].startswith('level_'):
      level = int(names[0].removeprefix('level_')) + (names[1] == 'resize')
    total += (size // 2**level) ** 2 * math.prod(leaf.shape)
  places = (size // 2**last) ** 2
  return total + 2 * places**2 * c.encoder_widths[-1]
