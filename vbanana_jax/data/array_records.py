"""Prepared photographs: ArrayRecord shards, their manifest and their source.

A record is a 4-byte length (little endian), that many bytes of JSON (caption,
file, height, width), and the picture's encoded bytes as they came.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import struct

import grain
import numpy as np
from array_record.python import array_record_module

from vbanana_jax.data import photos, sources
from vbanana_jax.errors import UserError

SCHEMA_VERSION = 1
MANIFEST = 'manifest.json'


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
  """Photograph of a record."""
  (length,) = struct.unpack_from('<I', record)
  fields = json.loads(record[4 : 4 + length])
  return Photo(encoded=record[4 + length :], **fields)


def write_shard(path: pathlib.Path, records: list[bytes]) -> str:
  """Write records for random access, atomically; returns the SHA-256."""
  partial = path.with_name(path.name + '.partial')
  # Groups of one record: larger groups read 15 to 30 times slower at random.
  writer = array_record_module.ArrayRecordWriter(
    str(partial), 'group_size:1,uncompressed'
  )
  for record in records:
    writer.write(record)
  writer.close()
  digest = hash_file(partial)
  os.replace(partial, path)
  return digest


def hash_file(path: pathlib.Path) -> str:
  """SHA-256 of a file."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def load_manifest(folder: str | os.PathLike) -> dict:
  """Manifest of a prepared folder.

  Errors: UserError where there is none, or one of another schema.
  """
  path = pathlib.Path(folder, MANIFEST)
  if not path.is_file():
    raise UserError(
      f'{folder}: not a prepared folder (no {MANIFEST}); make one with '
      '`vbanana prepare image_folder PATH`'
    )
  manifest = json.loads(path.read_text(encoding='utf-8'))
  if manifest.get('schema_version') != SCHEMA_VERSION:
    raise UserError(
      f'{path}: schema {manifest.get("schema_version")}, this version reads '
      f'{SCHEMA_VERSION}; prepare the pictures again'
    )
  return manifest


def check_shards(folder: str | os.PathLike) -> dict:
  """Compare every shard with the manifest, which is returned.

  Errors: UserError naming the first shard that is missing or differs.
  """
  manifest = load_manifest(folder)
  for shard in manifest['shards']:
    path = pathlib.Path(folder, shard['file'])
    if not path.is_file():
      raise UserError(f'{path}: shard missing; prepare the pictures again')
    if hash_file(path) != shard['sha256']:
      raise UserError(f'{path}: shard damaged; prepare the pictures again')
  return manifest


class PhotoSource:
  """Prepared photographs as rows of rgb and caption.

  Args:
    folder: what `vbanana prepare image_folder` wrote.
    size: height and width that pictures are cropped and resized to.
  """

  endless = False

  def __init__(self, folder: str | os.PathLike, size: int | tuple[int, int]):
    manifest = load_manifest(folder)
    self.name = manifest['name']
    self.height, self.width = (size, size) if isinstance(size, int) else size
    paths = [str(pathlib.Path(folder, s['file'])) for s in manifest['shards']]
    self._records = grain.sources.ArrayRecordDataSource(paths)
    if len(self._records) != manifest['count']:
      raise UserError(
        f'{folder}: {len(self._records)} records, the manifest says '
        f'{manifest["count"]}; check it with `vbanana prepare image_folder '
        f'--out {folder} --verify`'
      )

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> sources.Example:
    photo = unpack_photo(self._records[index])
    rgb_u8 = photos.open_photo(photo.encoded, name=photo.file)
    fitted = photos.fit_photo(rgb_u8, self.height, self.width)
    return {
      'index': int(index),
      'rgb': fitted.astype(np.float32) / 255,
      'caption': photo.caption,
    }
