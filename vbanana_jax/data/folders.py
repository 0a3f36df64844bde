"""Files of a folder or zip: listed with suspicion, read without extraction."""

import dataclasses
import os
import pathlib
import posixpath
import stat
import zipfile
from collections.abc import Callable

from vbanana_jax.data import zip_names
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

_LINK = 'a link, which is not followed: copy what it means (cp -rL)'
_REMEDY = 'make the zip again, or unpack it and name the folder'


@dataclasses.dataclass(frozen=True)
class Member:
  """One readable file.

  Attributes:
    name: path inside the folder or zip, with forward slashes; bytes that are
      not UTF-8 are escaped.
    place: what errors call it: the folder or zip, and the path inside.
    size: length in bytes, as declared.
    stamp: changes when the file does (modification time or CRC-32).
    read: the first n bytes of the file.
    aliases: other names that it may have been given, where a zip does not say
      how its names are encoded.
  """

  name: str
  place: str
  size: int
  stamp: int
  read: Callable[[int], bytes] = dataclasses.field(repr=False, compare=False)
  aliases: tuple[str, ...] = ()

  # What readers of files ask of a path.

  def __str__(self) -> str:
    return self.place

  def __fspath__(self) -> str:
    return self.place

  @property
  def suffix(self) -> str:
    return pathlib.PurePosixPath(self.name).suffix

  def is_file(self) -> bool:
    return True

  def stat(self) -> os.stat_result:
    return os.stat_result([0] * 6 + [self.size] + [0] * 3)

  def read_bytes(self) -> bytes:
    return self.read(self.size)


@dataclasses.dataclass(frozen=True)
class Listing:
  """Readable members in order of name, and why others were refused.

  Members of a zip can be read until the listing is closed.
  """

  members: tuple[Member, ...]
  refused: tuple[tuple[str, str], ...]
  archive: zipfile.ZipFile | None = None

  def __enter__(self) -> 'Listing':
    return self

  def __exit__(self, *error) -> None:
    if self.archive is not None:
      self.archive.close()


def list_members(path: str | os.PathLike) -> Listing:
  """Files of a folder or zip.

  Links, and names that are absolute, climb with `..` or appear twice, are
  refused. Nothing is extracted.

  Raises:
    UserError: `path` is neither a folder nor a whole zip.
  """
  path = paths.to_path(path)
  paths.refuse_bucket(path, 'photographs cannot be prepared')
  if path.is_dir():
    return _list_folder(path)
  if not path.exists():
    raise UserError(f'{path}: no such folder or zip')
  try:
    archive = zipfile.ZipFile(path)
  except OSError:
    raise
  except Exception as error:  # zipfile raises nearly every kind
    raise UserError(
      f'{path}: neither a folder nor a whole zip ({error}); {_REMEDY}'
    ) from error
  return _list_zip(archive)


def _list_folder(root: pathlib.Path) -> Listing:
  members, refused = [], []

  def refuse(error: OSError) -> None:
    name = _relative(os.path.dirname(error.filename), error.filename, root)
    refused.append((name, f'cannot be listed ({error.strerror})'))

  for folder, folders, files in os.walk(root, onerror=refuse):
    for name in [f for f in folders if os.path.islink(f'{folder}/{f}')]:
      refused.append((_relative(folder, name, root), _LINK))
    for name in files:
      path = pathlib.Path(folder, name)
      relative = _relative(folder, name, root)
      try:
        info = path.lstat()
      except OSError as error:
        refused.append((relative, f'cannot be read ({error.strerror})'))
        continue
      if not stat.S_ISREG(info.st_mode):
        is_link = stat.S_ISLNK(info.st_mode)
        refused.append((relative, _LINK if is_link else 'not a plain file'))
        continue
      members.append(
        Member(
          name=relative,
          place=f'{root}/{relative}',
          size=info.st_size,
          stamp=info.st_mtime_ns,
          read=_file_reader(path),
        )
      )
  members.sort(key=lambda member: member.name)
  return Listing(tuple(members), tuple(sorted(refused)))


def _relative(folder: str, name: str, root: pathlib.Path) -> str:
  relative = pathlib.Path(folder, name).relative_to(root).as_posix()
  return os.fsencode(relative).decode('utf-8', 'backslashreplace')


def _list_zip(archive: zipfile.ZipFile) -> Listing:
  members: dict[str, Member] = {}
  refused = []
  infos = archive.infolist()
  for info, (written, aliases) in zip(infos, zip_names.decode_names(infos)):
    if written.endswith('/'):
      continue
    name = posixpath.normpath(written)
    reason = _refusal(info, written)
    if name in members:
      reason = 'a second file of this name'
    if reason:
      refused.append((written, reason))
      continue
    place = f'{archive.filename}/{name}'
    members[name] = Member(
      name=name,
      place=place,
      size=info.file_size,
      stamp=info.CRC,
      read=_zip_reader(archive, info, place),
      aliases=tuple(map(posixpath.normpath, aliases)),
    )
  ordered = tuple(members[name] for name in sorted(members))
  return Listing(ordered, tuple(sorted(refused)), archive)


def _refusal(info: zipfile.ZipInfo, name: str) -> str:
  if stat.S_ISLNK(info.external_attr >> 16):
    return _LINK
  if name.startswith('/') or ':' in name.split('/')[0]:
    return 'an absolute name'
  if '..' in name.split('/'):
    return 'a name that climbs with ..'
  if info.flag_bits & 1:
    return 'encrypted; unpack the zip and name the folder'
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
  archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str
) -> Callable[[int], bytes]:
  def read(n: int) -> bytes:
    try:
      with archive.open(info) as file:
        return file.read(n)
    except Exception as error:  # each compression raises its own kinds
      raise UserError(
        f'{place}: cannot be read ({error}); {_REMEDY}'
      ) from error

  return read
