"""Captions and phrases of one picture, and how one of them is drawn."""

from collections.abc import Sequence

import numpy as np

from vbanana_jax import labels


class CaptionList(tuple[str, ...]):
  """Captions of one picture, all as good as each other."""

  def draw(self, rng: np.random.Generator) -> str:
    """One of them; empty where there are none."""
    return self[int(rng.integers(len(self)))] if self else ''


class PhraseList(tuple[labels.Phrase, ...]):
  """Phrases about one picture; their masks may overlap."""

  def draw(self, rng: np.random.Generator, most: int) -> list[labels.Phrase]:
    """One to `most` phrases whose masks do not overlap.

    Args:
      rng: how many, and which.
      most: at least 1.
    """
    wanted = int(rng.integers(1, most + 1))
    drawn: list[labels.Phrase] = []
    for k in rng.permutation(len(self)):
      if len(drawn) == wanted:
        break
      if not _overlaps(self[k], drawn):
        drawn.append(self[k])
    return drawn


def _overlaps(phrase: labels.Phrase, others: Sequence[labels.Phrase]) -> bool:
  return any(np.any(phrase.mask & other.mask) for other in others)
