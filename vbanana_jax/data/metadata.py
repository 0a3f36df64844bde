"""Tables of captions: metadata.jsonl, .csv and .tsv, as lines of name and text.

The names of files and columns are those of the imagefolder of Hugging Face's
`datasets`, and what people write instead.
"""

import codecs
import csv
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vbanana_jax.data.folders import Member
from vbanana_jax.errors import UserError

MAX_TEXT_BYTES = 64 * 2**20
_READ = ('metadata.jsonl', 'metadata.csv', 'metadata.tsv')
_UNREAD = ('metadata.parquet',)
_FILE_KEYS = (
  'file_name', 'filename', 'file', 'image', 'image_file_name', 'image_path',
  'file_path', 'filepath', 'path', 'img', 'img_path',
)  # fmt: skip
_TEXT_KEYS = (
  'text', 'caption', 'captions', 'description', 'prompt', 'sentence', 'label',
)  # fmt: skip


_SPLIT_KEYS = ('split', 'subset')
# How a table of another name begins that may hold captions.
_LOOKED_AT = 64 * 2**10  # bytes
_HAS_TEXTS = re.compile(
  rb'(?i)"(captions?|text|prompt)" *:|\A[^\n]*\b(captions?|text|prompt)\b'
)


class Entry(NamedTuple):
  """What a table says of one picture.

  Attributes:
    place: table and line, for errors.
    name: of the picture, as it is written there.
    text: its caption; None where there is none.
    split: what it is for, as train or test; None where the table does not say.
  """

  place: str
  name: str
  text: str | None
  split: str | None = None


def is_table(name: str) -> bool:
  """Whether a file is a table of captions, by its name."""
  return posixpath.basename(name).lower() in _READ


def read_table(member: Member) -> list[Entry]:
  """Entries of a table.

  Raises:
    UserError: names the line that is not understood.
  """
  text = decode_text(member)
  suffix = posixpath.splitext(member.name)[1].lower()
  rows = (
    _read_lines(member, text) if suffix == '.jsonl' else _read_csv(member, text)
  )
  return [_to_entry(place, fields) for place, fields in rows]


def refuse_unread_tables(name: str, place: str) -> None:
  """Raises UserError for a table of captions of a kind that is not read."""
  if posixpath.basename(name).lower() in _UNREAD:
    raise UserError(
      f'{place}: its captions are not read: save it as one of '
      f'{", ".join(_READ)}'
    )


def may_hold_captions(member: Member) -> bool:
  """Whether a table under another name than those that are read has texts."""
  suffix = posixpath.splitext(member.name)[1].lower()
  if suffix == '.parquet':
    return True
  if suffix not in ('.csv', '.tsv', '.json', '.jsonl') or is_table(member.name):
    return False
  try:
    return bool(_HAS_TEXTS.search(member.read(_LOOKED_AT)))
  except UserError:  # who needs it says so
    return False


def decode_text(member: Member) -> str:
  """A text file in UTF-8, or in UTF-16 that says so at its start."""
  if member.size > MAX_TEXT_BYTES:
    raise UserError(f'{member.place}: longer than {MAX_TEXT_BYTES} bytes')
  encoded = member.read(MAX_TEXT_BYTES)
  is_wide = encoded.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
  try:
    return encoded.decode('utf-16' if is_wide else 'utf-8-sig')
  except UnicodeDecodeError as error:
    raise UserError(
      f'{member.place}: not UTF-8 text ({error}); save it as UTF-8'
    ) from error


def _read_lines(member, text) -> Iterator[tuple[str, Mapping[str, Any]]]:
  for number, line in enumerate(text.split('\n'), 1):
    if not line.strip():
      continue
    place = f'{member.place} line {number}'
    try:
      fields = json.loads(line)
    except (ValueError, RecursionError) as error:
      raise UserError(f'{place}: not a JSON object ({error})') from error
    if not isinstance(fields, dict):
      is_list = ' but a list: one object a line' * isinstance(fields, list)
      raise UserError(f'{place}: not a JSON object{is_list}')
    yield place, fields


def _read_csv(member, text) -> Iterator[tuple[str, Mapping[str, Any]]]:
  head = text.partition('\n')[0]
  delimiter = max(',;\t', key=head.count)
  reader = csv.DictReader(
    text.splitlines(keepends=True), delimiter=delimiter, strict=True
  )
  try:
    for fields in reader:
      place = f'{member.place} line {reader.line_num}'
      if None in fields:
        raise UserError(
          f'{place}: more cells than columns; put a text that holds '
          f'{delimiter!r} in double quotes'
        )
      yield place, fields
  except csv.Error as error:
    raise UserError(
      f'{member.place} line {reader.line_num}: not a table ({error})'
    ) from error


def _to_entry(place: str, fields: Mapping[str, Any]) -> Entry:
  columns = {str(key).strip().lower(): value for key, value in fields.items()}
  file_key = next((key for key in _FILE_KEYS if key in columns), None)
  text_key = next((key for key in _TEXT_KEYS if key in columns), None)
  if file_key is None or text_key is None:
    raise UserError(
      f'{place}: needs "file_name" and "text", has {", ".join(columns)}; '
      'rename the table if it is of something else'
    )
  name, text = columns[file_key], columns[text_key]
  if isinstance(text, list):  # several captions of one picture
    text = next(iter(text), None)
  if not isinstance(name, str) or not isinstance(text, str | None):
    raise UserError(f'{place}: "{file_key}" and "{text_key}" must be text')
  # JSON may hold half of an emoji, which no UTF-8 file can.
  text = ' '.join((text or '').encode(errors='replace').decode().split())
  splits = (columns.get(key) for key in _SPLIT_KEYS)
  split = next((split for split in splits if isinstance(split, str)), None)
  return Entry(place, name, text or None, split and split.strip())
