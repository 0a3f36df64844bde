"""What can go wrong in a training, done to the process that asks for it."""

import contextlib
import ctypes
import errno
import functools
import json
import os
import pathlib
import shutil
import signal
import time
import zlib
from collections.abc import Callable

# Of <linux/capability.h>, <linux/sched.h> and <linux/mount.h>.
_CAPABILITY_VERSION = 0x20080522
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000

# Bytes left on the small disk: less than a checkpoint, more than its logs.
_LEFT = 1_000_000

# Called with a step when its batch is asked for, in the step before it.
_listeners = []


def record_ids(workdir: pathlib.Path) -> None:
  """Writes the ids of every batch, and a checksum of it, to ids.jsonl."""
  from vbanana_jax.data import stream

  build = stream.build_stream

  def record(batches, step):
    try:
      for batch in batches:
        step += 1
        for listener in _listeners:
          listener(step)
        checksum = 0
        for key in sorted(batch):
          checksum = zlib.crc32(batch[key].tobytes(), checksum)
        row = json.dumps(
          {'step': step, 'ids': batch['index'].tolist(), 'crc32': checksum}
        )
        # On a full disk the training itself shall find out.
        with contextlib.suppress(OSError):
          with (workdir / 'ids.jsonl').open('a') as file:
            file.write(f'\n{row}')
        yield batch
    finally:
      batches.close()

  @functools.wraps(build)
  def build_recorded(*args, start_step=0, **kwargs):
    return record(build(*args, start_step=start_step, **kwargs), start_step)

  stream.build_stream = build_recorded


def get_signal(
  name: str, step: str, heard: Callable[[], bool] = lambda: True
) -> None:
  """The signal comes during `step`, which goes on once it is `heard`."""
  number = signal.Signals[name]

  def listen(asked):
    if asked == int(step) + 1:
      os.kill(os.getpid(), number)
      for _ in range(1000):
        if heard():
          break
        time.sleep(0.01)

  _listeners.append(listen)


def die_in_step(step: str, folder: str) -> None:
  """SIGKILL during `step`, once the checkpoint before it is in `folder`."""

  def listen(asked):
    if asked == int(step) + 1:
      while not pathlib.Path(folder).is_dir():
        time.sleep(0.01)
      die()

  _listeners.append(listen)


def die() -> None:
  os.kill(os.getpid(), signal.SIGKILL)


def patch(owner, name: str, replacement) -> None:
  """Replaces a function by `replacement(original)`."""
  setattr(owner, name, replacement(getattr(owner, name)))


def die_before_save(step: str) -> None:
  """SIGKILL when `step` is to be saved and nothing of it is on disk."""
  import orbax.checkpoint as ocp

  def replace(save):
    return lambda self, at, *args, **kwargs: (
      die() if at == int(step) else save(self, at, *args, **kwargs)
    )

  patch(ocp.CheckpointManager, 'save', replace)


def call_every_run_long() -> None:
  """Whatever is left of a run is told of."""
  from vbanana_jax.runtime import pace

  pace.LONG_S = 0.0


def die_among_arrays(step: str) -> None:
  """SIGKILL when the arrays of one item are written and others may not be."""
  from orbax.checkpoint._src.serialization import ocdbt_utils

  def replace(merge):
    return lambda folder, *args, **kwargs: (
      die() if f'/{step}.' in str(folder) else merge(folder, *args, **kwargs)
    )

  patch(ocdbt_utils, 'merge_ocdbt_per_process_files', replace)


def die_before_commit(step: str) -> None:
  """SIGKILL when all is written and the folder still has its own name."""
  _replace_commit(step, lambda commit, self: die())


def die_after_commit(step: str) -> None:
  """SIGKILL when the folder has its name, and older ones are still there."""

  async def replace(commit, self):
    await commit(self)
    die()

  _replace_commit(step, replace)


def _replace_commit(step, replacement) -> None:
  from orbax.checkpoint._src.path import atomicity

  def replace(commit):
    async def finalize(self):
      if self.get_final().name == step:
        await replacement(commit, self)
      await commit(self)

    return finalize

  patch(atomicity.AtomicRenameTemporaryPath, 'finalize', replace)


def die_in_deletion(step: str) -> None:
  """SIGKILL when the checkpoint of `step` is half deleted."""
  from orbax.checkpoint._src.path import deleter

  def replace(delete):
    def delete_half(self, at):
      if at == int(step):
        shutil.rmtree(self._directory / step / 'params')
        die()
      delete(self, at)

    return delete_half

  patch(deleter.StandardCheckpointDeleter, 'delete', replace)


def multiply_in_float32() -> None:
  """As on a processor without bfloat16, whose rounding hides small changes."""
  from vbanana_jax.models import numerics

  numerics._cpu_has_bf16 = lambda: False


def get_no_space(step: str) -> None:
  """A write in the background of the save of `step` finds the disk full."""
  from vbanana_jax.training import checkpoint_files

  def replace(save_list):
    def fail(folder):
      if folder.name.startswith(f'{step}.'):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
      save_list(folder)

    return fail

  patch(checkpoint_files, 'save_list', replace)


def lose_root_rights() -> None:
  """Permissions of files count from now on, for root too."""
  header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
  sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
  libc = ctypes.CDLL(None, use_errno=True)
  assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


def train_on_small_disk(source: str, workdir: str, out: str) -> None:
  """Trains on a small disk until it is full, makes room, and goes on.

  The disk starts with a copy of `source`; `out` gets the exit code of the first
  training, the step to resume from, and the workdir in the end. Exits with
  EPERM where nothing may be mounted.
  """
  from vbanana_jax import cli
  from vbanana_jax.training import checkpoint

  small, out = pathlib.Path(workdir), pathlib.Path(out)
  out.mkdir()
  small.mkdir(exist_ok=True)
  if not _mount_small_disk(small):
    os._exit(errno.EPERM)
  shutil.copytree(source, small, dirs_exist_ok=True)
  filler = small / 'filler'
  filler.write_bytes(bytes(shutil.disk_usage(small).free - _LEFT))
  checkpoint._SPARE = 0  # or it would be seen before the save

  def replace(main):
    def run_twice(args):
      code = main(args)
      step = checkpoint.newest_step(small)
      (out / 'first.txt').write_text(f'{code} {step}')
      filler.unlink()
      code = main(args)
      shutil.copytree(small, out / 'run')
      return code

    return run_twice

  patch(cli, 'main', replace)


def _mount_small_disk(folder: pathlib.Path) -> bool:
  """A file system of 24 MB that this process alone sees; False if forbidden."""
  libc = ctypes.CDLL(None, use_errno=True)
  owner, group = os.getuid(), os.getgid()
  if libc.unshare(_CLONE_NEWNS):
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER):
      return False
    for name, text in (
      ('setgroups', 'deny'),
      ('uid_map', f'0 {owner} 1'),
      ('gid_map', f'0 {group} 1'),
    ):
      pathlib.Path('/proc/self', name).write_text(text)
  private = libc.mount(b'none', b'/', None, _MS_REC | _MS_PRIVATE, None)
  target = os.fsencode(folder)
  return not private and not libc.mount(
    b'tmpfs', target, b'tmpfs', 0, b'size=24m'
  )
