"""How what a caption claims is asked of the picture that was painted for it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Int

from vbanana_jax.scenes.claims import Claim


class Check(NamedTuple):
  """A claim as a question of a vision task.

  Attributes:
    task: name.
    words: a phrase; None where the task takes none.
    classes: names; () likewise.
  """

  task: str
  words: str | None = None
  classes: tuple[str, ...] = ()


class ClaimChecks(Protocol):
  """An ability of a task that paints from captions.

  Attributes:
    kinds: of claims.
    tasks: names of those that the checks ask.
  """

  kinds: Sequence[str]
  tasks: Sequence[str]

  def make_check(self, claim: Claim, rng: np.random.Generator) -> Check:
    """The question; `rng` chooses its words."""

  def holds(self, claim: Claim, labels: Int[np.ndarray, 'h w']) -> bool:
    """What the decoded answer says of the claim; 0 is the background."""
