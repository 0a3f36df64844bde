"""Parquet, and what `datasets` of Hugging Face saves: rows of pictures."""

import functools
import json
import pathlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vbanana_jax.data import labeled, photos
from vbanana_jax.data.folders import Member
from vbanana_jax.datasets import (
  folder_fields,
  folder_labels,
  folder_lines,
  kinds,
  photo_files,
  table_files,
)
from vbanana_jax.errors import UserError

_KEPT = 4  # groups of rows in memory
# Columns that are looked for where no flag names them.
_IMAGES = ('image', 'img', 'jpg', 'photo', 'pixel_values', 'rgb')
_TEXTS = ('captions', 'caption', 'text', 'texts', 'description', 'label')
_LABELS = {
  'depth': ('depth', 'depth_map'),
  'normals': ('normals', 'normal'),
  'labels': ('labels', 'mask', 'semantic', 'annotation', 'segmentation'),
  'instances': ('instances', 'instance'),
}


class Tables(labeled.DataSet):
  """Rows of *.parquet or *.arrow, in order of the files' names.

  A picture is bytes, or an object of `bytes` and `path`, as `datasets` writes
  it. A column of texts, of lists of texts, or of a class with names is the
  caption. Columns of pictures that are labels are read as `dataset.json` beside
  the files says, as for `folder`.

  Args:
    path: of a file, or of a folder of them; `SPLIT-*` of a split.
    split: takes only the files whose names or folders begin with it.
    image: column of the pictures.
    text: column of the captions.
    labels: columns of labels, as depth=COLUMN.

  Raises:
    UserError: no such file or column, a damaged file, or pyarrow is absent.
  """

  def __init__(
    self,
    path,
    *,
    split: str = '',
    image: str = '',
    text: str = '',
    labels: Sequence[str] = (),
  ):
    path = pathlib.Path(path)
    root = path if path.is_dir() else path.parent
    fields = folder_fields.load(root)
    self.name = (fields.name if path.is_dir() else path.stem) + f' {split}'
    self.name = self.name.strip()
    self.license, self.source = fields.license, fields.source
    self.classes = fields.table and fields.table.classes
    self._fields = fields
    self.also_read = [fields.place]
    self._files = [
      table_files.open_table(file)
      for file in table_files.find_tables(path, split)
    ]
    self._lock = threading.Lock()
    self._read = functools.lru_cache(_KEPT)(self._read_group)
    known = self._files[0].schema
    self._image = _choose(known, image, _IMAGES, '--image', path)
    self._text = _choose(known, text, _TEXTS, '--text', path, needed=False)
    self._labels = _choose_labels(known, labels, path)
    self._class_names = _find_class_names(known, self._text)
    self._columns = [
      self._image,
      *([self._text] if self._text else []),
      *self._labels.values(),
    ]
    self._rows = [
      (number, group, row)
      for number, file in enumerate(self._files)
      for group, count in enumerate(file.counts)
      for row in range(count)
    ]
    self.ids = [
      f'{self._files[number].path.stem}-{group}-{row}'
      for number, group, row in self._rows
    ]
    self.notes = [f'pictures are the column {self._image!r}']
    if self._text:
      self.notes.append(f'captions are the column {self._text!r}')
    self._meanings = folder_labels.Meanings(fields)
    self._meanings.check(self._labels)

  def load(self, index: int) -> labeled.LabeledPicture:
    number, group, row = self._rows[index]
    place = f'{self._files[number].path} row {row} of group {group}'
    with self._lock:
      columns = self._read(number, group)
    values = {name: columns[name][row].as_py() for name in self._columns}
    encoded = _get_bytes(values[self._image], place, self._image)
    if encoded is None:
      raise UserError(f'{place}: {self._image} is empty')
    frame = photos.read_frame(encoded, place)
    photo = photo_files.PhotoFile(pathlib.PurePath(place), encoded, frame)
    camera = self._fields.intrinsics
    if isinstance(camera, str):
      raise UserError(
        f'{self._fields.place}: intrinsics of each row are not read'
      )
    if camera is not None:
      size = frame.height, frame.width
      camera = folder_lines.fit_camera(camera, size, place)
    members = {
      section: _make_member(part, place, name)
      for section, name in self._labels.items()
      if (part := _get_bytes(values[name], place, name)) is not None
    }
    return labeled.LabeledPicture(
      id=self.ids[index],
      file=place,
      encoded=encoded,
      captions=tuple(self._find_captions(values, place)),
      intrinsics=camera,
      **self._meanings.load(members, photo, camera),
    )

  def close(self) -> None:
    self._read.cache_clear()
    for file in self._files:
      file.close()

  def _read_group(self, number: int, group: int) -> Mapping[str, Any]:
    file = self._files[number]
    with table_files.blamed(file.path):
      table = file.read(group, self._columns)
      return {name: table.column(name) for name in self._columns}

  def _find_captions(self, values, place) -> Iterator[str]:
    value = values.get(self._text)
    if isinstance(value, int) and not isinstance(value, bool):
      if self._class_names is None:
        return
      if not 0 <= value < len(self._class_names):
        raise UserError(f'{place}: {self._text} {value} has no name')
      value = self._class_names[value].replace('_', ' ')
    for text in [value] if isinstance(value, str) else value or ():
      if not isinstance(text, str):
        raise UserError(f'{place}: {self._text} is no text')
      if text.strip():
        yield ' '.join(text.split())


