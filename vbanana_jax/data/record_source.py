"""Prepared pictures as a source of examples, plain or varied."""

import math
import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from vbanana_jax.data import (
  array_records,
  augment,
  labeled,
  manifest_classes,
  photos,
  records,
  sources,
  texts,
  windows,
)
from vbanana_jax.data.bad_records import BadRecordError
from vbanana_jax.errors import UserError

_OPTIONAL = {'captions', 'intrinsics'}  # of use where some pictures have them
_SPARE = 2  # pixels for one, so that resizing is antialiasing
_WITH = {'instance': ('instance_class',)}


class RecordSource:
  """Rows of a folder that `vbanana prepare` wrote.

  Args:
    folder: with the manifest.
    size: height and width of examples.
    settings: how `draw` varies them; by default not at all.
    needs: labels that are wanted, all by default; others take time to read.
      Captions and intrinsics come with them.

  Attributes:
    labels: keys that all of its examples have.
    classes: of class ids, where there are any.
    lost: of each shard that is missing or has another length than it was
      prepared with, what is wrong and how many records it holds.

  Raises:
    UserError: there is no such folder, or more shards than a process may open;
      from reading a row, BadRecordError.
  """

  endless = False

  def __init__(
    self,
    folder: str | os.PathLike,
    size: int | tuple[int, int],
    settings: augment.Settings | None = None,
    needs: Collection[str] | None = None,
  ):
    manifest = array_records.load_manifest(folder)
    self.name = manifest['name']
    self.height, self.width = (size, size) if isinstance(size, int) else size
    table = manifest['classes']
    self.classes = table and manifest_classes.from_fields(table)
    self.labels = _find_keys(manifest)
    self._settings = settings
    wanted = labeled.LABELS if needs is None else needs
    self._read = (self.labels & set(wanted)) | _OPTIONAL
    self._shards = array_records.Shards(folder, manifest['shards'], self.name)
    self.lost = self._shards.lost

  def __len__(self) -> int:
    return len(self._shards)

  def locate(self, index: int) -> str:
    """Shard and record of a row."""
    return self._shards.locate(index)

  def __getitem__(self, index: int) -> sources.Example:
    """The largest window of a picture, in its middle.

    It is moved where it would show nothing that a phrase denotes.
    """
    example = self._load(index, 1.0)
    size = self.height, self.width
    return _finish(
      windows.see(example, windows.find_plain(example, size), size)
    )

  def draw(self, index: int, rng: np.random.Generator) -> sources.Example:
    """A reading of a picture that is a function of row, settings and `rng`."""
    if self._settings is None:
      return self[index]
    example = self._load(index, self._settings.least_share)
    size = self.height, self.width
    return _finish(augment.vary(example, self._settings, rng, size))

  def _load(self, index: int, share: float) -> dict[str, Any]:
    """All that is known of a picture, at its own size; rgb is uint8.

    A photograph alone may be smaller, if the window that is seen of it, a share
    of its sides, still has twice the pixels that are wanted.
    """
    if not 0 <= index < len(self):
      raise IndexError(f'row {index} of {len(self)}')
    try:
      record = self._shards.read(index)
      picture = records.unpack_picture(record, self._read)
      enough = None
      if not (picture.known & self._read) - {'captions'}:
        enough = math.ceil(_SPARE * max(self.height, self.width) / share)
      rgb_u8 = photos.open_photo(
        picture.encoded, name=picture.file, enough=enough
      )
      return self._to_example(int(index), picture, rgb_u8)
    except UserError as error:
      raise BadRecordError(f'{self.locate(index)}: {error}') from error

  def _to_example(self, index, picture, rgb_u8) -> dict[str, Any]:
    shape = rgb_u8.shape[:2]
    example = {'index': index, 'rgb': rgb_u8}
    for key in picture.known & self._read:
      example[key] = getattr(picture, key)
    for key in ('depth_m', 'normals', 'semantic', 'instance'):
      if key in example and example[key].shape[:2] != shape:
        raise UserError(f'{key} and the photograph differ in size')
    if 'instance' in example:
      example['instance_class'] = np.array(picture.instance_class, np.int32)
    if self.classes is not None:
      example['classes'] = self.classes
    if 'edit' in example:
      after = photos.open_photo(picture.edit.encoded, name=picture.file)
      example['edit'] = {'instruction': picture.edit.instruction, 'rgb': after}
    return example


def _find_keys(manifest: Mapping[str, Any]) -> frozenset[str]:
  keys = {'rgb'}
  for key, count in manifest['labels'].items():
    if count == manifest['count']:
      keys |= {key, *_WITH.get(key, ())}
  if manifest['classes'] is not None:
    keys.add('classes')
  return frozenset(keys)


def _finish(example: dict[str, Any]) -> sources.Example:
  """Ids as `labels` has them, and sequences of words as what draws of them."""
  for key in ('semantic', 'instance'):
    if key in example:
      example[key] = example[key].astype(np.int32, copy=False)
  for key, kind in (
    ('captions', texts.CaptionList), ('phrases', texts.PhraseList)
  ):  # fmt: skip
    if key in example:
      example[key] = kind(example[key])
  return example
