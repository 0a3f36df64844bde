"""Sums over pixels: exact ones, and the same bits in batches of any size."""

import jax
import numpy as np
import pytest

from vbanana_jax import sharding
from vbanana_jax.metrics.sums import sum_pixels


@pytest.mark.parametrize('shape', [(3, 1, 1), (2, 5, 7), (2, 480, 640)])
def test_equals_float64(shape):
  x = np.random.default_rng(0).random(shape, np.float32)
  got = jax.jit(sum_pixels)(x)
  np.testing.assert_allclose(got, x.sum((1, 2), np.float64), rtol=2e-7)


def test_same_bits_however_a_batch_is_cut():
  rng = np.random.default_rng(1)
  x = rng.normal(size=(16, 24, 32)).astype(np.float32)
  own_rows = sharding.shard_map_over_batch(sum_pixels, sharding.build_mesh())
  for function in map(jax.jit, (sum_pixels, own_rows)):
    whole = function(x)
    halves = np.concatenate([function(x[:8]), function(x[8:])])
    np.testing.assert_array_equal(halves, whole)
    np.testing.assert_array_equal(jax.jit(sum_pixels)(x), whole)
