"""What goes wrong when checkpoints are read and written, in one line each."""

import contextlib
from collections.abc import Iterator

from vbanana_jax.errors import (
  DamagedError,
  DiskFullError,
  SaveError,
  UserError,
  is_disk_full,
)
from vbanana_jax.runtime import paths, processes


def check_name(path: paths.Path) -> None:
  """Refuses names below which the library of arrays cannot keep any."""
  name = str(path)
  if '\\' in name or _has_no_utf8(name):
    raise UserError(
      f'{name!r}: weights cannot be kept below a name with a backslash, or one '
      'that is not UTF-8: choose another --workdir'
    )


def _has_no_utf8(name: str) -> bool:
  try:
    name.encode()
  except UnicodeEncodeError:
    return True
  return False


def describe(folder: paths.Path, damage: str) -> str:
  """Which checkpoint is damaged, and what can be done."""
  return (
    f'{folder} cannot be read ({damage}): bring it back from a copy, or move '
    'it away and the checkpoint before it counts, if there is one'
  )


@contextlib.contextmanager
def named_damage(folder: paths.Path) -> Iterator[None]:
  """Names the checkpoint that cannot be read, in one line."""
  try:
    yield
  except Exception as error:  # its readers raise nearly every kind
    if processes.is_peer_failure(error):
      raise
    told = str(error).partition('\n')[0]
    raise DamagedError(describe(folder, told)) from error


@contextlib.contextmanager
def named_failures(path: paths.Path, *, writes: bool = True) -> Iterator[None]:
  """Turns a full disk, and whatever else forbids writing, into one line."""
  try:
    yield
  except (OSError, ValueError) as error:
    if processes.is_peer_failure(error):
      raise
    told = str(error).partition('\n')[0]
    if not writes:
      raise UserError(
        f'{path} cannot be read ({told}): mend its permissions'
      ) from error
    if is_disk_full(error):
      raise DiskFullError(
        f'the disk of {path} is full: make room and run the same command '
        'again; it goes on from the last whole checkpoint'
      ) from error
    raise SaveError(
      f'{path} cannot be written ({told}): mend that and run the same command '
      'again; it goes on from the last whole checkpoint'
    ) from error
