"""Score curves: who is watched, what is written, how it is drawn."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import config as config_lib
from vbanana_jax import sharding
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import periodic, run_curves, scored_runs
from vbanana_jax.runtime import logs, processes
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import weights
from vbanana_jax.training.state import TrainState

NORMS = ('gradient_norm', 'parameter_norm', 'update_norm')


def make_config(**eval_changes):
  config = config_lib.load_config('quickstart:pretrain,smoke').to_dict()
  config['mixture'].update(depth=1.0, normals=1.0)
  config['eval'] |= {'watch': 8, **eval_changes}
  return config


def build(config, tasks=('generate', 'depth', 'normals')):
  return periodic.build_periodic_eval(
    config,
    [TASKS[name] for name in tasks],
    weights.build_network(config),
    sharding.build_mesh(),
    total_steps=50,
    workdir=pathlib.Path('unused'),
  )


def test_vision_tasks_are_watched_and_only_when_asked():
  periodic_eval = build(make_config(every='20 percent'))
  assert periodic_eval.every == 10
  names = [evaluator.task.name for evaluator, _ in periodic_eval.evaluations]
  assert names == ['depth', 'normals']
  assert build(make_config(every='')) is None
  assert build(make_config(every='0')) is None
  assert build(make_config(every='2 steps'), ('generate',)) is None
  with pytest.raises(UserError, match='600 steps'):
    build(make_config(every='often'))
  with pytest.raises(UserError, match='at least one scene'):
    build(make_config(every='2 steps', watch=0))


def test_tasks_of_other_pictures_are_not_watched_and_it_says_so(monkeypatch):
  told = []
  monkeypatch.setattr(processes, 'log', told.append)
  config = make_config(every='2 steps')
  config['sources']['mine'] = {'kind': 'records', 'path': 'gone'}
  config['mixture'].update({'normals': 0.0, 'normals@mine': 1.0})
  periodic_eval = build(config)
  names = [evaluator.task.name for evaluator, _ in periodic_eval.evaluations]
  assert names == ['depth']
  assert told[0].startswith('normals: learned from no scenes')
  config['mixture'] = {'normals@mine': 1.0}
  assert build(config) is None
  assert told[-1].startswith('depth, normals: learned from no scenes')


def test_batches_are_rounded_up_to_what_the_devices_share():
  periodic_eval = build(make_config(every='2 steps', batch_size=9), ('depth',))
  ((_, (batch,)),) = periodic_eval.evaluations
  assert batch['valid'].shape == (16,) and batch['valid'].sum() == 8


class Answers:
  """An evaluator whose scores tell which weights it was given."""

  task = TASKS['depth']

  def measure(self, params, batches):
    found = dict.fromkeys(('other', *self.task.metrics), params)
    return found, np.full((3, 4, 4, 3), 0.5)


def test_averaged_weights_are_scored_and_nan_is_null():
  state = TrainState(0, params=1.0, ema_params=2.0, opt_state=None)
  batch = {
    'valid': np.array([True, False, True]),
    'source': np.arange(3.0)[:, None, None, None] * np.ones((3, 4, 4, 3)),
    'target': np.ones((3, 4, 4, 3)),
  }
  periodic_eval = periodic.PeriodicEval([(Answers(), [batch])], 5)
  found, pictures = periodic_eval.run(state)
  assert found == {f'depth/{name}': 2.0 for name in TASKS['depth'].metrics}
  assert periodic.describe(found) == 'depth/delta1 2'
  # Two scenes that are no padding: photo, answer and truth.
  shown = pictures['depth'].reshape(2, 4, 3, 4, 3)
  assert (shown.mean((1, 3, 4)) == [[0, 0.5, 1], [2, 0.5, 1]]).all()
  found, _ = periodic_eval.run(state._replace(ema_params=float('nan')))
  assert set(found.values()) == {None}
  assert periodic.describe(found) == 'depth/delta1 -'


def test_scoring_counts_as_time_but_not_as_slow_training(tmp_path, monkeypatch):
  now = [100.0]
  monkeypatch.setattr(logs.time, 'perf_counter', lambda: now[0])
  log = logs.StepLog(tmp_path / 'metrics.jsonl', start_step=0)
  meter = logs.Meter(
    log,
    ['depth'],
    batch_size=8,
    learning_rates=lambda step: {'learning_rate': 0.5 / step},
    peak=32e12,
  )
  metrics = {
    'loss': jnp.ones(()),
    **dict.fromkeys(NORMS, jnp.full((), 2.0)),
    'task_loss': jnp.ones(1),
    'task_count': jnp.ones(1),
  }
  meter.add(metrics, flops=8e12)
  now[0] += 0.5
  with meter.compiling():
    now[0] += 4.0
  with meter.scoring(jnp.ones(())):
    now[0] += 2.0
  said = meter.write(1)
  (row,) = logs.load_metrics(log.path)
  # Compilation is counted apart, and the rate is of training alone.
  assert (row['seconds'], row['compile_seconds']) == (2.5, 4.0)
  assert row['images_per_second'] == 8 / 0.5
  assert row['tflops_per_s'] == pytest.approx(row['images_per_second'])
  assert row['mfu'] == pytest.approx(row['tflops_per_s'] / 32)
  assert [row[name] for name in NORMS] == [2.0] * 3
  assert row['learning_rate'] == 0.5 and 'lr 0.5' in said and 'MFU' in said
  # A run that goes on counts from there.
  log = logs.StepLog(log.path, start_step=1)
  meter = logs.Meter(log, ['depth'], batch_size=8)
  assert meter.seconds == row['seconds']
  now[0] += 1.0
  # Of devices whose peak is not known, no share of it is told.
  meter.add(metrics, flops=8e12)
  assert 'MFU' not in meter.write(2)
  assert 'mfu' not in logs.load_metrics(log.path)[-1]


def test_the_report_draws_the_headline_beside_its_constant(tmp_path):
  folder = tmp_path / 'tune'
  folder.mkdir()
  metrics = [{'step': 1, 'loss/depth': 1, 'images_per_second': 9}]
  scores = [
    {'step': s, 'seconds': s, 'depth/delta1': s / 10, 'depth/abs_rel': 1.0}
    for s in (1, 2)
  ] + [{'step': 3, 'seconds': 3, 'depth/delta1': None, 'normals/mean_deg': 30}]
  rows = [
    {'task': 'depth', 'metric': 'delta1', 'constant': 0.4, 'value': 0.5},
    {'task': 'normals', 'metric': 'mean_deg', 'constant': None, 'value': 9},
  ]

  def write(name, lines):
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    (folder / name).write_text(text)

  def draw():
    folders = scored_runs.find_folders(tmp_path)
    results = {'rows': rows, 'config': {'batch_size': 8}}
    run = scored_runs.ScoredRun('a', tmp_path, results, {}, folders)
    return run_curves.make_curves([run])

  write('metrics.jsonl', [])  # killed before its first line
  assert not draw()
  write('metrics.jsonl', metrics)
  assert sum(map(len, draw().values())) == 2
  metrics[0] |= {'learning_rate': 0.1, 'gradient_norm': 2, 'update_norm': 3}
  write('metrics.jsonl', metrics)
  rates, norms = draw()[run_curves.OPTIMIZER]
  assert rates.series == {"Muon's matrices": [(1, 0.1)]}
  assert list(norms.series.values()) == [[(1, 2)], [(1, 3)]]
  write('scores.jsonl', scores)
  depth, normals = draw()[run_curves.SCORES]
  assert depth.title == 'tune: depth delta1 ↑'
  assert list(depth.series.values()) == [[(1, 0.1), (2, 0.2)]]
  assert list(depth.levels.values()) == [0.4]
  assert normals.title == 'tune: normals mean_deg ↓' and not normals.levels
  (speed,) = draw()[run_curves.COURSE]
  assert speed.from_zero
