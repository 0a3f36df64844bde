"""Whatever goes wrong ends in one clear line, its code, and a run to resume."""

import errno
import os
import re
import shutil
import signal

import pytest
from test_resume import assert_same_run

from vbanana_jax.errors import DiskFullError, UserError
from vbanana_jax.training import checkpoint


def list_files(folder):
  """Everything that a later run could read, with its bytes."""
  return {
    path.relative_to(folder): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }


def list_checkpoints(workdir):
  return sorted(path.name for path in (workdir / 'checkpoints').iterdir())


def assert_last_line(error, pattern):
  line = error.splitlines()[-1]
  assert re.fullmatch(f'vbanana: {pattern}', line), error


def cut(folder, item):
  """Takes the last bytes off the largest file of an item."""
  files = [path for path in (folder / item).rglob('*') if path.is_file()]
  largest = max(files, key=lambda path: path.stat().st_size)
  os.truncate(largest, largest.stat().st_size - 10)
  return largest


def test_killed_in_every_stage_of_a_save(whole_run, trainings, tmp_path):
  def train_on(fault):
    code, error = trainings.run(
      tmp_path, '--config.keep_checkpoints=1', fault=fault
    )
    assert code == (-signal.SIGKILL if fault else 0), error
    return error

  for fault in (
    'die_before_save 8',
    'die_among_arrays 8',
    'die_before_commit 8',
  ):
    train_on(fault)
    assert checkpoint.newest_step(tmp_path) == 4
    partial = ['8.orbax-checkpoint-tmp'] * (fault != 'die_before_save 8')
    assert list_checkpoints(tmp_path) == ['4', *partial]
  train_on('die_after_commit 8')
  assert list_checkpoints(tmp_path) == ['4', '8']
  # The newest loses its end; the one before it takes its place.
  short = cut(tmp_path / 'checkpoints' / '8', 'rest')
  error = train_on('die_in_deletion 4')
  assert list_checkpoints(tmp_path) == ['4', '8', '8.damaged1']
  said = [line for line in error.splitlines() if line.startswith('vbanana: ')]
  assert len(said) == 1
  assert '8 is damaged (rest/' in said[0] and f'{short.name} has' in said[0]
  assert said[0].endswith('now 8.damaged1, and training goes on from step 4')
  train_on('')
  assert list_checkpoints(tmp_path) == ['12', '8.damaged1']
  assert_same_run(whole_run, tmp_path)


def test_the_disk_fills_up_while_a_save_is_written(
  stopped_run, trainings, tmp_path
):
  workdir = shutil.copytree(stopped_run[0], tmp_path / 'run')
  good = list_files(workdir / 'checkpoints')
  code, error = trainings.run(workdir, fault='get_no_space 8')
  assert code == DiskFullError.exit_code == 4
  assert_last_line(
    error, 'the disk of .* is full: make room and run the same .*'
  )
  assert good.items() <= list_files(workdir / 'checkpoints').items()
  assert checkpoint.newest_step(workdir) == 5


def test_a_disk_that_is_really_full(
  whole_run, stopped_run, trainings, tmp_path
):
  """On a small file system that only the training sees, and is then freed."""
  out = tmp_path / 'out'
  code, error = trainings.run(
    tmp_path / 'small',
    fault=f'train_on_small_disk {stopped_run[0]} {tmp_path}/small {out}',
  )
  if code == errno.EPERM:
    pytest.skip('no right to mount a file system')
  assert code == 0, error
  first = (out / 'first.txt').read_text().splitlines()
  assert first[0] == '4 5'  # exit code, newest step
  assert_same_run(whole_run, out / 'run')


def test_no_room_is_seen_before_a_save(tmp_path, monkeypatch):
  usage = shutil.disk_usage(tmp_path)
  monkeypatch.setattr(
    shutil, 'disk_usage', lambda path: usage._replace(free=1000)
  )
  state = checkpoint.TrainState(checkpoint.jax.numpy.zeros(1000), {}, {}, ())
  with checkpoint.Checkpoints(tmp_path, keep=1) as checkpoints:
    with pytest.raises(DiskFullError, match=r'0 MB free .* make room'):
      checkpoints.save(state, {})
  assert checkpoint.newest_step(tmp_path) is None


def test_a_folder_that_cannot_be_written(stopped_run, trainings, tmp_path):
  workdir = shutil.copytree(stopped_run[0], tmp_path / 'run')
  before = list_files(workdir)
  for folder, _, names in os.walk(workdir, topdown=False):
    for name in names:
      os.chmod(os.path.join(folder, name), 0o444)
    os.chmod(folder, 0o555)
  code, error = trainings.run(workdir, fault='lose_root_rights')
  assert code == UserError.exit_code == 2
  assert_last_line(
    error, r'.*/run cannot be written \(Permission denied\): mend its .*'
  )
  assert list_files(workdir) == before
  # The workdir may be written, and its checkpoints not.
  os.chmod(workdir, 0o755)
  for name in os.listdir(workdir):
    os.chmod(workdir / name, 0o755 if name == 'checkpoints' else 0o644)
  os.chmod(workdir / 'checkpoints', 0o555)
  code, error = trainings.run(workdir, fault='lose_root_rights')
  assert code == 4, error
  assert_last_line(error, r'.*/checkpoints cannot be written \(.*enied.*')
  checkpoints = list_files(workdir / 'checkpoints')
  assert checkpoints == list_files(stopped_run[0] / 'checkpoints')


def test_another_config(stopped_run, trainings):
  before = list_files(stopped_run[0])
  code, error = trainings.run(
    stopped_run[0], '--config.seed=1', '--config.model.patch=4'
  )
  assert code == 2
  assert_last_line(
    error,
    r'.* holds a run of another config \(model\.patch was 8, is 4; .*; '
    r'seed was 0, is 1\): repeat .*, or choose another --workdir; '
    r'--config.init_from=.* begins that one with these weights',
  )
  assert list_files(stopped_run[0]) == before
