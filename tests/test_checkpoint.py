"""A workdir is trained by one process at a time, and read by any."""

import errno
import signal
import subprocess
import sys

import pytest

from vbanana_jax import checkpoint
from vbanana_jax.errors import UserError

HOLDER = """
import sys
from vbanana_jax import checkpoint
with checkpoint.hold(sys.argv[1]):
  print('held', flush=True)
  sys.stdin.read()
"""


def test_a_second_training_is_kept_out_until_the_first_is_killed(tmp_path):
  workdir = tmp_path / 'run'
  process = subprocess.Popen(
    [sys.executable, '-c', HOLDER, workdir],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  with process:
    assert process.stdout.readline() == 'held\n'
    with pytest.raises(UserError, match=r'run is being trained .* --workdir'):
      with checkpoint.hold(workdir):
        pass
    with checkpoint.Checkpoints(workdir) as checkpoints:
      assert checkpoints.latest_step() is None
    process.send_signal(signal.SIGKILL)
  assert process.returncode == -signal.SIGKILL
  with checkpoint.hold(workdir):
    pass


def test_a_workdir_is_free_again_after_a_failure(tmp_path):
  with pytest.raises(ZeroDivisionError):
    with checkpoint.hold(tmp_path):
      raise ZeroDivisionError
  with checkpoint.hold(tmp_path):
    pass


def test_file_systems_without_locks_can_be_trained_on(tmp_path, monkeypatch):
  def refuse(file, flags):
    raise OSError(errno.ENOSYS, 'Function not implemented')

  monkeypatch.setattr(checkpoint.fcntl, 'flock', refuse)
  with checkpoint.hold(tmp_path):
    pass
  monkeypatch.setattr(checkpoint, 'fcntl', None)
  with checkpoint.hold(tmp_path):
    pass
