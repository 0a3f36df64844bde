"""One process trains in a workdir; whole checkpoints count, others do not."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from vbanana_jax.errors import (
  DamagedError,
  NonFiniteLossError,
  Preempted,
  SaveError,
  UserError,
)
from vbanana_jax.runtime import workdir_lock
from vbanana_jax.training import checkpoint, checkpoint_files
from vbanana_jax.training.state import TrainState

HOLDER = """
import sys
from vbanana_jax.runtime import workdir_lock
with workdir_lock.lock_workdir(sys.argv[1]):
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
      with workdir_lock.lock_workdir(workdir):
        pass
    with checkpoint.Checkpoints(workdir) as checkpoints:
      assert checkpoints.latest_step() is None
    process.send_signal(signal.SIGKILL)
  assert process.returncode == -signal.SIGKILL
  with workdir_lock.lock_workdir(workdir):
    pass


def test_a_workdir_is_free_again_after_a_failure(tmp_path):
  with pytest.raises(ZeroDivisionError):
    with workdir_lock.lock_workdir(tmp_path):
      raise ZeroDivisionError
  with workdir_lock.lock_workdir(tmp_path):
    pass


def test_file_systems_without_locks_can_be_trained_on(tmp_path, monkeypatch):
  def refuse(file, flags):
    raise OSError(errno.ENOSYS, 'Function not implemented')

  monkeypatch.setattr(workdir_lock.fcntl, 'flock', refuse)
  with workdir_lock.lock_workdir(tmp_path):
    pass
  monkeypatch.setattr(workdir_lock, 'fcntl', None)
  with workdir_lock.lock_workdir(tmp_path):
    pass


def make_state(step):
  params = {'block': {'kernel': jnp.full((2, 3), step)}, 'scale': jnp.ones(4)}
  return TrainState(jnp.int32(step), params, params, ({'momentum': params},))


def save(workdir, *steps, **options):
  with checkpoint.Checkpoints(workdir, **options) as checkpoints:
    for step in steps:
      checkpoints.save(make_state(step), {'step': step})
  return workdir / 'checkpoints'


def list_names(folder):
  return sorted(path.name for path in folder.iterdir())


def lose_file(folder):
  path = next((folder / 'params' / 'd').iterdir())
  path.unlink()
  return path.name


def test_the_newest_are_kept_and_some_for_good(tmp_path):
  folder = save(tmp_path, *range(1, 8), keep=2, keep_every=3)
  assert list_names(folder) == ['3', '6', '7']
  folder = save(tmp_path, 8, keep=2, keep_every=3)  # and after a resume
  assert list_names(folder) == ['3', '6', '7', '8']
  folder = save(tmp_path, 9, keep=1)
  assert list_names(folder) == ['9']


def test_every_file_of_a_committed_checkpoint_is_listed(tmp_path):
  folder = save(tmp_path, 1, keep=1) / '1'
  assert checkpoint_files.verify(folder) is None
  for item in ('params', 'ema_params', 'rest', 'manifest'):
    for path in (folder / item).rglob('*'):
      if path.is_file():
        path.rename(folder / 'gone')
        name = path.relative_to(folder).as_posix()
        assert checkpoint_files.verify(folder) == f'{name} is missing'
        (folder / 'gone').rename(path)
  for text in ('{', '[]', '{}', '3', '{"params/x": "y"}', '{"params/x": [1]}'):
    (folder / checkpoint_files.LIST).write_text(text)
    assert checkpoint_files.verify(folder) == 'files.json is damaged', text


def test_without_an_average_the_weights_themselves_are_restored(tmp_path):
  state = make_state(3)._replace(ema_params=None)
  assert state.ema_weights is state.params
  with checkpoint.Checkpoints(tmp_path, keep=1) as checkpoints:
    checkpoints.save(state, {})
  assert 'ema_params' not in list_names(tmp_path / 'checkpoints' / '3')
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    restored = checkpoints.restore(state)
    loaded = checkpoints.restore_ema(state.params)
    part = checkpoints.restore_ema({'scale': jnp.ones(4)}, partial=True)
  assert restored.ema_params is None and int(restored.step) == 3
  np.testing.assert_array_equal(loaded['block']['kernel'], np.full((2, 3), 3))
  np.testing.assert_array_equal(part['scale'], np.ones(4))
  lose_file(tmp_path / 'checkpoints' / '3')
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    with pytest.raises(DamagedError, match='is missing'):
      checkpoints.restore_ema(state.params)


