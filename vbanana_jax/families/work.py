"""FLOPs of a training step, counted by hand.

A product of [i, k] and [k, j] has 2 i k j FLOPs. Its backward pass has two
products of that size, one for each factor, unless a factor is data.
"""

import dataclasses
from collections.abc import Iterable


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


def count_muon(
  matrices: Iterable[tuple[int, int, int, int]], iterations: int
) -> float:
  """FLOPs of X X^T, its square, and their product with X, each iteration.

  Args:
    matrices: of the blocks: (blocks, number in each, rows, columns).
    iterations: of the orthogonalization.
  """
  total = 0.0
  for depth, number, i, o in matrices:
    short, long = min(i, o), max(i, o)
    total += depth * number * 2.0 * (2 * short**2 * long + short**3)
  return total * iterations
