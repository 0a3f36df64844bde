"""Connected components on a fixed number of pixels, in jit."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Int, Shaped

Offsets = tuple[tuple[int, int], ...]

_SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_KNIGHTS = (
  (-2, -1), (-2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2), (2, -1), (2, 1),
)  # fmt: skip
# Neighbors of a pixel, (rows, columns) from it, by their number.
NEIGHBORS: dict[int, Offsets] = {
  4: _SIDES,
  8: _SIDES + _CORNERS,
  16: _SIDES + _CORNERS + _KNIGHTS,
}


class Components(NamedTuple):
  """Components of one picture.

  labels: row-major index of the first pixel of the component; h * w where
    the pixel is in none.
  converged: False where the iterations ran out before the labels settled.
  """

  labels: Int[Array, 'h w']
  converged: Bool[Array, '']


def shift(
  plane: Shaped[Array, 'h w'], offset: tuple[int, int], fill
) -> Shaped[Array, 'h w']:
  """Gives each pixel the value of its neighbor; `fill` outside."""
  h, w = plane.shape
  reach = max(abs(step) for step in offset)
  padded = jnp.pad(plane, reach, constant_values=fill)
  row, column = reach + offset[0], reach + offset[1]
  return padded[row : row + h, column : column + w]


def make_links(
  mask: Bool[Array, 'h w'],
  planes: tuple[Shaped[Array, 'h w'], ...],
  test: Callable,
  offsets: Offsets,
) -> Int[Array, 'h w']:
  """Which neighbors a pixel is linked to: bit k for `offsets[k]`.

  Two pixels are linked where both are in `mask` and `test(planes here,
  planes there)` is true. The test must be symmetric. Raises ValueError where
  the offsets are not: each needs its opposite.
  """
  if {(-row, -column) for row, column in offsets} != set(offsets):
    raise ValueError(f'offsets {offsets} do not come with their opposites')
  links = jnp.zeros(mask.shape, jnp.int32)
  for k, offset in enumerate(offsets):
    there = tuple(shift(plane, offset, 0) for plane in planes)
    linked = mask & shift(mask, offset, False) & test(planes, there)
    links |= linked.astype(jnp.int32) << k
  return links


def label_links(
  mask: Bool[Array, 'h w'],
  links: Int[Array, 'h w'],
  offsets: Offsets,
  max_iterations: int = 256,
) -> Components:
  """Components of the graph of `make_links`.

  Each iteration takes the least label of the linked neighbors, hands it to
  the pixel that the own label points to, and follows the labels twice.
  Without the middle step a serpentine takes hundreds of iterations.
  """
  h, w = mask.shape
  n = h * w
  # Rows become one line: a neighbor is then a fixed distance away, and the
  # links never lead over the end of a row.
  links = links.ravel()
  steps = [row * w + column for row, column in offsets]
  reach = max(abs(step) for step in steps)

  def least_around(labels):
    padded = jnp.pad(labels, reach, constant_values=n)
    least = labels
    for k, step in enumerate(steps):
      there = jax.lax.slice(padded, (reach + step,), (reach + step + n,))
      least = jnp.minimum(least, jnp.where((links >> k) & 1 != 0, there, n))
    return least

  def iterate(state):
    labels, _, iteration = state
    least = least_around(labels)
    unsettled = jnp.any(least < labels)
    parent = least.at[labels].min(least, mode='drop')
    for _ in range(2):
      parent = parent.at[parent].get(mode='fill', fill_value=n)
    return parent, unsettled, iteration + 1

  def unfinished(state):
    return state[1] & (state[2] < max_iterations)

  labels = jnp.where(mask.ravel(), jnp.arange(n, dtype=jnp.int32), n)
  start = labels, jnp.asarray(True), jnp.int32(0)
  labels, unsettled, _ = jax.lax.while_loop(unfinished, iterate, start)
  return Components(labels.reshape(h, w), ~unsettled)


def label_components(
  values: Shaped[ArrayLike, 'h w'],
  *,
  offsets: Offsets = NEIGHBORS[8],
  fill: int = 0,
  max_iterations: int = 256,
) -> Components:
  """Components of equal values; pixels of value `fill` are in none.

  A Boolean mask gives the components of its true pixels, as
  `scipy.ndimage.label` does up to the numbering.
  """
  values = jnp.asarray(values)
  mask = values != fill
  links = make_links(mask, (values,), lambda a, b: a[0] == b[0], offsets)
  return label_links(mask, links, offsets, max_iterations)


def count_pixels(
  labels: Int[Array, 'h w'], where: Bool[ArrayLike, 'h w'] | bool = True
) -> Int[Array, 'n']:
  """Counts each label's pixels: [h * w], at the index that is the label."""
  counts = jnp.zeros(labels.size, jnp.int32)
  one = jnp.broadcast_to(jnp.asarray(where), labels.shape).astype(jnp.int32)
  return counts.at[labels.ravel()].add(one.ravel(), mode='drop')


def despeckle(
  values: Shaped[ArrayLike, 'h w'],
  min_area_px: int,
  *,
  offsets: Offsets = NEIGHBORS[8],
  fill: int = 0,
) -> tuple[Shaped[Array, 'h w'], Bool[Array, '']]:
  """Replaces components of fewer than `min_area_px` pixels by `fill`.

  For masks, and for maps of classes or ids. Holes of a mask are the specks
  of its negation. Returns the values and the `converged` flag.
  """
  values = jnp.asarray(values)
  labels, converged = label_components(values, offsets=offsets, fill=fill)
  large = count_pixels(labels) >= min_area_px
  kept = large.at[labels].get(mode='fill', fill_value=False)
  return jnp.where(kept, values, jnp.asarray(fill, values.dtype)), converged
