"""Instances as colours: a canonical palette and a decoder for free colours."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.codecs import components, palettes, regions

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


def canonical_palette(background: Float[ArrayLike, '3']) -> Float[Array, 'q 3']:
  """Background, then the canonical colours: RGB in [0, 1], index = id."""
  colours = jnp.asarray(palettes.to_rgb(CANONICAL))
  background = jnp.asarray(background, jnp.float32)
  return jnp.concatenate([background[None], colours])


def _window(image, combine, start):
  """3x3 window reduction over h w of an [h w 3] image, edges padded."""
  padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode='edge')
  return jax.lax.reduce_window(
    padded, start, combine, (3, 3, 1), (1, 1, 1), 'VALID'
  )


def _gap(a, b):
  return jnp.sqrt(jnp.sum(jnp.square(a - b), -1))


def find_flat(levels, on, low_limit, high_limit, factor):
  smooth = _window(levels, jax.lax.add, 0.0) / 9.0
  high = _window(smooth, jax.lax.max, -jnp.inf)
  low = _window(smooth, jax.lax.min, jnp.inf)
  span = jnp.max(high - low, -1)
  bins = jnp.where(on, 256, span.astype(jnp.int32))
  counts = jnp.zeros(256, jnp.int32).at[bins.ravel()].add(1, mode='drop')
  total = jnp.cumsum(counts)
  median = jnp.argmax(2 * total >= total[-1]) + .5
  limit = jnp.clip(factor * median, low_limit, high_limit)
  return smooth, span < limit


def grow(levels, part, colour, limit, max_steps):
  """Unknown (part -1) pixels adopt the neighbour's part with nearest carried
  colour within limit."""
  offsets = components.NEIGHBOURS[8]
  planes = tuple(levels[..., c] for c in range(3))

  def step(state):
    part, carried, _, count = state
    best = jnp.full(part.shape, limit**2, jnp.float32)
    new, held = part, carried
    for offset in offsets:
      there = components.shift(part, offset, -1)
      theirs = tuple(components.shift(c, offset, 0.0) for c in carried)
      gap = sum(jnp.square(a - b) for a, b in zip(planes, theirs))
      better = (part < 0) & (there >= 0) & (gap <= best)
      best = jnp.where(better, gap, best)
      new = jnp.where(better, there, new)
      held = tuple(jnp.where(better, a, b) for a, b in zip(theirs, held))
    return new, held, jnp.any(new != part), count + 1

  def unfinished(state):
    return state[2] & (state[3] < max_steps)

  carried = tuple(colour[..., c] for c in range(3))
  part, carried, _, _ = jax.lax.while_loop(
    unfinished, step, (part, carried, jnp.asarray(True), 0)
  )
  return part, jnp.stack(carried, -1)


def decode_regions(
  rgb: Float[ArrayLike, 'h w 3'],
  background: Float[ArrayLike, '3'],
  *,
  tau: float = 14.0,
  flat: float = 30.0,
  low_flat: float = 12.0, factor=2.5,
  near: float = 40.0,
  min_share: float = 2e-4,
  min_inner_share: float = 0.1,
  gamma: float = 3.0,
  merge_tau: float = 20.0,
  max_instances: int = 64,
  max_parts: int = 256,
  max_steps: int = 64,
) -> regions.Regions:
  levels = 255 * jnp.clip(jnp.asarray(rgb, jnp.float32), 0, 1)
  background = 255 * jnp.asarray(background, jnp.float32)
  h, w = levels.shape[:2]
  n = h * w
  min_area_px = max(math.ceil(min_share * n - 1e-6), 1)
  on = _gap(levels, background) < tau
  mean = jnp.sum(levels * on[..., None], (0, 1)) / jnp.maximum(on.sum(), 1)
  paper = jnp.where(on.any(), mean, background)
  smooth, is_flat = find_flat(levels, on, low_flat, flat, factor)
  on = _gap(smooth, paper) < tau
  labels, converged = components.label_components(is_flat & ~on)
  area = components.count_pixels(labels)
  inner = components.count_pixels(labels, regions.find_inner(labels))
  kept = (area >= max(min_area_px // 4, 1)) & (inner >= min_inner_share * area)
  cores, overflow = regions.make_parts(
    jnp.round(smooth).astype(jnp.int32), labels, kept,
    min_area_px=max(min_area_px // 4, 1), max_parts=max_parts,
  )
  cores = regions.merge_parts(cores, merge_tau, gamma)
  part = jnp.where(on & is_flat, max_parts, jnp.where(cores.part < max_parts, cores.part, -1))
  part, carried = grow(levels, part, smooth, near, max_steps)
  part, carried = grow(levels, part, carried, jnp.inf, max_steps)
  part = jnp.where(part < 0, max_parts, part)
  labels = jnp.where(part < max_parts, part, n)
  kept = components.count_pixels(labels) >= min_area_px
  parts, _ = regions.make_parts(
    jnp.round(levels).astype(jnp.int32), labels, kept,
    min_area_px=min_area_px, max_parts=max_parts,
  )
  return regions.make_regions(
    levels, paper, parts, max_instances=max_instances, overflow=overflow,
    converged=converged, own=_gap(levels, carried),
  )
