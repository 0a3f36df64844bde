"""Votes: closed forms, and a plain recomputation pixel by pixel."""

import collections

import numpy as np
import pytest
import scipy.optimize

from vbanana_jax.tasks import TASKS

SEEDS = (0, 1, 2)


def vote(task, passes):
  return TASKS[task].value.vote(passes)


def measure(task, passes, voted):
  return TASKS[task].value.measure_agreement(passes, voted)


def recompute_majority(stack):
  """Pixel by pixel: most frequent value, the earliest pass among ties."""
  flat = stack.reshape(len(stack), -1)
  answer = []
  for column in flat.T:
    counts = collections.Counter(column.tolist())
    most = max(counts.values())
    answer.append(next(v for v in column.tolist() if counts[v] == most))
  return np.asarray(answer, stack.dtype).reshape(stack.shape[1:])


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('task', ['semantic', 'referring'])
def test_labels_are_the_majority(task, seed):
  rng = np.random.default_rng(seed)
  stack = rng.integers(0, 4, (int(rng.integers(1, 7)), 9, 7)).astype(np.int32)
  voted = vote(task, list(stack))
  np.testing.assert_array_equal(voted, recompute_majority(stack))
  assert voted.dtype == np.int32
  np.testing.assert_allclose(
    measure(task, stack, voted),
    (stack == voted).mean(0),
    rtol=1e-6,
  )


def test_masks_vote_and_ties_go_to_the_first_pass():
  first = np.array([[True, False, True, False]])
  second = np.array([[True, True, False, False]])
  voted = vote('referring', [first, second])
  np.testing.assert_array_equal(voted, first)
  assert voted.dtype == bool
  third = ~second
  np.testing.assert_array_equal(
    vote('referring', [first, second, third]),
    [[True, False, True, False]],
  )
  # Of b and c, which tie, b was said first.
  passes = [np.array([[k]]) for k in (7, 5, 3, 3, 5)]
  assert vote('semantic', passes) == 5


def test_wrong_colors_in_a_minority_of_passes_are_outvoted():
  truth = np.random.default_rng(3).integers(0, 5, (12, 12))
  wrong = [(truth + k) % 5 for k in (1, 2)]
  voted = vote('semantic', [wrong[0], truth, truth, wrong[1], truth])
  np.testing.assert_array_equal(voted, truth)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('passes', [1, 2, 3, 5, 6])
def test_depth_is_the_median(seed, passes):
  rng = np.random.default_rng([seed, passes])
  stack = rng.uniform(0.1, 80, (passes, 8, 6)).astype(np.float32)
  voted = vote('depth', stack)
  np.testing.assert_allclose(voted, np.median(stack, axis=0), rtol=1e-6)
  assert voted.dtype == np.float32
  agree = [np.maximum(d / voted, voted / d) < 1.25 for d in stack]
  np.testing.assert_allclose(
    measure('depth', stack, voted),
    np.mean(agree, 0),
    atol=1e-6,
  )


@pytest.mark.parametrize(
  'depths, voted, share',
  [
    ((np.inf, np.inf, 3.0), np.inf, 2 / 3),
    ((np.inf, 3.0, 3.0), 3.0, 2 / 3),
    ((3.0, np.inf), 3.0, 0.5),  # as many say sky as do not
    ((np.inf, np.inf), np.inf, 1.0),
    ((2.0, 4.0, np.inf, np.inf), 4.0, 0.25),
    ((0.0, 0.0, 5.0), 0.0, 2 / 3),
    ((-0.0, 0.0), 0.0, 1.0),
  ],
)
def test_sky_is_a_depth_like_any_other(depths, voted, share):
  passes = [np.full((2, 2), d, np.float32) for d in depths]
  answer = vote('depth', passes)
  np.testing.assert_array_equal(answer, np.full((2, 2), voted))
  np.testing.assert_allclose(measure('depth', passes, answer), share, rtol=1e-6)


def draw_normals(rng, shape):
  vector = rng.normal(size=(*shape, 3))
  return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


@pytest.mark.parametrize('seed', SEEDS)
def test_normals_are_the_renormalized_mean(seed):
  rng = np.random.default_rng(seed)
  stack = draw_normals(rng, (4, 6, 5)).astype(np.float32)
  voted = vote('normals', stack)
  total = stack.astype(np.float64).sum(0)
  want = total / np.linalg.norm(total, axis=-1, keepdims=True)
  np.testing.assert_allclose(voted, want, atol=1e-6)
  cosine = np.einsum('nhwc,hwc->nhw', stack.astype(np.float64), want)
  degrees = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
  np.testing.assert_allclose(
    measure('normals', stack, voted),
    (degrees <= 11.25).mean(0),
    atol=1e-6,
  )


