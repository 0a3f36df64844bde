"""Any prepared TFDS data set as a source: random access, no TensorFlow."""

import os
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vbanana_jax.data import (
  array_records,
  open_files,
  photos,
  sources,
  texts,
  windows,
)
from vbanana_jax.data.bad_records import BadRecordError
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

LABELS = ('depth_m', 'normals', 'semantic', 'instance')
_KNOWN = ('depth_m', 'normals')  # of ids, only a set's own table knows


class TfdsSource:
  """Rows of a prepared TFDS data set (in a random-access format).

  Args:
    name: TFDS name, such as 'cifar10' or 'imagenet2012:5.1.0'.
    data_dir: where it was prepared.
    split: such as 'train' or 'train[:90%]'.
    size: height and width that pictures are cropped and resized to.
    image: feature that holds the picture.
    text: feature that becomes the caption, a text or a class label; by
      default 'caption' or 'label' where there is one.
    labels: dense labels to read, out of `LABELS`, which must have the size of
      their pictures; by default those that mean the same in every set, if they
      are there. They are seen through the window of the picture.

  Attributes:
    lost: of each file of the split that is missing, that and how many records
      it holds.

  Raises:
    UserError: the data, its split or a feature is missing; from reading a row,
      BadRecordError.
  """

  endless = False

  def __init__(
    self,
    name: str,
    data_dir: str | os.PathLike,
    split: str,
    size: int | tuple[int, int],
    *,
    image: str = 'image',
    text: str | None = None,
    labels: tuple[str, ...] | None = None,
  ):
    self.name = f'{name}:{split}'
    self.height, self.width = (size, size) if isinstance(size, int) else size
    builder = _load_builder(name, paths.to_path(data_dir))
    self._features = builder.info.features
    self._image = image
    self._text = text or _find_text(self._features)
    if labels is None:
      labels = tuple(key for key in _KNOWN if key in self._features)
    self._labels = labels
    self.labels = frozenset({'rgb', 'captions', *labels})
    for key in (image, *labels, *([text] if text else [])):
      if key not in self._features:
        raise UserError(
          f'TFDS {name!r} has no feature {key!r}; it has '
          f'{sorted(self._features)}'
        )
    # TFDS would decode with OpenCV or Pillow unchecked; open_photo is safe.
    decoders = {image: tfds.decode.SkipDecoding()}
    try:
      self._rows = builder.as_data_source(split=split, decoders=decoders)
    except (ValueError, NotImplementedError) as error:
      raise UserError(f'TFDS {name!r}, split {split!r}: {error}') from error
    self._files = builder.info.splits[split].file_instructions
    open_files.allow_open_files(len(self._files), self.name)
    self.lost = tuple(
      (f'{file.filename}: file missing', file.take)
      for file in self._files
      if not os.path.isfile(file.filename)
    )

  def __len__(self) -> int:
    return len(self._rows)

  def locate(self, index: int) -> str:
    """File and record of a row."""
    return array_records.locate_record(self._files, index)

  def __getitem__(self, index: int) -> sources.Example:
    if not 0 <= index < len(self):
      raise IndexError(f'row {index} of {len(self)}')
    try:
      row = self._rows[index]
      rgb_u8 = photos.open_photo(row[self._image], name=self._image)
      caption = self._caption(row)
      example = {'index': int(index), 'rgb': rgb_u8}
      for key in self._labels:
        example[key] = _read_label(row[key], key, rgb_u8.shape)
    except MemoryError:
      raise
    except Exception as error:  # every format and feature raises its own kinds
      raise BadRecordError(f'{self.locate(index)}: {error}') from error
    size = self.height, self.width
    window = windows.center(rgb_u8.shape[:2], size)
    return {
      **windows.see(example, window, size),
      'captions': texts.CaptionList(filter(None, [caption])),
    }

  def _caption(self, row: dict[str, Any]) -> str | None:
    if self._text is None:
      return None
    feature = self._features[self._text]
    if isinstance(feature, tfds.features.ClassLabel):
      return feature.int2str(int(row[self._text])).replace('_', ' ')
    value = row[self._text]
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_label(value: Any, key: str, shape: tuple[int, ...]) -> np.ndarray:
  label = np.asarray(value)
  if key == 'depth_m':
    label = label.reshape(label.shape[:2])  # many sets have one channel
  if label.shape[:2] != shape[:2]:
    raise UserError(f'{key} has {label.shape[:2]} pixels, not {shape[:2]}')
  return label


def hash_manifest(name: str, data_dir: str | os.PathLike) -> str:
  """SHA-256 of what a prepared set says of its version, splits and shards."""
  builder = _load_builder(name, paths.to_path(data_dir))
  return array_records.hash_file(
    paths.to_path(builder.data_dir) / 'dataset_info.json'
  )


def _load_builder(
  name: str, data_dir: str | os.PathLike
) -> tfds.core.DatasetBuilder:
  paths.refuse_bucket(data_dir, 'shards cannot be read')
  try:
    builder = tfds.builder(name, data_dir=str(data_dir))
  except tfds.core.DatasetNotFoundError as error:
    raise UserError(
      f'TFDS {name!r} is not known and not under {data_dir}'
    ) from error
  if not builder.is_prepared():
    raise UserError(
      f'TFDS {name!r} is not prepared under {data_dir}; prepare it there '
      'with `tfds build --file_format=array_record`'
    )
  return builder


def _find_text(features: tfds.features.FeaturesDict) -> str | None:
  return next((key for key in ('caption', 'label') if key in features), None)
