"""Paths on a disk and in a bucket: named, opened, written whole, added to.

A bucket has objects and no folders: an object appears whole or not at all,
cannot be added to or locked, and is renamed by copying it. What a verb does to
its files goes through this file where the two differ; `pathlib`'s methods are
the same for both.
"""

import contextlib
import errno
import fnmatch
import glob
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

# One way to a bucket, whether TensorFlow happens to be installed or not.
os.environ.setdefault('EPATH_USE_TF', 'false')

from etils.epath import gpath, stat_utils

from vbanana_jax.errors import UserError

_BUCKET = 'gs://'
_LONGEST_LINE = 1 << 20  # bytes of a line of a log
_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]*):/')
_BUCKET_NAME = re.compile(r'[a-z0-9][a-z0-9._-]+[a-z0-9]')
_WILD = re.compile(r'[*?[\]#]')
_KNOWN = ('gs', 's3', 'az', 'hf', 'file', 'http', 'https', 'memory')


class _Stat(stat_utils.StatResult):
  """With the names that `os.stat` has."""

  @property
  def st_size(self) -> int:
    return self.length

  @property
  def st_mtime(self) -> int:
    return self.mtime

  @property
  def st_mtime_ns(self) -> int:
    return self.mtime * 10**9


class BucketPath(gpath.PosixGPath):
  """`epath.Path` with what it lacks of `pathlib.Path`.

  It may also stand for a folder on a disk: unlike `epath`'s, its `glob` takes
  the name of the folder as it is, whatever characters are in it.
  """

  def glob(self, pattern: str) -> Iterator['BucketPath']:
    head, _, tail = pattern.partition('/')
    if head == '**':
      yield from self.glob(tail or '*')
      for child in self._children():
        if child.is_dir():
          yield from child.glob(pattern)
      return
    if glob.has_magic(head):
      found = [c for c in self._children() if fnmatch.fnmatchcase(c.name, head)]
    else:
      found = [self / head] if (self / head).exists() else []
    for child in found:
      if not tail:
        yield child
      elif child.is_dir():
        yield from child.glob(tail)

  def _children(self) -> list['BucketPath']:
    return sorted(self.iterdir()) if self.is_dir() else []

  def stat(self) -> _Stat:
    return _Stat(**vars(super().stat()))

  def is_symlink(self) -> bool:
    return False

  def absolute(self) -> 'BucketPath':
    return self if is_bucket(self) else super().absolute()

  resolve = absolute


Path = pathlib.Path | BucketPath


def to_path(text: str | os.PathLike) -> Path:
  """The path that a user names; `~` is the home, `gs://` a bucket.

  Raises:
    UserError: it names nothing, or a place that cannot be read from here.
  """
  if isinstance(text, Path):
    return text
  name = os.fspath(text)
  if not name or '\0' in name:
    raise UserError(f'{name!r} is not the name of a file or folder')
  if name.startswith(_BUCKET):
    return _to_bucket(name)
  scheme = _SCHEME.match(name)
  if scheme and scheme[1].lower() in _KNOWN:
    raise UserError(
      f'{name}: neither a path nor gs://BUCKET/PATH: mount or copy what lies '
      'elsewhere, and name it there'
    )
  found = os.path.expanduser(name)
  if found.startswith('~'):
    raise UserError(f'{name}: nobody has this home; ./{name} is a name')
  return pathlib.Path(found)


def _to_bucket(name: str) -> BucketPath:
  parts = name.removeprefix(_BUCKET).split('/')
  if not _BUCKET_NAME.fullmatch(parts[0]) or {'.', '..'} & set(parts):
    raise UserError(
      f'{name} is not like gs://BUCKET/PATH: buckets are called by 3 and more '
      'of a to z, 0 to 9, - _ and .'
    )
  if _WILD.search(name):
    raise UserError(
      f'{name}: in a bucket the tools take * ? [ ] and # for signs of their '
      'own: choose a name without them'
    )
  import fsspec

  # Listings are not kept: others write there too, our own arrays among them.
  fsspec.config.conf.setdefault('gcs', {}).update(use_listings_cache=False)
  try:
    fsspec.get_filesystem_class('gcs')
  except ImportError as error:
    raise UserError(
      f"{name}: a bucket needs gcsfs: pip install 'vbanana-jax[gcs]'"
    ) from error
  return BucketPath(name)


def to_epath(path: Path) -> BucketPath:
  """For libraries that take `epath.Path` and search below it."""
  return BucketPath(os.fspath(path))


