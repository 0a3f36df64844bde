"""SA-Co/Gold: every instance of a noun phrase, by three annotators."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np

from vbanana_jax.benchmark.readers import base, files, rle
from vbanana_jax.errors import UserError

ANNOTATORS = ('a', 'b', 'c')
# Split -> middle of the annotations' names, and folder of the photographs.
_SUBSETS = {
  'metaclip_nps': ('metaclip', 'metaclip-images'),
  'sa1b_nps': ('sa1b', 'sa1b-images'),
  'crowded': ('crowded', 'metaclip-images'),
  'fg_food': ('fg_food', 'metaclip-images'),
  'fg_sports_equipment': ('fg_sports_equipment', 'metaclip-images'),
  'attributes': ('attributes', 'metaclip-images'),
  'wiki_common': ('wiki_common', 'metaclip-images'),
}
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)


class _Pair(NamedTuple):
  """A photograph and a phrase, as one annotator's file lists it."""

  photo: str
  phrase: str
  size: tuple[int, int]
  exhaustive: bool


class SacoGold(base.FolderReader):
  """Masks of all instances of a phrase; one item a (photograph, phrase) pair.

  `gt-annotations/gold_SUBSET_merged_{a,b,c}_release_test.json` are COCO-like:
  an entry of `images` is a pair, with `id`, `file_name`, `text_input`,
  `height`, `width` and `is_instance_exhaustive`; an entry of `annotations` has
  its `image_id`, a run-length `segmentation` and `iscrowd`. Photographs stand
  in `metaclip-images/`, those of the subset sa1b_nps in `sa1b-images/`. A pair
  is an item if all three annotators call it exhaustive; most items have no
  instance at all.

  Source: Carion et al., "SAM 3: Segment Anything with Concepts", 2025, and the
  SA-Co/Gold page of its repository.
  """

  name: ClassVar[str] = 'SA-Co/Gold'
  task: ClassVar[str] = 'instance'
  splits: ClassVar[tuple[str, ...]] = tuple(_SUBSETS)
  layout: ClassVar[tuple[str, ...]] = ('gt-annotations/gold_*.json',)
  source: ClassVar[str] = (
    'https://huggingface.co/datasets/facebook/SACo-Gold (annotations; its '
    'page says where the photographs are)'
  )
  license: ClassVar[str] = "SAM License; photographs under their owners' terms"
  verified: ClassVar[bool] = False

  def _list_items(self) -> Iterator[base.Item]:
    subset, folder = _SUBSETS[self.split]
    self._paths = [
      self.root / f'gt-annotations/gold_{subset}_merged_{who}_release_test.json'
      for who in ANNOTATORS
    ]
    tables = [_load_table(path) for path in self._paths]
    self._segments = [segments for _, segments in tables]
    self._pairs, photos = {}, set()
    for number, pair in tables[0][0].items():
      others = [pairs.get(number) for pairs, _ in tables[1:]]
      for path, other in zip(self._paths[1:], others):
        if other is None or other[:3] != pair[:3]:
          raise UserError(
            f'{path}: pair {number} is missing, or not that of annotator a: '
            'the three files are of different releases'
          )
      if pair.exhaustive and all(other.exhaustive for other in others):
        item = base.Item(str(number), f'{folder}/{pair.photo}', pair.phrase)
        self._pairs[item.id] = (number, pair.size)
        photos.add(item.image)
        yield item
    self.require(sorted(photos))

  def load_image(self, item: base.Item) -> np.ndarray:
    path = self.root / item.image
    rgb = files.load_rgb(path)
    base.check_shapes(rgb.shape, self._pairs[item.id][1], path)
    return rgb

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    number, (height, width) = self._pairs[item.id]
    listed = [segments.get(number, ()) for segments in self._segments]
    most = max(map(len, listed))
    masks = np.zeros((len(listed), most, height, width), bool)
    crowd = np.zeros((len(listed), most), bool)
    for who, segments in enumerate(listed):
      name = f'{self._paths[who]}: pair {number}'
      for k, (segmentation, is_crowd) in enumerate(segments):
        masks[who, k] = rle.decode_rle(segmentation, height, width, name=name)
        crowd[who, k] = is_crowd
    return {'masks': masks, 'crowd': crowd}


def _load_table(path) -> tuple[dict[int, _Pair], dict[int, list]]:
  """Pairs by id, and (run-length mask, crowd) of each pair with instances."""
  table = files.load_json(path, dict)
  pairs, segments = {}, {}
  try:
    for entry in table['images']:
      pairs[int(entry['id'])] = _Pair(
        base.check_name(entry['file_name'], path),
        entry['text_input'].strip(),
        (int(entry['height']), int(entry['width'])),
        bool(entry['is_instance_exhaustive']),
      )
    for entry in table['annotations']:
      segment = (entry['segmentation'], bool(entry.get('iscrowd', False)))
      segments.setdefault(int(entry['image_id']), []).append(segment)
  except _MALFORMED as error:
    raise UserError(
      f'{path}: not annotations of SA-Co/Gold ({error!r})'
    ) from error
  unknown = segments.keys() - pairs.keys()
  if unknown:
    raise UserError(
      f'{path}: annotations of pair {min(unknown)}, which it does not list'
    )
  return pairs, segments
