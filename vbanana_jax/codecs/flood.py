"""The paper's instance decoder: seeded flood fill by color."""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.codecs import components, regions

_BLOCK = 16  # pixels that leave the queue at once
_WINDOW = 1024  # pixels searched at once for a seed
_UNREAD, _NEVER = -1, -2


def _squared(a, b):
  """Squared distance of two colors given as three planes."""
  return sum(jnp.square(x - y) for x, y in zip(a, b))


def _find_tight(levels, limit):
  """True where the 3x3 neighborhood varies by `limit` or less a channel."""
  window, step = (3, 3, 1), (1, 1, 1)
  high = jax.lax.reduce_window(levels, 0, jax.lax.max, window, step, 'SAME')
  low = jax.lax.reduce_window(levels, 255, jax.lax.min, window, step, 'SAME')
  return jnp.all(high - low <= limit, -1)


def find_promising(
  levels: Int[Array, 'h w 3'],
  unread: Bool[Array, 'h w'],
  *,
  tau: float,
  offsets: components.Offsets,
  min_area_px: int,
  min_inner_px: int,
) -> tuple[Bool[Array, 'h w'], Bool[Array, '']]:
  """Leaves out pixels of which every flood would be dropped for its size.

  All pixels of a flood are within `2 * tau` of each other. So a flood never
  leaves its chain: a component of unread pixels linked where neighbors are
  within `2 * tau`. Chains do not touch each other's floods. No flood
  survives in a chain of fewer than `min_area_px` pixels, or of fewer than
  `min_inner_px` that can lie inside a flood: those in the chain with all
  neighbors, where no channel varies by more than `2 * tau`.

  Returns the pixels left, and whether the chains were found to the end.
  """
  planes = tuple(levels[..., channel] for channel in range(3))
  limit = math.floor(4 * tau**2)
  links = components.make_links(
    unread, planes, lambda a, b: _squared(a, b) <= limit, offsets
  )
  chain, converged = components.label_links(unread, links, offsets)
  inner = regions.find_inner(chain) & _find_tight(levels, 2 * tau)
  promising = components.count_pixels(chain) >= min_area_px
  promising &= components.count_pixels(chain, inner) >= min_inner_px
  left = promising.at[chain].get(mode='fill', fill_value=False)
  # Chains cut short by the bound on iterations prove nothing.
  return unread & (left | ~converged), converged


class _Queue(NamedTuple):
  """Where the flooding stands; pixels are indices into the padded picture.

  label: seed of each pixel, or _UNREAD or _NEVER.
  owner: which entry of `found` a pixel was first given by.
  pixels: all flooded pixels in the order of the flood; from `head` to `tail`
    their neighbors have not been looked at.
  found: a new seed or none, then new pixels of the flood, with repetitions.
  seed, color: of the present flood.
  searched: no seed is before this pixel.
  floods: how many there were.
  """

  label: Int[Array, 'p']
  owner: Int[Array, 'p']
  pixels: Int[Array, 'p']
  head: Int[Array, '']
  tail: Int[Array, '']
  found: Int[Array, 'f']
  seed: Int[Array, '']
  color: Int[Array, '3']
  searched: Int[Array, '']
  floods: Int[Array, '']


def _write(q):
  """`label`, `owner`, `pixels` and `tail` with what the last step found."""
  entry = jnp.arange(len(q.found) - 1, dtype=jnp.int32)
  label = q.label.at[q.found].set(q.seed, mode='drop')
  found = q.found[1:]
  owner = q.owner.at[found].set(entry, mode='drop')
  first = owner.at[found].get(mode='fill', fill_value=-1) == entry
  at = q.tail + jnp.cumsum(first, dtype=jnp.int32) - 1
  at = jnp.where(first, at, len(label))
  pixels = q.pixels.at[at].set(found, mode='drop')
  return label, owner, pixels, q.tail + jnp.sum(first, dtype=jnp.int32)


def _step(q, *, colors, steps, limit, max_floods):
  """Looks at the neighbors of a block of pixels, or for the next seed.

  Every array is first written and then read: the compiler then works in place,
  where one read of an old value would copy whole pictures.
  """
  size, nowhere = len(colors), len(q.label)
  label, owner, pixels, tail = _write(q)

  window = jax.lax.dynamic_slice(label, (q.searched,), (_WINDOW,)) == _UNREAD
  ahead = jnp.argmax(window).astype(jnp.int32)
  seeded = window[ahead] & (q.floods < max_floods)
  searched = q.searched + jnp.where(seeded, ahead + 1, _WINDOW)
  idle = q.head == tail
  start = idle & seeded
  seed = jnp.where(start, q.searched + ahead, q.seed)
  color = jnp.where(start, colors[seed], q.color)

  place = jnp.arange(_BLOCK, dtype=jnp.int32)
  block = jax.lax.dynamic_slice(pixels, (q.head,), (_BLOCK,))
  block = jnp.where(start, seed, block)
  used = jnp.where(start, place == 0, place < tail - q.head)
  near = jnp.where(used[:, None], block[:, None] + steps, 0).ravel()
  joins = label[near] == _UNREAD
  joins &= jnp.sum(jnp.square(colors[near] - color), -1) <= limit
  joining = jnp.where(joins, near, nowhere)
  return _Queue(
    label=label,
    owner=owner,
    pixels=pixels,
    head=jnp.minimum(q.head + _BLOCK, tail),
    tail=tail,
    found=jnp.concatenate([jnp.where(start, seed, nowhere)[None], joining]),
    seed=seed,
    color=color,
    searched=jnp.where(idle, jnp.minimum(searched, size), q.searched),
    floods=q.floods + start,
  )


