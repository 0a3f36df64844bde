"""Pascal VOC and sets in its layout: palette PNGs of classes and of objects."""

import pathlib
from typing import Any, ClassVar

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.data import image_formats
from vbanana_jax.datasets import (
  class_files,
  class_tables,
  instance_maps,
  kinds,
  label_pictures,
  photo_set,
)
from vbanana_jax.errors import UserError

_NAMES = (
  'background', 'airplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car',
  'cat', 'chair', 'cow', 'dining table', 'dog', 'horse', 'motorcycle', 'person',
  'potted plant', 'sheep', 'sofa', 'train', 'tv',
)  # fmt: skip
_SYNONYMS = {
  'airplane': ('aeroplane',),
  'motorcycle': ('motorbike',),
  'tv': ('tv monitor', 'television'),
  'sofa': ('couch',),
}
_TABLES = ('labelmap.txt', 'class_names.txt', 'classes.txt')
_LISTS = 'ImageSets/Segmentation'
_BORDER = 255


class Voc(photo_set.PhotoSet):
  """Classes and objects of a folder as VOC2012 is.

  `JPEGImages/ID.jpg`, `SegmentationClass/ID.png` (numbers of classes, 255
  ignored), `SegmentationObject/ID.png` (numbers of objects) and
  `ImageSets/Segmentation/SPLIT.txt`. Without a table of classes (`labelmap.txt`
  as CVAT writes it, `class_names.txt` or `classes.txt`) the 20 classes of VOC
  and its background are meant. Where there is no `SegmentationObject/`, there
  are classes alone.

  Source: Everingham et al., "The Pascal Visual Object Classes Challenge", IJCV
  2015, and the development kit of VOC2012.
  """

  name: ClassVar[str] = 'Pascal VOC'
  license: ClassVar[str] = 'photographs under the terms of Flickr'
  source: ClassVar[str] = (
    'http://host.robots.ox.ac.uk/pascal/VOC/voc2012 (VOCtrainval)'
  )

  def __init__(self, root, *, split='train', labels='', classes='', ignore=()):
    super().__init__(root)
    if not (self.root / _LISTS).is_dir() and (self.root / 'VOC2012').is_dir():
      self.root /= 'VOC2012'
    folder = labels or 'SegmentationClass'
    layout = ('JPEGImages', folder, _LISTS)
    photo_set.check_layout(self.root, layout, self.name, self.source)
    rows, place = self._load_table(classes)
    self._folder = folder
    self._has_objects = (self.root / 'SegmentationObject').is_dir()
    things = [row.value for row in rows if row.name != 'background']
    self._table = class_tables.make_table(
      rows, place, ignore=ignore, things=things if self._has_objects else ()
    )
    self.classes = self._table.classes
    self.notes += self._table.describe()
    if not self._has_objects:
      self.notes.append('no SegmentationObject/: classes alone, no objects')
    listed = self.root / _LISTS / f'{split}.txt'
    if not listed.is_file():
      known = sorted(path.stem for path in listed.parent.glob('*.txt'))
      raise UserError(
        f'--split {split}: no {listed}: choose of {", ".join(known)}'
      )
    names = [base.check_name(x, listed) for x in files.load_lines(listed)]
    entries = [
      photo_set.Entry(base.make_id(*name.split('/')), self._find_photo(name),
                      name)
      for name in names
    ]  # fmt: skip
    self._require(entry.image for entry in entries)
    self._require(f'{folder}/{name}.png' for name in names)
    if self._has_objects:
      self._require(f'SegmentationObject/{name}.png' for name in names)
    self._set_entries(entries, listed)

  def _load_table(self, classes: str):
    path = class_files.find_table(self.root, _TABLES, classes)
    if path is not None:
      return class_files.load_rows(path), str(path)
    rows = [
      class_tables.Row(k, name, None, _SYNONYMS.get(name, ()))
      for k, name in enumerate(_NAMES)
    ]
    return rows, 'the 21 classes of VOC'

  def _find_photo(self, name: str) -> str:
    places = [f'JPEGImages/{name}{x}' for x in image_formats.SUFFIXES]
    found = (place for place in places if (self.root / place).is_file())
    return next(found, places[0])

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    path = self.root / self._folder / f'{entry.found}.png'
    semantic = label_pictures.load_semantic(path, self._table)
    semantic = photo.fit(semantic, path)
    if not self._has_objects:
      return {'semantic': semantic}
    path = self.root / 'SegmentationObject' / f'{entry.found}.png'
    objects = photo.fit(_load_objects(path), path)
    return {
      'semantic': semantic,
      **instance_maps.number(*self._name_objects(objects, semantic, path)),
    }

  def _name_objects(self, objects, semantic, path):
    """Objects, not known where their class is not, and the class of each."""
    objects = np.where(semantic == labels.VOID, labels.VOID, objects)
    class_of = {}
    for key in np.unique(objects[objects > 0]).tolist():
      found = np.bincount(semantic[objects == key])
      if int(found.argmax()) not in self.classes.things:
        raise UserError(
          f'{path}: object {key} lies on {self.classes.names[found.argmax()]}: '
          f'it does not belong to {self._folder}/{path.name}'
        )
      class_of[key] = int(found.argmax())
    return objects, class_of


def _load_objects(path: pathlib.Path):
  """Numbers of objects, by the palette or by color; the border not known."""
  header = files.read_png_header(files.load_bytes(path), path)
  if header.color in (0, 3):
    objects = files.load_labels(path).astype(np.int32)
    return np.where(objects == _BORDER, labels.VOID, objects)
  rgb_u8 = files.load_rgb(path).astype(np.int32)
  packed = rgb_u8 @ np.array([65536, 256, 1], np.int32)
  found, place = np.unique(packed, return_inverse=True)
  # Black is no object.
  numbers = np.arange(len(found)) + (found[0] != 0)
  return numbers[place].reshape(packed.shape).astype(np.int32)


KIND = kinds.Kind(
  about='Pascal VOC style: SegmentationClass, SegmentationObject, ImageSets',
  example='vbanana prepare voc VOCdevkit/VOC2012 --split train --out data/voc',
  open=Voc,
  flags=(
    kinds.Flag('--split', 'a list in ImageSets/Segmentation', 'train'),
    kinds.Flag('--labels', 'the folder of the classes', 'SegmentationClass'),
    *class_files.FLAGS,
  ),
)
