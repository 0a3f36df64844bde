"""Instances as colors: a canonical palette and a decoder for free colors."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.codecs import components, palettes, regions

# The twelve pure hues in order, given to instances from left to right.
# Neighbors in the order are neighbors in color, so that an undecided blend
# of two ranks stays between them; any two are >= 127 levels apart, and each
# is >= 180 from black, white and mid-gray.
CANONICAL: tuple[palettes.Color, ...] = (
  (255, 0, 0),
  (255, 128, 0),
  (255, 255, 0),
  (128, 255, 0),
  (0, 255, 0),
  (0, 255, 128),
  (0, 255, 255),
  (0, 128, 255),
  (0, 0, 255),
  (128, 0, 255),
  (255, 0, 255),
  (255, 0, 128),
)


def canonical_palette(background: Float[ArrayLike, '3']) -> Float[Array, 'q 3']:
  """Background, then the canonical colors: RGB in [0, 1], index = id."""
  colors = jnp.asarray(palettes.to_rgb(CANONICAL))
  background = jnp.asarray(background, jnp.float32)
  return jnp.concatenate([background[None], colors])


def _window(image, combine, start):
  """3x3 window reduction over h w of an [h w 3] image, edges padded."""
  padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode='edge')
  return jax.lax.reduce_window(
    padded, start, combine, (3, 3, 1), (1, 1, 1), 'VALID'
  )


def _span(image):
  """Range of the 3x3 neighborhood, in the channel where it is largest."""
  high = _window(image, jax.lax.max, -jnp.inf)
  low = _window(image, jax.lax.min, jnp.inf)
  return jnp.max(high - low, -1)


def _gap(a, b):
  return jnp.sqrt(jnp.sum(jnp.square(a - b), -1))


def find_flat(
  levels: Float[Array, 'h w 3'],
  smooth: Float[Array, 'h w 3'],
  painted: Bool[Array, 'h w'],
  bounds: tuple[float, float],
) -> Bool[Array, 'h w']:
  """True inside of areas: where the neighborhood hardly varies.

  Either the 3x3 means around a pixel hardly vary (in noise) or the pixels
  themselves (in what is 3 pixels thick). How much is allowed follows from the
  picture, within `bounds`, in levels: 2.5 times the median of the painted
  pixels, so that noise does not count as a border, nor a soft border as noise.
  """
  span = _span(smooth)
  bins = jnp.where(painted, jnp.minimum(span, 255).astype(jnp.int32), 256)
  counts = jnp.zeros(256, jnp.int32).at[bins.ravel()].add(1, mode='drop')
  below = jnp.cumsum(counts)
  median = jnp.argmax(2 * below >= below[-1]) + 0.5
  limit = jnp.clip(2.5 * median, *bounds)
  return jnp.minimum(span, _span(levels)) < limit


def grow(
  levels: Float[Array, 'h w 3'],
  part: Int[Array, 'h w'],
  color: Float[Array, 'h w 3'],
  limit: float,
  max_steps: int,
) -> tuple[Int[Array, 'h w'], Float[Array, 'h w 3'], Bool[Array, '']]:
  """Spreads parts to the pixels that have none (-1), one pixel a step.

  A pixel takes the part of the neighbor with the nearest `color`, where
  that is within `limit`; and it takes over that color, not its own: a border
  that fades from one part to another then divides where it is half-way.
  Returns parts, colors, and whether nothing is left to do.
  """
  planes = tuple(levels[..., channel] for channel in range(3))

  def step(state):
    part, held, _, count = state
    nearest = jnp.full(part.shape, limit**2, jnp.float32)
    new_part, new_held = part, held
    for offset in components.NEIGHBORS[8]:
      there = components.shift(part, offset, -1)
      theirs = tuple(components.shift(plane, offset, 0.0) for plane in held)
      gap = sum(jnp.square(a - b) for a, b in zip(planes, theirs))
      takes = (part < 0) & (there >= 0) & (gap <= nearest)
      nearest = jnp.where(takes, gap, nearest)
      new_part = jnp.where(takes, there, new_part)
      new_held = tuple(jnp.where(takes, a, b) for a, b in zip(theirs, new_held))
    return new_part, new_held, jnp.any(new_part != part), count + 1

  def unfinished(state):
    return state[2] & (state[3] < max_steps)

  held = tuple(color[..., channel] for channel in range(3))
  start = part, held, jnp.asarray(True), jnp.int32(0)
  part, held, changed, _ = jax.lax.while_loop(unfinished, step, start)
  return part, jnp.stack(held, -1), ~changed


@dataclasses.dataclass(frozen=True)
class RegionOptions(regions.Options):
  """Options of `decode_regions`.

  Attributes:
    flat_bounds: see `find_flat`.
    near: what counts as a near color for pixels outside of cores.
    merge_tau: between mean colors of cores that are merged.
    max_steps: of growth, each time; where borders are wider than this, see
      `Regions.converged`.
  """

  gamma: float = 3.5
  flat_bounds: tuple[float, float] = (12.0, 30.0)
  near: float = 40.0
  merge_tau: float = 20.0
  max_steps: int = 64


def decode_regions(
  rgb: Float[ArrayLike, 'h w 3'],
  background: Float[ArrayLike, '3'],
  options: RegionOptions = RegionOptions(),
) -> regions.Regions:
  """Reads the instances of one picture from their flat insides outwards.

  Connected flat pixels off the background are cores, whatever colors they
  run through; small and thin cores are dropped; cores of one color that lie
  near each other are one instance. The pixels left, borders and tails, join
  the neighbor with the nearest color: first those with a near one, step by
  step, then all. At last small instances are dropped.

  Args:
    rgb: in [0, 1].
    background: its color. What counts is the mean of the pixels near it, as
      the painted background may be some levels off.
    options: `max_parts` bounds the cores.

  Source: ours; the last steps follow Vision Banana, appendix A.
  """
  o = options
  named = jnp.asarray(background, jnp.float32)
  levels, named = regions.to_levels(jnp.asarray(rgb, jnp.float32), named)
  empty = _gap(levels, named) < o.tau
  total = jnp.sum(levels * empty[..., None], (0, 1))
  ground = jnp.where(empty.any(), total / jnp.maximum(empty.sum(), 1), named)

  smooth = _window(levels, jax.lax.add, 0.0) / 9.0
  flat = find_flat(levels, smooth, ~empty, o.flat_bounds)
  empty = _gap(smooth, ground) < o.tau
  part, overflow, settled = _find_cores(smooth, flat & ~empty, o)
  part = jnp.where(flat & empty, o.max_parts, part)

  part, color, _ = grow(levels, part, smooth, o.near, o.max_steps)
  part, color, grown = grow(levels, part, color, jnp.inf, o.max_steps)
  nothing = (part < 0) | (part == o.max_parts)
  labels = jnp.where(nothing, part.size, part)
  min_area_px = o.count_least_pixels(part.shape)
  parts, _ = regions.make_parts(
    _round(levels),
    labels,
    components.count_pixels(labels) >= min_area_px,
    min_area_px=min_area_px,
    max_parts=o.max_parts,
  )
  return regions.make_regions(
    levels,
    ground,
    parts,
    max_instances=o.max_instances,
    overflow=overflow,
    converged=settled & grown,
    own=_gap(levels, color),
  )


def _find_cores(smooth, flat, options):
  """Number of each pixel's core, -1 for none; overflow; convergence."""
  cores, settled = components.label_components(flat)
  min_core_px = max(options.count_least_pixels(flat.shape) // 4, 1)
  area = components.count_pixels(cores)
  inner = components.count_pixels(cores, regions.find_inner(cores))
  kept = (area >= min_core_px) & (inner >= options.min_inner_share * area)
  # Parts are numbered from 0; the background is one after the last.
  parts, overflow = regions.make_parts(
    _round(smooth),
    cores,
    kept,
    min_area_px=min_core_px,
    max_parts=options.max_parts,
  )
  part = regions.merge_parts(parts, options.merge_tau, options.gamma).part
  return jnp.where(part == options.max_parts, -1, part), overflow, settled


def _round(levels):
  return jnp.round(levels).astype(jnp.int32)
