"""TensorBoard and W&B get what the JSON lines have, and harm no training."""

import io
import json
import sys
import threading
import types

import event_files
import numpy as np
import pytest
from PIL import Image

from vbanana_jax.errors import UserError
from vbanana_jax.runtime import logs, writers

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
ROW = {'step': 7, 'loss': 0.25, 'depth/delta1': None}


class FakeWandb(types.ModuleType):
  """The part of wandb that is used; every attribute of `fails` raises."""

  def __init__(self, fails=()):
    super().__init__('wandb')
    self.errors = types.SimpleNamespace(
      UsageError=type('UsageError', (Exception,), {}),
      AuthenticationError=type('AuthenticationError', (Exception,), {}),
    )
    self.runs, self.rows, self.fails = [], [], fails
    self.finished = 0

  def Image(self, picture):
    assert picture.dtype == np.uint8
    return picture.shape

  def init(self, **settings):
    self.runs.append(settings)
    if 'init' in self.fails:
      raise self.fails['init']
    return self

  def log(self, row, step):
    if 'log' in self.fails:
      raise self.fails['log']
    self.rows.append((step, row))

  def finish(self):
    self.finished += 1


def use_wandb(monkeypatch, **fails):
  wandb = FakeWandb(fails)
  monkeypatch.setitem(sys.modules, 'wandb', wandb)
  return wandb


def write(workdir, names, *, start=0, rows=(ROW,)):
  config = {'writers': names, 'seed': 3}
  with writers.open_writers(workdir, config, start) as opened:
    log = logs.StepLog(
      workdir / 'metrics.jsonl', start_step=start, writers=opened
    )
    for row in rows:
      log.write(row, {'depth': PICTURE})


def test_no_writer_is_opened_unless_it_is_named(tmp_path):
  write(tmp_path, '')
  assert [path.name for path in tmp_path.iterdir()] == ['metrics.jsonl']


def test_tensorboard_gets_numbers_and_pictures(tmp_path):
  write(tmp_path, 'tensorboard')
  write(tmp_path, 'tensorboard', start=7, rows=[{'step': 9, 'loss': 1.0}])
  folder = tmp_path / 'tensorboard'
  assert event_files.read_tags(folder) == [
    (7, 'metrics/loss'),
    (7, 'metrics/depth'),
    (9, 'metrics/loss'),
    (9, 'metrics/depth'),
  ]
  events = list(event_files.read_events(folder))
  # Later steps of a run that was killed are hidden.
  begun = [event.step for event in events if event.HasField('session_log')]
  assert begun == [1, 8]
  values = [value for event in events for value in event.summary.value]
  assert values[0].simple_value == 0.25
  with Image.open(io.BytesIO(values[1].image.encoded_image_string)) as picture:
    np.testing.assert_array_equal(picture, PICTURE)


def test_wandb_gets_the_same_and_a_run_that_goes_on_is_one_run(
  tmp_path, monkeypatch
):
  wandb = use_wandb(monkeypatch)
  monkeypatch.delenv('WANDB_PROJECT', raising=False)
  write(tmp_path, 'wandb')
  write(tmp_path, 'wandb', start=7, rows=[{'step': 9, 'loss': 1.0}])
  assert wandb.rows == [
    (7, {'metrics/loss': 0.25, 'metrics/depth': PICTURE.shape}),
    (9, {'metrics/loss': 1.0, 'metrics/depth': PICTURE.shape}),
  ]
  first, then = wandb.runs
  assert first == then and wandb.finished == 2
  assert first['config']['seed'] == 3 and first['project'] == 'vbanana_jax'
  other = tmp_path / 'other'
  write(other, 'wandb')
  assert wandb.runs[-1]['id'] != first['id']


@pytest.mark.parametrize('name', writers.WRITERS)
def test_a_missing_package_is_named_before_anything_else(
  name, tmp_path, monkeypatch
):
  package = {'tensorboard': 'tensorboardX'}.get(name, name)
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(UserError, match=rf"pip install 'vbanana-jax\[{name}\]'"):
    write(tmp_path, name)
  assert not (tmp_path / 'metrics.jsonl').exists()


def test_an_unknown_writer_is_named_with_those_there_are(tmp_path):
  with pytest.raises(UserError, match="'tensorbord': choose of tensorboard"):
    write(tmp_path, 'wandb, tensorbord')


def test_tensorboard_cannot_write_into_a_bucket(bucket):
  from vbanana_jax.runtime import paths

  workdir = paths.to_path('gs://bucket/run')
  with pytest.raises(UserError, match='tensorboard, which cannot write in a'):
    write(workdir, 'tensorboard')


def test_an_account_that_is_refused_is_a_mistake(tmp_path, monkeypatch):
  wandb = use_wandb(monkeypatch)
  wandb.fails = {'init': wandb.errors.UsageError('no API key')}
  with pytest.raises(UserError, match='no API key; with WANDB_MODE=offline'):
    write(tmp_path, 'tensorboard,wandb')


def test_one_that_is_out_of_reach_is_left_out(tmp_path, monkeypatch, capsys):
  wandb = use_wandb(monkeypatch, init=ConnectionError('no route'))
  write(tmp_path, 'wandb,tensorboard')
  assert 'wandb cannot be reached, and is left out: no route' in (
    capsys.readouterr().err
  )
  assert not wandb.rows
  assert event_files.read_tags(tmp_path / 'tensorboard')


def test_a_writer_that_fails_is_said_once_and_stops_nothing(
  tmp_path, monkeypatch, capsys
):
  use_wandb(monkeypatch, log=OSError('network is gone'))
  rows = [{'step': step, 'loss': 1.0} for step in range(1, 6)]
  write(tmp_path, 'wandb', rows=rows)
  assert capsys.readouterr().err.count('network is gone') == 1
  lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  assert [json.loads(line) for line in lines] == rows


def test_a_writer_that_hangs_holds_nothing_up(tmp_path, monkeypatch, capsys):
  wandb = use_wandb(monkeypatch)
  gone = threading.Event()
  wandb.log = lambda *args, **kwargs: gone.wait()
  monkeypatch.setattr(writers, '_MOST_WAITING', 2)
  monkeypatch.setattr(writers, '_PATIENCE_S', 0.01)
  rows = [{'step': step, 'loss': 1.0} for step in range(1, 8)]
  write(tmp_path, 'wandb', rows=rows)
  gone.set()
  assert capsys.readouterr().err.count('wandb does not keep up') == 1
  assert len(logs.load_metrics(tmp_path / 'metrics.jsonl')) == len(rows)
