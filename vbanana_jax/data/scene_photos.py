"""Photographs of another source on the surfaces of scenes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vbanana_jax import keys
from vbanana_jax.scenes import details

_PHOTOS = 8  # that the scenes of a micro-batch share
_PLAIN_SHARE = 0.25  # of surfaces that stay as they are


class ScenePhotos:
  """Details of surfaces; those of a micro-batch are a function of its number.

  Args:
    source: rows with rgb in [0, 1].
    seed: of what is drawn.
  """

  def __init__(self, source: Sequence[dict[str, Any]], seed: int):
    self._source = source
    self._seed = seed

  def draw(self, batch: int, count: int) -> details.Details:
    """For the `count` scenes of a micro-batch."""
    rng = keys.make_rng(self._seed, 'textures', batch)
    rows = rng.integers(len(self._source), size=_PHOTOS)
    turns = rng.integers(4, size=_PHOTOS)
    found = [
      np.rot90(self._load(int(row)), turn, (1, 2))
      for row, turn in zip(rows, turns)
    ]
    table = np.stack([details.make_flat(), *found])
    chosen = 1 + rng.integers(_PHOTOS, size=(count, details.KINDS))
    is_plain = rng.random(chosen.shape) < _PLAIN_SHARE
    return details.Details(
      table, np.where(is_plain, 0, chosen).astype(np.int32)
    )

  def _load(self, row: int) -> Float[np.ndarray, 'l s s 3']:
    rgb = self._source[row]['rgb']
    return details.make_detail(np.rint(rgb * 255).astype(np.uint8))
