"""Prepared pictures with labels, a split that was held out, as a benchmark."""

import abc
import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base
from vbanana_jax.data import (
  array_records,
  labeled,
  manifest_classes,
  photos,
  records,
)
from vbanana_jax.errors import UserError

_IGNORED = 255  # of classes
_NO_CLASS = -1
_KEPT = 4  # pictures whose questions follow each other


class _Records(base.FolderReader):
  """A folder that `vbanana prepare` wrote, asked about one of its labels.

  A picture without the label is no example. An id is that of the picture, with
  the number of the question where a picture has several. Photographs and
  labels have their own size.

  Attributes:
    set_name: of the pictures.
    classes: of the folder; None where it has none.
    class_names: of the numbers that truths have, in order.
  """

  label: ClassVar[str]
  name: ClassVar[str] = 'prepared pictures'
  splits: ClassVar[tuple[str, ...]] = ('all',)
  layout: ClassVar[tuple[str, ...]] = (array_records.MANIFEST,)
  source: ClassVar[str] = '`vbanana prepare KIND PATH --out DIR`'
  license: ClassVar[str] = "the pictures' own"
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    manifest = array_records.load_manifest(self.root)
    self.set_name = manifest['name']
    fields = manifest['classes']
    self.classes = fields and manifest_classes.from_fields(fields)
    self.class_names = tuple(self._choose_names(self.classes))
    if not manifest['labels'].get(self.label):
      known = ', '.join(manifest['labels']) or 'none'
      raise UserError(
        f'{self.root}: no picture has {self.label}, which {self.task} is '
        f'scored by; it has {known}'
      )
    self._shards = array_records.Shards(
      self.root, manifest['shards'], str(self.root)
    )
    self._places = {}
    for row in range(len(self._shards)):
      found = self._read(row, records.read_questions)
      if self.label not in found.labels:
        continue
      for number, (suffix, phrase) in enumerate(self._list_questions(found)):
        item = base.Item(base.make_id(found.id, *suffix), '', phrase)
        self._places[item.id] = row, number
        yield item

  def load_image(self, item: base.Item) -> np.ndarray:
    picture = self._load(self._places[item.id][0])
    return photos.open_photo(picture.encoded, name=picture.file)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    row, number = self._places[item.id]
    return self._make_truth(self._load(row), number)

  @functools.lru_cache(maxsize=_KEPT)  # noqa: B019
  def _load(self, row: int) -> labeled.LabeledPicture:
    return self._read(
      row, lambda record: records.unpack_picture(record, (self.label,))
    )

  def _read(self, row: int, read: Callable[[bytes], Any]) -> Any:
    try:
      return read(self._shards.read(row))
    except UserError as error:
      raise UserError(f'{self._shards.locate(row)}: {error}') from error

  def _choose_names(self, classes: labels.Classes | None) -> Iterator[str]:
    """Names of the classes that truths have numbers of."""
    return iter(())

  def _list_questions(
    self, found: records.Questions
  ) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """End of the id, and the phrase, of each question about a picture."""
    yield (), None

  @abc.abstractmethod
  def _make_truth(
    self, picture: labeled.LabeledPicture, number: int
  ) -> dict[str, np.ndarray]:
    """Truth of a picture's question, as `base.Reader` says."""


class DepthRecords(_Records):
  """Depth in meters; sky and what is not known is not measured.

  Source: `data.labeled.LabeledPicture`.
  """

  task: ClassVar[str] = 'depth'
  label: ClassVar[str] = 'depth_m'

  def _make_truth(self, picture, number):
    known = np.isfinite(picture.depth_m)
    return {'depth_m': np.where(known, picture.depth_m, np.float32(0))}


class NormalsRecords(_Records):
  """Unit normals; zero where there is none.

  Source: `data.labeled.LabeledPicture`.
  """

  task: ClassVar[str] = 'normals'
  label: ClassVar[str] = 'normals'

  def _make_truth(self, picture, number):
    return {'normals': picture.normals}


class SemanticRecords(_Records):
  """Classes that can be asked for, numbered in order; the others are none.

  Source: `data.labeled.LabeledPicture`.
  """

  task: ClassVar[str] = 'semantic'
  label: ClassVar[str] = 'semantic'

  def _choose_names(self, classes):
    for number in classes.areas if classes else ():
      yield classes.names[number]

  def _make_truth(self, picture, number):
    lookup = np.full(len(self.classes.names) + 1, _NO_CLASS, np.int32)
    lookup[list(self.classes.areas)] = range(len(self.class_names))
    lookup[labels.VOID] = _IGNORED  # the last row
    return {'semantic': lookup[picture.semantic]}


class ReferringRecords(_Records):
  """One question a phrase.

  Source: `data.labeled.LabeledPicture`.
  """

  task: ClassVar[str] = 'referring'
  label: ClassVar[str] = 'phrases'

  def _list_questions(self, found):
    for number, text in enumerate(found.phrases):
      yield (str(number),), text

  def _make_truth(self, picture, number):
    mask = picture.phrases[number].mask
    return {'mask': mask, 'ignore': np.zeros_like(mask)}


class InstanceRecords(_Records):
  """One question a class of things that a picture shows.

  Pixels whose object is not known belong to none.

  Source: `data.labeled.LabeledPicture`.
  """

  task: ClassVar[str] = 'instance'
  label: ClassVar[str] = 'instance'

  def _list_questions(self, found):
    for kind in sorted(set(found.instance_class)):
      yield (str(kind),), self.classes.names[kind]

  def _make_truth(self, picture, number):
    kind = sorted(set(picture.instance_class))[number]
    numbers = [
      k for k, each in enumerate(picture.instance_class, 1) if each == kind
    ]
    masks = picture.instance == np.array(numbers)[:, None, None]
    return {'masks': masks[None], 'crowd': np.zeros((1, len(numbers)), bool)}
