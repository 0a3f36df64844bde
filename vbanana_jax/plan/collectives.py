"""What chips send each other, from the collectives of a compiled program."""

import dataclasses
import math
import re
from collections.abc import Mapping

from vbanana_jax.plan.hlo import Instruction

KINDS = (
  'all-gather',
  'all-reduce',
  'reduce-scatter',
  'collective-permute',
  'all-to-all',
)


@dataclasses.dataclass(frozen=True)
class CollectiveCost:
  """Collectives of one kind.

  Attributes:
    count: how often.
    bytes: that one chip sends, if each piece travels once around a ring.
  """

  count: int = 0
  bytes: float = 0.0


def make_collective_cost(
  kind: str, one: Instruction, body: Mapping[str, Instruction], chips: int
) -> CollectiveCost:
  """What one chip sends for one collective.

  Args:
    kind: of `KINDS`.
    one: the instruction.
    body: the computation that it is in.
    chips: that run the program.
  """
  held = sum(s.bytes for name in one.operands for s in body[name].shapes)
  n = read_group_size(one.attributes, chips)
  # Of what one chip holds before; a ring passes each piece on n - 1 times.
  share = {
    'all-gather': n - 1,
    'all-reduce': 2 * (n - 1) / n,
    'reduce-scatter': (n - 1) / n,
    'all-to-all': (n - 1) / n,
    'collective-permute': 1,
  }[kind]
  return CollectiveCost(1, held * share)


def read_group_size(attributes: str, chips: int) -> int:
  """Chips that exchange with each other, in any of the three notations.

  Args:
    attributes: with `replica_groups={{0,1},{2,3}}`, `=[2,4]<=[8]` or
      `=mesh['a'=2,'b'=4] {'b'}`; without, or with `={}`, all exchange.
    chips: that run the program.
  """
  listed = re.search(r'replica_groups=\{\{([\d,]+)\}', attributes)
  if listed:
    return len(listed[1].split(','))
  dealt = re.search(r'replica_groups=\[(\d+),(\d+)\]<=', attributes)
  if dealt:
    return int(dealt[2])
  mesh = re.search(
    r"replica_groups=@?\w*\[((?:'[^']+'=\d+,? ?)+)\] ?\{([^}]*)\}", attributes
  )
  if mesh:
    sizes = dict(re.findall(r"'([^']+)'=(\d+)", mesh[1]))
    return math.prod(
      int(sizes[axis]) for axis in re.findall(r"'([^']+)'", mesh[2])
    )
  return chips
