"""What stands in lines beside the photographs of a folder: words and cameras.

  captions.jsonl    {"file_name": "a.jpg", "captions": ["a dog", "one dog"]}
  phrases.jsonl     {"file_name": "a.jpg", "phrase": "a dog", "mask": "m/a.png"}
  edits.jsonl       {"file_name": "a.jpg", "instruction": "", "after": "b.jpg"}
  intrinsics.jsonl  {"file_name": "a.jpg", "fx": 1, "fy": 1, "cx": 1, "cy": 1}

Masks and pictures after an edit are paths inside the folder.
"""

import collections
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.data.labeled import EditedPicture
from vbanana_jax.datasets import folder_fields, map_files, photo_files
from vbanana_jax.errors import UserError

_TABLES = ('captions.jsonl', 'metadata.jsonl')
_SAME_ASPECT = 0.02  # relative


class Lines(NamedTuple):
  """Words about photographs, by their stems.

  Attributes:
    captions, phrases, edits: of each stem its lines' fields.
    root: of the folder.
    notes: what a person should know.
  """

  captions: Mapping[str, list[str]]
  phrases: Mapping[str, list[tuple[str, str]]]
  edits: Mapping[str, tuple[str, str]]
  root: pathlib.Path
  notes: tuple[str, ...]

  def find(
    self, stem: str, photo: photo_files.PhotoFile
  ) -> Iterator[tuple[str, Any]]:
    """Fields of a `LabeledPicture` and their values."""
    if stem in self.captions:
      yield 'captions', tuple(self.captions[stem])
    if stem in self.phrases:
      yield (
        'phrases',
        tuple(
          labels.Phrase(text, self._load_mask(name, text, photo))
          for text, name in self.phrases[stem]
        ),
      )
    if stem in self.edits:
      instruction, name = self.edits[stem]
      path = self._find_file(name, 'edits.jsonl', instruction)
      yield 'edit', EditedPicture(instruction, files.load_bytes(path))

  def _load_mask(self, name, text, photo: photo_files.PhotoFile) -> np.ndarray:
    path = self._find_file(name, 'phrases.jsonl', text)
    return photo.fit(map_files.load_values(path) > 0, path)

  def _find_file(self, name: str, table: str, words: str) -> pathlib.Path:
    path = self.root / name
    if not path.is_file():
      raise UserError(f'{path}: no such file, and {table} names it: {words!r}')
    return path


def load(root: pathlib.Path, pictures: Mapping[str, str]) -> Lines:
  """The lines that a folder has.

  Args:
    root: the folder.
    pictures: paths of photographs by their stems.

  Raises:
    UserError: names the line that is not understood.
  """
  stems = _Stems(pictures)
  captions = collections.defaultdict(list)
  tables = [name for name in _TABLES if (root / name).exists()][:1]
  for name in tables:
    for stem, fields, place in _read(root / name, stems):
      captions[stem] += _find_texts(fields, place)
  for path in sorted((root / 'captions').rglob('*.txt')):
    stem = path.relative_to(root / 'captions').with_suffix('').as_posix()
    if stem in pictures:
      captions[stem] += files.load_lines(path)
  phrases = collections.defaultdict(list)
  for stem, fields, place in _read(root / 'phrases.jsonl', stems):
    text = _get_text(fields, 'phrase', place)
    phrases[stem].append((text, _get_path(fields, 'mask', place)))
  edits = {}
  for stem, fields, place in _read(root / 'edits.jsonl', stems):
    if stem in edits:
      raise UserError(f'{place}: a second edit of {pictures[stem]}')
    instruction = _get_text(fields, 'instruction', place)
    edits[stem] = instruction, _get_path(fields, 'after', place)
  return Lines(captions, phrases, edits, root, tuple(stems.describe()))


