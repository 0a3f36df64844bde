"""Instances as colours: a canonical palette and a decoder for free colours."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.codecs import palettes

# The twelve pure hues in order, given to instances from left to right.
# Neighbours in the order are neighbours in colour, so that an undecided blend
# of two ranks stays between them; any two are >= 127 levels apart, and each
# is >= 180 from black, white and mid-grey.
CANONICAL: tuple[palettes.Colour, ...] = tuple(
  palettes.NAMED[name]
  for name in (
    'red',
    'orange',
    'yellow',
    'chartreuse',
    'lime',
    'spring green',
    'cyan',
    'azure',
    'blue',
    'violet',
    'magenta',
    'rose',
  )
)

_BINS = 32


class Regions(NamedTuple):
  """Decoded instances of one picture.

  ids: 0 for background, 1..count otherwise (most votes first).
  count: number of instances.
  overflow: more colours were found than `max_instances`.
  """

  ids: Int[Array, 'h w']
  count: Int[Array, '']
  overflow: Bool[Array, '']


def left_to_right(instance: np.ndarray) -> list[int]:
  """Ids above 0 of an instance map [h w], by their mean column (host)."""
  ids = [int(i) for i in np.unique(instance) if i > 0]
  return sorted(ids, key=lambda i: (np.nonzero(instance == i)[1].mean(), i))


def canonical_palette(background: Float[ArrayLike, '3']) -> Float[Array, 'q 3']:
  """Background, then the canonical colours: RGB in [0, 1], index = id."""
  colours = jnp.asarray(palettes.to_rgb(CANONICAL))
  background = jnp.asarray(background, jnp.float32)
  return jnp.concatenate([background[None], colours])


def decode_canonical(
  rgb: Float[ArrayLike, '... 3'], background: Float[ArrayLike, '3']
) -> Int[Array, '...']:
  """Reads instance ids painted in canonical colours; 0 is background.

  A background equal to a canonical colour hides that instance: draw
  backgrounds away from `CANONICAL`.
  """
  return palettes.decode_nearest(rgb, canonical_palette(background))[0]


def _neighbours(image, combine, start):
  """3x3 window reduction over h w of an [h w c] image, edges padded."""
  padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode='edge')
  return jax.lax.reduce_window(
    padded, start, combine, (3, 3, 1), (1, 1, 1), 'VALID'
  )


def _flat_pixels(rgb, tolerance):
  """True where the box-blurred 3x3 neighbourhood hardly varies."""
  blurred = _neighbours(rgb, jax.lax.add, 0.0) / 9.0
  high = _neighbours(blurred, jax.lax.max, -jnp.inf)
  low = _neighbours(blurred, jax.lax.min, jnp.inf)
  return jnp.all(high - low < tolerance, axis=-1)


def _votes(rgb, voter):
  """Votes of the pixels for each of 32^3 colour bins, summed over 3x3x3."""
  cell = jnp.clip((rgb * _BINS).astype(jnp.int32), 0, _BINS - 1)
  shape = (_BINS, _BINS, _BINS)
  votes = jnp.zeros(shape, jnp.int32)
  r, g, b = cell[..., 0], cell[..., 1], cell[..., 2]
  votes = votes.at[r, g, b].add(voter.astype(jnp.int32))
  return jax.lax.reduce_window(
    votes, 0, jax.lax.add, (3, 3, 3), (1, 1, 1), 'SAME'
  )


def decode_regions(
  rgb: Float[ArrayLike, 'h w 3'],
  background: Float[ArrayLike, '3'],
  *,
  max_instances: int,
  tolerance: float = 14 / 255,
  flat_tolerance: float = 30 / 255,
  min_area: float = 2e-4,
  min_pixels: int = 4,
) -> Regions:
  """Groups the pixels of one picture by colour, whatever the colours are.

  Only locally flat pixels vote: anti-aliased borders would otherwise form
  colours of their own. The colours with most votes become instances one by
  one, each taking `2 * tolerance` around it out of the vote; then every pixel
  joins the nearest of the instances and the background. Equal colours are one
  instance, however far apart.

  Args:
    rgb: in [0, 1].
    background: its colour.
    max_instances: static bound; see `Regions.overflow`.
    tolerance: a pixel this near to the background is background, RGB [0, 1].
    flat_tolerance: range below which a neighbourhood is flat, RGB [0, 1].
    min_area: smaller instances, as a share of the picture, are dropped.
    min_pixels: and so are those of fewer pixels, or of fewer votes.

  Source: Vision Banana, appendix A, steps 1 and 3, with votes for its seeds.
  """
  rgb = jnp.asarray(rgb, jnp.float32)
  background = jnp.asarray(background, jnp.float32)
  to_background = jnp.linalg.norm(rgb - background, axis=-1)
  on_background = to_background < tolerance
  # Noise around the background must not become an instance of its own.
  far = to_background >= 2 * tolerance
  voter = _flat_pixels(rgb, flat_tolerance) & far
  votes = _votes(rgb, voter)
  centres = (jnp.arange(_BINS) + 0.5) / _BINS
  grid = jnp.stack(jnp.meshgrid(centres, centres, centres, indexing='ij'), -1)
  floor = max(min_pixels, min_area * rgb.shape[0] * rgb.shape[1])

  def mean_shift(colour):
    near = voter & (jnp.linalg.norm(rgb - colour, axis=-1) < 2 * tolerance)
    total = jnp.sum(rgb * near[..., None], axis=(0, 1))
    return jnp.where(near.any(), total / jnp.maximum(near.sum(), 1), colour)

  def take_mode(votes, _):
    best = jnp.argmax(votes)
    found = votes.ravel()[best] >= floor
    colour = mean_shift(mean_shift(grid.reshape(-1, 3)[best]))
    near = jnp.linalg.norm(grid - colour, axis=-1) < 2 * tolerance
    # The bin itself always leaves, lest a drifting mean return to it for ever.
    votes = jnp.where(near, 0, votes).ravel().at[best].set(0)
    return votes.reshape(grid.shape[:-1]), (colour, found)

  votes, (colours, found) = jax.lax.scan(take_mode, votes, length=max_instances)
  palette = jnp.concatenate([background[None], colours])
  valid = jnp.concatenate([jnp.ones((1,), bool), found])
  index, _ = palettes.decode_nearest(rgb, palette, valid)
  index = jnp.where(on_background, 0, index)
  area = jnp.zeros(max_instances + 1, jnp.int32).at[index].add(1)
  kept = (area >= floor).at[0].set(False)
  ids = jnp.where(kept, jnp.cumsum(kept), 0).astype(jnp.int32)
  return Regions(ids=ids[index], count=ids.max(), overflow=votes.max() >= floor)