def _flood_padded(levels, unread, *, tau, offsets, max_floods):
  """`flood` with the picture as one line, so that neighbors are far apart."""
  h, w = unread.shape
  border = max(abs(step) for offset in offsets for step in offset)
  width = w + 2 * border
  size = (h + 2 * border) * width
  colors = jnp.pad(levels, ((border, border), (border, border), (0, 0)))
  colors = colors.reshape(size, 3)
  label = jnp.where(unread, _UNREAD, _NEVER).astype(jnp.int32)
  label = jnp.pad(label, border, constant_values=_NEVER).ravel()
  label = jnp.pad(label, (0, _WINDOW), constant_values=_NEVER)
  nowhere = len(label)

  def unfinished(q):
    return (q.head < q.tail) | (q.searched < size) | jnp.any(q.found < nowhere)

  zero = jnp.int32(0)
  start = _Queue(
    label=label,
    owner=jnp.zeros(size, jnp.int32),
    pixels=jnp.zeros(size + _BLOCK, jnp.int32),
    head=zero,
    tail=zero,
    found=jnp.full(_BLOCK * len(offsets) + 1, nowhere, jnp.int32),
    seed=zero,
    color=jnp.zeros(3, jnp.int32),
    searched=zero,
    floods=zero,
  )
  step = functools.partial(
    _step,
    colors=colors,
    steps=jnp.asarray([row * width + column for row, column in offsets]),
    limit=math.floor(tau**2),
    max_floods=max_floods,
  )
  seed = jax.lax.while_loop(unfinished, step, start).label[:size]
  seed = seed.reshape(-1, width)[border : border + h, border : border + w]
  row, column = seed // width - border, seed % width - border
  first = jnp.where(seed < 0, h * w, row * w + column)
  return components.Components(first, ~jnp.any(seed == _UNREAD))


def flood(
  levels: Int[Array, 'h w 3'],
  unread: Bool[Array, 'h w'],
  *,
  tau: float,
  offsets: components.Offsets,
  max_floods: int,
) -> components.Components:
  """Floods the unread pixels by color, from seeds in raster order.

  The first unread pixel is a seed. The flood takes the unread pixels that are
  connected to it through unread pixels within `tau` of the seed's color.
  Then the next unread pixel is a seed. Each pixel is visited once, through a
  queue. `jax.vmap` works on one picture after the other.

  Returns the first pixel of each pixel's flood, h * w in none; not converged
  where `max_floods` left pixels unread.
  """
  run = functools.partial(
    _flood_padded, tau=tau, offsets=offsets, max_floods=max_floods
  )
  return jax.custom_batching.sequential_vmap(run)(levels, unread)


@dataclasses.dataclass(frozen=True)
class FloodOptions(regions.Options):
  """Options of `decode_flood`, as the paper has them.

  Attributes:
    offsets: neighbors of a pixel, (rows, columns).
    max_floods: bound on the time; see `Regions.converged`.
  """

  gamma: float = 5.0
  offsets: components.Offsets = components.NEIGHBORS[16]
  max_floods: int = 2**18


def decode_flood(
  rgb: Float[ArrayLike, 'h w 3'],
  background: Float[ArrayLike, '3'],
  options: FloodOptions = FloodOptions(),
) -> regions.Regions:
  """Reads the instances of one picture as the paper does, at 8 bits.

  Background; floods; small and thin ones dropped; parts of one color that
  lie near each other merged. Dropped pixels are background. All that decides
  is counted in integers, and is the same on every device.

  Args:
    rgb: in [0, 1], rounded to 8 bits.
    background: its color, rounded too.
    options: as near as `tau` to the seed joins the flood; so do means in the
      merge.

  Source: Vision Banana, appendix A. Not stated there, and chosen here: seeds
  in raster order, 8 neighbors and 8 knight moves, erosion at the border of
  the picture, and the order of merging (see `regions.merge_parts`).
  """
  o = options
  rgb = jnp.asarray(rgb, jnp.float32)
  levels, ground = (
    jnp.round(x).astype(jnp.int32)
    for x in regions.to_levels(rgb, jnp.asarray(background, jnp.float32))
  )
  from_ground = jnp.sum(jnp.square(levels - ground), -1)
  min_area_px = o.count_least_pixels(rgb.shape[:2])
  promising, settled = find_promising(
    levels,
    from_ground >= math.ceil(o.tau**2),
    tau=o.tau,
    offsets=o.offsets,
    min_area_px=min_area_px,
    min_inner_px=math.ceil(o.min_inner_share * min_area_px - 1e-6),
  )
  labels, converged = flood(
    levels, promising, tau=o.tau, offsets=o.offsets, max_floods=o.max_floods
  )
  area = components.count_pixels(labels)
  inner = components.count_pixels(labels, regions.find_inner(labels))
  kept = (area >= min_area_px) & (inner >= o.min_inner_share * area)
  parts, overflow = regions.make_parts(
    levels, labels, kept, min_area_px=min_area_px, max_parts=o.max_parts
  )
  return regions.make_regions(
    levels.astype(jnp.float32),
    ground.astype(jnp.float32),
    regions.merge_parts(parts, o.tau, o.gamma),
    max_instances=o.max_instances,
    overflow=overflow,
    converged=converged & settled,
  )
