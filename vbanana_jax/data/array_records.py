"""Prepared photographs: ArrayRecord shards, their manifest and their source.

A record is a 4-byte length (little endian), that many bytes of JSON (caption,
file, height, width), and the picture's encoded bytes as they came. The format
keeps a checksum of every record and checks it when the record is read.
"""

import dataclasses
import hashlib
import json
import os
import struct
from collections.abc import Sequence

import grain
import numpy as np
from array_record.python import array_record_module

from vbanana_jax.data import open_files, photos, sources, texts
from vbanana_jax.data.bad_records import BadRecordError
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

SCHEMA_VERSION = 1
MANIFEST = 'manifest.json'
_NAMED = 5  # bad records that one error names
# What the reader raises: damage is a RuntimeError, a file that was replaced
# by a shorter one an IndexError, one of another writer a ValueError.
_READ_ERRORS = (RuntimeError, IndexError, ValueError, OSError)


@dataclasses.dataclass(frozen=True)
class Photo:
  """One prepared photograph; `height` and `width` are upright pixels."""

  encoded: bytes
  caption: str
  file: str
  height: int
  width: int


def pack_photo(photo: Photo) -> bytes:
  """Record of a photograph."""
  fields = dataclasses.asdict(photo)
  encoded = fields.pop('encoded')
  header = json.dumps(fields, ensure_ascii=False).encode()
  return struct.pack('<I', len(header)) + header + encoded


def unpack_photo(record: bytes) -> Photo:
  """Photograph of a record; UserError where the bytes are not one."""
  try:
    (length,) = struct.unpack_from('<I', record)
    header, encoded = record[4 : 4 + length], record[4 + length :]
    photo = Photo(encoded=encoded, **json.loads(header))
  except (struct.error, ValueError, TypeError) as error:
    raise UserError(f'not the record of a photograph ({error})') from error
  if not (isinstance(photo.caption, str) and isinstance(photo.file, str)):
    raise UserError('not the record of a photograph (no caption or no name)')
  return photo


def write_shard(path: paths.Path, records: Sequence[bytes]) -> str:
  """Write records for random access, atomically; returns the SHA-256.

  Raises:
    UserError: the file cannot be written, or does not hold the records when it
      is read again.
  """
  partial = path.with_name(path.name + '.partial')
  try:
    # Groups of one record: larger groups read 15 to 30 times slower.
    writer = array_record_module.ArrayRecordWriter(
      str(partial), 'group_size:1,uncompressed'
    )
    for record in records:
      writer.write(record)
    writer.close()
    shard = ShardFile(str(partial), len(records))
    written = grain.sources.ArrayRecordDataSource([shard])
    for k, record in enumerate(records):
      if _read_bytes(written, k) != record:
        raise UserError(f'record {k} is not what was written')
  except (RuntimeError, UserError) as error:
    raise UserError(
      f'{partial}: cannot be written and read again ({error}); make room or '
      'choose another disk, and start again'
    ) from error
  digest = hash_file(partial)
  os.replace(partial, path)
  return digest


@dataclasses.dataclass(frozen=True)
class ShardFile:
  """What grain wants to know of a shard, so that it need not open all."""

  filename: str
  take: int
  skip: int = 0

  @property
  def examples_in_shard(self) -> int:
    return self.take


def locate_record(files: Sequence[ShardFile], index: int) -> str:
  """File and record that row `index` of all files is."""
  for file in files:
    if index < file.take:
      return f'{file.filename} record {file.skip + index}'
    index -= file.take
  raise IndexError(f'{index} rows behind the last file')


def _read_bytes(
  records: grain.sources.ArrayRecordDataSource, index: int
) -> bytes:
  try:
    return records[index]
  except _READ_ERRORS as error:
    raise UserError(f'cannot be read ({error})') from error


