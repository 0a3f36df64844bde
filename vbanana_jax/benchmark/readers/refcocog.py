"""RefCOCOg: objects of COCO photographs, asked for in sentences."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files, polygons, rle, unpickle
from vbanana_jax.errors import UserError

_REFS, _INSTANCES = 'refcocog/refs(umd).p', 'refcocog/instances.json'
_PHOTOS = 'images/mscoco/images/train2014'


class RefCocoG(base.FolderReader):
  """Mask of the object that a sentence asks for; one item a sentence.

  `refcocog/refs(umd).p` is a pickle of dicts: ref_id, ann_id, image_id, split,
  and sentences with their `sent`; it is read as plain data only.
  `refcocog/instances.json` has COCO's `images` and `annotations`, and
  `images/mscoco/images/train2014/` the photographs of COCO's train2014. An id
  is the ref_id and the sentence's place in its list. Several polygons of one
  object are united.

  Source: Nagaraja et al., "Modeling Context Between Objects for Referring
  Expression Understanding", ECCV 2016 (the split); Mao et al., CVPR 2016.
  """

  name: ClassVar[str] = 'RefCOCOg'
  task: ClassVar[str] = 'referring'
  splits: ClassVar[tuple[str, ...]] = ('val', 'test', 'train')
  layout: ClassVar[tuple[str, ...]] = (_REFS, _INSTANCES, _PHOTOS)
  source: ClassVar[str] = (
    'https://github.com/lichengunc/refer (refcocog.zip) and '
    'https://cocodataset.org (train2014.zip)'
  )
  license: ClassVar[str] = 'CC BY 4.0; photographs under their Flickr terms'
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    refs = self._load_refs()
    images, annotations = self._load_instances()
    path = self.root / _INSTANCES
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
          f'lacks a field ({error!r}): get it together with {_REFS}'
        ) from error
      for place, sentence in enumerate(sentences):
        item = base.Item(f'{ref_id}-{place}', photo, sentence)
        self._objects[item.id] = (annotation_id, size, segmentation)
        photos.add(photo)
        yield item
    self.require(sorted(photos))

  def _load_refs(self) -> list[tuple[int, int, list[str]]]:
    """Ref id, annotation id and sentences of the split's references."""
    path = self.root / _REFS
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
    path = self.root / _INSTANCES
    table = files.load_json(path, dict)
    try:
      return (
        _key_by_id(table['images'], f'{path}: image'),
        _key_by_id(table['annotations'], f'{path}: annotation'),
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
    name = f'{self.root / _INSTANCES}: annotation {annotation_id}'
    mask = _draw(segmentation, *size, name=name)
    return {'mask': mask, 'ignore': np.zeros_like(mask)}


def _key_by_id(entries: list[dict], name: str) -> dict[int, dict]:
  """Entries by their ids, which two different ones must not share."""
  by_id: dict[int, dict] = {}
  for entry in entries:
    if by_id.setdefault(entry['id'], entry) != entry:
      raise UserError(
        f'{name} {entry["id"]} stands there twice, and differs: tables that '
        'were joined need new ids'
      )
  return by_id


def _draw(
  segmentation: list | dict, height: int, width: int, *, name: str
) -> np.ndarray:
  """Union of an annotation's polygons, or of its run-length masks."""
  parts = [segmentation] if isinstance(segmentation, dict) else segmentation
  try:
    outlines = [part for part in parts if not isinstance(part, dict)]
    mask = polygons.draw_coco(outlines, height, width)
  except (TypeError, ValueError) as error:
    raise UserError(f'{name}: not polygons of COCO ({error})') from error
  for part in parts:
    if isinstance(part, dict):
      mask |= rle.decode_rle(part, height, width, name=name)
  return mask
