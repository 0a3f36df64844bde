"""Every verb in a bucket: one of memory, with a bucket's habits."""

import threading
import time

import pytest

from vbanana_jax import lock
from vbanana_jax.errors import UserError

RUN = 'gs://bucket/runs/a'


@pytest.fixture
def fast(monkeypatch):
  """Signs of life every 20 ms, and gone after 200."""
  monkeypatch.setattr(lock, '_BEAT', 0.02)
  monkeypatch.setattr(lock, '_PATIENCE', 0.2)
  monkeypatch.setattr(lock, '_LOOK', 0.01)


def test_a_lock_keeps_out_whoever_sees_its_owner_live(bucket, fast):
  with lock.hold(RUN) as check:
    with pytest.raises(UserError, match=r'runs/a is being trained .* on .*'):
      with lock.hold(RUN):
        pass
    check()
  assert not bucket
  with lock.hold(RUN):
    pass


def test_a_lock_of_a_killed_owner_is_taken_over(bucket, fast, capsys):
  bucket['bucket/runs/a/.lock'] = b'{"host": "gone", "owner": "x"}'
  with lock.hold(RUN):
    assert b'gone' not in bucket['bucket/runs/a/.lock']
  assert not bucket
  assert '.lock is there: looks for 0 s' in capsys.readouterr().err


def test_one_of_many_takes_the_lock_of_a_killed_owner(bucket, fast):
  bucket['bucket/runs/a/.lock'] = b'{"host": "gone", "owner": "x"}'
  held, refused, go = [], [], threading.Event()

  def train(k):
    try:
      with lock.hold(RUN) as check:
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
  with lock.hold(RUN) as check:
    other = b'{"host": "b", "owner": "y"}'
    bucket['bucket/runs/a/.lock'] = other
    deadline = time.monotonic() + 20
    with pytest.raises(UserError, match='is being trained by another'):
      while time.monotonic() < deadline:
        check()
        time.sleep(0.01)
  assert bucket['bucket/runs/a/.lock'] == other  # which is not ours to remove