def _choose(schema, given, names, flag, path, *, needed=True) -> str:
  there = schema.names
  if given and given not in there:
    raise UserError(
      f'{path}: {flag}: no column {given!r}; it has {", ".join(there)}'
    )
  found = given or next((name for name in names if name in there), '')
  if needed and not found:
    raise UserError(f'{path}: give {flag}, one of {", ".join(there)}')
  return found


def _choose_labels(schema, given, path) -> dict[str, str]:
  """Columns of pictures that are labels, by section."""
  found = {
    section: name
    for section, names in _LABELS.items()
    for name in names[::-1]
    if name in schema.names and _holds_bytes(schema.field(name).type)
  }
  for text in given:
    section, sign, name = text.partition('=')
    if section not in _LABELS or not sign:
      raise UserError(
        f'--labels {text}: write one of {", ".join(_LABELS)}, and =COLUMN'
      )
    found[section] = _choose(schema, name, (), '--labels', path)
  return found


def _holds_bytes(kind) -> bool:
  text = str(kind)
  return text in ('binary', 'large_binary') or text.startswith('struct<bytes')


def _find_class_names(schema, column: str) -> Sequence[str] | None:
  """Names of a column of classes, as `datasets` writes them into the schema."""
  try:
    features = json.loads(schema.metadata[b'huggingface'])['info']['features']
    return features[column]['names']
  except (TypeError, KeyError, ValueError):
    return None


def _get_bytes(value: Any, place: str, column: str) -> bytes | None:
  if isinstance(value, dict):
    value = value.get('bytes')
  if value is not None and not isinstance(value, bytes):
    raise UserError(
      f'{place}: {column} holds no encoded picture but {type(value).__name__}'
    )
  return value


def _make_member(encoded: bytes, place: str, column: str) -> Member:
  is_array = encoded.startswith(b'\x93NUMPY')
  name = f'{column}.{"npy" if is_array else "png"}'
  return Member(
    name=name,
    place=f'{place}, {column}',
    size=len(encoded),
    stamp=0,
    read=lambda n: encoded[:n],
  )


KIND = kinds.Kind(
  about='Parquet or `datasets` of Hugging Face on disk: columns of pictures',
  example='vbanana prepare tables data/pokemon --text text --out data/records',
  open=Tables,
  path='the file, or a folder of *.parquet or *.arrow',
  takes_license=True,
  flags=(
    kinds.Flag('--split', 'what the names of its files begin with', ''),
    kinds.Flag('--image', 'column of the pictures', ''),
    kinds.Flag('--text', 'column of the captions', ''),
    kinds.Flag(
      '--labels',
      'column of a label, as depth=COLUMN; may be given again',
      repeats=True,
    ),
  ),
)
