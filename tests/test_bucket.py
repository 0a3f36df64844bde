"""Runs in a bucket: one of memory, with a bucket's habits."""

import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import cli
from vbanana_jax.benchmark.readers import files
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import files as report_files
from vbanana_jax.runtime import logs, paths, workdir_lock
from vbanana_jax.training import checkpoint
from vbanana_jax.training.state import TrainState

RUN = 'gs://bucket/runs/a'


@pytest.fixture
def fast(monkeypatch):
  """Signs of life every 20 ms, and gone after 200."""
  monkeypatch.setattr(workdir_lock, '_BEAT', 0.02)
  monkeypatch.setattr(workdir_lock, '_PATIENCE', 0.2)
  monkeypatch.setattr(workdir_lock, '_LOOK', 0.01)


def test_a_lock_keeps_out_whoever_sees_its_owner_live(bucket, fast):
  with workdir_lock.lock_workdir(RUN) as check:
    with pytest.raises(UserError, match=r'runs/a is being trained .* on .*'):
      with workdir_lock.lock_workdir(RUN):
        pass
    check()
  assert not bucket
  with workdir_lock.lock_workdir(RUN):
    pass


def test_a_lock_of_a_killed_owner_is_taken_over(bucket, fast, capsys):
  bucket['bucket/runs/a/.lock'] = b'{"host": "gone", "owner": "x"}'
  with workdir_lock.lock_workdir(RUN):
    assert b'gone' not in bucket['bucket/runs/a/.lock']
  assert not bucket
  assert '.lock is there: looks for 0 s' in capsys.readouterr().err


def test_one_of_many_takes_the_lock_of_a_killed_owner(bucket, fast):
  bucket['bucket/runs/a/.lock'] = b'{"host": "gone", "owner": "x"}'
  held, refused, go = [], [], threading.Event()

  def train(k):
    try:
      with workdir_lock.lock_workdir(RUN) as check:
        time.sleep(0.3)
        check()
        held.append(k)
        go.wait(20)
    except UserError:
      refused.append(k)
      go.set()

  threads = [threading.Thread(target=train, args=[k]) for k in range(2)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(30)
  assert (len(held), len(refused)) == (1, 1)


def test_who_lost_the_lock_saves_nothing(bucket, fast):
  with workdir_lock.lock_workdir(RUN) as check:
    other = b'{"host": "b", "owner": "y"}'
    bucket['bucket/runs/a/.lock'] = other
    deadline = time.monotonic() + 20
    with pytest.raises(UserError, match='is being trained by another'):
      while time.monotonic() < deadline:
        check()
        time.sleep(0.01)
  assert bucket['bucket/runs/a/.lock'] == other  # which is not ours to remove


@pytest.mark.parametrize(
  'words, says',
  [
    (('prepare', 'image_folder', 'gs://bucket/in', '--out', 'x'), 'prepared'),
    (('prepare', 'image_folder', '.', '--out', 'gs://bucket/x'), 'written'),
    (('prepare', 'scenes', '--out', 'gs://bucket/x'), 'written'),
    (
      ('prepare', 'image_folder', '--verify', '--out', 'gs://bucket/x'),
      'shards cannot be read in a bucket: copy it to a disk, or mount',
    ),
  ],
)
def test_what_a_bucket_cannot_is_refused_at_once(words, says, bucket, capsys):
  assert cli.main([*words]) == 2
  said = capsys.readouterr().err
  assert says in said
  assert said.count('\n') == 1
  assert not bucket


def make_state(step):
  params = {'block': {'kernel': jnp.full((2, 3), step)}, 'scale': jnp.ones(4)}
  return TrainState(jnp.int32(step), params, params, ({'momentum': params},))


def test_checkpoints_go_on_in_a_bucket(bucket):
  with checkpoint.Checkpoints(RUN, keep=2) as checkpoints:
    for step in (3, 4, 5):
      checkpoints.save(make_state(step), {'a': 1})
  steps = checkpoint.list_steps(paths.to_path(RUN) / 'checkpoints')
  assert steps == [4, 5]
  # One that was cut short has all but the object that makes it count.
  for name, data in list(bucket.items()):
    if '/checkpoints/5/' in name and not name.endswith('commit_success.txt'):
      bucket[name.replace('/checkpoints/5/', '/checkpoints/6/')] = data
  assert checkpoint.newest_step(RUN) == 5
  with checkpoint.Checkpoints(RUN, keep=2) as checkpoints:
    assert checkpoints.latest_step() == 5
    state = checkpoints.restore(make_state(0))
    np.testing.assert_array_equal(state.params['block']['kernel'], 5)
    assert checkpoints.load_manifest() == {'a': 1}
  assert not any('/checkpoints/6/' in name for name in bucket)


def test_lines_and_arrays_of_a_bucket_are_read_back(bucket):
  root = paths.to_path(RUN)
  log = logs.StepLog(root / 'metrics.jsonl', start_step=0)
  for step in (1, 2, 3):
    log.write({'step': step})
  assert logs.StepLog(root / 'metrics.jsonl', start_step=2).last == {'step': 2}
  assert [x['step'] for x in logs.load_metrics(root / 'metrics.jsonl')] == [
    1,
    2,
  ]
  report_files.write_atomic(root / 'x.npy', report_files.to_npy(np.arange(3)))
  assert files.load_npy(root / 'x.npy').tolist() == [0, 1, 2]