def flip_bit(folder, item):
  """Changes one bit of the largest file of an item; returns its name."""
  files = [path for path in (folder / item).rglob('*') if path.is_file()]
  path = max(files, key=lambda path: path.stat().st_size)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  return path.relative_to(folder).as_posix()


def test_other_bytes_of_the_same_size_are_noticed(tmp_path, capsys):
  folder = save(tmp_path, 1, 2, keep=2)
  name = flip_bit(folder / '2', 'ema_params')
  says = f'{name} has other bytes than were written'
  assert checkpoint_files.verify(folder / '2') == says
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    assert checkpoints.load_manifest() == {'step': 2}  # of which it reads all
    with pytest.raises(DamagedError, match=f'/2 cannot be read .{says}'):
      checkpoints.restore_ema(make_state(0).params)
  with checkpoint.Checkpoints(tmp_path, keep=2) as checkpoints:
    assert int(checkpoints.restore(make_state(0)).step) == 1
  assert list_names(folder) == ['1', '2.damaged1']
  assert f'2 is damaged ({says})' in capsys.readouterr().err


def test_lists_of_older_versions_pass(tmp_path):
  folder = save(tmp_path, 1, keep=1) / '1'
  path = folder / checkpoint_files.LIST
  files = json.loads(path.read_text())
  assert all(
    known
    == [
      (folder / name).stat().st_size,
      checkpoint_files.crc32_file(folder / name),
    ]
    for name, known in files.items()
  )
  path.write_text(json.dumps({name: size for name, (size, _) in files.items()}))
  assert checkpoint_files.verify(folder) is None
  name = flip_bit(folder, 'rest')
  assert checkpoint_files.verify(folder) is None
  os.truncate(folder / name, 1)
  assert f'{name} has 1 of' in checkpoint_files.verify(folder)
  path.unlink()
  assert checkpoint_files.verify(folder) is None


def test_what_only_looks_like_a_checkpoint(tmp_path, capsys):
  folder = save(tmp_path, 1, 2, keep=2)
  (folder / '99').write_text('')
  (folder / '4²').mkdir()
  assert checkpoint.newest_step(tmp_path) == 2
  save(tmp_path, 3, keep=2)
  (folder / '98').mkdir()
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    with pytest.raises(DamagedError, match=r'/98 .*files\.json is missing'):
      checkpoints.load_manifest()
  with checkpoint.Checkpoints(tmp_path, keep=2) as checkpoints:
    assert checkpoints.latest_step() == 3
  assert list_names(folder) == ['2', '3', '4²', '98.damaged1', '99']
  assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize(
  'kind, counts',
  [(NonFiniteLossError, NonFiniteLossError), (Preempted, SaveError)],
)
def test_of_two_errors_the_graver_counts(
  tmp_path, monkeypatch, capsys, kind, counts
):
  def fail(folder):
    raise OSError(errno.EIO, 'broken')

  monkeypatch.setattr(checkpoint_files, 'save_list', fail)
  with pytest.raises(UserError) as caught:
    with checkpoint.Checkpoints(tmp_path, keep=1) as checkpoints:
      checkpoints.save(make_state(1), {})
      raise kind('under way')
  assert caught.type is counts
  told = capsys.readouterr().err + str(caught.value)
  assert 'cannot be written' in told and 'broken' in told


def test_a_reader_that_may_not_read(tmp_path, monkeypatch):
  def refuse(*args, **kwargs):
    raise PermissionError(errno.EACCES, 'Permission denied')

  save(tmp_path, 1, keep=1)
  monkeypatch.setattr(checkpoint, '_Manager', refuse)
  with pytest.raises(UserError, match=r'cannot be read \(.*denied') as caught:
    checkpoint.Checkpoints(tmp_path)
  assert caught.value.exit_code == 2


