"""Low-rank changes of klein's transformer (LoRA, arXiv 2106.09685).

An adapter belongs to the stored matrices: where a snapshot joins several
matrices of ours in one, they share the adapter's inner factor, or its outer
one. So an adapter of diffusers or peft is the same change here, to rounding.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from vbanana_jax.errors import UserError
from vbanana_jax.klein import weights
from vbanana_jax.klein.snapshot import Part
from vbanana_jax.klein.tables import LINEAR, Row

# What is changed: patterns of the names of stored matrices. 'attention' is what
# diffusers' trainer for klein takes; the text's side is not in it.
TARGETS = {
  'attention': (
    r'transformer_blocks\.\*\.attn\.to_(q|k|v|out\.0)',
    r'single_transformer_blocks\.\*\.attn\.to_(qkv_mlp_proj|out)',
  ),
  'blocks': (r'(single_)?transformer_blocks\.\*\..*',),
}

# By the name of a matrix, with * for the number of its block: `down`
# [blocks, in, rank] and `up` [blocks, rank, out].
Factors = Mapping[str, Mapping[str, jax.Array | np.ndarray]]


class Adapter(NamedTuple):
  """A change `scale * down @ up` of some matrices.

  Attributes:
    factors: of each matrix; a leading axis for the blocks.
    scale: alpha over the rank.
  """

  factors: Factors
  scale: float


@dataclasses.dataclass(frozen=True, eq=False)
class LowRank:
  """The change of a transformer that a training makes.

  Attributes:
    rows: of `tables.transformer_rows`.
    abstract: shapes of the transformer's parameters.
    targets: a key of `TARGETS`.
    rank: of each change.
    alpha: a change is multiplied by alpha / rank.
  """

  rows: Sequence[Row]
  abstract: Mapping[str, Any]
  targets: str
  rank: int
  alpha: float

  @property
  def scale(self) -> float:
    """What a change is multiplied by."""
    return self.alpha / self.rank

  def make_factors(self, key: jax.Array) -> Factors:
    """Factors that change nothing yet: `down` is normal, `up` is zero.

    Args:
      key: of the numbers.

    Returns:
      float32 factors; `down` has a standard deviation of 1 / rank, as
      diffusers' trainer has it.
    """
    shapes = find_shapes(self.rows, self.abstract)
    factors = {}
    for name in list_targets(self.rows, self.targets):
      key, part = jax.random.split(key)
      *blocks, inputs, outputs = shapes[name]
      down = jax.random.normal(part, (*blocks, inputs, self.rank))
      factors[name] = {
        'down': down / self.rank,
        'up': jnp.zeros((*blocks, self.rank, outputs)),
      }
    return factors

  def spread(self, factors: Factors) -> dict[str, Any]:
    """What the network takes as its variables `lora`, differentiable.

    Returns:
      a tree like the parameters', with `down` [blocks, i, rank] and `up`
      [blocks, rank, o] beside each `kernel` that is changed.
    """
    return spread(Adapter(factors, self.scale), self.rows, self.abstract)


def make_change(section: Mapping[str, Any], part: Part) -> LowRank:
  """The change that a config's section `model.lora` asks for.

  Args:
    section: `rank`, `alpha` and `targets`.
    part: the transformer of a snapshot.

  Raises:
    UserError: there is no such set of targets, or a number is out of range.
  """
  rank, alpha = section['rank'], section['alpha']
  if rank < 1 or alpha <= 0:
    raise UserError(
      f'config.model.lora has rank {rank} and alpha {alpha}: rank is 1 at '
      'least, and alpha above 0'
    )
  list_targets(part.rows, section['targets'])
  return LowRank(
    part.rows, part.make_abstract(), section['targets'], rank, alpha
  )


def find_rank(factors: Factors) -> int:
  """Columns of `down`, the same of all matrices."""
  return next(iter(factors.values()))['down'].shape[-1]


def list_targets(rows: Sequence[Row], targets: str) -> list[str]:
  """Names of the matrices of a set of `TARGETS`, sorted.

  Raises:
    UserError: there is no such set.
  """
  if targets not in TARGETS:
    raise UserError(
      f'config.model.lora.targets is {targets!r}: choose of {list(TARGETS)}'
    )
  patterns = [re.compile(pattern) for pattern in TARGETS[targets]]
  names = {name_of(row) for row in rows if row.order == LINEAR}
  return sorted(
    name for name in names if any(p.fullmatch(name) for p in patterns)
  )


def name_of(row: Row) -> str:
  """The name of a row's stored matrix, with * for the number of its block."""
  module = row.stored.removesuffix('.weight')
  if row.block is None:
    return module
  return module.replace(f'.{row.block}.', '.*.', 1)


def find_shapes(
  rows: Sequence[Row], abstract: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
  """Blocks, if it is in blocks, inputs and outputs of each stored matrix."""
  leaves = weights.flatten(abstract)
  stored = weights.find_shapes(rows, abstract)
  found = {}
  for row in rows:
    if row.order == LINEAR:
      blocks = () if row.block is None else leaves[row.path].shape[:1]
      outputs, inputs = stored[row.stored]
      found[name_of(row)] = (*blocks, inputs, outputs)
  return found


def spread(
  adapter: Adapter, rows: Sequence[Row], abstract: Mapping[str, Any]
) -> dict[str, Any]:
  """What the network takes as its variables `lora`, differentiable.

  Args:
    adapter: factors and scale.
    rows: of `tables.transformer_rows`.
    abstract: shapes of the transformer's parameters.

  Returns:
    a tree like the parameters', with `down` [blocks, i, rank] and `up`
    [blocks, rank, o] beside each `kernel` that is changed.
  """
  leaves = weights.flatten(abstract)
  found = {}
  for row in rows:
    pair = adapter.factors.get(name_of(row))
    module = row.path.removesuffix('/kernel')
    if pair is None or f'{module}/down' in found:
      continue
    *_, i, o = leaves[row.path].shape
    down, up = pair['down'], pair['up']
    if row.axis == 0:
      up = up[..., row.start : row.start + o]
    else:
      down = down[..., row.start : row.start + i, :]
    found[f'{module}/down'], found[f'{module}/up'] = down, adapter.scale * up
  return traverse_util.unflatten_dict(found, sep='/')