def load_cameras(
  root: pathlib.Path,
  said: Mapping[str, float] | str | None,
  pictures: Mapping[str, str],
) -> Callable[[str], Mapping[str, float] | None]:
  """From a stem to the camera's fields, or None.

  Args:
    root: the folder.
    said: `Fields.intrinsics`.
    pictures: paths of photographs by their stems.

  Raises:
    UserError: names the line that is not understood.
  """
  if not isinstance(said, str):
    return lambda stem: said
  path = root / said
  if not path.is_file():
    raise UserError(f'{path}: no such file, and {folder_fields.NAME} names it')
  cameras = {}
  for stem, fields, place in _read(path, _Stems(pictures)):
    folder_fields.check_camera(fields, place)
    cameras[stem] = fields
  return cameras.get


def fit_camera(
  fields: Mapping[str, float], shape: tuple[int, int], place: object
) -> labels.Intrinsics:
  """The camera of a photograph, whose fields may be of another size.

  Args:
    fields: fx, fy, cx, cy; width and height that they are of, if not the
      photograph's; `first_pixel`, where its center is, 0.5 by default.
    shape: height and width of the photograph.
    place: of the fields, for errors.

  Raises:
    UserError: the two differ in aspect.
  """
  height, width = shape
  x = width / fields.get('width', width)
  y = height / fields.get('height', height)
  if abs(x - y) > _SAME_ASPECT * y:
    raise UserError(
      f'{place}: {width} x {height} pixels, and intrinsics of '
      f'{fields.get("width")} x {fields.get("height")}: another aspect'
    )
  offset = 0.5 - fields.get('first_pixel', 0.5)
  return labels.Intrinsics(
    fields['fx'] * x,
    fields['fy'] * y,
    (fields['cx'] + offset) * x,
    (fields['cy'] + offset) * y,
  )


class _Stems:
  """Photographs by the names that lines give them; counts what it lacks."""

  def __init__(self, pictures: Mapping[str, str]):
    self._by_name = {}
    for stem, name in pictures.items():
      inside = name.partition('/')[2]
      for spelling in (stem, name, inside):
        self._by_name[spelling] = stem
    self._lost: list[str] = []

  def find(self, name: str, place: str) -> str | None:
    stem = self._by_name.get(name.replace('\\', '/').removeprefix('./'))
    if stem is None:
      self._lost.append(f'{name} ({place})')
    return stem

  def describe(self) -> Iterator[str]:
    if self._lost:
      yield f'{len(self._lost)} lines name no photograph, as {self._lost[0]}'


def _read(path: pathlib.Path, stems: _Stems):
  """Stem, fields and place of each line about a photograph; lazily."""
  if not path.exists():
    return
  for number, line in enumerate(files.load_lines(path), 1):
    place = f'{path} line {number}'
    try:
      fields = json.loads(line)
    except (ValueError, RecursionError) as error:
      raise UserError(f'{place}: not a JSON object ({error})') from error
    if not isinstance(fields, dict):
      raise UserError(f'{place}: not a JSON object')
    stem = stems.find(_get_text(fields, 'file_name', place), place)
    if stem is not None:
      yield stem, fields, place


def _find_texts(fields: Mapping[str, Any], place: str) -> list[str]:
  """All captions of a line, whichever key holds them."""
  value = fields.get('captions', fields.get('caption', fields.get('text')))
  texts = [value] if isinstance(value, str) else value
  if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
    raise UserError(
      f'{place}: "captions" is a list of texts, or "text" is one, not {value!r}'
    )
  cleaned = [
    ' '.join(t.encode(errors='replace').decode().split()) for t in texts
  ]
  return [text for text in cleaned if text]


def _get_text(fields: Mapping[str, Any], key: str, place: str) -> str:
  value = fields.get(key)
  if not isinstance(value, str) or not value.strip():
    raise UserError(f'{place}: needs "{key}", has {", ".join(fields)}')
  return ' '.join(value.encode(errors='replace').decode().split())


def _get_path(fields: Mapping[str, Any], key: str, place: str) -> str:
  return base.check_name(_get_text(fields, key, place), pathlib.Path(place))
