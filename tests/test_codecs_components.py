"""Connected components against scipy's, and what despeckling removes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vbanana_jax.codecs import components

SIDE = 48
CROSS = ndimage.generate_binary_structure(2, 1)
SQUARE = np.ones((3, 3), bool)


def compile_labels(connectivity, **options):
  offsets = components.NEIGHBORS[connectivity]
  return jax.jit(
    lambda x: components.label_components(x, offsets=offsets, **options)
  )


LABEL = {connectivity: compile_labels(connectivity) for connectivity in (4, 8)}


def number_by_first_pixel(labels):
  """scipy's labels, with the first pixel's index as number."""
  _, first = np.unique(labels, return_index=True)
  return np.where(labels > 0, first[labels - labels.min()], labels.size)


def serpentine(side):
  """One path that visits every second row to its end and turns."""
  mask = np.zeros((side, side), bool)
  mask[::2] = True
  mask[1::4, -1] = True
  mask[3::4, 0] = True
  return mask


def pictures():
  rng = np.random.default_rng(0)  # any will do: the reference sees it too
  noise = rng.standard_normal((SIDE, SIDE))
  yield ndimage.gaussian_filter(noise, 2) > 0
  yield from (rng.random((SIDE, SIDE)) < p for p in (0.41, 0.5, 0.593, 0.8))
  yield serpentine(SIDE)
  yield serpentine(SIDE).T[::-1]
  yield np.zeros((SIDE, SIDE), bool)
  yield np.ones((SIDE, SIDE), bool)


@pytest.mark.parametrize('connectivity, shape', [(4, CROSS), (8, SQUARE)])
def test_equal_to_scipy(connectivity, shape):
  for mask in pictures():
    got = LABEL[connectivity](mask)
    labels, _ = ndimage.label(mask, shape)
    np.testing.assert_array_equal(got.labels, number_by_first_pixel(labels))
    assert got.converged


def test_a_knight_jumps_over_gaps():
  mask = np.zeros((SIDE, SIDE), bool)
  mask[[10, 12, 14], [10, 11, 12]] = True  # a knight's move apart
  mask[[10, 12], [30, 32]] = True  # two steps along the diagonal
  assert len(np.unique(LABEL[8](mask).labels)) == 1 + 5
  got = compile_labels(16)(mask)
  assert len(np.unique(got.labels)) == 1 + 3


def test_components_of_equal_values():
  values = np.array([[1, 1, 2, 2], [0, 1, 2, 0], [2, 0, 0, 2]], np.int32)
  got = compile_labels(4)(values)
  want = [[0, 0, 2, 2], [12, 0, 2, 12], [8, 12, 12, 11]]
  np.testing.assert_array_equal(got.labels, want)


def test_iterations_run_out_with_a_flag():
  got = compile_labels(4, max_iterations=2)(serpentine(SIDE))
  assert not got.converged
  assert len(np.unique(got.labels)) > 2
  # One path, but few iterations: labels are handed on, not only over.
  assert compile_labels(4, max_iterations=16)(serpentine(SIDE)).converged


def test_vmap_is_one_after_the_other():
  masks = np.stack(list(pictures()))
  got = jax.vmap(LABEL[8])(masks)
  for k, mask in enumerate(masks):
    np.testing.assert_array_equal(got.labels[k], LABEL[8](mask).labels)
  assert np.all(got.converged)


def test_despeckle_removes_small_components_and_only_those():
  rng = np.random.default_rng(1)
  mask = rng.random((SIDE, SIDE)) < 0.4
  got, converged = jax.jit(lambda x: components.despeckle(x, 9))(mask)
  labels, count = ndimage.label(mask, SQUARE)
  area = ndimage.sum_labels(mask, labels, np.arange(count + 1))
  np.testing.assert_array_equal(got, mask & (area[labels] >= 9))
  assert converged and got.dtype == bool
  assert 0 < np.asarray(got).sum() < mask.sum()


def test_despeckle_keeps_classes_and_takes_any_fill():
  classes = jnp.full((8, 8), 255).at[:4].set(3).at[6, 6].set(7)
  got, _ = jax.jit(lambda x: components.despeckle(x, 2, fill=255))(classes)
  np.testing.assert_array_equal(got, classes.at[6, 6].set(255))


def test_neighbors_need_their_opposites():
  with pytest.raises(ValueError, match='opposites'):
    components.label_components(np.ones((3, 3), bool), offsets=((0, 1),))
