"""All tasks from scenes and three labeled sets: killed, resumed, the same."""

import shutil
import signal

import numpy as np
import pytest
from labeled_sets import MIXTURE, SETS, prepare_sets
from test_resume import load_losses
from trainings import STEPS, load_ids

from vbanana_jax.cli import config_flags
from vbanana_jax.data import build, pairings, stream
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS


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


def test_killed_and_resumed_on_other_devices(overrides, trainings, tmp_path):
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  code, error = trainings.run(whole, *overrides)
  assert code == 0, error
  fault = f'die_in_step 6 {killed}/checkpoints/4'
  code, error = trainings.run(killed, *overrides, fault=fault)
  assert code == -signal.SIGKILL, error
  elsewhere = shutil.copytree(killed, tmp_path / 'elsewhere')
  for workdir, devices in ((killed, 8), (elsewhere, 4)):
    code, error = trainings.run(workdir, *overrides, devices=devices)
    assert code == 0, error
    assert load_ids(workdir) == load_ids(whole)
  assert load_losses(killed) == load_losses(whole)
  losses = load_losses(elsewhere)
  assert list(losses) == list(range(1, STEPS + 1))
  for step, row in load_losses(whole).items():
    for key, value in row.items():
      assert losses[step][key] == pytest.approx(value, rel=1e-2), (step, key)
  run = logs.load_run(whole)
  learned = {pairing.key for pairing in pairings.list_pairings(run['config'])}
  assert learned >= set(MIXTURE)
