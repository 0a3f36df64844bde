"""Files of a folder or zip: listed with suspicion, read without extraction."""

import dataclasses
import os
import pathlib
import stat
import zipfile
import zlib
from collections.abc import Callable

from vbanana_jax.errors import UserError

# What zipfile raises for a damaged member or an unknown compression.
_ZIP_ERRORS = (
  EOFError,
  NotImplementedError,
  OSError,
  zipfile.BadZipFile,
  zlib.error,
)


@dataclasses.dataclass(frozen=True)
class Member:
  """One readable file.

  Attributes:
    name: path inside the folder or zip, with forward slashes.
    size: length in bytes, as declared.
    stamp: changes when the file does (modification time or CRC-32).
    read: the first n bytes of the file.
  """

  name: str
  size: int
  stamp: int
  read: Callable[[int], bytes] = dataclasses.field(repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class Listing:
  """Readable members in order of name, and why others were refused."""

  members: tuple[Member, ...]
  refused: tuple[tuple[str, str], ...]


def list_members(path: str | os.PathLike) -> Listing:
  """Files of a folder or zip.

  Links, and names that are absolute, climb with `..` or appear twice, are
  refused. Nothing is extracted.

  Errors: UserError where `path` is neither a folder nor a zip.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    return _list_folder(path)
  if not path.exists():
    raise UserError(f'{path}: no such folder or zip')
  try:
    archive = zipfile.ZipFile(path)
  except zipfile.BadZipFile as error:
    raise UserError(f'{path}: neither a folder nor a zip') from error
  return _list_zip(archive)


def _list_folder(root: pathlib.Path) -> Listing:
  members, refused = [], []
  for folder, folders, files in os.walk(root):
    for name in [f for f in folders if os.path.islink(f'{folder}/{f}')]:
      refused.append((_relative(folder, name, root), 'a link'))
    for name in files:
      path = pathlib.Path(folder, name)
      relative = _relative(folder, name, root)
      if path.is_symlink() or not path.is_file():
        refused.append((relative, 'a link or not a plain file'))
        continue
      info = path.stat()
      members.append(
        Member(relative, info.st_size, info.st_mtime_ns, _file_reader(path))
      )
  members.sort(key=lambda member: member.name)
  return Listing(tuple(members), tuple(sorted(refused)))


def _relative(folder: str, name: str, root: pathlib.Path) -> str:
  return pathlib.Path(folder, name).relative_to(root).as_posix()


def _list_zip(archive: zipfile.ZipFile) -> Listing:
  members: dict[str, Member] = {}
  refused = []
  for info in archive.infolist():
    if info.is_dir():
      continue
    reason = _refusal(info)
    if info.filename in members:
      reason = 'a second file of this name'
    if reason:
      refused.append((info.filename, reason))
      continue
    members[info.filename] = Member(
      info.filename, info.file_size, info.CRC, _zip_reader(archive, info)
    )
  ordered = tuple(members[name] for name in sorted(members))
  return Listing(ordered, tuple(sorted(refused)))


def _refusal(info: zipfile.ZipInfo) -> str:
  name = info.filename
  if stat.S_ISLNK(info.external_attr >> 16):
    return 'a link'
  if name.startswith('/') or '\\' in name or ':' in name.split('/')[0]:
    return 'an absolute name'
  if '..' in name.split('/'):
    return 'a name that climbs with ..'
  if info.flag_bits & 1:
    return 'encrypted'
  return ''


def _file_reader(path: pathlib.Path) -> Callable[[int], bytes]:
  def read(n: int) -> bytes:
    try:
      with path.open('rb') as file:
        return file.read(n)
    except OSError as error:
      raise UserError(f'{path}: cannot be read ({error})') from error

  return read


def _zip_reader(
  archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> Callable[[int], bytes]:
  def read(n: int) -> bytes:
    try:
      with archive.open(info) as file:
        return file.read(n)
    except _ZIP_ERRORS as error:
      raise UserError(
        f'{info.filename}: cannot be read from the zip ({error})'
      ) from error

  return read
