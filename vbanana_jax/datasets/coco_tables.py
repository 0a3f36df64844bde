"""COCO's JSON tables: photographs, annotations, segments, captions, classes."""

import array
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, coco_format, files
from vbanana_jax.errors import UserError

_MALFORMED = (
  KeyError, TypeError, ValueError, AttributeError, OverflowError
)  # fmt: skip
# Names of panoptic classes in words.
_WORDS = {
  'playingfield': 'playing field',
  'window-blind': 'window blind',
  'wall-brick': 'brick wall',
  'wall-stone': 'stone wall',
  'wall-tile': 'tiled wall',
  'wall-wood': 'wooden wall',
  'floor-wood': 'wooden floor',
}
_ENDINGS = ('-other-merged', '-merged', '-other', '-stuff')


class Photo(NamedTuple):
  """A photograph of a table, with the size that its labels have."""

  file: str
  height: int
  width: int


class Annotation(NamedTuple):
  """An object of a photograph; `segmentation` as COCO has it."""

  id: Any
  category: int | str
  segmentation: Any
  is_crowd: bool
  is_ignored: bool


class Segment(NamedTuple):
  """A panoptic segment, and the number of its pixels in the PNG."""

  id: int
  category: int | str
  is_crowd: bool


class Panoptic(NamedTuple):
  """The PNG of a photograph and its segments."""

  file: str
  segments: tuple[Segment, ...]


class Table(NamedTuple):
  """What one file holds.

  Attributes:
    photos: by their ids.
    entries: labels by the photograph's id: annotations, a `Panoptic`, or
      captions.
    categories: as in the file.
  """

  photos: dict[int | str, Photo]
  entries: dict[int | str, Any]
  categories: list[dict[str, Any]]


class Categories(NamedTuple):
  """Classes of a table.

  Attributes:
    classes: in the order of the categories' ids.
    number: class id of each category id.
    background: class id of pixels of no instance; `labels.VOID` where the table
      labels everything.
  """

  classes: labels.Classes
  number: dict[int | str, int]
  background: int

  def find(self, category: int | str, name: str) -> int:
    """Class id of a category; UserError with `name` where there is none."""
    if category not in self.number:
      raise UserError(
        f'{name}: category_id {category!r} is not in its categories: get the '
        'whole table'
      )
    return self.number[category]


def load_segments(path: pathlib.Path, *, is_panoptic: bool) -> Table:
  """A table of instances, or of panoptic segments.

  Raises:
    UserError: names the file and the entry that lacks a field.
  """
  table = files.load_json(path, dict, keep=_pack_polygons)
  photos = _read_photos(table, path)
  entries: dict[int | str, Any] = {}
  for place, entry in enumerate(_get(table, 'annotations', path)):
    try:
      number = _to_key(entry['image_id'])
      if is_panoptic:
        found = _read_panoptic(entry, path)
        if entries.setdefault(number, found) != found:
          raise UserError(f'{path}: image {number} has two panoptic entries')
      else:
        entries.setdefault(number, []).append(_read_annotation(entry))
    except _MALFORMED as error:
      raise _make_error(path, 'annotations', place, error) from error
  _check_known(entries, photos, path)
  return Table(photos, entries, _get(table, 'categories', path))


def load_captions(path: pathlib.Path) -> Table:
  """A table of captions, without the empty ones."""
  table = files.load_json(path, dict)
  photos = _read_photos(table, path)
  entries: dict[int | str, tuple[str, ...]] = {}
  for place, entry in enumerate(_get(table, 'annotations', path)):
    try:
      number = _to_key(entry['image_id'])
      caption = ' '.join(entry['caption'].split())
    except _MALFORMED as error:
      raise _make_error(path, 'annotations', place, error) from error
    if caption:
      entries[number] = (*entries.get(number, ()), caption)
  _check_known(entries, photos, path)
  return Table(photos, entries, [])


def check_same(
  photos: Mapping[int | str, Photo],
  others: Mapping[int | str, Photo],
  path: pathlib.Path,
) -> None:
  """Refuses a table whose photographs are others under the same ids."""
  for number in photos.keys() & others.keys():
    if photos[number].file != others[number].file:
      raise UserError(
        f'{path}: image {number} is {others[number].file}, and '
        f'{photos[number].file} in another table: they are of different sets'
      )


