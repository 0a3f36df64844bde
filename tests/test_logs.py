"""run.json tells how a run began, and who went on with it."""

import sys

from vbanana_jax import sharding
from vbanana_jax.data import build
from vbanana_jax.runtime import logs
from vbanana_jax.training import checkpoint, provenance


def start(workdir, monkeypatch, **config):
  monkeypatch.setattr(sys, 'argv', ['vbanana', f'--config={config}'])
  step = checkpoint.newest_step(workdir) or 0
  monkeypatch.setattr(build, 'describe_data', lambda config: {})
  provenance.save_run_json(
    workdir, config, sharding.build_mesh(), start_step=step
  )
  return logs.load_json(workdir / 'run.json')


def test_a_run_that_goes_on_keeps_the_record_of_its_start(
  tmp_path, monkeypatch
):
  config = {'seed': 1, 'sources': {}}
  first = start(tmp_path, monkeypatch, **config, save_every=5)
  assert 'resumed' not in first
  (tmp_path / 'checkpoints' / '5').mkdir(parents=True)
  start(tmp_path, monkeypatch, **config, save_every=6)
  (tmp_path / 'checkpoints' / '11').mkdir()
  last = start(tmp_path, monkeypatch, **config, save_every=7)
  for key in ('command', 'git', 'versions'):
    assert last[key] == first[key]
  assert last['config'] == {**config, 'save_every': 7}
  assert [entry['step'] for entry in last['resumed']] == [5, 11]
  assert "'save_every': 6" in last['resumed'][0]['command'][1]
  assert set(last['resumed'][0]) == {
    'step', 'command', 'git', 'versions', 'topology'
  }  # fmt: skip


def test_a_run_that_saved_nothing_starts_again(tmp_path, monkeypatch):
  start(tmp_path, monkeypatch, seed=1)
  (tmp_path / 'checkpoints' / '5.orbax-checkpoint-tmp').mkdir(parents=True)
  run = start(tmp_path, monkeypatch, seed=2)
  assert run['command'] == ['vbanana', "--config={'seed': 2}"]
  assert 'resumed' not in run
