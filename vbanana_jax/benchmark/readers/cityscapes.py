"""Cityscapes: 19 classes of street scenes."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.errors import UserError

# Name and label id of each train id, in order.
CLASSES = (
  ('road', 7),
  ('sidewalk', 8),
  ('building', 11),
  ('wall', 12),
  ('fence', 13),
  ('pole', 17),
  ('traffic light', 19),
  ('traffic sign', 20),
  ('vegetation', 21),
  ('terrain', 22),
  ('sky', 23),
  ('person', 24),
  ('rider', 25),
  ('car', 26),
  ('truck', 27),
  ('bus', 28),
  ('train', 31),
  ('motorcycle', 32),
  ('bicycle', 33),
)
IGNORED = 255
_LABEL_IDS = 34  # 0..33; those without a train id are not evaluated
_IMAGE, _TRUTH = '_leftImg8bit.png', '_gtFine_labelIds.png'


class Cityscapes(base.FolderReader):
  """Class of each pixel, as train ids 0..18; 255 is ignored.

  `leftImg8bit/SPLIT/CITY/ID_leftImg8bit.png` are the photographs, 2048 x 1024
  pixels, and `gtFine/SPLIT/CITY/ID_gtFine_labelIds.png` the label ids 0..33,
  8-bit. Here an id outside of that table is an error, not an ignored pixel.

  Source: Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene
  Understanding", CVPR 2016, and its scripts (labels).
  """

  name: ClassVar[str] = 'Cityscapes'
  task: ClassVar[str] = 'semantic'
  splits: ClassVar[tuple[str, ...]] = ('val', 'train')
  layout: ClassVar[tuple[str, ...]] = (
    f'leftImg8bit/{{split}}/*/*{_IMAGE}',
    f'gtFine/{{split}}/*/*{_TRUTH}',
  )
  source: ClassVar[str] = (
    'https://www.cityscapes-dataset.com (leftImg8bit_trainvaltest.zip and '
    'gtFine_trainvaltest.zip)'
  )
  license: ClassVar[str] = "the set's own, not commercial, on registration"
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    images = self.glob(f'leftImg8bit/{self.split}/*/*{_IMAGE}')
    self.require([find_truth(image) for image in images])
    for image in images:
      name = image.rsplit('/', 1)[1].removesuffix(_IMAGE)
      yield base.Item(base.make_id(name), image)

  def load_image(self, item: base.Item) -> np.ndarray:
    return files.load_rgb(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    path = self.root / find_truth(item.image)
    labels = files.load_labels(path)
    size = files.load_image_size(self.root / item.image)
    base.check_shapes(labels.shape, size, path)
    if labels.max() >= _LABEL_IDS:
      raise UserError(
        f'{path}: label id {labels.max()} is beyond the table of 0 to '
        f'{_LABEL_IDS - 1}: train ids or instances under a wrong name?'
      )
    train_ids = np.full(_LABEL_IDS, IGNORED, np.int32)
    train_ids[[label_id for _, label_id in CLASSES]] = range(len(CLASSES))
    return {'semantic': train_ids[labels]}


def find_truth(image: str) -> str:
  """Path of the label ids of a photograph, both inside the folder."""
  stem = image.removeprefix('leftImg8bit').removesuffix(_IMAGE)
  return f'gtFine{stem}{_TRUTH}'
