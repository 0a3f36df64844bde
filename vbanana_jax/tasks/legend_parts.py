"""Long legends: asked a few names at a time, and joined to one answer.

A network reads legends as long as those that it was trained on, in as many
tokens as it takes. A longer legend is split into parts, each part is painted on
its own, and what the parts say of a pixel is joined.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.codecs import palettes


class Part(NamedTuple):
  """One question of a few names of a longer legend.

  Attributes:
    prompt: its instruction.
    palette: f32[q 3] in [0, 1], the background first; rows that do not exist
      are left out.
    rows: int32[q], each one's row in the palette of the whole legend.
  """

  prompt: str
  palette: Float[np.ndarray, 'q 3']
  rows: Int[np.ndarray, 'q']


def split_names(
  count: int, most: int, fits: Callable[[range], bool]
) -> list[range] | None:
  """The numbers 0 to count - 1 in as few even groups as will do.

  Args:
    count: of the names.
    most: names of one group.
    fits: whether a group can be asked.

  Returns:
    the groups, in order; None where not even single names fit.
  """
  for parts in range(-(-count // most), count + 1):
    edges = [k * count // parts for k in range(parts + 1)]
    groups = [range(*pair) for pair in itertools.pairwise(edges)]
    if all(fits(group) for group in groups):
      return groups
  return None


def join_parts(
  parts: Sequence[Part],
  painted: Sequence[Float[np.ndarray, 'h w 3']],
  palette: Float[np.ndarray, 'r 3'],
) -> Float[np.ndarray, 'h w 3']:
  """One picture in the colors of the whole legend.

  Every pixel gets the name that its part is surest of; the background, where
  every part calls it that. Of equally sure ones the first counts.

  Args:
    parts: of one legend.
    painted: their pictures, in [0, 1].
    palette: of the whole legend, in [0, 1], the background first.
  """
  most = max(len(part.rows) for part in parts)
  palettes_, valid, rows = [], [], []
  for part in parts:
    missing = most - len(part.rows)
    palettes_.append(np.pad(part.palette, ((0, missing), (0, 0))))
    valid.append(np.arange(most) < len(part.rows))
    rows.append(np.pad(part.rows, (0, missing)))
  row = _join(
    np.stack(painted), np.stack(palettes_), np.stack(valid), np.stack(rows)
  )
  return palette[np.asarray(row)]


@jax.jit
def _join(
  painted: Float[Array, 'p h w 3'],
  palette: Float[Array, 'p q 3'],
  valid: Bool[Array, 'p q'],
  rows: Int[Array, 'p q'],
) -> Int[Array, 'h w']:
  own, _ = jax.vmap(palettes.decode_nearest)(painted, palette, valid)
  sure = jax.vmap(palettes.confidence)(painted, palette, valid)
  sure = jnp.where(own > 0, sure, -1.0)
  row = jax.vmap(lambda table, index: table[index])(rows, own)
  best = jnp.argmax(sure, axis=0)
  return jnp.take_along_axis(row, best[None], axis=0)[0]
