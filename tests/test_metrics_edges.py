"""The one rule of all metrics at the edges: see `vbanana_jax.metrics`.

Empty batches, no pixel that counts, and truth or predictions that are no
numbers, for every `*_states` function and the scores of its sums.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from vbanana_jax import metrics
from vbanana_jax.metrics import (
  alignment,
  depth,
  generation,
  images,
  instances,
  normals,
  panoptic,
  segmentation,
)
from vbanana_jax.tasks import base

B, H, W = 4, 6, 8
COUNTS = {'items', 'predicted', 'true'}  # of tables: 0 where others are nan
# No number or direction, as truth; what is not one as a prediction either.
NO_DEPTH = (np.nan, np.inf, -np.inf, 0.0, -1.0)
NO_NUMBER = (np.nan, np.inf, -np.inf)
NO_DIRECTION = (
  *((x, 0.0, 1.0) for x in NO_NUMBER),
  *((x, x, x) for x in (0.0, *NO_NUMBER)),
)


@dataclasses.dataclass(frozen=True)
class Case:
  """One metric: arrays to score, and what its truth and predictions may lack.

  Attributes:
    states: of `(*arrays, where=, valid=)`, if it takes them.
    arrays: prediction and truth first; rows are examples.
    summarize: states summed over examples -> scores.
    has_where: whether pixels can be left out.
    no_truth: values of a pixel's truth that make it count nowhere.
    no_prediction: values of a pixel's prediction that are no number.
  """

  states: Callable[..., dict[str, Any]]
  arrays: tuple[np.ndarray, ...]
  summarize: Callable[..., dict[str, float]]
  has_where: bool = True
  no_truth: tuple = ()
  no_prediction: tuple = ()


def _draw(kind: str, *shape: int) -> np.ndarray:
  rng = np.random.default_rng(len(shape))
  if kind == 'mask':
    return rng.random(shape) < 0.5
  if kind == 'ids':
    return rng.integers(0, 4, shape, dtype=np.int32)
  return rng.uniform(1, 5, shape).astype(np.float32)


def _pair(kind: str, *shape: int) -> tuple[np.ndarray, np.ndarray]:
  both = _draw(kind, 2, B, *shape)
  return both[0], both[1]


def _align(prediction, truth, **options):
  return alignment.aligned_depth_states(prediction, truth, **options)


def _make_cases() -> dict[str, Case]:
  depths, vectors = _pair('depth', H, W), _pair('depth', H, W, 3)
  ids, masks = _pair('ids', H, W), _pair('mask', 3, H, W)
  categories = np.tile(np.int32([0, 1, 1]), (B, 1))
  crowd = np.zeros((B, 3), bool)
  saco = functools.partial(instances.saco_states, max_predictions=3)
  pictures = tuple(x / 5 for x in vectors)
  cases = {
    f'aligned_depth_states {name}': Case(
      functools.partial(_align, alignment=name),
      depths,
      functools.partial(alignment.summarize_aligned_depth, alignment=name),
      no_truth=NO_DEPTH,
      no_prediction=NO_NUMBER,
    )
    for name in alignment.FITS
  }
  return cases | {
    'depth_states': Case(
      depth.depth_states,
      depths,
      depth.summarize_depth,
      no_truth=NO_DEPTH,
      no_prediction=NO_NUMBER,
    ),
    'normals_states': Case(
      normals.normals_states,
      vectors,
      normals.summarize_normals,
      no_truth=NO_DIRECTION,
      no_prediction=NO_DIRECTION,
    ),
    'image_states': Case(
      images.image_states,
      pictures,
      images.summarize_images,
      no_truth=tuple((0.5, x, 0.5) for x in NO_NUMBER),
      no_prediction=tuple((0.5, x, 0.5) for x in NO_NUMBER),
    ),
    'semantic_states': Case(
      functools.partial(segmentation.semantic_states, num_classes=4),
      ids,
      segmentation.summarize_semantic,
    ),
    'referring_states': Case(
      segmentation.referring_states,
      tuple(x[:, 0] for x in masks),
      segmentation.summarize_referring,
    ),
    'instance_states': Case(
      functools.partial(instances.instance_states, max_instances=3),
      ids,
      instances.summarize_instances,
    ),
    'instance_mask_states': Case(
      instances.instance_mask_states,
      masks,
      instances.summarize_instances,
      has_where=False,
    ),
    'saco_states': Case(
      lambda *args, **how: instances.choose_annotators(saco(*args, **how)),
      (ids[0], np.stack(masks, 1), np.stack([crowd, crowd], 1)),
      instances.summarize_saco,
    ),
    'panoptic_states': Case(
      lambda a, b, c, d, e, valid=True: panoptic.panoptic_states(
        a, b, prediction_category=c, truth_category=d, truth_crowd=e,
        num_categories=2, valid=valid,
      ),
      (*ids, categories, categories, crowd),
      functools.partial(panoptic.summarize_panoptic, is_thing=[True, False]),
      has_where=False,
    ),
    'feature_states': Case(
      generation.feature_states,
      (np.repeat(np.repeat(pictures[0], 2, 1), 2, 2),),
      lambda states: {'count': np.nan if not states['feature_count'] else 0.0},
      has_where=False,
    ),
  }  # fmt: skip


CASES = _make_cases()


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def assert_nothing(case, states):
  """Finite zeros of every state, and scores that say so."""
  total = summed(states)
  assert not any(np.any(value) for value in total.values())
  for name, score in case.summarize(total).items():
    assert (score == 0) if name in COUNTS else np.isnan(score), name


def test_every_metric_is_here():
  found = {
    name
    for module in vars(metrics).values()
    if inspect.ismodule(module)
    for name in vars(module)
    if name.endswith('_states') and not name.startswith('_')
  }
  assert found == {name.split()[0] for name in CASES}


@pytest.mark.parametrize('name', CASES)
def test_an_empty_batch_adds_nothing(name):
  case = CASES[name]
  some = case.states(*case.arrays)
  none = case.states(*(x[:0] for x in case.arrays))
  assert none.keys() == some.keys()
  for key, state in none.items():
    assert state.shape == (0, *some[key].shape[1:]), key
    assert state.dtype == some[key].dtype, key
  assert_nothing(case, none)


@pytest.mark.parametrize('name', CASES)
def test_nothing_that_counts_is_nan_and_no_perfect_or_worst_score(name):
  case = CASES[name]
  nobody = np.zeros(B, bool)
  assert_nothing(case, case.states(*case.arrays, valid=nobody))
  if case.has_where:
    nowhere = np.zeros((B, H, W), bool)
    assert_nothing(case, case.states(*case.arrays, where=nowhere))


@pytest.mark.parametrize('name', [k for k, c in CASES.items() if c.has_where])
def test_a_row_without_a_pixel_that_counts_is_as_one_that_is_not_valid(name):
  case = CASES[name]
  valid = np.arange(B) != 1
  where = np.broadcast_to(valid[:, None, None], (B, H, W))
  without = case.states(*case.arrays, valid=valid)
  ignored = case.states(*case.arrays, where=where)
  jax.tree.map(np.testing.assert_array_equal, ignored, without)


@pytest.mark.parametrize('name', [k for k, c in CASES.items() if c.no_truth])
def test_a_pixel_without_a_true_number_counts_nowhere(name):
  case = CASES[name]
  prediction, truth = case.arrays
  where = np.ones((B, H, W), bool)
  spoiled = truth.copy()
  for i, value in enumerate(case.no_truth):
    where[:, 2, i], spoiled[:, 2, i] = False, value
  states_fn = jax.jit(case.states)
  want = states_fn(prediction, truth, where=where)
  got = states_fn(prediction, spoiled, where=np.ones_like(where))
  jax.tree.map(np.testing.assert_array_equal, got, want)


@pytest.mark.parametrize(
  'name', [k for k, c in CASES.items() if c.no_prediction]
)
def test_a_prediction_that_is_no_number_is_wrong_and_is_not_left_out(name):
  case = CASES[name]
  _, truth = case.arrays
  states_fn = jax.jit(case.states)
  perfect = states_fn(truth, truth)
  spoiled = truth.copy()
  for i, value in enumerate(case.no_prediction):
    spoiled[:, 2, i] = value
  got = states_fn(spoiled, truth)
  for key, state in got.items():
    assert np.isfinite(state).all(), key
    if key.endswith(('pixels', 'images')):
      np.testing.assert_array_equal(state, perfect[key])
  worse = case.summarize(summed(got))
  best = case.summarize(summed(perfect))
  changed = [key for key in best if worse[key] != best[key]]
  assert len(changed) > len(best) / 2


def test_vectors_of_any_length_have_a_direction():
  rng = np.random.default_rng(0)
  truth = rng.normal(size=(1, 1, 8, 3)).astype(np.float32)
  lengths = np.float32([1e-37, 1e-30, 1e-18, 1, 1e4, 1e18, 1e30, 1e37])
  for a, b in (
    (truth * lengths[:, None], truth),
    (truth, truth * lengths[:, None]),
  ):
    states = summed(normals.normals_states(a, b))
    assert states['pixels'] == 8 and states['within_5'] == 8


def test_silence_and_iou_agree_on_what_is_not_there():
  # A mask on ignored pixels alone is no wrong answer, in no column.
  where = np.ones((4, 2, 4), bool)
  where[:, :, 2:] = False
  prediction, truth = np.zeros((2, 4, 2, 4), bool)
  prediction[0, :, 3] = True  # on ignored pixels
  prediction[1, :, 0] = True  # on one that counts
  prediction[2], truth[2] = where[2], where[2]
  where[3] = False
  states = segmentation.referring_states(prediction, truth, where=where)
  np.testing.assert_array_equal(states['iou'], [1, 0, 1, 0])
  got = segmentation.summarize_referring(summed(states))
  assert got['giou'] == pytest.approx(2 / 3)
  assert got['no_target_accuracy'] == 0.5 and got['target_accuracy'] == 1
  # An annotation may name a target whose pixels are all ignored.
  states = segmentation.referring_states(
    prediction[:1], truth[:1], where=where[:1], no_target=np.asarray([False]),
    min_pixels=3,
  )  # fmt: skip
  got = segmentation.summarize_referring(summed(states))
  assert got['giou'] == got['target_accuracy'] == 1
  assert np.isnan(got['no_target_accuracy'])


@pytest.mark.parametrize('p, k', [(0, 3), (3, 0), (0, 0)])
def test_no_mask_on_a_side(p, k):
  masks = np.ones((2, 3, H, W), bool)
  states = instances.instance_mask_states(masks[:, :p], masks[:, :k])
  assert states['tp'].shape == (2, 10) and not states['tp'].any()
  np.testing.assert_array_equal(states['fp'], np.full((2, 10), min(p, 3)))
  np.testing.assert_array_equal(states['fn'], np.full((2, 10), min(k, 3)))


def test_distances_of_nothing_are_nan():
  none = base.make_distance_states(
    np.zeros((0, H, W)), np.ones((0, H, W), bool)
  )
  assert np.isnan(base.summarize_distance(summed(none))['color_distance'])


def test_features_of_nothing_are_nan():
  none = np.zeros((0, 4))
  found = generation.compare_features(none, none, space='x')
  assert np.isnan(list(found.values())).all()
