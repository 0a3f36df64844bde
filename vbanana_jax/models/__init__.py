"""The network: the only importer of flax.linen.

The rest of the library sees `build_model(config)` and calls
`model.apply({'params': params}, ...)`.
"""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax

from vbanana_jax.errors import UserError
from vbanana_jax.models import layers
from vbanana_jax.models.contract import Network
from vbanana_jax.models.dit import DiT, ModelConfig, TextKV
from vbanana_jax.models.numerics import Precision, build_precision
from vbanana_jax.models.units import from_network, to_network

__all__ = [
  'SIZES',
  'DiT',
  'ModelConfig',
  'Network',
  'Precision',
  'TextKV',
  'build_model',
  'build_precision',
  'count_parameters',
  'from_network',
  'get_axes',
  'to_network',
  'unbox',
]

# width, depth, heads, bottleneck, text width, text depth, text heads
_SIZE_FIELDS = (
  'width',
  'depth',
  'heads',
  'bottleneck',
  'text_width',
  'text_depth',
  'text_heads',
)
SIZES = {
  name: dict(zip(_SIZE_FIELDS, numbers, strict=True))
  for name, numbers in {
    'smoke': (32, 2, 2, 16, 32, 1, 2),
    'nano': (256, 6, 4, 128, 192, 2, 3),
    'mini': (384, 8, 6, 128, 256, 2, 4),
    'small': (512, 10, 8, 128, 384, 3, 6),
    'base': (768, 12, 12, 128, 512, 4, 8),
    'large': (1024, 24, 8, 128, 768, 6, 6),
    'xl': (2048, 40, 16, 256, 1024, 8, 8),
  }.items()
}


def build_model(
  config: Mapping,
  precision: Precision | None = None,
  constrain: layers.ActivationConstraint = layers.identity,
) -> DiT:
  """The network of a config's `model` section.

  Args:
    config: `size` (a key of `SIZES`), `patch`, `vocab_size`, `max_text`,
      `remat`.
    precision: arithmetic; the backend's own if not given.
    constrain: from `sharding.build_activation_constraint`.

  Raises:
    UserError: for an unknown size, key or rematerialization, or an odd patch.
  """
  fields = dict(config)
  size = fields.pop('size')
  if size not in SIZES:
    raise UserError(f'config.model.size is {size!r}: choose of {list(SIZES)}')
  known = {f.name for f in dataclasses.fields(ModelConfig)}
  unknown = set(fields) - known
  if unknown:
    raise UserError(f'config.model has unknown keys: {sorted(unknown)}')
  remat = fields.get('remat', 'none')
  if remat not in layers.REMAT:
    raise UserError(
      f'config.model.remat is {remat!r}: choose of {list(layers.REMAT)}'
    )
  patch = fields['patch']
  if patch < 2 or patch % 2:
    raise UserError(
      f'config.model.patch is {patch}: choose an even number of pixels; half '
      'a patch reaches into the next one'
    )
  return DiT(
    ModelConfig(**SIZES[size], **fields),
    precision or build_precision(),
    constrain,
  )


def unbox(variables):
  """Plain arrays of what `model.init` makes, without the names of axes."""
  return nn.unbox(variables)


def get_axes(variables):
  """Logical names of the axes of what `model.init` makes.

  Returns:
    a tree like the unboxed one, each leaf a PartitionSpec of names.
  """
  return nn.get_partition_spec(variables)


def count_parameters(params) -> int:
  """Number of scalars in a parameter tree."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))
