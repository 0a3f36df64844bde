"""What the instance decoders return, and how parts become instances."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.codecs import components

# Sums of 8-bit levels over all pixels fit in uint32 up to here.
MAX_PIXELS = 2**24
# Squared levels: means at exactly the limit are within it, however rounded.
_SLACK = 0.01


class Regions(NamedTuple):
  """Decoded instances of one picture, largest first.

  ids: 0 for background, 1..count otherwise.
  count: number of instances.
  overflow: there were more than the static bounds; the smallest are missing.
  converged: False where iterations ran out; some pixels are unread then.
  color: mean RGB in [0, 1] of instance k in row k - 1; 0 in unused rows.
  area_px: pixels of it.
  box_px: first row, first column, and one past the last row and column.
  confidence: how clearly each pixel has its own instance's color: 1 where
    it is exactly that, 0 where another one's is as near.
  """

  ids: Int[Array, 'h w']
  count: Int[Array, '']
  overflow: Bool[Array, '']
  converged: Bool[Array, '']
  color: Float[Array, 'k 3']
  area_px: Int[Array, 'k']
  box_px: Int[Array, 'k 4']
  confidence: Float[Array, 'h w']


@dataclasses.dataclass(frozen=True)
class Options:
  """Options that both decoders have; distances are in levels 0..255.

  Attributes:
    tau: nearer than this to the background is background.
    gamma: how much larger than their two boxes the box of merged parts is. A
      smaller one keeps apart instances that share a color.
    min_share: smaller instances, as a share of the picture, are dropped.
    min_inner_share: and parts of which a 3x3 erosion leaves less than this.
    max_instances: static bound after the merge; see `Regions.overflow`.
    max_parts: static bound before it.
  """

  tau: float = 14.0
  gamma: float = 5.0
  min_share: float = 2e-4
  min_inner_share: float = 0.1
  max_instances: int = 64
  max_parts: int = 256

  def count_least_pixels(self, shape: tuple[int, int]) -> int:
    """Pixels of the smallest instance in a picture of this height and width."""
    # A product like 2e-4 * 250000 may end a little above the whole number.
    return max(math.ceil(self.min_share * math.prod(shape) - 1e-6), 1)


class Parts(NamedTuple):
  """Sets of pixels with their sums; empty ones have area 0.

  part: number of each pixel's part; k where it is in none.
  """

  part: Int[Array, 'h w']
  area_px: Int[Array, 'k']
  total: Float[Array, 'k 3']
  box_px: Int[Array, 'k 4']


def to_levels(
  rgb: Float[Array, 'h w 3'], background: Float[Array, '3']
) -> tuple[Float[Array, 'h w 3'], Float[Array, '3']]:
  """Picture and background in levels 0..255; NaN becomes background."""
  rgb = jnp.where(jnp.isnan(rgb), background, rgb)
  return 255 * jnp.clip(rgb, 0, 1), 255 * jnp.clip(background, 0, 1)


def find_inner(labels: Int[Array, 'h w']) -> Bool[Array, 'h w']:
  """Pixels that stay when each label is eroded by a 3x3 square.

  Beyond the border of the picture there is nothing, so it erodes there too.
  """
  inner = jnp.ones(labels.shape, bool)
  for offset in components.NEIGHBORS[8]:
    inner &= components.shift(labels, offset, -1) == labels
  return inner


def make_parts(
  levels: Int[Array, 'h w 3'],
  labels: Int[Array, 'h w'],
  kept: Bool[Array, 'n'],
  *,
  min_area_px: int,
  max_parts: int,
) -> tuple[Parts, Bool[Array, '']]:
  """Numbers the kept labels in raster order of their first pixels.

  Of more than `max_parts` the largest stay, and the second value is true.
  No kept label may have fewer than `min_area_px` pixels.
  """
  h, w = labels.shape
  n = h * w
  if n > MAX_PIXELS:
    raise ValueError(f'a picture of {h}x{w} has over {MAX_PIXELS} pixels')
  # No more labels than this can be large enough.
  most = max(n // max(min_area_px, 1), 1)
  roots = jnp.nonzero(kept, size=most, fill_value=n)[0]
  if most > max_parts:
    area = components.count_pixels(labels).at[roots].get(mode='fill')
    _, largest = jax.lax.top_k(area, max_parts)
    roots = roots[jnp.sort(largest)]
  number = jnp.full(n, max_parts, jnp.int32)
  number = number.at[roots].set(jnp.arange(len(roots)), mode='drop')
  part = number.at[labels].get(mode='fill', fill_value=max_parts)
  flat = part.ravel()
  row, column = jnp.indices((h, w), jnp.int32).reshape(2, n)

  planes = levels.reshape(n, 3).T.astype(jnp.uint32)
  sums = jnp.stack([jnp.ones(n, jnp.uint32), *planes], -1)
  sums = jnp.zeros((max_parts, 4), jnp.uint32).at[flat].add(sums, mode='drop')
  # The least of -1 - row is -1 - the largest row.
  ends = jnp.stack([row, column, -1 - row, -1 - column], -1)
  box = jnp.full((max_parts, 4), max(h, w), jnp.int32)
  box = box.at[flat].min(ends, mode='drop')
  parts = Parts(
    part=part,
    area_px=sums[:, 0].astype(jnp.int32),
    total=sums[:, 1:].astype(jnp.float32),
    box_px=jnp.where(sums[:, :1] > 0, box * jnp.array([1, 1, -1, -1]), 0),
  )
  return parts, jnp.sum(kept) > max_parts


def _join_boxes(a, b):
  return jnp.concatenate(
    [jnp.minimum(a[..., :2], b[..., :2]), jnp.maximum(a[..., 2:], b[..., 2:])],
    -1,
  )


def _size(box):
  """Area of boxes, as float32: a sum of two can exceed int32."""
  sides = (box[..., 2:] - box[..., :2]).astype(jnp.float32)
  return sides[..., 0] * sides[..., 1]


def merge_parts(parts: Parts, tau: float, gamma: float) -> Parts:
  """Joins parts of one color that lie near each other.

  Two join where their mean colors are within `tau` levels and the box around
  both is at most `gamma` times as large as their two boxes together. The
  first such pair in the order (first part, second part) joins, under the
  number of the first, with the mean and the box of all its pixels; this is
  repeated until there is none.
  """
  k = len(parts.area_px)
  later = jnp.arange(k)[:, None] < jnp.arange(k)

  def find(area, total, box):
    mean = total / jnp.maximum(area, 1)[:, None]
    gap = jnp.sum(jnp.square(mean[:, None] - mean), -1)
    both = _size(_join_boxes(box[:, None], box))
    near = both <= gamma * (_size(box)[:, None] + _size(box))
    full = area > 0
    return near & (gap <= tau**2 + _SLACK) & later & full[:, None] & full

  def join(state):
    number, area, total, box, pairs = state
    a, b = jnp.divmod(jnp.argmax(pairs), k)
    number = jnp.where(number == b, a, number)
    area = area.at[a].add(area[b]).at[b].set(0)
    total = total.at[a].add(total[b]).at[b].set(0)
    box = box.at[a].set(_join_boxes(box[a], box[b]))
    return number, area, total, box, find(area, total, box)

  arrays = parts.area_px, parts.total, parts.box_px
  start = jnp.arange(k), *arrays, find(*arrays)
  number, *arrays, _ = jax.lax.while_loop(lambda s: jnp.any(s[-1]), join, start)
  part = number.at[parts.part].get(mode='fill', fill_value=k)
  return Parts(part, *arrays)


def measure_confidence(
  levels: Float[Array, 'h w 3'],
  ids: Int[Array, 'h w'],
  background: Float[Array, '3'],
  color: Float[Array, 'k 3'],
  count: Int[Array, ''],
  own: Float[Array, 'h w'] | None = None,
) -> Float[Array, 'h w']:
  """Compares each pixel's distance to its own color with the next one's.

  Colors in levels. `own` replaces the distance to the own mean color.
  """
  palette = jnp.concatenate([background[None], color])

  def compare(k, state):
    mine, other = state
    gap = jnp.sqrt(jnp.sum(jnp.square(levels - palette[k]), -1))
    is_mine = ids == k
    mine = jnp.where(is_mine, gap, mine)
    return mine, jnp.where(is_mine, other, jnp.minimum(other, gap))

  start = jnp.zeros(ids.shape), jnp.full(ids.shape, jnp.inf)
  mine, other = jax.lax.fori_loop(0, count + 1, compare, start)
  mine = mine if own is None else own
  # Where there is no other color, one as far as a whole channel is assumed.
  other = jnp.where(jnp.isinf(other), 255.0, other)
  return jnp.clip((other - mine) / jnp.maximum(other + mine, 1e-6), 0.0, 1.0)


def make_regions(
  levels: Float[Array, 'h w 3'],
  background: Float[Array, '3'],
  parts: Parts,
  *,
  max_instances: int,
  overflow: Bool[Array, ''],
  converged: Bool[Array, ''],
  own: Float[Array, 'h w'] | None = None,
) -> Regions:
  """Numbers parts by area, the largest first; of equal ones the first first."""
  order = jnp.argsort(-parts.area_px, stable=True)[:max_instances]
  area_px = jnp.zeros(max_instances, jnp.int32)
  area_px = area_px.at[: len(order)].set(parts.area_px[order])
  number = jnp.zeros(len(parts.area_px), jnp.int32)
  number = number.at[order].set(jnp.arange(1, len(order) + 1))
  ids = number.at[parts.part].get(mode='fill', fill_value=0)
  count = jnp.sum(area_px > 0, dtype=jnp.int32)

  def listed(values):
    rows = jnp.zeros((max_instances, *values.shape[1:]), values.dtype)
    rows = rows.at[: len(order)].set(values[order])
    return jnp.where(area_px[:, None] > 0, rows, 0)

  color = listed(parts.total) / jnp.maximum(area_px, 1)[:, None]
  return Regions(
    ids=ids,
    count=count,
    overflow=overflow | (jnp.sum(parts.area_px > 0) > max_instances),
    converged=converged,
    color=color / 255,
    area_px=area_px,
    box_px=listed(parts.box_px),
    confidence=measure_confidence(levels, ids, background, color, count, own),
  )
