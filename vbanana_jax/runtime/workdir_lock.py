"""One training at a time in a workdir, one maker of a data set."""

import contextlib
import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator

import jax

from vbanana_jax.errors import UserError
from vbanana_jax.runtime import files, paths, processes

try:
  import fcntl
except ImportError:  # Windows has no such locks
  fcntl = None

# What some network file systems say to a lock.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)

# Of a lock in a bucket: seconds between two signs of life, without one for how
# long its owner counts as gone, and between two looks.
_BEAT, _PATIENCE, _LOOK = 30.0, 90.0, 5.0


@contextlib.contextmanager
def lock_workdir(workdir: str | paths.Path) -> Iterator[Callable[[], None]]:
  """Keeps a second training out of a workdir; readers may come in.

  The system lets go of it when the process ends, however it ends. Where
  there are no such locks, nothing is kept out. On a bucket mounted with Cloud
  Storage FUSE the lock holds on one machine only. Of several processes of one
  training the first holds it.

  In a bucket the lock is an object that its owner writes again every 30
  seconds. Who finds one watches it: if it changes, its owner lives; if it does
  not in 90 seconds, its owner was killed, and the lock is taken over. No
  clocks are compared.

  Returns:
    to be called before every save: it raises UserError if another training
    took the lock over, as it may when this one was out of reach for so long.

  Raises:
    UserError: another process trains there, or it cannot be written.
  """
  if jax.process_index():
    yield lambda: None
    return
  path = paths.to_path(workdir) / '.lock'
  lock = _hold_object if paths.is_bucket(path) else _hold_file
  with lock(path) as check:
    yield check


@contextlib.contextmanager
def hold_out(
  out: paths.Path, remedy: str = 'choose another --out'
) -> Iterator[None]:
  """Keeps a second program from making a data set on a disk meanwhile.

  Args:
    out: of the data set; the lock lies beside it, and is gone afterwards.
    remedy: for who is kept out, beside waiting.

  Raises:
    UserError: another process makes it, or it cannot be written.
  """
  files.check_folder(out.parent)
  path = out.with_name(f'.{out.name}.lock')
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('a') as file:
    try:
      if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      # Whoever held it before may have removed it meanwhile.
      is_ours = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
      is_ours = False
    except OSError as error:
      if error.errno not in _NO_LOCKS:
        raise
      is_ours = True
    if not is_ours:
      raise UserError(
        f'{out} is being made by another process: wait until it ends, or '
        f'{remedy}'
      )
    try:
      yield
    finally:
      path.unlink(missing_ok=True)


@contextlib.contextmanager
def _hold_file(path: paths.Path) -> Iterator[Callable[[], None]]:
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open('a')
  except OSError as error:
    raise _not_writable(path, error) from error
  with file:
    try:
      if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise _taken(path) from error
    except OSError as error:
      if error.errno not in _NO_LOCKS:
        raise
    yield lambda: None


@contextlib.contextmanager
def _hold_object(path: paths.Path) -> Iterator[Callable[[], None]]:
  owner = secrets.token_hex(8)
  ended, lost = threading.Event(), threading.Event()
  try:
    _take(path, _make_sign(owner, 0))
  except OSError as error:
    raise _not_writable(path, error) from error

  def renew() -> None:
    beat = 0
    while not ended.wait(_BEAT):
      beat += 1
      with contextlib.suppress(OSError):  # out of reach: the next beat may do
        if owner not in _read(path):
          lost.set()
          return
        paths.write_whole(path, _make_sign(owner, beat).encode())

  def check() -> None:
    if lost.is_set():
      raise _taken(path)

  thread = threading.Thread(target=renew, daemon=True)
  thread.start()
  try:
    yield check
  finally:
    ended.set()
    thread.join()
    with contextlib.suppress(OSError):
      if owner in _read(path):
        path.unlink()


def _take(path: paths.Path, sign: str) -> None:
  while not paths.create_new(path, sign.encode()):
    before = _read(path)
    if not before:
      continue
    processes.log(
      f'{path} is there: looks for {_PATIENCE:.0f} s whether its owner is'
    )
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and _read(path) == before:
      time.sleep(_LOOK)
    now = _read(path)
    if now and now != before:
      raise _taken(path, f' on {json.loads(now)["host"]}')
    if now:
      path.unlink(missing_ok=True)


def _make_sign(owner: str, beat: int) -> str:
  who = {'host': socket.gethostname(), 'process': os.getpid(), 'owner': owner}
  return json.dumps({**who, 'beat': beat})


def _read(path: paths.Path) -> str:
  """Who holds a lock; nothing if nobody does."""
  try:
    return path.read_text()
  except FileNotFoundError:
    return ''


def _taken(path: paths.Path, where: str = '') -> UserError:
  return UserError(
    f'{path.parent} is being trained by another process{where}: wait until it '
    'ends, stop it, or choose another --workdir'
  )


def _not_writable(path: paths.Path, error: OSError) -> UserError:
  return UserError(
    f'{path.parent} cannot be written ({error.strerror}): mend its '
    'permissions, or choose another --workdir'
  )
