"""One loop: what it promises about stopping, resuming and bad numbers."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import checkpoint, logs, optim, sharding, train, weights
from vbanana_jax import config as config_lib
from vbanana_jax.errors import (
  DiskFullError,
  Interrupted,
  NonFiniteLossError,
  UserError,
)
from vbanana_jax.step import make_train_step
from vbanana_jax.tasks import TASKS

STEPS = 45


def make_config(**changes):
  config = config_lib.load_config('quickstart:pretrain,smoke').to_dict()
  config['mixture']['depth'] = 1.0
  return {
    **config,
    'length': f'{STEPS} steps',
    'save_every': '15 steps',
    **changes,
  }


@pytest.fixture(scope='module')
def whole_run(tmp_path_factory):
  """A workdir trained without interruption."""
  workdir = tmp_path_factory.mktemp('whole')
  train.train(make_config(), workdir)
  return workdir


def load_state(workdir):
  config = make_config()
  model = weights.build_network(config)
  optimizer = optim.build_optimizer(config['optim'], STEPS)
  checkpoints = checkpoint.Checkpoints(workdir)
  state = train.start_state(
    config, model, optimizer, sharding.make_mesh(), checkpoints
  )
  checkpoints.close()
  return jax.device_get(state)


def load_losses(workdir):
  rows = logs.load_metrics(workdir / 'metrics.jsonl')
  return {row['step']: (row['loss'], row['gradient_norm']) for row in rows}


def assert_same_state(one, other):
  jax.tree.map(
    np.testing.assert_array_equal, load_state(one), load_state(other)
  )


def start_training(workdir):
  return subprocess.Popen(
    [
      sys.executable,
      '-m',
      'vbanana_jax',
      'train',
      '--config=quickstart:pretrain,smoke',
      '--config.mixture.depth=1',
      f'--workdir={workdir}',
      f'--config.length={STEPS} steps',
      '--config.save_every=15 steps',
    ],
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ,
  )


def wait_for_checkpoint(workdir, step, process):
  folder = pathlib.Path(workdir, 'checkpoints', str(step))
  deadline = time.monotonic() + 240
  while not folder.is_dir():
    assert process.poll() is None, process.stderr.read()
    assert time.monotonic() < deadline
    time.sleep(0.005)


def test_sigkill_and_watched_resume_is_bit_equal(whole_run, tmp_path, capsys):
  process = start_training(tmp_path)
  wait_for_checkpoint(tmp_path, 15, process)
  process.send_signal(signal.SIGKILL)
  assert process.wait() == -signal.SIGKILL
  process.stderr.close()
  stopped_at = checkpoint.newest_step(tmp_path)
  scores = tmp_path / 'scores.jsonl'
  scores.write_text('{"step": 1, "seconds": 1}\n{"step": 45, "seconds": 1}\n')
  config = make_config()
  config['eval'] |= {'every': '15 steps', 'watch': 8}
  train.train(config, tmp_path)
  assert_same_state(whole_run, tmp_path)
  assert load_losses(whole_run) == load_losses(tmp_path)
  # What was written past the checkpoint is gone, and due scores are there.
  first, *rows = logs.load_metrics(scores)
  assert first['step'] == 1
  due = [step for step in (15, 30, 45) if step > stopped_at]
  assert [row['step'] for row in rows] == due
  names = {f'depth/{metric}' for metric in TASKS['depth'].metrics}
  assert all(set(row) == {'step', 'seconds', *names} for row in rows)
  last = logs.load_metrics(tmp_path / 'metrics.jsonl')[-1]
  assert 0 < rows[-1]['seconds'] < last['seconds']
  assert not (whole_run / 'scores.jsonl').exists()
  assert 'step 45: depth/delta1' in capsys.readouterr().out


def test_sigterm_saves_and_exits_with_its_own_code(whole_run, tmp_path):
  process = start_training(tmp_path)
  wait_for_checkpoint(tmp_path, 15, process)
  process.send_signal(signal.SIGTERM)
  error = process.communicate()[1]
  assert process.returncode == Interrupted.exit_code, error
  assert 'the same command goes on from here' in error
  stopped_at = checkpoint.newest_step(tmp_path)
  train.train(make_config(), tmp_path)
  assert_same_state(whole_run, tmp_path)
  # A line averages the steps since the one before: it was cut once.
  cut = stopped_at + 2
  losses = load_losses(tmp_path)
  for step, loss in load_losses(whole_run).items():
    assert step <= cut or losses[step] == loss


def test_a_finished_run_says_so_and_changes_nothing(whole_run, capsys):
  before = (whole_run / 'metrics.jsonl').read_text()
  train.train(make_config(), whole_run)
  assert 'trained already' in capsys.readouterr().out
  assert (whole_run / 'metrics.jsonl').read_text() == before


def test_another_config_is_refused(whole_run):
  before = (whole_run / 'run.json').read_text()
  with pytest.raises(UserError, match='seed was 0, is 1'):
    train.train(make_config(seed=1), whole_run)
  assert (whole_run / 'run.json').read_text() == before


def test_numbers_out_of_range_are_named(tmp_path):
  for key, value in (('seed', -1), ('keep_checkpoints', 0), ('batch_size', -3)):
    with pytest.raises(UserError, match=f'config.{key} is {value}'):
      train.train(make_config(**{key: value}), tmp_path)
  config = make_config()
  config['model']['patch'] = 0
  with pytest.raises(UserError, match='patches of 0 pixels'):
    weights.build_network(config)
  assert not list(tmp_path.iterdir())


def test_a_full_disk_costs_nothing(tmp_path, monkeypatch):
  usage = checkpoint.shutil.disk_usage(tmp_path)
  monkeypatch.setattr(
    checkpoint.shutil, 'disk_usage', lambda path: usage._replace(free=1000)
  )
  with pytest.raises(DiskFullError, match='make room'):
    train.train(make_config(length='4 steps', save_every='2 steps'), tmp_path)
  assert checkpoint.newest_step(tmp_path) is None


def test_tuning_starts_from_averaged_weights(whole_run, tmp_path):
  config = make_config(init_from=str(whole_run))
  model = weights.build_network(config)
  optimizer = optim.build_optimizer(config['optim'], STEPS)
  checkpoints = checkpoint.Checkpoints(tmp_path)
  state = train.start_state(
    config, model, optimizer, sharding.make_mesh(), checkpoints
  )
  checkpoints.close()
  assert int(state.step) == 0
  jax.tree.map(
    np.testing.assert_array_equal,
    jax.device_get(state.params),
    load_state(whole_run).ema_params,
  )


def test_another_vocabulary_is_refused(whole_run, monkeypatch):
  checkpoints = checkpoint.Checkpoints(whole_run)
  manifest = checkpoints.load_manifest()
  monkeypatch.setattr(
    checkpoints, 'load_manifest', lambda: {**manifest, 'tokenizer': 'other'}
  )
  with pytest.raises(UserError, match='another vocabulary'):
    weights.check_tokenizer(checkpoints)
  checkpoints.close()


def test_run_json_says_how_to_repeat_it(whole_run):
  run = json.loads((whole_run / 'run.json').read_text())
  assert run['config'] == json.loads(json.dumps(make_config()))
  assert run['versions']['jax'] == jax.__version__


class Constant:
  """A network of one weight."""

  config = None

  def apply(self, variables, canvas, *inputs):
    return canvas * 0 + variables['params']['w']


def make_tiny_step():
  import optax

  from vbanana_jax.state import TrainState

  optimizer = optax.sgd(0.1)
  params = {'w': jnp.zeros(())}
  state = TrainState(
    jnp.zeros((), jnp.int32), params, params, optimizer.init(params)
  )
  step = make_train_step(
    Constant(),
    optimizer,
    seed=0,
    num_tasks=2,
    time_mean=-0.8,
    time_std=0.8,
    ema_decay=0.9,
  )
  batch = {
    'tokens': jnp.ones((4, 2), jnp.int32),
    'source': jnp.zeros((4, 8, 8, 3)),
    'has_source': jnp.ones(4, bool),
    'target': jnp.full((4, 8, 8, 3), 0.75),
    'weight_px': jnp.ones((4, 8, 8)),
    'task': jnp.array([0, 0, 1, 1]),
    'noise_scale': jnp.full(4, 4.0),
    'one_pass_share': jnp.ones(4),
    'index': jnp.arange(4),
  }
  return jax.jit(step), state, batch


def test_one_pass_examples_learn_the_plain_squared_error():
  step, state, batch = make_tiny_step()
  state, metrics = step(state, batch)
  np.testing.assert_allclose(metrics['loss'], 0.25, rtol=1e-6)  # (2 .75 - 1)^2
  np.testing.assert_allclose(state.params['w'], 0.1, rtol=1e-5)
  np.testing.assert_allclose(metrics['task_loss'], [0.5, 0.5], rtol=1e-6)
  np.testing.assert_array_equal(metrics['task_count'], [2, 2])
  assert int(state.step) == 1


def test_weights_of_pixels_count_in_one_pass_alone():
  step, state, batch = make_tiny_step()
  batch['target'] = batch['target'].at[:, :4].set(0.5)
  even = step(state, batch)[1]['loss']
  batch['weight_px'] = batch['weight_px'].at[:, 4:].set(3.0)
  np.testing.assert_allclose(even, 0.125, rtol=1e-6)
  np.testing.assert_allclose(step(state, batch)[1]['loss'], 0.1875, rtol=1e-6)
  batch['one_pass_share'] = jnp.zeros(4)
  weighted = step(state, batch)[1]['loss']
  batch['weight_px'] = jnp.ones((4, 8, 8))
  np.testing.assert_allclose(step(state, batch)[1]['loss'], weighted, rtol=1e-6)


def test_a_loss_that_is_not_finite_leaves_the_state_alone():
  step, state, batch = make_tiny_step()
  batch['target'] = batch['target'].at[1].set(jnp.nan)
  after, metrics = step(state, batch)
  jax.tree.map(np.testing.assert_array_equal, state, after)
  with pytest.raises(NonFiniteLossError, match='step 7'):
    train.check_finite(metrics, 7)


def test_noise_of_an_example_does_not_depend_on_its_batch():
  step, state, batch = make_tiny_step()
  batch['one_pass_share'] = jnp.zeros(4)
  _, together = step(state, batch)
  one = {key: value[2:3].repeat(4, axis=0) for key, value in batch.items()}
  _, alone = step(state, one)
  two = {key: value[3:].repeat(4, axis=0) for key, value in batch.items()}
  _, other = step(state, two)
  np.testing.assert_allclose(
    together['task_loss'][1],
    alone['task_loss'][1] / 4 + other['task_loss'][1] / 4,
    rtol=1e-5,
  )
