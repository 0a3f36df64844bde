"""One training at a time in a workdir."""

import contextlib
import errno
import pathlib
from collections.abc import Iterator

import jax

from vbanana_jax.errors import UserError

try:
  import fcntl
except ImportError:  # Windows has no such locks
  fcntl = None

# What some network file systems say to a lock.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


@contextlib.contextmanager
def hold(workdir: str | pathlib.Path) -> Iterator[None]:
  """Keeps a second training out of a workdir; readers may come in.

  The system lets go of it when the process ends, however it ends. Where
  there are no such locks, nothing is kept out. On a bucket mounted with Cloud
  Storage FUSE the lock holds on one machine only. Of several processes of one
  training the first holds it.

  Raises:
    UserError: another process trains there, or it cannot be written.
  """
  if jax.process_index():
    yield
    return
  path = pathlib.Path(workdir, '.lock')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open('a')
  except OSError as error:
    raise UserError(
      f'{workdir} cannot be written ({error.strerror}): mend its permissions, '
      'or choose another --workdir'
    ) from error
  with file:
    try:
      if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise UserError(
        f'{workdir} is being trained by another process: wait until it ends, '
        'stop it, or choose another --workdir'
      ) from error
    except OSError as error:
      if error.errno not in _NO_LOCKS:
        raise
    yield