def is_bucket(path: str | os.PathLike) -> bool:
  """Whether a path lies in a bucket."""
  return os.fspath(path).startswith(_BUCKET)


def check_reachable(path: Any) -> None:
  """Asks whether a bucket answers; other values, and disks, pass.

  Raises:
    UserError: it does not, or not to this user.
  """
  if not isinstance(path, BucketPath) or not is_bucket(path):
    return
  try:
    path.stat()  # `exists` takes every refusal for absence
  except FileNotFoundError:
    return
  except Exception as error:  # each layer below raises its own kinds
    raise UserError(f'{path} cannot be reached: {_tell(error)}') from error


def refuse_bucket(path: str | os.PathLike, what: str) -> None:
  """Raises UserError where `what` cannot be done in a bucket."""
  if is_bucket(path):
    raise UserError(
      f'{path}: {what} in a bucket: copy it to a disk, or mount the bucket '
      '(docs/pods.md), and name that folder'
    )


def write_whole(path: Path, data: bytes) -> None:
  """Writes a file that readers see whole or not at all; makes its folder.

  A write that fails leaves the old file.

  Raises:
    OSError: of the disk or the bucket.
  """
  write_all_whole({path: data})


def write_all_whole(contents: Mapping[Path, bytes]) -> None:
  """Writes files that belong together, in order, as `write_whole` does one.

  All of them are on the disk before the first gets its name, so that a full
  disk leaves the old files and no new one.

  Raises:
    OSError: of the disk or the bucket.
  """
  temporaries: dict[Path, Path] = {}
  try:
    for path, data in contents.items():
      if is_bucket(path):
        continue
      path.parent.mkdir(parents=True, exist_ok=True)
      temporaries[path] = path.with_name(f'.{secrets.token_hex(8)}.part')
      with open(temporaries[path], 'xb') as file:
        file.write(data)
    for path, data in contents.items():
      if path in temporaries:
        os.replace(temporaries[path], path)
        continue
      with _as_os_errors(path):
        path.write_bytes(data)
  except BaseException:
    for temporary in temporaries.values():
      temporary.unlink(missing_ok=True)
    raise


def append_line(path: Path, line: str) -> None:
  """Adds a line to a file of lines, in place of one that was cut short.

  In a bucket the whole object is written again.

  Raises:
    OSError: of the disk or the bucket.
  """
  added = line.encode() + b'\n'
  if is_bucket(path):
    with _as_os_errors(path):
      before = path.read_bytes() if path.exists() else b''
      path.write_bytes(before[: before.rfind(b'\n') + 1] + added)
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('a+b') as file:
    file.seek(max(file.seek(0, os.SEEK_END) - _LONGEST_LINE, 0))
    tail = file.read()
    file.truncate(file.tell() - len(tail) + tail.rfind(b'\n') + 1)
    file.write(added)


def create_new(path: BucketPath, data: bytes) -> bool:
  """Whether an object was made; False where there is one already.

  Raises:
    OSError: of the bucket.
  """
  import fsspec

  with _as_os_errors(path):
    try:
      fsspec.filesystem('gcs').pipe_file(str(path), data, mode='create')
    except FileExistsError:
      return False
  return True


def get_free_bytes(folder: Path) -> float:
  """Room on the disk of a folder; a bucket has no end."""
  return float('inf') if is_bucket(folder) else shutil.disk_usage(folder).free


def check_writable(folder: Path) -> None:
  """Asks, before long work, whether files can be written into a folder.

  Raises:
    OSError: it cannot be made, or not be written to.
  """
  if is_bucket(folder):
    probe = folder / f'.{secrets.token_hex(8)}.probe'
    with _as_os_errors(folder):
      probe.write_bytes(b'')
      probe.unlink()
    return
  whole = folder.absolute()
  there = next(path for path in (whole, *whole.parents) if path.exists())
  if not there.is_dir():
    raise NotADirectoryError(errno.ENOTDIR, 'not a folder', str(there))
  if not os.access(there, os.W_OK):
    raise PermissionError(errno.EACCES, 'permission denied', str(there))


@contextlib.contextmanager
def _as_os_errors(path: Path) -> Iterator[None]:
  """What a bucket refuses, as an error of a disk would be raised."""
  try:
    yield
  except OSError as error:
    if error.strerror:
      raise
    raise OSError(errno.EIO, _tell(error), str(path)) from error
  except Exception as error:  # each layer below raises its own kinds
    raise OSError(errno.EIO, _tell(error), str(path)) from error


def _tell(error: Exception) -> str:
  return str(error).strip().partition('\n')[0] or type(error).__name__
