"""Captions of a folder of pictures: metadata.jsonl, name.txt or the folder."""

import json
import pathlib
import posixpath
from collections.abc import Mapping

from vbanana_jax.data.folders import Member
from vbanana_jax.errors import UserError

_MAX_TEXT_BYTES = 64 * 2**20
_METADATA = 'metadata.jsonl'


class Captions:
  """Caption of each picture, looked up in this order.

  1. `metadata.jsonl` in the picture's folder or above: lines of
     {"file_name": ..., "text": ...}, names relative to that file's folder,
     and inside it;
  2. `name.txt` beside `name.jpg`;
  3. the name of the folder it lies in (a class), underscores as spaces;
  4. `default`, for pictures at the top.
  """

  def __init__(self, members: Mapping[str, Member], default: str | None):
    self._members = members
    self._default = default
    self._listed: dict[str, str] = {}
    for name, member in members.items():
      if posixpath.basename(name) == _METADATA:
        self._listed.update(_read_metadata(member))

  def __getitem__(self, name: str) -> str | None:
    """Caption, or None where nothing says what the picture shows."""
    if name in self._listed:
      return self._listed[name]
    text = self._members.get(posixpath.splitext(name)[0] + '.txt')
    if text is not None:
      return ' '.join(_decode(text).split())
    folder = posixpath.basename(posixpath.dirname(name))
    return folder.replace('_', ' ') or self._default


def _read_metadata(member: Member) -> dict[str, str]:
  folder = posixpath.dirname(member.name)
  captions = {}
  for number, line in enumerate(_decode(member).split('\n'), 1):
    if not line.strip():
      continue
    try:
      fields = json.loads(line)
      name, text = fields['file_name'], fields['text']
    except (ValueError, KeyError, TypeError) as error:
      raise UserError(
        f'{member.place} line {number}: not an object with "file_name" and '
        f'"text" ({error})'
      ) from error
    if not (isinstance(name, str) and isinstance(text, str)):
      raise UserError(
        f'{member.place} line {number}: "file_name" and "text" must be text'
      )
    name = posixpath.normpath(name)
    if name.startswith(('/', '../')):
      raise UserError(
        f'{member.place} line {number}: "file_name" must be a path inside its '
        f'own folder, not {name}'
      )
    # JSON may hold half of an emoji, which no UTF-8 file can.
    text = text.encode(errors='replace').decode()
    captions[posixpath.join(folder, name)] = ' '.join(text.split())
  return captions


def _decode(member: Member) -> str:
  if member.size > _MAX_TEXT_BYTES:
    raise UserError(f'{member.place}: longer than {_MAX_TEXT_BYTES} bytes')
  try:
    return member.read(_MAX_TEXT_BYTES).decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise UserError(
      f'{member.place}: not UTF-8 text ({error}); save it as UTF-8'
    ) from error


def is_caption_file(name: str) -> bool:
  """Whether a file holds captions and not a picture."""
  return pathlib.PurePosixPath(name).suffix in ('.txt', '.jsonl')
