"""All tasks from scenes and three labeled sets: the same from any start.

So are whole trainings that were killed and went on, on other devices too, with
varied readings and a bad record.
"""

import json
import shutil
import signal

import numpy as np
import pytest
from labeled_sets import SETS, prepare_sets, spoil_record
from test_resume import assert_close_run, assert_same_run
from trainings import STEPS, load_batches

from vbanana_jax.cli import config_flags
from vbanana_jax.data import build, pairings, stream
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import checkpoint


@pytest.fixture(scope='module')
def overrides(tmp_path_factory):
  return prepare_sets(tmp_path_factory.mktemp('sets'))


def load(overrides):
  config = config_flags.load('quickstart:pretrain,smoke', overrides)
  config['batch_size'] = 4
  return config


def take(config, start_step=0, **options):
  settings = stream.make_settings(config, **options)
  batches = stream.build_stream(
    build.build_mixture(config), settings, start_step=start_step, end_step=20
  )
  return list(batches)


def test_batches_are_the_same_for_any_start_and_number_of_processes(overrides):
  config = load(overrides)
  whole = take(config)
  mixed = build.build_mixture(config)
  assert {task.name for task in mixed.tasks} == set(TASKS) - {'albedo'}
  seen = {int(task) for batch in whole for task in batch['task']}
  assert seen == set(range(len(mixed.tasks)))
  assert all(np.isfinite(batch['target']).all() for batch in whole)
  resumed = take(config, start_step=11)
  shares = [take(config, rows=rows) for rows in ((0, 1), (2, 3))]
  for k, batch in enumerate(whole):
    for key, leaf in batch.items():
      joined = np.concatenate([share[k][key] for share in shares])
      np.testing.assert_array_equal(joined, leaf, err_msg=key)
      if k >= 11:
        np.testing.assert_array_equal(resumed[k - 11][key], leaf, err_msg=key)


def test_run_json_says_what_was_learned_from(overrides):
  data = build.describe_data(load(overrides))['sources']
  assert set(data) == {*SETS, pairings.SCENES}
  for name in SETS:
    assert data[name]['kind'] == 'records'
    assert data[name]['license'] == 'of a test'
    assert len(data[name]['manifest']) == 64
    assert data[name]['count'] == 12


BAD_SET, BAD_RECORD = 'squares', 5


@pytest.fixture(scope='module')
def train_mixture(trainings, tmp_path_factory):
  """Trains as `Trainings.run`, on sets of which one has a bad record."""
  folder = tmp_path_factory.mktemp('spoilt')
  args = [
    *prepare_sets(folder),
    '--config.data.bad_records=1 records',
    '--config.optim.name=adamw',  # compiles faster
  ]
  spoil_record(folder, BAD_SET, BAD_RECORD)

  def run(workdir, devices, **options):
    return trainings.run(workdir, *args, devices=devices, **options)

  return run


@pytest.fixture(scope='module')
def whole_mixture(train_mixture, tmp_path_factory):
  """A workdir trained on one device without interruption."""
  workdir = tmp_path_factory.mktemp('whole_mixture')
  code, error = train_mixture(workdir, 1)
  assert code == 0, error
  return workdir


@pytest.fixture(scope='module')
def killed_mixture(train_mixture, tmp_path_factory):
  """One killed in the middle of step 6, with a checkpoint of step 4."""
  workdir = tmp_path_factory.mktemp('killed_mixture')
  train_and_kill(train_mixture, workdir, 1, step=6, saved=4)
  return workdir


def train_and_kill(train, workdir, devices, *, step, saved):
  fault = f'die_in_step {step} {workdir}/checkpoints/{saved}'
  code, error = train(workdir, devices, fault=fault)
  assert code == -signal.SIGKILL, error
  assert checkpoint.newest_step(workdir) == saved


def assert_same_examples(one, other):
  """To the last bit, also those that were made twice; the same bad record."""
  batches = load_batches(one)
  assert load_batches(other) == batches
  assert len(batches) == STEPS
  (bad,) = load_bad_records(one)
  assert (bad['source'], bad['record']) == (BAD_SET, BAD_RECORD)
  assert load_bad_records(other) == [bad]


def load_bad_records(workdir):
  lines = (workdir / 'bad_records.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_killed_and_gone_on(
  whole_mixture, killed_mixture, train_mixture, tmp_path
):
  workdir = shutil.copytree(killed_mixture, tmp_path / 'run')
  code, error = train_mixture(workdir, 1)
  assert code == 0, error
  assert_same_examples(whole_mixture, workdir)
  assert_same_run(whole_mixture, workdir)


def test_killed_and_gone_on_with_two_devices_and_with_one_again(
  whole_mixture, killed_mixture, train_mixture, tmp_path
):
  workdir = shutil.copytree(killed_mixture, tmp_path / 'run')
  train_and_kill(train_mixture, workdir, 2, step=10, saved=8)
  code, error = train_mixture(workdir, 1)
  assert code == 0, error
  run = logs.load_json(workdir / 'run.json')
  assert run['topology']['devices'] == 1
  assert [
    (entry['step'], entry['topology']['devices']) for entry in run['resumed']
  ] == [(4, 2), (8, 1)]
  assert_same_examples(whole_mixture, workdir)
  assert_close_run(whole_mixture, workdir)


def test_a_training_learns_all_tasks(whole_mixture):
  rows = logs.load_metrics(whole_mixture / 'metrics.jsonl')
  learned = {key for row in rows for key in row if key.startswith('loss/')}
  assert learned == {f'loss/{name}' for name in set(TASKS) - {'albedo'}}