def make_categories(
  table: Table, path: pathlib.Path, *, has_areas: bool
) -> Categories:
  """Classes of a table; things by `isthing` where it labels areas as well.

  Categories of one name are one class.

  Raises:
    UserError: no category, one that lacks a field, or an id twice.
  """
  rows = []
  for place, entry in enumerate(table.categories):
    try:
      is_thing = bool(
        entry['isthing'] if has_areas else entry.get('isthing', 1)
      )
      rows.append((_to_key(entry['id']), _to_name(entry['name']), is_thing))
    except _MALFORMED as error:
      raise _make_error(path, 'categories', place, error) from error
  rows.sort(key=lambda row: (str(type(row[0])), row[0]))
  if not rows:
    raise UserError(f'{path}: categories is empty')
  written = list(dict.fromkeys(name for _, name, _ in rows))
  names = [_to_words(name, written) for name in written]
  if len(set(names)) < len(names):
    names = list(written)
  number = {}
  for category, name, _ in rows:
    if category in number:
      raise UserError(f'{path}: two categories have the id {category}')
    number[category] = written.index(name)
  things = {number[category] for category, _, is_thing in rows if is_thing}
  areas, background = set(range(len(names))), labels.VOID
  if not has_areas:
    if 'background' not in names:
      names.append('background')
    background = names.index('background')
  return Categories(
    labels.Classes(
      tuple(names),
      tuple(sorted(areas - {background})),
      tuple(sorted(things - {background})),
    ),
    number,
    background,
  )


def _to_words(name: str, names: list[str]) -> str:
  """A category's name as people say it, unless another one is called so."""
  if name in _WORDS:
    return _WORDS[name]
  ending = next((each for each in _ENDINGS if name.endswith(each)), '')
  words = name.removesuffix(ending).replace('_', ' ')
  return name if words != name and words in names else words


def _read_photos(table, path) -> dict[int | str, Photo]:
  entries = _get(table, 'images', path)
  photos = {}
  for place, entry in enumerate(entries):
    try:
      photos[_to_key(entry['id'])] = Photo(
        base.check_name(entry['file_name'], path),
        int(entry['height']),
        int(entry['width']),
      )
    except _MALFORMED as error:
      raise _make_error(path, 'images', place, error) from error
  if len(photos) < len(entries):
    coco_format.key_by_id(entries, f'{path}: image')
  return photos


def _read_annotation(entry) -> Annotation:
  return Annotation(
    entry.get('id'),
    _to_key(entry['category_id']),
    entry['segmentation'],
    bool(entry.get('iscrowd', 0)),
    bool(entry.get('ignore', 0)),
  )


def _to_name(value: Any) -> str:
  name = value.strip()
  if not name:
    raise ValueError('an empty name')
  return name


def _read_panoptic(entry, path) -> Panoptic:
  segments = tuple(
    Segment(
      int(each['id']),
      _to_key(each['category_id']),
      bool(each.get('iscrowd', 0)),
    )
    for each in entry['segments_info']
  )
  return Panoptic(base.check_name(entry['file_name'], path), segments)


def _to_key(value: Any) -> int | str:
  """An id, which most write as a number and some as text."""
  if isinstance(value, bool) or not isinstance(value, int | str):
    raise TypeError(f'{value!r} is no id')
  return value


def _pack_polygons(entry: dict) -> dict:
  """An object of the file, with a fifth of the memory for its outlines."""
  outlines = entry.get('segmentation')
  if isinstance(outlines, list):
    try:
      packed = [array.array('d', each) for each in outlines]
    except (TypeError, OverflowError):  # is refused, by name, when drawn
      return entry
    entry['segmentation'] = packed
    entry.pop('bbox', None)
  return entry


def _check_known(entries, photos, path) -> None:
  unknown = [number for number in entries if number not in photos]
  if unknown:
    raise UserError(
      f'{path}: annotations of image {unknown[0]!r}, which images does not '
      f'list ({len(unknown)} such): get the whole table'
    )


def _get(table: dict, field: str, path: pathlib.Path) -> list:
  value = table.get(field)
  if not isinstance(value, list):
    raise UserError(
      f'{path}: no list {field!r} in it: not a table in the format of COCO'
    )
  return value


def _make_error(path, field, place, error) -> UserError:
  return UserError(
    f'{path}: {field}[{place}] lacks a field, or it is wrong ({error!r}): get '
    'the table again, or make it again'
  )
