"""The paper's instance decoder against a plain sequential one, and by hand."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from vbanana_jax.codecs import components, flood

H, W = 24, 28
BLACK = np.zeros(3, np.float32)
# Small pictures need a large share; 20 pixels of 672.
OPTIONS = {'min_share': 0.03, 'max_instances': 6, 'max_parts': 8}

decode = jax.jit(
  lambda rgb: flood.decode_flood(rgb, BLACK, flood.FloodOptions(**OPTIONS))
)


def flood_plainly(levels, background, tau, offsets):
  """Labels by the words of the appendix: one pixel after the other."""
  h, w = levels.shape[:2]
  levels = levels.astype(np.int64)
  label = np.full((h, w), h * w)
  open_pixels = np.square(levels - background).sum(-1) >= tau**2
  for start in range(h * w):
    if not open_pixels[divmod(start, w)]:
      continue
    seed = levels[divmod(start, w)]
    open_pixels[divmod(start, w)] = False
    stack = [divmod(start, w)]
    while stack:
      row, column = stack.pop()
      label[row, column] = start
      for down, right in offsets:
        y, x = row + down, column + right
        if not (0 <= y < h and 0 <= x < w and open_pixels[y, x]):
          continue
        if np.square(levels[y, x] - seed).sum() <= tau**2:
          open_pixels[y, x] = False
          stack.append((y, x))
  return label


def box_of(mask):
  rows, columns = np.nonzero(mask)
  return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def size_of(box):
  return (box[2] - box[0]) * (box[3] - box[1])


def merge_plainly(masks, levels, tau, gamma):
  """Joins the first pair that may join, until there is none."""
  masks = list(masks)
  pairs = True
  while pairs:
    pairs = []
    for a in range(len(masks)):
      for b in range(a + 1, len(masks)):
        gap = levels[masks[a]].mean(0) - levels[masks[b]].mean(0)
        both = size_of(box_of(masks[a] | masks[b]))
        each = size_of(box_of(masks[a])) + size_of(box_of(masks[b]))
        if np.square(gap).sum() <= tau**2 + 0.01 and both <= gamma * each:
          pairs.append((a, b))
    if pairs:
      a, b = pairs[0]
      masks[a] = masks[a] | masks.pop(b)
  return masks


def decode_plainly(
  rgb, background, max_instances, max_parts, min_share=2e-4, tau=14, gamma=5,
  inner_share=0.1, offsets=components.NEIGHBORS[16],
):  # fmt: skip
  """Ids, count and overflow of one picture."""
  levels = np.round(np.clip(rgb, 0, 1) * np.float32(255)).astype(np.int64)
  label = flood_plainly(levels, np.round(background * 255), tau, offsets)
  masks = [label == k for k in np.unique(label) if k < label.size]
  masks = [m for m in masks if m.sum() >= min_share * label.size]
  inner = [ndimage.binary_erosion(m, np.ones((3, 3))).sum() for m in masks]
  masks = [m for m, i in zip(masks, inner) if i >= inner_share * m.sum()]
  parts = len(masks)
  largest = np.argsort([-m.sum() for m in masks], kind='stable')[:max_parts]
  masks = [masks[k] for k in np.sort(largest)]
  masks = merge_plainly(masks, levels.astype(float), tau, gamma)
  masks = sorted(masks, key=lambda m: -m.sum())
  ids = np.zeros(label.shape, int)
  for k, mask in enumerate(masks[:max_instances]):
    ids[mask] = k + 1
  overflow = parts > max_parts or len(masks) > max_instances
  return ids, min(len(masks), max_instances), overflow


def draw(rng):
  """A small picture of one of the kinds that decoders meet."""
  kind = rng.integers(6)
  rgb = np.zeros((4 * H, 4 * W, 3))
  y, x = np.mgrid[: 4 * H, : 4 * W] / 4
  few = rng.integers(0, 256, (3, 3))
  for _ in range(rng.integers(1, 9)):
    a, b = rng.uniform(1, 9, 2)
    row, column = rng.uniform(0, H), rng.uniform(0, W)
    inside = ((y - row) / a) ** 2 + ((x - column) / b) ** 2 < 1
    if kind == 0:  # steps about as long as tau
      color = np.clip(few[0] + rng.integers(-12, 13, 3), 0, 255)
    elif kind == 1:  # near-black
      color = rng.integers(0, 25, 3)
    else:  # the same colors again and again
      color = few[rng.integers(3)]
    rgb[inside] = color
  rgb = rgb.reshape(H, 4, W, 4, 3).mean((1, 3))
  if kind == 2:
    rgb += rng.normal(0, rng.choice([2, 5, 10]), rgb.shape)
  if kind == 3:
    slope = rng.uniform(-4, 4, (2, 3))
    rgb += slope[0] * np.mgrid[:H, :W][0][..., None]
    rgb += slope[1] * np.mgrid[:H, :W][1][..., None]
  if kind == 4:
    rgb = (rgb + np.roll(rgb, 1, 0) + np.roll(rgb, 1, 1)) / 3
  if kind == 5:  # integers that often lie exactly at the limit
    rgb = 7 * np.round(rgb / 7)
  return (np.round(np.clip(rgb, 0, 255)) / 255).astype(np.float32)


@pytest.mark.parametrize('seed', range(2))
def test_equal_to_the_plain_decoder(seed):
  rng = np.random.default_rng(seed)
  found = []
  for _ in range(40):
    rgb = draw(rng)
    ids, count, overflow = decode_plainly(rgb, BLACK, **OPTIONS)
    got = decode(rgb)
    np.testing.assert_array_equal(got.ids, ids)
    assert (got.count, got.overflow) == (count, overflow)
    assert got.converged
    found.append(count)
  assert max(found) > 2 and min(found) < max(found)


def test_leaving_out_hopeless_chains_changes_nothing_that_survives():
  rng = np.random.default_rng(5)
  rules = {'tau': 14.0, 'offsets': components.NEIGHBORS[16]}
  find = jax.jit(
    lambda levels, unread: flood.find_promising(
      levels, unread, min_area_px=20, min_inner_px=2, **rules
    )[0]
  )
  less = 0
  for _ in range(30):
    levels = np.int32(np.round(255 * draw(rng)))
    unread = np.square(levels).sum(-1) >= 14**2
    label = flood_plainly(levels, np.zeros(3, int), **rules)
    promising = np.asarray(find(levels, unread))
    less += unread.sum() - promising.sum()
    for k in np.unique(label[unread & ~promising]):
      mask = label == k
      inner = ndimage.binary_erosion(mask, np.ones((3, 3))).sum()
      assert mask.sum() < 20 or inner < 2
      assert not np.any(mask & promising)
  assert less > 0


def test_vmap_is_the_same():
  rng = np.random.default_rng(6)
  batch = np.stack([draw(rng) for _ in range(4)])
  together = jax.jit(jax.vmap(decode))(batch)
  for k, rgb in enumerate(batch):
    for name, value in decode(rgb)._asdict().items():
      got = getattr(together, name)[k]
      np.testing.assert_allclose(got, value, atol=1e-5, err_msg=name)


def compile_decoder(**options):
  return jax.jit(
    lambda rgb: flood.decode_flood(
      rgb, BLACK, flood.FloodOptions(**{**OPTIONS, **options})
    )
  )


def test_constants_are_arguments():
  levels = np.zeros((H, W, 3))
  levels[4:14, 4:14] = (200, 40, 40)
  levels[4:14, 14:24] = (200, 40, 60)
  levels[18, 4:24] = (40, 40, 200)
  rgb = (levels / 255).astype(np.float32)
  got = decode(rgb)
  assert got.count == 2 and got.area_px[0] == 100
  got = compile_decoder(tau=20.0, min_share=0.0, min_inner_share=0.0)(rgb)
  # As far as tau joins, and the line is an instance.
  assert got.count == 2 and got.area_px[0] == 200 and got.area_px[1] == 20


def test_seeds_count_and_not_chains():
  """Steps of 10 levels make one chain, but no flood goes beyond its seed's."""
  levels = np.zeros((H, W, 3))
  for k in range(6):
    levels[2:22, 4 * k : 4 * k + 4] = 60 + 10 * k
  got = decode((levels / 255).astype(np.float32))
  # Gray: 10 levels in each channel are 17.3, farther than tau.
  assert got.count == 6
  levels[..., 1:] = 0
  got = decode((levels / 255).astype(np.float32))
  ids = np.asarray(got.ids)
  assert got.count == 3
  assert all(ids[5, 8 * k] == ids[5, 8 * k + 7] > 0 for k in range(3))


@pytest.mark.parametrize('connectivity, floods', [(4, 6), (16, 1)])
def test_floods_jump_like_knights_or_as_told(connectivity, floods):
  levels = np.zeros((H, W, 3), np.int32)
  levels[::2, :, 0] = 200
  red = levels[..., 0] > 0
  got = jax.jit(
    lambda levels, unread: flood.flood(
      levels,
      unread,
      tau=14.0,
      offsets=components.NEIGHBORS[connectivity],
      max_floods=6,
    )
  )(levels, red)
  labels = np.unique(got.labels)
  assert len(labels) - 1 == floods and labels[-1] == red.size
  assert got.converged == (connectivity == 16)  # 12 rows, but 6 floods at most


def test_ten_thousand_regions_set_the_flag():
  """Squares of 4x4 in colors far from each other, each large enough."""
  rng = np.random.default_rng(0)
  colors = 64 * rng.integers(0, 4, (100, 100, 3)) + 60
  rgb = (colors.repeat(4, 0).repeat(4, 1) / 255).astype(np.float32)
  got = compile_decoder(min_share=1e-4, gamma=0.0)(rgb)
  assert got.overflow and got.converged
  assert got.count == OPTIONS['max_instances']
