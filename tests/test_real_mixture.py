"""All tasks from scenes and three labeled sets: the same from any start."""

import numpy as np
import pytest
from labeled_sets import SETS, prepare_sets

from vbanana_jax.cli import config_flags
from vbanana_jax.data import build, pairings, stream
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
