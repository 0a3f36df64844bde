"""Cityscapes: 19 classes of streets, and the objects of eight of them."""

from typing import Any, ClassVar

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import cityscapes, files
from vbanana_jax.datasets import instance_maps, kinds, photo_set
from vbanana_jax.errors import UserError

_THINGS = (
  'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle',
)  # fmt: skip
_STEP = 1000  # a number of an object is its label id times this, plus its place
_NAMES = tuple(name for name, _ in cityscapes.CLASSES)
_SPLITS = ('train', 'val')
_THING_IDS = [_NAMES.index(name) for name in _THINGS]
# Class of each label id that an object may have; the last stands for others.
_KIND_OF_LABEL = np.full(35, labels.VOID, np.int32)
_KIND_OF_LABEL[[label for _, label in cityscapes.CLASSES]] = range(len(_NAMES))
# And of each number that an object may have.
_CLASS_OF_OBJECT = {
  _STEP * label + k: train_id
  for train_id, (_, label) in enumerate(cityscapes.CLASSES)
  for k in range(_STEP)
}


class Cityscapes(photo_set.PhotoSet):
  """The folder that the benchmark's reader reads, with `instanceIds`.

  `gtFine/SPLIT/CITY/ID_gtFine_instanceIds.png` has 16 bits: an object is 1000
  times its label id plus its place, anything else its label id. The label id
  alone of a class with objects is a group of them, which cannot be told apart.
  Label ids without a train id are not known.

  Source: as of `benchmark.readers.cityscapes`.
  """

  name: ClassVar[str] = cityscapes.Cityscapes.name
  license: ClassVar[str] = cityscapes.Cityscapes.license
  source: ClassVar[str] = cityscapes.Cityscapes.source

  def __init__(self, root, *, split: str = 'train'):
    super().__init__(root)
    self._reader = cityscapes.Cityscapes(self.root, split)
    self._set_entries(
      (
        photo_set.Entry(item.id, item.image, item)
        for item in self._reader.items
      ),
      self.root,
    )
    first = cityscapes.find_truth(self._reader.items[0].image)
    self._has_objects = (self.root / _to_objects(first)).is_file()
    if self._has_objects:
      self._require(
        _to_objects(cityscapes.find_truth(name)) for name in self.files
      )
    else:
      self.notes.append('no *_instanceIds.png: classes alone, no objects')
    self.classes = labels.Classes(
      names=_NAMES,
      areas=tuple(range(len(_NAMES))),
      things=tuple(_THING_IDS) if self._has_objects else (),
    )

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    semantic = self._reader.load_truth(entry.found)['semantic']
    semantic = np.where(semantic == cityscapes.IGNORED, labels.VOID, semantic)
    truth = self.root / cityscapes.find_truth(entry.image)
    found: dict[str, Any] = {'semantic': photo.fit(semantic, truth)}
    if self._has_objects:
      path = self.root / _to_objects(cityscapes.find_truth(entry.image))
      keys, class_of = _load_objects(path, semantic)
      found |= instance_maps.number(photo.fit(keys, path), class_of)
    return found


def _to_objects(truth: str) -> str:
  return truth.replace('_labelIds.png', '_instanceIds.png')


def _load_objects(path, semantic):
  """Numbers of objects, and the class of each."""
  numbers = files.load_png16(path).astype(np.int32)
  if numbers.shape != semantic.shape:
    height, width = numbers.shape
    raise UserError(
      f'{path}: {width} x {height} pixels, other than its labelIds: get both '
      'from gtFine_trainvaltest.zip'
    )
  kind = _KIND_OF_LABEL[np.minimum(numbers // _STEP, len(_KIND_OF_LABEL) - 1)]
  wrong = (kind != labels.VOID) & (semantic != kind)
  if wrong.any():
    raise UserError(
      f'{path}: object {numbers[wrong][0]} has another class in labelIds: '
      'get both from gtFine_trainvaltest.zip'
    )
  has_objects = np.isin(semantic, _THING_IDS)
  keys = np.where(has_objects, numbers, 0)
  keys[(has_objects & (numbers < _STEP)) | (semantic == labels.VOID)] = -1
  return keys, _CLASS_OF_OBJECT


KIND = kinds.Kind(
  about='Cityscapes: 19 classes, and objects by *_instanceIds.png',
  example='vbanana prepare cityscapes cityscapes --split train --out data/city',
  open=Cityscapes,
  flags=(kinds.Flag('--split', 'train or val', 'train', _SPLITS),),
)
