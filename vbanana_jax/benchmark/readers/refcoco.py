"""RefCOCO, RefCOCO+ and RefCOCOg: objects of COCO, asked for in sentences."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import (
  base,
  coco_format,
  files,
  unpickle,
)
from vbanana_jax.errors import UserError

_PHOTOS = 'images/mscoco/images/train2014'
_SOURCE = (
  'https://github.com/lichengunc/refer ({}) and https://cocodataset.org '
  '(train2014.zip)'
)


class _RefCoco(base.FolderReader):
  """Mask of the object that a sentence asks for; one item a sentence.

  `NAME/refs(WHO).p` is a pickle of dicts: ref_id, ann_id, image_id, split, and
  sentences with their `sent`; it is read as plain data only.
  `NAME/instances.json` has COCO's `images` and `annotations`, and
  `images/mscoco/images/train2014/` the photographs of COCO's train2014. An id
  is the ref_id and the sentence's place in its list. Several polygons of one
  object are united.
  """

  refs: ClassVar[str]
  instances: ClassVar[str]
  task: ClassVar[str] = 'referring'
  license: ClassVar[str] = 'CC BY 4.0; photographs under their Flickr terms'
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    refs = self._load_refs()
    images, annotations = self._load_instances()
    path = self.root / self.instances
    self._objects, photos = {}, set()
    for ref_id, annotation_id, sentences in refs:
      try:
        annotation = annotations[annotation_id]
        image = images[annotation['image_id']]
        size = (int(image['height']), int(image['width']))
        photo = f'{_PHOTOS}/{base.check_name(image["file_name"], path)}'
        segmentation = annotation['segmentation']
      except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
          f'{path}: annotation {annotation_id}, or its image, is missing or '
          f'lacks a field ({error!r}): get it together with {self.refs}'
        ) from error
      for place, sentence in enumerate(sentences):
        item = base.Item(f'{ref_id}-{place}', photo, sentence)
        self._objects[item.id] = (annotation_id, size, segmentation)
        photos.add(photo)
        yield item
    self.require(sorted(photos))

  def _load_refs(self) -> list[tuple[int, int, list[str]]]:
    """Ref id, annotation id and sentences of the split's references."""
    path = self.root / self.refs
    try:
      return [
        (
          int(ref['ref_id']),
          int(ref['ann_id']),
          [sentence['sent'].strip() for sentence in ref['sentences']],
        )
        for ref in unpickle.load_plain_pickle(path)
        if ref['split'] == self.split
      ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
      raise UserError(
        f'{path}: not a list of references ({error!r}): get it from '
        f'{self.source}'
      ) from error

  def _load_instances(self) -> tuple[dict[int, dict], dict[int, dict]]:
    """COCO's images and annotations by their ids."""
    path = self.root / self.instances
    table = files.load_json(path, dict)
    try:
      return (
        coco_format.key_by_id(table['images'], f'{path}: image'),
        coco_format.key_by_id(table['annotations'], f'{path}: annotation'),
      )
    except (KeyError, TypeError) as error:
      raise UserError(
        f'{path}: not a table of COCO instances ({error!r}): get it from '
        f'{self.source}'
      ) from error

  def load_image(self, item: base.Item) -> np.ndarray:
    path = self.root / item.image
    rgb = files.load_rgb(path)
    base.check_shapes(rgb.shape, self._objects[item.id][1], path)
    return rgb

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    annotation_id, size, segmentation = self._objects[item.id]
    name = f'{self.root / self.instances}: annotation {annotation_id}'
    mask = coco_format.draw_segmentation(segmentation, *size, name=name)
    return {'mask': mask, 'ignore': np.zeros_like(mask)}


class RefCocoG(_RefCoco):
  """Long sentences; the split that keeps photographs apart (UMD).

  Source: Nagaraja et al., "Modeling Context Between Objects for Referring
  Expression Understanding", ECCV 2016 (the split); Mao et al., CVPR 2016.
  """

  refs: ClassVar[str] = 'refcocog/refs(umd).p'
  instances: ClassVar[str] = 'refcocog/instances.json'
  name: ClassVar[str] = 'RefCOCOg'
  splits: ClassVar[tuple[str, ...]] = ('val', 'test', 'train')
  layout: ClassVar[tuple[str, ...]] = (refs, instances, _PHOTOS)
  source: ClassVar[str] = _SOURCE.format('refcocog.zip')


class RefCoco(_RefCoco):
  """Short phrases; testA has people, testB all else (UNC).

  Source: Yu et al., "Modeling Context in Referring Expressions", ECCV 2016.
  """

  refs: ClassVar[str] = 'refcoco/refs(unc).p'
  instances: ClassVar[str] = 'refcoco/instances.json'
  name: ClassVar[str] = 'RefCOCO'
  splits: ClassVar[tuple[str, ...]] = ('val', 'testA', 'testB', 'train')
  layout: ClassVar[tuple[str, ...]] = (refs, instances, _PHOTOS)
  source: ClassVar[str] = _SOURCE.format('refcoco.zip')


class RefCocoPlus(_RefCoco):
  """As RefCOCO, in words that do not say where in the picture (UNC).

  Source: Yu et al., "Modeling Context in Referring Expressions", ECCV 2016.
  """

  refs: ClassVar[str] = 'refcoco+/refs(unc).p'
  instances: ClassVar[str] = 'refcoco+/instances.json'
  name: ClassVar[str] = 'RefCOCO+'
  splits: ClassVar[tuple[str, ...]] = ('val', 'testA', 'testB', 'train')
  layout: ClassVar[tuple[str, ...]] = (refs, instances, _PHOTOS)
  source: ClassVar[str] = _SOURCE.format('refcoco+.zip')
