"""A run knows what it has learned, and from whom."""

import json

import pytest

from vbanana_jax.training import weights


def save_run(folder, mixture, init_from=''):
  folder.mkdir()
  config = {'mixture': mixture, 'init_from': str(init_from)}
  (folder / 'run.json').write_text(json.dumps({'config': config}))
  return config


def test_tasks_of_a_run_and_of_those_it_began_from(tmp_path):
  save_run(tmp_path / 'a', {'generate': 1.0, 'depth': 0.0})
  save_run(tmp_path / 'b', {'generate': 0.0, 'normals': 2.0}, tmp_path / 'a')
  config = save_run(tmp_path / 'c', {'edit': 1.0, 'depth': 0}, tmp_path / 'b')
  assert weights.find_trained_tasks(config) == {'generate', 'normals', 'edit'}


@pytest.mark.parametrize('start', ['nowhere', 'itself'])
def test_a_beginning_that_is_gone_hides_nothing(tmp_path, start):
  config = save_run(tmp_path / 'itself', {'depth': 1.0}, tmp_path / start)
  assert weights.find_trained_tasks(config) == {'depth'}