def test_readers_refuse_what_is_damaged_and_touch_nothing(tmp_path):
  folder = save(tmp_path, 1, 2, keep=2)
  (folder / '3.orbax-checkpoint-tmp').mkdir()  # being written
  name = lose_file(folder / '2')
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    with pytest.raises(
      DamagedError, match=f'/2 cannot be read .*{name} is mis'
    ):
      checkpoints.restore_ema(make_state(0).params)
  assert list_names(folder) == ['1', '2', '3.orbax-checkpoint-tmp']
  assert DamagedError.exit_code == 5


def test_training_goes_on_from_the_newest_whole_one(tmp_path, capsys):
  folder = save(tmp_path, 1, 2, 3, keep=3)
  (folder / '4.orbax-checkpoint-tmp').mkdir()  # of a save that was killed
  lose_file(folder / '2')
  lose_file(folder / '3')
  with checkpoint.Checkpoints(tmp_path, keep=3) as checkpoints:
    state = checkpoints.restore(make_state(0))
    assert checkpoints.load_manifest() == {'step': 1}
    checkpoints.save(make_state(3), {})
  assert int(state.step) == 1
  np.testing.assert_array_equal(
    state.opt_state[0]['momentum']['block']['kernel'], np.ones((2, 3))
  )
  assert len(capsys.readouterr().err.splitlines()) == 2
  assert list_names(folder) == ['1', '2.damaged1', '3', '3.damaged1']


def test_without_a_whole_one_nothing_is_touched(tmp_path):
  folder = save(tmp_path, 1, 2, keep=2)
  lose_file(folder / '1')
  lose_file(folder / '2')
  with pytest.raises(DamagedError, match=r'/2 cannot be read .* from a copy'):
    checkpoint.Checkpoints(tmp_path, keep=2)
  assert list_names(folder) == ['1', '2']


def test_another_model_is_refused_by_name(tmp_path):
  save(tmp_path, 1, keep=1)
  other = make_state(0).params | {'scale': jnp.ones(5)}
  with checkpoint.Checkpoints(tmp_path) as checkpoints:
    with pytest.raises(
      UserError, match=r'scale has the shape \(4,\) there and \(5,\) here'
    ):
      checkpoints.restore_ema(other)


@pytest.mark.parametrize(
  'name', ['n[1]', 'n[!a]*', 'a b', '-x', '~', 'n#1%41?', 'ä漢', 'a\nb']
)
def test_any_name_of_a_workdir_keeps_its_checkpoints(
  name, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  save(pathlib.Path(name, 'run'), 3, keep=1)
  with checkpoint.Checkpoints(f'./{name}/run/') as checkpoints:
    assert checkpoints.latest_step() == 3
    state = checkpoints.restore(make_state(0))
    np.testing.assert_array_equal(state.params['block']['kernel'], 3)


def test_a_search_does_not_go_through_the_folders_beside(tmp_path):
  save(tmp_path / 'n1', 3, keep=1)
  save(tmp_path / 'n*', 4, keep=1)
  with checkpoint.Checkpoints(tmp_path / 'n*') as checkpoints:
    state = checkpoints.restore(make_state(0))
    np.testing.assert_array_equal(state.params['block']['kernel'], 4)


@pytest.mark.parametrize('name', ['a\\b', os.fsdecode(b'a\xff')])
def test_names_that_keep_no_arrays_are_refused_at_once(name, tmp_path):
  with pytest.raises(UserError, match='backslash, or one that is not UTF-8'):
    checkpoint.Checkpoints(tmp_path / name, keep=1)
  assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_is_not_there_after_saving_is_an_error(
  tmp_path, monkeypatch
):
  # As it is without `to_epath`: the library searches below a pattern.
  monkeypatch.setattr(checkpoint.paths, 'to_epath', epath.Path)
  with pytest.raises(SaveError, match=r'1 was saved and cannot be read'):
    save(tmp_path / 'n[1]', 1, keep=1)
  monkeypatch.undo()
  monkeypatch.setattr(checkpoint, 'list_steps', lambda folder: [])
  with pytest.raises(SaveError, match='it is not there'):
    save(tmp_path / 'run', 1, keep=1)
