"""Files that are either whole or not there."""

import os
import pathlib
import tempfile

from vbanana_jax import errors


def write_atomic(path: str | os.PathLike, data: bytes) -> pathlib.Path:
  """Writes `data` beside `path`, then renames it into place.

  A reader never sees half a file, and a failed write leaves the old one.

  Raises:
    UserError: the folder cannot be made, or the file cannot be written.
  """
  path = pathlib.Path(path)
  temporary = None
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
      dir=path.parent, prefix=f'.{path.name}.'
    )
    with os.fdopen(handle, 'wb') as file:
      file.write(data)
    os.chmod(temporary, 0o666 & ~_umask())
    os.replace(temporary, path)
  except OSError as error:
    if temporary and os.path.exists(temporary):
      os.unlink(temporary)
    raise errors.UserError(
      f'cannot write {path}: {error.strerror}; choose another place'
    ) from error
  return path


def _umask() -> int:
  mask = os.umask(0)
  os.umask(mask)
  return mask
