"""A run that was stopped and went on is the run that was never stopped."""

import json
import shutil
import signal

import event_files
import jax
import numpy as np
import optax
import pytest
from flax import traverse_util
from trainings import STEPS, load_ids

from vbanana_jax import sharding
from vbanana_jax.config import complete_sources
from vbanana_jax.errors import Interrupted, Preempted, UserError
from vbanana_jax.runtime import logs, preemption
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import (
  checkpoint,
  init_from,
  optim,
  provenance,
  resume,
  setup,
  weights,
)
from vbanana_jax.training.state import make_params


def load_config(workdir):
  return logs.load_json(workdir / 'run.json')['config']


def load_state(workdir):
  config = load_config(workdir)
  mesh = sharding.build_mesh(config['mesh'])
  model = weights.build_network(config, mesh)
  optimizer = optim.build_optimizer(config['optim'], STEPS, model.precision)
  abstract = setup.make_abstract_state(config, model, optimizer, mesh)
  with checkpoint.Checkpoints(workdir) as checkpoints:
    return jax.device_get(checkpoints.restore(abstract._replace(frozen=None)))


def load_losses(workdir):
  """Of every step: its loss, by tasks too, and the gradient's norm."""
  rows = logs.load_metrics(workdir / 'metrics.jsonl')
  return {
    row['step']: {
      key: value
      for key, value in row.items()
      if key.startswith('loss') or key == 'gradient_norm'
    }
    for row in rows
  }


def assert_same_run(one, other):
  """Weights, averages, moments, losses and examples, to the last bit."""
  jax.tree.map(
    np.testing.assert_array_equal, load_state(one), load_state(other)
  )
  losses = load_losses(one)
  assert losses == load_losses(other)
  assert list(losses) == list(range(1, STEPS + 1))
  assert load_ids(one) == load_ids(other)


def assert_close_run(one, other, tolerance=1e-3):
  """The same examples and the same noise; sums in another order."""
  assert load_ids(one) == load_ids(other)
  wanted, found = load_losses(one), load_losses(other)
  for step in range(1, STEPS + 1):
    for key, value in wanted[step].items():
      np.testing.assert_allclose(found[step][key], value, rtol=tolerance)
  wanted = load_state(one).ema_params
  off = jax.tree.map(np.subtract, load_state(other).ema_params, wanted)
  assert optax.tree.norm(off) < tolerance * optax.tree.norm(wanted)


def test_sigkill_and_a_watched_rest(whole_run, trainings, tmp_path):
  code, error = trainings.run(
    tmp_path, fault=f'die_in_step 6 {tmp_path}/checkpoints/4'
  )
  assert code == -signal.SIGKILL, error
  assert checkpoint.newest_step(tmp_path) == 4
  scores = tmp_path / 'scores.jsonl'
  scores.write_text('{"step": 1, "seconds": 1}\n{"step": 12, "seconds": 1}\n')
  code, error = trainings.run(
    tmp_path,
    '--config.eval.every=4 steps',
    '--config.eval.watch=8',
    '--config.writers=tensorboard',
    '--config.profile.start=6',
    '--config.profile.steps=2',
  )
  assert code == 0, error
  assert_same_run(whole_run, tmp_path)
  trace = tmp_path / 'profile' / 'plugins' / 'profile' / 'step_6'
  assert sorted(path.name for path in trace.iterdir()) == [
    'process_0.trace.json.gz',
    'process_0.xplane.pb',
  ]
  assert 'total' in (tmp_path / 'parameters.txt').read_text()
  # What was written past the checkpoint is gone, and due scores are there.
  first, *rows = logs.load_metrics(scores)
  assert first['step'] == 1
  assert [row['step'] for row in rows] == [8, 12]
  watched = ('depth', 'edit')
  names = {f'{x}/{metric}' for x in watched for metric in TASKS[x].metrics}
  assert all(set(row) == {'step', 'seconds', *names} for row in rows)
  tags = {tag for *_, tag in event_files.read_tags(tmp_path / 'tensorboard')}
  assert {'metrics/loss', 'metrics/update_norm', 'scores/depth'} <= tags
  assert {f'scores/{name}' for name in names} <= tags
  last = logs.load_metrics(tmp_path / 'metrics.jsonl')[-1]
  assert 0 < rows[-1]['seconds'] < last['seconds']
  assert not (whole_run / 'scores.jsonl').exists()


