"""The same pictures give the same scores, however they are cut up."""

import jax
import numpy as np
import pytest

from vbanana_jax import config as config_lib
from vbanana_jax import evaluate, sharding
from vbanana_jax.data import sources
from vbanana_jax.evaluation import evaluators, held_out
from vbanana_jax.tasks import TASKS

N, SIZE = 11, 32


@pytest.fixture(scope='module')
def source():
  return sources.SceneSource('quick', 5, SIZE, even_counts=True)


def make_batches(source, task, batch_size):
  return list(
    held_out.make_eval_batches(
      task, source, range(N), batch_size=batch_size, seed=0, max_text=64
    )
  )


def paint_badly(params, batch):
  """A wrong answer that depends on each example alone."""
  return 0.7 * batch['source'] + params


@pytest.mark.parametrize('name', ['depth', 'semantic'])
def test_batching_and_padding_change_nothing(source, name):
  task, mesh = TASKS[name], sharding.build_mesh()
  evaluator = evaluators.TaskEvaluator(task, paint_badly, mesh)
  one, other = (
    evaluator.run(0.1, make_batches(source, task, batch_size))
    for batch_size in (8, 16)
  )
  assert one.n == other.n == N
  assert one.metrics == other.metrics
  assert one.intervals == other.intervals
  assert one.by_count.keys() == set(range(7))


@pytest.mark.parametrize(
  'name,tolerance', [('depth', 1e-6), ('semantic', 0.0), ('instance', 0.0)]
)
def test_eight_devices_equal_one(source, name, tolerance):
  task = TASKS[name]
  batches = make_batches(source, task, 16)
  one_device = sharding.build_mesh(devices=jax.devices()[:1])
  # The same rows on two of them, which is what `tensor` means.
  eight_devices = sharding.build_mesh({'replica': 2, 'fsdp': -1, 'tensor': 2})
  one, eight = (
    evaluators.TaskEvaluator(task, paint_badly, mesh).run(0.1, batches)
    for mesh in (one_device, eight_devices)
  )
  for name in task.metrics:
    expected = pytest.approx(one.metrics[name], rel=tolerance, abs=0)
    assert eight.metrics[name] == expected


def test_metrics_alone_are_those_of_a_whole_run(source):
  task = TASKS['semantic']
  batches = make_batches(source, task, 8)
  evaluator = evaluators.TaskEvaluator(task, paint_badly, sharding.build_mesh())
  whole = evaluator.run(0.1, batches).metrics
  evaluator.compile(0.1, batches[0])
  assert evaluator.measure(0.1, batches)[0] == whole
  assert evaluator.measure(0.3, batches)[0] != whole


def test_every_batch_can_be_looked_at(source):
  batches, seen = make_batches(source, TASKS['depth'], 8), []
  evaluator = evaluators.TaskEvaluator(
    TASKS['depth'], paint_badly, sharding.build_mesh()
  )
  evaluator.run(0.1, batches, lambda rgb, batch: seen.append((rgb, batch)))
  assert [batch for _, batch in seen] == batches and len(seen) == 2
  for rgb, batch in seen:
    np.testing.assert_allclose(rgb, 0.7 * batch['source'] + 0.1, atol=1e-6)


def test_waiting_for_every_batch_changes_no_state(source, monkeypatch):
  task = TASKS['semantic']
  batches = make_batches(source, task, 8) * 3  # more than may be in flight
  evaluator = evaluators.TaskEvaluator(task, paint_badly, sharding.build_mesh())
  assert evaluator.wait  # these tests run on CPUs
  pulls, device_get = [], jax.device_get
  monkeypatch.setattr(
    jax, 'device_get', lambda x: pulls.append(1) or device_get(x)
  )
  scores, counts = {}, {}
  for evaluator.wait in (True, False):
    pulls.clear()
    scores[evaluator.wait] = evaluator.run(0.1, batches)
    counts[evaluator.wait] = len(pulls)
  assert counts == {True: len(batches) + 2, False: 2}  # states, and pictures
  for name, states in scores[True].states.items():
    np.testing.assert_array_equal(states, scores[False].states[name])
  assert scores[True].metrics == scores[False].metrics
  np.testing.assert_array_equal(scores[True].painted, scores[False].painted)


def test_the_truth_scores_perfectly(source):
  task = TASKS['depth']
  batches = make_batches(source, task, 16)
  targets = iter([batch['target'] for batch in batches])
  evaluator = evaluators.TaskEvaluator(
    task, lambda params, batch: params, sharding.build_mesh()
  )
  scores = evaluator.run(next(targets), batches)
  assert scores.metrics['delta1'] == 1.0
  assert scores.metrics['abs_rel'] < 1e-3
  low, high = scores.intervals['delta1']
  assert low == high == 1.0


def test_the_best_constant_is_fitted_a_metric(source):
  task = TASKS['depth']
  batches = make_batches(source, task, 16)
  evaluator = evaluators.ConstantBaseline(task, sharding.build_mesh())
  constants = evaluator.fit(batches)
  assert set(constants) == set(task.metrics)
  scores = evaluator.run(constants, batches)
  for candidate in task.constants:
    every = evaluator.run(dict.fromkeys(task.metrics, candidate), batches)
    for name, direction in task.metrics.items():
      sign = 1 if direction == 'max' else -1
      assert sign * scores[name] >= sign * every[name]


def test_nothing_is_asked_of_no_scene_or_twice():
  config = config_lib.load_config('quickstart').to_dict()
  names = [trial.name for trial in evaluate.make_eval_runs(config)]
  assert {'instance', 'instance@8', 'edit', 'generate@16'} < set(names)
  config['eval'] |= {'sampled_limit': 0, 'vision_steps': 0}
  found = [trial.name for trial in evaluate.make_eval_runs(config)]
  assert found == [name for name in names if '@' not in name]