def test_normals_that_cancel_or_are_missing():
  up = np.tile(np.array([0.0, 1.0, 0.0], np.float32), (2, 2, 1))
  np.testing.assert_array_equal(vote('normals', [up, -up]), up)
  none = np.zeros_like(up)
  np.testing.assert_array_equal(vote('normals', [none, up]), up)
  np.testing.assert_array_equal(vote('normals', [none, none]), none)
  assert measure('normals', [none, none], none).min() == 1.0
  tilted = np.stack([up[..., 0], up[..., 1], up[..., 1]], -1) / np.sqrt(2)
  assert measure('normals', [up, tilted], up).max() == 0.5


def make_ids(boxes, size=16):
  ids = np.zeros((size, size), np.int32)
  for k, (top, left, bottom, right) in enumerate(boxes, 1):
    ids[top:bottom, left:right] = k
  return ids


BOXES = ((1, 1, 6, 6), (8, 2, 14, 7), (3, 9, 12, 15))


def test_instances_take_the_pass_that_matches_the_others_best():
  whole = make_ids(BOXES)
  shifted = make_ids([(t + 1, l, b + 1, r) for t, l, b, r in BOXES])
  merged = (whole > 0).astype(np.int32)
  few = make_ids(BOXES[:1])
  voted = vote('instance', [merged, shifted, whole, few, whole])
  np.testing.assert_array_equal(voted, whole)
  assert voted.dtype == np.int32


def test_instance_ids_mean_nothing_across_passes():
  whole = make_ids(BOXES)
  renumbered = np.array([0, 9, 4, 77], np.int32)[whole]
  merged = (whole > 0).astype(np.int32)
  voted = vote('instance', [renumbered, whole, merged])
  np.testing.assert_array_equal(voted, renumbered)  # the first of equals
  share = measure('instance', [renumbered, whole, merged], voted)
  # The merged pass is taken for the largest object only.
  assert share[whole == 0].min() == 1.0
  assert share[whole == 3].min() == 1.0
  np.testing.assert_allclose(share[whole == 1], 2 / 3, rtol=1e-6)


def test_empty_answers_agree_with_each_other():
  empty, whole = make_ids(()), make_ids(BOXES)
  voted = vote('instance', [whole, empty, empty])
  np.testing.assert_array_equal(voted, empty)
  share = measure('instance', [whole, empty, empty], voted)
  np.testing.assert_allclose(share[whole > 0], 2 / 3, rtol=1e-6)
  np.testing.assert_allclose(share[whole == 0], 1.0)


@pytest.mark.parametrize('seed', SEEDS)
def test_the_medoid_has_the_highest_mean_matched_iou(seed):
  """Against scipy's assignment, on noisy copies of one answer."""
  rng = np.random.default_rng(seed)
  passes = []
  for _ in range(5):
    moved = np.asarray(BOXES) + rng.integers(-1, 2, (3, 4))
    ids = make_ids(moved[: rng.integers(2, 4)])
    passes.append(np.concatenate([[0], rng.permutation(20)[:3] + 1])[ids])

  def similarity(a, b):
    masks_a = [a == k for k in np.unique(a) if k > 0]
    masks_b = [b == k for k in np.unique(b) if k > 0]
    iou = np.array(
      [[(x & y).sum() / (x | y).sum() for y in masks_b] for x in masks_a]
    )
    rows, columns = scipy.optimize.linear_sum_assignment(-iou)
    return iou[rows, columns].sum() / max(iou.shape)

  means = [sum(similarity(a, b) for b in passes) for a in passes]
  np.testing.assert_array_equal(
    vote('instance', passes), passes[int(np.argmax(means))]
  )


@pytest.mark.parametrize(
  'task', ['semantic', 'referring', 'depth', 'normals', 'instance']
)
def test_one_pass_is_its_own_answer(task):
  rng = np.random.default_rng(5)
  value = {
    'depth': rng.uniform(1, 9, (4, 5)).astype(np.float32),
    'normals': draw_normals(rng, (4, 5)).astype(np.float32),
  }.get(task, rng.integers(0, 3, (4, 5)).astype(np.int32))
  voted = vote(task, [value])
  np.testing.assert_allclose(voted, value, atol=1e-6)
  assert voted.dtype == value.dtype
  share = measure(task, [value, value, value], voted)
  assert share.shape == (4, 5) and share.dtype == np.float32
  np.testing.assert_allclose(share, 1.0)


def test_what_cannot_be_voted_on():
  one = np.zeros((2, 3))
  with pytest.raises(ValueError, match='one shape'):
    vote('depth', [])
  with pytest.raises(ValueError, match='one shape'):
    vote('depth', [one, one.T])
  assert TASKS['generate'].value is None
  with pytest.raises(ValueError, match='voted'):
    measure('depth', [one], one.T)