def test_sigterm_has_an_exit_code_of_its_own(
  whole_run, stopped_run, trainings, tmp_path
):
  stopped, line = stopped_run  # with 75
  assert line == (
    'vbanana: saved at step 5 of 12; the same command goes on from here'
  )
  assert checkpoint.newest_step(stopped) == 5
  workdir = shutil.copytree(stopped, tmp_path / 'run')
  code, error = trainings.run(workdir)
  assert code == 0, error
  assert_same_run(whole_run, workdir)
  run = logs.load_json(workdir / 'run.json')
  assert [entry['step'] for entry in run['resumed']] == [5]


@pytest.mark.parametrize('first, then', [(1, 8), (8, 1)])
def test_on_another_number_of_devices(
  first, then, whole_run, stopped_run, trainings, tmp_path
):
  workdir = tmp_path / 'run'
  if first == 8:
    shutil.copytree(stopped_run[0], workdir)
  else:
    workdir.mkdir()
    fault = 'get_signal SIGTERM 5'
    assert trainings.run(workdir, fault=fault, devices=first)[0] == 75
  code, error = trainings.run(workdir, devices=then)
  assert code == 0, error
  run = logs.load_json(workdir / 'run.json')
  assert run['topology']['devices'] == first
  assert run['resumed'][0]['topology']['devices'] == then
  assert_close_run(whole_run, workdir)


@pytest.mark.parametrize(
  'number, error', [('SIGINT', Interrupted), ('SIGTERM', Preempted)]
)
def test_which_signal_asked(number, error, capsys):
  before = signal.getsignal(signal.SIGTERM)
  with preemption.Preemption() as signals:
    assert signals.requested(1) is None
    signal.raise_signal(signal.Signals[number])
    assert signals.requested(2) is error
    # Once more stops at once.
    assert signal.getsignal(signal.SIGTERM) is before
  assert 'saving after this step' in capsys.readouterr().err
  assert {error.exit_code for error in (Interrupted, Preempted)} == {130, 75}


def test_every_difference_is_named(whole_run):
  config = load_config(whole_run)
  resume.check_same_config(whole_run, config)
  config |= {'seed': 1, 'keep_every': '4 steps', 'save_every': '2 steps'}
  config['eval'] |= {'limit': 3}
  config['optim'] = {**config['optim'], 'learning_rate': 7.0, 'new': 'key'}
  with pytest.raises(UserError, match='another config') as caught:
    resume.check_same_config(whole_run, config)
  differences = str(caught.value).partition('(')[2].partition(')')[0]
  assert differences.split('; ') == [
    'optim.learning_rate was 0.013, is 7.0',
    'optim.new was None, is key',
    'run.json data.sources.scenes.edit_seed was 1000000, is 1000001',
    'run.json data.sources.scenes.seed was 0, is 1',
    'seed was 0, is 1',
  ]


def test_a_source_may_move_but_not_change(tmp_path, monkeypatch):
  def make_run(path, digest):
    sources = complete_sources({'mine': {'kind': 'records', 'path': path}})
    config = {'seed': 0, 'sources': sources}
    data = {'sources': {'mine': {**sources['mine'], 'manifest': digest}}}
    return config, data

  config, data = make_run('old/place', 'a')
  # A setting that is newer than the run has its default.
  for older in (config['sources']['mine'], data['sources']['mine']):
    del older['class_balance']
  logs.save_json(tmp_path / 'run.json', {'config': config, 'data': data})
  monkeypatch.setattr(checkpoint, 'newest_step', lambda workdir: 3)
  for digest in ('a', 'b'):
    config, data = make_run('new/place', digest)
    monkeypatch.setattr(
      resume.build, 'describe_data', lambda config, data=data: data
    )
    if digest == 'a':
      resume.check_same_config(tmp_path, config)
      continue
    with pytest.raises(UserError) as caught:
      resume.check_same_config(tmp_path, config)
    assert 'mine.manifest was a, is b)' in str(caught.value)
    assert 'place' not in str(caught.value)