def hash_file(path: paths.Path) -> str:
  """SHA-256 of a file."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def load_manifest(folder: str | os.PathLike) -> dict:
  """Manifest of a prepared folder.

  Raises:
    UserError: there is none, or one of another schema.
  """
  # Its reader takes the name of an object for that of an empty file.
  paths.refuse_bucket(folder, 'shards cannot be read')
  path = paths.to_path(folder) / MANIFEST
  if not path.is_file():
    raise UserError(
      f'{folder}: not a prepared folder (no {MANIFEST}); make one with '
      '`vbanana prepare image_folder PATH`'
    )
  try:
    manifest = json.loads(path.read_text(encoding='utf-8'))
    version = manifest['schema_version']
  except (OSError, ValueError, TypeError, KeyError) as error:
    raise UserError(
      f'{path}: damaged ({error}); prepare the pictures again'
    ) from error
  if version != SCHEMA_VERSION:
    raise UserError(
      f'{path}: schema {version}, this version reads '
      f'{SCHEMA_VERSION}; prepare the pictures again'
    )
  return manifest


def check_shards(folder: str | os.PathLike) -> dict:
  """Compare every shard with the manifest, which is returned.

  Raises:
    UserError: names the shards that are missing or differ, and their bad
      records.
  """
  manifest = load_manifest(folder)
  faults = []
  for shard in manifest['shards']:
    path = paths.to_path(folder) / shard['file']
    if not path.is_file():
      faults.append(f'{path}: shard missing')
    elif hash_file(path) != shard['sha256']:
      faults.append(f'{path}: shard damaged, {_describe_damage(path, shard)}')
  if faults:
    raise UserError('; '.join([*faults, 'prepare the pictures again']))
  return manifest


def _describe_damage(path: paths.Path, shard: dict) -> str:
  records = grain.sources.ArrayRecordDataSource(
    [ShardFile(str(path), shard['count'])]
  )
  bad = []
  for k in range(len(records)):
    try:
      photo = unpack_photo(_read_bytes(records, k))
      photos.open_photo(photo.encoded)
    except UserError:
      bad.append(str(k))
  if not bad:
    return 'but every record can be read'
  names = ', '.join(bad[:_NAMED]) + (', ...' if len(bad) > _NAMED else '')
  return f'{len(bad)} of {len(records)} records cannot be read ({names})'


class PhotoSource:
  """Prepared photographs as rows of rgb and caption.

  Args:
    folder: what `vbanana prepare image_folder` wrote.
    size: height and width that pictures are cropped and resized to.

  Attributes:
    lost: of each shard that is missing or has another length than it was
      prepared with, what is wrong and how many records it holds.

  Raises:
    UserError: there is no such folder, or more shards than a process may open;
      from reading a row, BadRecordError.
  """

  endless = False
  labels = frozenset({'rgb', 'captions'})

  def __init__(self, folder: str | os.PathLike, size: int | tuple[int, int]):
    manifest = load_manifest(folder)
    self.name = manifest['name']
    self.height, self.width = (size, size) if isinstance(size, int) else size
    shards = manifest['shards']
    self._shards = [
      ShardFile(str(paths.to_path(folder) / shard['file']), shard['count'])
      for shard in shards
    ]
    self.lost = tuple(
      (reason, file.take)
      for file, shard in zip(self._shards, shards)
      if (reason := _find_loss(file.filename, shard['bytes']))
    )
    open_files.allow_open_files(len(self._shards), self.name)
    self._records = grain.sources.ArrayRecordDataSource(self._shards)

  def __len__(self) -> int:
    return len(self._records)

  def locate(self, index: int) -> str:
    """Shard and record of a row."""
    return locate_record(self._shards, index)

  def __getitem__(self, index: int) -> sources.Example:
    if not 0 <= index < len(self):
      raise IndexError(f'row {index} of {len(self)}')
    try:
      photo = unpack_photo(_read_bytes(self._records, index))
      rgb_u8 = photos.open_photo(photo.encoded, name=photo.file)
    except UserError as error:
      raise BadRecordError(f'{self.locate(index)}: {error}') from error
    fitted = photos.fit_photo(rgb_u8, self.height, self.width)
    return {
      'index': int(index),
      'rgb': fitted.astype(np.float32) / 255,
      'caption': photo.caption,
      'captions': texts.CaptionList([photo.caption] if photo.caption else []),
    }


def _find_loss(path: str, size: int) -> str:
  """What is wrong with a shard at first sight, or ''."""
  try:
    found = os.stat(path).st_size
  except OSError as error:
    return f'{path}: shard missing ({error.strerror})'
  return '' if found == size else f'{path}: {found} bytes, prepared with {size}'
