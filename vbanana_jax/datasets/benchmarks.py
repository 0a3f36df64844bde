"""Every benchmark that has a reader, as a data set to train on."""

import collections
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vbanana_jax import labels
from vbanana_jax.benchmark import protocols, readers
from vbanana_jax.benchmark.readers import base
from vbanana_jax.data.labeled import DataSet, LabeledPicture
from vbanana_jax.datasets import instance_maps, kinds, photo_files
from vbanana_jax.errors import UserError

_IGNORED = 255  # of classes


class BenchmarkSet(DataSet):
  """A benchmark's reader as a `DataSet`.

  Sentences about one photograph become phrases of one picture. Depth that was
  not measured is NaN, an ignored class `labels.VOID`. Of several annotators'
  masks the first one's are taken; what was asked for is their class, and also a
  phrase, which may mean nothing in the photograph. Pixels that a score leaves
  out are not its phrase's.

  Args:
    reader: of the folder.
    class_names: of the numbers of its truths, where they are classes.
    name: of the set; the reader's by default.
  """

  def __init__(
    self,
    reader: readers.Reader,
    class_names: Sequence[str] = (),
    name: str | None = None,
  ):
    self._reader = reader
    self.name = name or getattr(reader, 'name', type(reader).__name__)
    self.license = getattr(reader, 'license', '')
    self.source = getattr(reader, 'source', '')
    self.notes: list[str] = []
    truth = reader.load_truth(reader.items[0])
    groups = collections.defaultdict(list)
    for item in reader.items:
      is_shared = 'mask' in truth and item.image
      groups[item.image if is_shared else item.id].append(item)
    self._groups = [tuple(group) for group in groups.values()]
    self.ids = [_name_group(key, group) for key, group in groups.items()]
    base.check_ids([base.Item(each, '') for each in self.ids], reader.root)
    self.files = [group[0].image or group[0].id for group in self._groups]
    self.classes, self._class_of = None, {}
    if 'masks' in truth:
      phrases = dict.fromkeys(item.phrase for item in reader.items)
      self._class_of = {phrase: k for k, phrase in enumerate(phrases)}
      everything = tuple(range(len(phrases)))
      self.classes = labels.Classes(tuple(phrases), (), everything)
    elif class_names:
      areas = tuple(range(len(class_names)))
      self.classes = labels.Classes(tuple(class_names), areas)

  def load(self, index: int) -> LabeledPicture:
    group = self._groups[index]
    truths = [self._reader.load_truth(item) for item in group]
    fields = self._make_labels(group, truths)
    return LabeledPicture(
      id=self.ids[index],
      file=self.files[index],
      encoded=self._load_photo(group[0], truths[0]),
      **fields,
    )

  def _load_photo(self, item, truth) -> bytes:
    """The file as it came where the reader shows it as it is, or a PNG."""
    if item.image:
      photo = photo_files.load_photo(self._reader.root / item.image)
      stored = (photo.frame.height, photo.frame.width)
      if photo.frame.turn is None and stored == _get_shape(truth):
        return photo.encoded
    file = io.BytesIO()
    Image.fromarray(self._reader.load_image(item)).save(file, 'PNG')
    return file.getvalue()

  def _make_labels(self, group, truths) -> dict[str, Any]:
    (item, *_), (truth, *_) = group, truths
    if 'depth_m' in truth:
      depth_m = truth['depth_m']
      return {'depth_m': np.where(depth_m > 0, depth_m, np.float32(np.nan))}
    if 'normals' in truth:
      return {'normals': _to_unit(truth['normals'])}
    if 'semantic' in truth:
      classes = truth['semantic']
      return {'semantic': np.where(classes == _IGNORED, labels.VOID, classes)}
    if 'mask' in truth:
      masks = (each['mask'] & ~each['ignore'] for each in truths)
      phrases = zip((each.phrase for each in group), masks)
      return {'phrases': tuple(labels.Phrase(*pair) for pair in phrases)}
    masks, crowd = truth['masks'][0], truth['crowd'][0]
    kind = self._class_of[item.phrase]
    painted = instance_maps.paint(
      (
        instance_maps.Segment(mask, kind, bool(is_crowd))
        for mask, is_crowd in zip(masks, crowd)
      ),
      masks.shape[1:],
    )
    del painted['semantic']  # where nothing is, there may be anything else
    phrase = labels.Phrase(item.phrase, masks.any(0))
    return {**painted, 'phrases': (phrase,)}


def _get_shape(truth) -> tuple[int, int]:
  if 'masks' in truth:
    return truth['masks'].shape[2:]
  return next(iter(truth.values())).shape[:2]


def _to_unit(normals):
  """Normals of length 1, which a file of 8 bits has nearly."""
  length = np.linalg.norm(normals, axis=-1, keepdims=True)
  return np.where(length > 0, normals / np.maximum(length, 1e-6), 0).astype(
    np.float32
  )


def _name_group(key: str, group) -> str:
  """The example's id, or the name of the photograph that several share."""
  if key == group[0].id:
    return key
  return base.make_id(*key.rpartition('.')[0].split('/')[-1:])


def open_benchmark(
  path, *, protocol: str = '', split: str | None = None
) -> BenchmarkSet:
  """The data set that a protocol reads.

  Raises:
    UserError: no protocol, an unknown one, or a folder that is not its.
  """
  if not protocol:
    names = sorted(x.rpartition('_v')[0] for x in protocols.list_protocols())
    raise UserError(
      f'prepare benchmark needs --protocol: choose of {", ".join(names)}'
    )
  chosen = protocols.load_protocol(protocol, split)
  names = [name for name, _ in chosen.classes or ()]
  return BenchmarkSet(chosen.open(path), names)


def open_refcoco(
  path, *, annotations: str = 'refcoco', split: str = 'train'
) -> BenchmarkSet:
  """One of RefCOCO, RefCOCO+ and RefCOCOg; see `benchmark.readers.refcoco`."""
  return BenchmarkSet(readers.READERS[_REFCOCO[annotations]](path, split))


# Folder of the annotations -> reader.
_REFCOCO = {
  'refcoco': 'refcoco',
  'refcoco+': 'refcoco_plus',
  'refcocog': 'refcocog',
}
KIND = kinds.Kind(
  about='any benchmark of vbanana doctor, as its protocol reads it',
  example='vbanana prepare benchmark data/nyuv2 --protocol nyuv2_depth '
  '--split train --out data/nyuv2_train',
  open=open_benchmark,
  flags=(
    kinds.Flag('--protocol', 'of the benchmark, as in nyuv2_depth', ''),
    kinds.Flag('--split', "the protocol's own if not given"),
  ),
)
REFCOCO = kinds.Kind(
  about='RefCOCO, RefCOCO+ and RefCOCOg: sentences about objects of COCO',
  example='vbanana prepare refcoco refer/data --annotations refcocog '
  '--out data/refcocog',
  open=open_refcoco,
  flags=(
    kinds.Flag('--annotations', 'their folder', 'refcoco', tuple(_REFCOCO)),
    kinds.Flag('--split', 'train, val, or testA, testB; refcocog: test',
               'train'),
  ),
)  # fmt: skip