def test_run_json_says_how_to_repeat_it(whole_run):
  run = json.loads((whole_run / 'run.json').read_text())
  assert f'--workdir={whole_run}' in run['command']
  assert run['config']['length'] == '12 steps'
  assert run['config']['optim']['name'] == 'muon'  # a default
  assert run['versions']['jax'] == jax.__version__
  assert run['topology'] == {
    'device': 'cpu',
    'devices': 8,
    'processes': 1,
    'mesh': {'replica': 1, 'fsdp': 8, 'tensor': 1},
  }
  assert run['data']['sources']['scenes'] == {
    'kind': 'scenes',
    'level': 'quick',
    'seed': 0,
    'edit_seed': 1_000_000,
  }
  manifest = weights.make_manifest(run['config'])
  assert run['data']['tokenizer'] == manifest['tokenizer']
  assert len(run['git']['commit']) == 40 or run['git']['commit'] == 'unknown'


def test_what_was_changed_since_the_commit_has_a_hash(tmp_path, monkeypatch):
  module = tmp_path / 'training' / 'provenance.py'
  monkeypatch.setattr(provenance, '__file__', str(module))
  assert provenance.get_git_state()['commit'] == 'unknown'
  (tmp_path / '__init__.py').write_text('')
  git = [
    ('init', '-q'),
    ('add', '.'),
    ('-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'first'),
  ]
  for words in git:
    provenance.subprocess.run(['git', *words], cwd=tmp_path, check=True)
  clean = provenance.get_git_state()
  assert len(clean['commit']) == 40
  assert clean['changed'] == 'no'
  hashes = []
  for name, text in (('__init__.py', 'a'), ('new.py', 'b'), ('new.py', 'c')):
    (tmp_path / name).write_text(text)
    state = provenance.get_git_state()
    assert state['changed'] == 'yes'
    hashes.append(state['difference'])
  assert len(set(hashes)) == 3
  assert provenance.get_git_state() == state


def make_fresh(workdir, **model):
  config = load_config(workdir)
  config['model'] |= model
  network = weights.build_network(config)
  size = config['image_size']
  return jax.jit(lambda: make_params(network, size=size, seed=1))()


def test_tuning_starts_from_averaged_weights(whole_run):
  manifest = weights.make_manifest(load_config(whole_run))
  params, report = init_from.load_matching(
    whole_run, make_fresh(whole_run), manifest
  )
  jax.tree.map(
    np.testing.assert_array_equal, params, load_state(whole_run).ema_params
  )
  assert report == f'{whole_run}, step 12: 44 of 44 arrays loaded'


def test_what_has_another_shape_or_meaning_stays_fresh(whole_run):
  fresh = make_fresh(whole_run, patch=4)
  fresh['extra'] = fresh.pop('no_source')
  manifest = {'tokenizer': 'new'}
  params, report = init_from.load_matching(whole_run, fresh, manifest)
  count, *lines = report.splitlines()
  assert count.endswith('step 12: 37 of 44 arrays loaded')
  assert lines == [
    '  skipped copy: (32, 64) there, (32, 16) here',
    '  skipped copy_bias: (64,) there, (16,) here',
    '  skipped head: (32, 768) there, (32, 192) here',
    '  skipped no_source: (32,) there, not here',
    '  skipped noisy_in/kernel: (192, 16) there, (48, 16) here',
    '  skipped source_in/kernel: (192, 16) there, (48, 16) here',
    '  skipped text/embedding: its rows stand for another vocabulary',
    '  missing extra: (32,) here, not there',
  ]
  trained = traverse_util.flatten_dict(
    load_state(whole_run).ema_params, sep='/'
  )
  fresh = traverse_util.flatten_dict(fresh, sep='/')
  for name, leaf in traverse_util.flatten_dict(params, sep='/').items():
    kept = name == 'extra' or any(f' {name}:' in line for line in lines)
    np.testing.assert_array_equal(leaf, (fresh if kept else trained)[name])


def test_nothing_that_fits_is_an_error(whole_run):
  fresh = {'other': jax.numpy.zeros(3), 'head': jax.numpy.zeros(3)}
  with pytest.raises(UserError, match=r'none of its 44 .* config\.init_from'):
    init_from.load_matching(whole_run, fresh, {})
