"""Mask codec: cycles, other colors, and pixels that are undecided."""

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.codecs import masks, palettes

PINK, BLACK, LIME, BLUE = (
  palettes.to_rgb([palettes.NAMED[name]])[0]
  for name in ('pink', 'black', 'lime', 'blue')
)
decode = jax.jit(masks.decode)


def random_mask():
  return np.random.default_rng(0).random((16, 24)) < 0.4


def test_cycle_survives_drift():
  mask = random_mask()
  rgb = masks.encode(mask, PINK, BLACK)
  np.testing.assert_array_equal(rgb[mask], np.tile(PINK, (mask.sum(), 1)))
  np.testing.assert_array_equal(rgb[~mask], 0)
  np.testing.assert_array_equal(decode(rgb, PINK, BLACK), mask)
  drift = np.random.default_rng(0).uniform(-0.1, 0.1, rgb.shape)
  np.testing.assert_array_equal(decode(rgb + drift, PINK, BLACK), mask)


def test_other_masks_in_the_picture_are_told_apart():
  mask, other = random_mask(), random_mask()
  rgb = np.array(masks.encode(mask, PINK, BLACK))
  rgb[other] = LIME
  others = np.stack([LIME, BLUE])
  got = masks.decode(rgb, PINK, BLACK, others)
  np.testing.assert_array_equal(got, mask & ~other)
  got = masks.decode(rgb, LIME, BLACK, np.stack([PINK, BLUE]))
  np.testing.assert_array_equal(got, other)


def test_undecided_and_broken_pixels_are_outside():
  half = (LIME + BLACK) / 2  # 127.5 levels from both
  rgb = np.stack([half, [np.nan, 1, 0], LIME, [0, 0.6, 0], [9, 9, 9]])
  got = masks.decode(rgb.astype(np.float32), LIME, BLACK)
  np.testing.assert_array_equal(got, [False, False, True, True, True])
  got = masks.decode(rgb.astype(np.float32), LIME, BLACK, radius=0.3)
  np.testing.assert_array_equal(got, [False, False, True, False, False])


def test_confidence_follows_the_margin():
  share = np.linspace(0, 1, 11)[:, None]
  said = masks.confidence(share * LIME + (1 - share) * BLACK, LIME, BLACK)
  np.testing.assert_allclose(said, said[::-1], atol=1e-5)
  assert np.all(np.diff(said[:6]) < 0) and said[0] > 0.99 and said[5] < 0.5
  broken = jnp.asarray([[jnp.nan, 0, 0]])
  assert masks.confidence(broken, LIME, BLACK) == 0
