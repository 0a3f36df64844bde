"""ADE20K as its challenges pack it: 150 classes, of which 100 are things."""

import pathlib
import re
from typing import Any, ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import files
from vbanana_jax.datasets import (
  class_tables,
  instance_maps,
  kinds,
  label_pictures,
  photo_set,
)
from vbanana_jax.errors import UserError

_TABLE, _THINGS = 'objectInfo150.txt', 'instanceInfo100_train.txt'
_SPLITS = {'train': 'training', 'val': 'validation'}
_OTHER = 0  # of the 150 classes none: ignored
# Idx, ratio, counts ..., name; the instance table has its name second.
_CLASS_LINE = re.compile(r'(\d+)\s*\t.*\t([^\t]+)')
_THING_LINE = re.compile(r'(\d+)\s*\t([^\t]+)\t.*')


class Ade20k(photo_set.PhotoSet):
  """ADEChallengeData2016: classes, and objects where they are there too.

  `images/training/NAME.jpg` and `annotations/training/NAME.png` (0 is none of
  the classes and is ignored, k the k-th line of `objectInfo150.txt`), and
  `validation` likewise. If `annotations_instance/` is there as well, with its
  `instanceInfo100_train.txt`, objects are read: red is the class of 100, green
  the object's number.

  Source: Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017, and
  the pages of its challenges.
  """

  name: ClassVar[str] = 'ADE20K'
  license: ClassVar[str] = (
    'annotations BSD-3-Clause; photographs for research and education, not '
    'commercial'
  )
  source: ClassVar[str] = (
    'http://sceneparsing.csail.mit.edu (ADEChallengeData2016.zip) and '
    'http://placeschallenge.csail.mit.edu (annotations_instance.tar)'
  )

  def __init__(self, root, *, split: str = 'train'):
    super().__init__(root)
    folder = _SPLITS[self._find_split(split, tuple(_SPLITS))]
    layout = (_TABLE, f'images/{folder}/*.jpg', f'annotations/{folder}/*.png')
    photo_set.check_layout(self.root, layout, self.name, self.source)
    rows = _load_classes(self.root / _TABLE)
    self._thing_of = self._load_things(rows, folder)
    self._table = class_tables.make_table(
      rows, str(self.root / _TABLE), ignore=(str(_OTHER),),
      things=sorted(set(self._thing_of.values())),
    )  # fmt: skip
    self.classes = self._table.classes
    images = sorted(self.root.glob(f'images/{folder}/*.jpg'))
    entries = [
      photo_set.Entry(path.stem, f'images/{folder}/{path.name}', folder)
      for path in images
    ]
    self._require(_find_truth(entry, 'annotations') for entry in entries)
    if self._thing_of:
      self._require(
        _find_truth(entry, 'annotations_instance') for entry in entries
      )
    self._set_entries(entries, self.root / 'images' / folder)

  def _load_things(self, rows, folder) -> dict[int, int]:
    """Value in the class table of each number in the instance table."""
    if not (self.root / 'annotations_instance' / folder).is_dir():
      self.notes.append('no annotations_instance/: classes alone, no objects')
      return {}
    path = self.root / _THINGS
    if not path.is_file():
      raise UserError(
        f'{path}: no such file, and annotations_instance/ needs it: get it '
        'from https://github.com/CSAILVision/placeschallenge '
        '(instancesegmentation), or move annotations_instance/ away'
      )
    found = {}
    for line in files.load_lines(path)[1:]:
      matched = _THING_LINE.fullmatch(line)
      value = matched and _find_value(matched[2].strip(), rows)
      if not value:
        raise UserError(f'{path}: {line!r} is no class of {_TABLE}')
      found[int(matched[1])] = value
    return found

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    path = self.root / _find_truth(entry, 'annotations')
    semantic = label_pictures.load_semantic(path, self._table, void=None)
    found: dict[str, Any] = {'semantic': photo.fit(semantic, path)}
    if self._thing_of:
      path = self.root / _find_truth(entry, 'annotations_instance')
      objects = self._load_objects(path)
      found |= instance_maps.number(photo.fit(objects[0], path), objects[1])
    return found

  def _load_objects(self, path):
    """Object numbers [h w], 0 for none, and the class id of each."""
    rgb_u8 = files.load_png_rgb(path, 8)
    kind, number = rgb_u8[..., 0].astype(np.int32), rgb_u8[..., 1]
    key = np.where(number > 0, kind * 256 + number, 0)
    class_of = {}
    for each in np.unique(key[key > 0]):
      value = self._thing_of.get(int(each) // 256)
      if value is None:
        raise UserError(
          f'{path}: class {int(each) // 256} is beyond {_THINGS}: get both '
          'from the same place'
        )
      class_of[int(each)] = self._table.values[value]
    return key, class_of


def _find_truth(entry: photo_set.Entry, folder: str) -> str:
  return f'{folder}/{entry.found}/{entry.id}.png'


def _load_classes(path: pathlib.Path) -> list[class_tables.Row]:
  rows = []
  for line in files.load_lines(path)[1:]:
    matched = _CLASS_LINE.fullmatch(line)
    if not matched:
      raise UserError(
        f'{path}: {line!r} is not a line of Idx, Ratio, Train, Val, Name'
      )
    # Synonyms are split by commas.
    first, *others = (' '.join(x.split()) for x in matched[2].split(','))
    rows.append(class_tables.Row(int(matched[1]), first, None, tuple(others)))
  return rows


def _find_value(name: str, rows) -> int | None:
  """The class that is called so, or else the only one with this synonym."""
  for row in rows:
    if row.name == name:
      return row.value
  found = [row.value for row in rows if name in row.synonyms]
  return found[0] if len(found) == 1 else None


KIND = kinds.Kind(
  about='ADE20K of the scene parsing challenge: 150 classes, objects if there',
  example='vbanana prepare ade20k ADEChallengeData2016 --out data/ade20k',
  open=Ade20k,
  flags=(kinds.Flag('--split', 'train or val', 'train', tuple(_SPLITS)),),
)
