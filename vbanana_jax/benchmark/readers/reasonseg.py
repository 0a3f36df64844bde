"""ReasonSeg: regions of photographs that an implicit query asks for."""

import json
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files, polygons
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError

_TARGET, _IGNORED = 1, 2


class ReasonSeg(base.FolderReader):
  """Mask of what the first text of an annotation asks for.

  `SPLIT/NAME.jpg` and `SPLIT/NAME.json` stand side by side. The JSON, UTF-8 or
  Windows-1252, has `text`, a list of which the first is asked, and `shapes`:
  polygons `points` in pixels of the upright photograph, each with a `label`.
  They are painted from the largest to the smallest, outline included: a label
  with "ignore" in it leaves its pixels out of the score, "flag" is skipped, any
  other is the target.

  Source: Lai et al., "LISA: Reasoning Segmentation via Large Language Model",
  CVPR 2024, and its data processing.
  """

  name: ClassVar[str] = 'ReasonSeg'
  task: ClassVar[str] = 'referring'
  splits: ClassVar[tuple[str, ...]] = ('val', 'test', 'train')
  layout: ClassVar[tuple[str, ...]] = ('{split}/*.jpg', '{split}/*.json')
  source: ClassVar[str] = 'https://github.com/dvlab-research/LISA (Dataset)'
  license: ClassVar[str] = (
    'not stated; photographs of OpenImages and ScanNet v2 under their terms'
  )
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    images = self.glob(f'{self.split}/*.jpg')
    self.require([_find_annotation(image) for image in images])
    for image in images:
      name = image.rsplit('/', 1)[1].removesuffix('.jpg')
      texts, _ = self.load_annotation(image)
      yield base.Item(base.make_id(name), image, texts[0])

  def load_image(self, item: base.Item) -> np.ndarray:
    return photos.open_photo(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    height, width = self.load_image(item).shape[:2]
    painted = np.zeros((height, width), np.uint8)
    try:
      shapes = [
        (
          _IGNORED if 'ignore' in label.lower() else _TARGET,
          polygons.draw_opencv(points, height, width),
        )
        for label, points in self.load_annotation(item.image)[1]
        if label.lower() != 'flag'
      ]
    except (TypeError, ValueError) as error:
      path = self.root / _find_annotation(item.image)
      raise UserError(f'{path}: not a polygon ({error})') from error
    # Of equally large ones the later is painted first.
    for value, mask in sorted(shapes[::-1], key=lambda shape: -shape[1].sum()):
      painted[mask] = value
    return {'mask': painted == _TARGET, 'ignore': painted == _IGNORED}

  def load_annotation(
    self, image: str
  ) -> tuple[list[str], list[tuple[str, list]]]:
    """All texts, of which the first is asked, and labels with their points.

    Args:
      image: path of the photograph in the folder.

    Raises:
      UserError: the annotation is damaged, or has no text.
    """
    path = self.root / _find_annotation(image)
    encoded = files.load_bytes(path)
    try:
      try:
        annotation = json.loads(encoded.decode('utf-8'))
      except UnicodeDecodeError:
        annotation = json.loads(encoded.decode('cp1252'))
      shapes = [
        (str(shape['label']), shape['points']) for shape in annotation['shapes']
      ]
      texts = [text.strip() for text in annotation['text']]
      if not texts:
        raise KeyError('text')
      return texts, shapes
    except (
      ValueError, RecursionError, KeyError, IndexError, TypeError,
      AttributeError,
    ) as error:  # fmt: skip
      raise UserError(
        f'{path}: not an annotation of ReasonSeg ({error!r}): get it from '
        f'{self.source}'
      ) from error


def _find_annotation(image: str) -> str:
  return image.removesuffix('.jpg') + '.json'
