"""Instance codec: canonical colours in order, and grouping of free colours."""

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.codecs import instances, palettes

BACKGROUND = jnp.asarray([0.1, 0.6, 0.2])
decode_regions = jax.jit(
  lambda rgb: instances.decode_regions(rgb, BACKGROUND, max_instances=4)
)


def painted(colours, noise=0.0):
  """Boxes of given colours on the background, and their ids."""
  ids = np.zeros((32, 40), np.int32)
  for k in range(len(colours)):
    y, x = divmod(k, 3)
    ids[2 + 15 * y : 13 + 15 * y, 2 + 13 * x : 12 + 13 * x] = k + 1
  palette = np.asarray([BACKGROUND, *colours], np.float32)
  rng = np.random.default_rng(0)
  rgb = palette[ids] + noise * rng.standard_normal((32, 40, 3))
  return ids, np.clip(rgb, 0, 1).astype(np.float32)


def same_partition(a, b):
  pairs = {(int(x), int(y)) for x, y in zip(a.ravel(), b.ravel())}
  return len(pairs) == len(np.unique(a)) == len(np.unique(b))


def test_canonical_colours_are_far_from_each_other_and_from_backgrounds():
  names = list(palettes.BACKGROUNDS)
  colours = [*instances.CANONICAL, *(palettes.NAMED[name] for name in names)]
  assert len(instances.CANONICAL) >= 12
  gaps = np.asarray(colours, float)[:, None] - np.asarray(colours, float)
  gaps = np.linalg.norm(gaps, axis=-1) + 1e3 * np.eye(len(colours))
  assert gaps.min() >= 127


def test_canonical_cycle_survives_noise_and_takes_any_background():
  ids = np.arange(13).reshape(1, 13).repeat(5, 0)
  background = jnp.asarray([0.4, 0.4, 0.4])
  palette = np.asarray(instances.canonical_palette(background))
  noise = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 13, 3))
  got = instances.decode_canonical(palette[ids] + noise, background)
  np.testing.assert_array_equal(got, ids)


def test_left_to_right_goes_by_mean_column():
  instance = np.zeros((4, 9), int)
  instance[0, 7:] = 1
  instance[1:, 4:6] = 5
  instance[:2, 0] = 3
  assert instances.left_to_right(instance) == [3, 5, 1]
  assert instances.left_to_right(np.zeros((2, 2), int)) == []


def test_regions_of_free_colours_with_noise():
  colours = [(1, 0, 0), (0.05, 0.1, 0.3), (0.9, 0.8, 0.75), (0, 0, 0)]
  ids, rgb = painted(colours, noise=3 / 255)
  got = decode_regions(rgb)
  assert got.count == 4 and not got.overflow
  assert same_partition(np.asarray(got.ids), ids)


def test_blended_borders_are_no_instances():
  ids, rgb = painted([(1, 0, 0), (0, 0, 1)])
  blurred = (rgb + np.roll(rgb, 1, 0) + np.roll(rgb, 1, 1)) / 3
  got = decode_regions(blurred)
  assert got.count == 2 and not got.overflow
  assert (np.asarray(got.ids > 0) == (ids > 0)).mean() > 0.9


def test_one_colour_is_one_instance_and_background_is_none():
  got = decode_regions(jnp.ones((32, 40, 3)))
  assert got.count == 1 and np.all(np.asarray(got.ids) == 1)
  got = decode_regions(jnp.broadcast_to(BACKGROUND, (32, 40, 3)))
  assert got.count == 0 and not np.any(got.ids)


def test_more_colours_than_the_bound_set_the_flag():
  colours = [palettes.NAMED[name] for name in ('red', 'blue', 'white')]
  colours += [palettes.NAMED[name] for name in ('black', 'yellow', 'magenta')]
  _, rgb = painted([np.asarray(colour) / 255 for colour in colours])
  got = decode_regions(rgb)
  assert got.count == 4 and got.overflow
