"""Files of tar archives, read in place: nothing is unpacked."""

import os
import pathlib
import posixpath
import tarfile
from collections.abc import Callable, Iterator

from vbanana_jax.data.folders import Member
from vbanana_jax.errors import UserError

# First bytes -> command that decompresses such a file.
_COMPRESSED = {
  b'\x1f\x8b': 'gunzip', b'BZ': 'bunzip2', b'\xfd7': 'unxz', b'(\xb5': 'unzstd'
}  # fmt: skip
_ENDINGS = ('*.tar.*', '*.tgz', '*.tbz2', '*.txz', '*.tzst')


def list_members(
  path: pathlib.Path,
) -> tuple[list[Member], list[tuple[str, str]]]:
  """Files of an archive in its order, and why others are refused.

  Links, devices, and names that are absolute, climb with `..` or appear twice
  are refused. Only headers are read.

  Raises:
    UserError: it is no tar, compressed, or cut short.
  """
  members: list[Member] = []
  refused: list[tuple[str, str]] = []
  seen = set()
  try:
    size = path.stat().st_size
    _refuse_compressed(path)
    with tarfile.open(path, 'r:') as archive:
      for info in archive:
        if info.isdir():
          continue
        name = posixpath.normpath(info.name)
        reason = _find_reason(info, name in seen)
        if info.offset_data + info.size > size:
          raise UserError(
            f'{path}: cut short in {info.name}: get it again, or mend it'
          )
        if reason:
          refused.append((f'{path.name}/{info.name}', reason))
          continue
        seen.add(name)
        members.append(
          Member(
            name=name,
            place=f'{path}/{name}',
            size=info.size,
            stamp=info.offset_data,
            read=_make_reader(path, info.offset_data, info.size),
          )
        )
      _check_end(path, archive, size)
  except (tarfile.TarError, OSError, ValueError, EOFError) as error:
    raise UserError(f'{path}: not a whole tar ({error})') from error
  return members, refused


def find_archives(path: pathlib.Path) -> list[pathlib.Path]:
  """A tar, or those of a folder in order of name.

  Raises:
    UserError: there is none.
  """
  if path.is_file():
    return [path]
  found = sorted(path.glob('*.tar'))
  if not found:
    for packed in sorted(x for end in _ENDINGS for x in path.glob(end)):
      _refuse_compressed(packed)
    what = 'no *.tar in it' if path.is_dir() else 'no such file or folder'
    raise UserError(f'{path}: {what}')
  return found


def _refuse_compressed(path: pathlib.Path) -> None:
  with path.open('rb') as file:
    command = _COMPRESSED.get(file.read(2))
  if command:
    raise UserError(
      f'{path}: a compressed tar can only be read from its start: decompress '
      f'it first ({command} {path.name})'
    )


def _find_reason(info: tarfile.TarInfo, is_second: bool) -> str:
  if info.issym() or info.islnk():
    return 'a link, which is not followed'
  if not info.isreg() or info.issparse():
    return 'not a plain file'
  if info.name.startswith('/') or ':' in info.name.split('/')[0]:
    return 'an absolute name'
  if '..' in info.name.split('/') or '\\' in info.name:
    return 'a name that climbs'
  return 'a second file of this name' if is_second else ''


def _check_end(path: pathlib.Path, archive: tarfile.TarFile, size: int) -> None:
  """A whole tar ends in blocks of zeros, one cut behind a file does not."""
  if size < archive.offset + tarfile.BLOCKSIZE:
    raise UserError(f'{path}: cut short at its end: get it again, or mend it')


def _make_reader(
  path: pathlib.Path, offset: int, size: int
) -> Callable[[int], bytes]:
  def read(n: int) -> bytes:
    try:
      with path.open('rb', buffering=0) as file:
        found = os.pread(file.fileno(), min(n, size), offset)
    except OSError as error:
      raise UserError(f'{path}: cannot be read ({error})') from error
    if len(found) < min(n, size):
      raise UserError(f'{path}: shorter than it was')
    return found

  return read


def group_by_key(
  members: list[Member],
) -> Iterator[tuple[str, dict[str, Member]]]:
  """Keys and their files by ending, as WebDataset names them.

  What stands before the first dot of a file's name is its key, what stands
  behind it the ending: `a/001.depth.png` is `depth.png` of `a/001`.
  """
  groups: dict[str, dict[str, Member]] = {}
  for member in members:
    folder, name = posixpath.split(member.name)
    stem, _, ending = name.partition('.')
    if stem and ending:
      key = posixpath.join(folder, stem)
      groups.setdefault(key, {})[ending.lower()] = member
  yield from groups.items()
