"""The least time that a program can take on a chip of published peaks."""

import dataclasses

from vbanana_jax.plan.costs import Costs
from vbanana_jax.plan.topologies import Chip


@dataclasses.dataclass(frozen=True)
class Roofline:
  """Seconds that each part takes alone, at its peak.

  Attributes:
    compute: matrix products.
    memory: traffic with the chip's memory.
    exchange: what the chip sends to others.
  """

  compute: float
  memory: float
  exchange: float

  @property
  def largest(self) -> str:
    """Name of the term that bounds the time."""
    terms = dataclasses.asdict(self)
    return max(terms, key=terms.get)

  @property
  def seconds(self) -> float:
    """If everything overlaps: the largest term."""
    return max(dataclasses.astuple(self))

  @property
  def seconds_in_turn(self) -> float:
    """If nothing overlaps: the sum."""
    return sum(dataclasses.astuple(self))


def make_roofline(costs: Costs, chip: Chip) -> Roofline:
  """Times of a program's costs on one chip."""
  return Roofline(
    compute=costs.flops / chip.flops,
    memory=costs.hbm_bytes / chip.hbm_bytes_a_second,
    exchange=costs.sent_bytes / chip.ici_bytes_a_second,
  )
