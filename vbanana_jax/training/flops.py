"""FLOPs of a training step by hand, and what a device can do at most.

Matrix products alone are counted, from a config.

A product of [i, k] and [k, j] has 2 i k j FLOPs. Its backward pass has two
products of that size, one for each factor, unless a factor is data.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from vbanana_jax.models import SIZES
from vbanana_jax.models.layers import hidden_width

# Dense bfloat16 FLOPs a second of one device, by JAX's name of its kind.
# TPUs: cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e, key chip
# specifications; GPUs: data sheets of NVIDIA's A100, H100 SXM and H200 SXM,
# without sparsity. Names that JAX gives to other shapes of these are left out.
PEAKS = {
  'TPU v4': 275e12,
  'TPU v5 lite': 197e12,
  'TPU v5': 459e12,
  'TPU v6 lite': 918e12,
  'NVIDIA A100-SXM4-40GB': 312e12,
  'NVIDIA A100-SXM4-80GB': 312e12,
  'NVIDIA H100 80GB HBM3': 989.4e12,
  'NVIDIA H200': 989.4e12,
}

_PLACE_FEATURES = 24
_TIME_FEATURES = 128


@dataclasses.dataclass(frozen=True)
class StepFlops:
  """FLOPs of one step, over all chips.

  Attributes:
    forward: of the whole batch.
    backward: without what is computed again.
    rotation: of both passes: a product with a constant, which others write
      without one.
    again: of the forward pass, computed again by rematerialization.
    muon: orthogonalization, whose size does not depend on the batch.
  """

  forward: float
  backward: float
  rotation: float
  again: float
  muon: float

  @property
  def total(self) -> float:
    """All five."""
    return self.useful + self.rotation + self.again + self.muon

  @property
  def useful(self) -> float:
    """What a share of a chip's peak (MFU) counts: both passes, each once."""
    return self.forward + self.backward


def find_peak(mesh: jax.sharding.Mesh) -> float | None:
  """FLOPs a second of all devices of a mesh; None where not known."""
  peak = PEAKS.get(mesh.devices.flat[0].device_kind)
  return peak and peak * mesh.size


def count_step_flops(
  config: Mapping[str, Any], text_length: int | None = None
) -> StepFlops:
  """FLOPs of a step of `config['batch_size']` examples.

  Args:
    config: see `configs/base.py`.
    text_length: tokens that the batch is padded to; `data.text_length` if not
      given.
  """
  s, b = SIZES[config['model']['size']], config['batch_size']
  d, t = s['width'], s['text_width']
  n = (config['image_size'] // config['model']['patch']) ** 2
  l = (text_length or config['data']['text_length']) + 1  # and the start
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
  head = n * d * patch
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
  """X X^T, its square, and their product with X, a matrix and iteration."""
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
  total = 0.0
  for depth, number, i, o in matrices:
    short, long = min(i, o), max(i, o)
    total += depth * number * 2.0 * (2 * short**2 * long + short**3)
  return total * config['optim']['muon_iterations']
