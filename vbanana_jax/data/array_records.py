"""Prepared pictures on disk: ArrayRecord shards and their manifest.

The format keeps a checksum of every record and checks it when the record is
read; what a record holds is in `records`.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import grain
from array_record.python import array_record_module

from vbanana_jax.data import manifest_classes, open_files, photos, records
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

MANIFEST = 'manifest.json'
_SHARD = re.compile(r'\w[\w.-]*')
_NAMED = 5  # bad records that one error names
# What the reader raises: damage is a RuntimeError, a file that was replaced
# by a shorter one an IndexError, one of another writer a ValueError.
_READ_ERRORS = (RuntimeError, IndexError, ValueError, OSError)


def write_shard(path: paths.Path, rows: Sequence[bytes]) -> str:
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
    for row in rows:
      writer.write(row)
    writer.close()
    shard = ShardFile(str(partial), len(rows))
    written = grain.sources.ArrayRecordDataSource([shard])
    for k, row in enumerate(rows):
      if read_bytes(written, k) != row:
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


def read_bytes(rows: grain.sources.ArrayRecordDataSource, index: int) -> bytes:
  """One record.

  Raises:
    UserError: it is damaged, or its file is not what it was.
  """
  try:
    return rows[index]
  except _READ_ERRORS as error:
    raise UserError(f'cannot be read ({error})') from error


class Shards:
  """Records of a prepared folder, by row.

  Args:
    folder: of the shards.
    listed: of them, as the manifest has them.
    name: of the data, for errors.

  Attributes:
    lost: of each shard that is missing or has another length than it was
      prepared with, what is wrong and how many records it holds.

  Raises:
    UserError: more shards than a process may open.
  """

  def __init__(
    self,
    folder: str | os.PathLike,
    listed: Sequence[Mapping[str, Any]],
    name: str,
  ):
    self._files = [
      ShardFile(str(paths.to_path(folder) / shard['file']), shard['count'])
      for shard in listed
    ]
    self.lost = tuple(
      (reason, file.take)
      for file, shard in zip(self._files, listed)
      if (reason := _find_loss(file.filename, shard['bytes']))
    )
    open_files.allow_open_files(len(self._files), name)
    self._rows = grain.sources.ArrayRecordDataSource(self._files)

  def __len__(self) -> int:
    return len(self._rows)

  def locate(self, index: int) -> str:
    """Shard and record of a row."""
    return locate_record(self._files, index)

  def read(self, index: int) -> bytes:
    """One record; UserError where it is damaged."""
    return read_bytes(self._rows, index)


def hash_file(path: paths.Path) -> str:
  """SHA-256 of a file."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def to_json(value: Mapping[str, Any]) -> str:
  """Text of a manifest; halves of characters in names are escaped."""
  text = json.dumps(value, indent=1, ensure_ascii=False)
  return text.encode(errors='backslashreplace').decode() + '\n'


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
      '`vbanana prepare KIND PATH --out DIR`'
    )
  try:
    manifest = json.loads(path.read_text(encoding='utf-8'))
    version = manifest['schema_version']
    if version == records.SCHEMA_VERSION:
      _check_fields(manifest)
  except (
    OSError, ValueError, TypeError, KeyError, AttributeError
  ) as error:  # fmt: skip
    raise UserError(
      f'{path}: damaged ({error}); prepare the pictures again'
    ) from error
  if version != records.SCHEMA_VERSION:
    raise UserError(
      f'{path}: schema {version}, this version reads '
      f'{records.SCHEMA_VERSION}; prepare the pictures again'
    )
  return manifest


def _check_fields(manifest: Mapping[str, Any]) -> None:
  """Raises one of many kinds where readers of a manifest would."""
  str.encode(manifest['name'])
  for shard in manifest['shards']:
    if not _SHARD.fullmatch(shard['file']):
      raise ValueError(f'{shard["file"]!r} is no shard')
    int(shard['count']), int(shard['bytes'])
  for count in manifest['labels'].values():
    int(count)
  if manifest['classes'] is not None:
    manifest_classes.check(
      manifest_classes.from_fields(manifest['classes']), 'manifest'
    )


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
  rows = grain.sources.ArrayRecordDataSource(
    [ShardFile(str(path), shard['count'])]
  )
  bad = []
  for k in range(len(rows)):
    try:
      picture = records.unpack_picture(read_bytes(rows, k))
      photos.open_photo(picture.encoded)
    except UserError:
      bad.append(str(k))
  if not bad:
    return 'but every record can be read'
  names = ', '.join(bad[:_NAMED]) + (', ...' if len(bad) > _NAMED else '')
  return f'{len(bad)} of {len(rows)} records cannot be read ({names})'


def _find_loss(path: str, size: int) -> str:
  """What is wrong with a shard at first sight, or ''."""
  try:
    found = os.stat(path).st_size
  except OSError as error:
    return f'{path}: shard missing ({error.strerror})'
  return '' if found == size else f'{path}: {found} bytes, prepared with {size}'
