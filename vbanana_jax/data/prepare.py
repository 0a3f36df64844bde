"""Turns labeled pictures into ArrayRecord shards with a manifest."""

import collections
import contextlib
import dataclasses
import glob
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vbanana_jax.data import (
  array_records,
  labeled,
  manifest_classes,
  prepare_shards,
  records,
)
from vbanana_jax.data.prepare_pictures import USUAL, Limits
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths, workdir_lock

UNITS = {
  'depth_m': 'meters along the optical axis; inf is sky, NaN is not known',
  'normals': 'unit vectors; x right, y up, z to the viewer; 0 is not known',
  'semantic': 'ids of classes; -1 is not known',
  'instance': '0 is no object, k the k-th; -1 is not known',
  'intrinsics': 'fx fy cx cy in pixels; the first one has its center at 0.5',
}
_NAMED = 3


def prepare_dataset(
  dataset: labeled.DataSet,
  out: str | os.PathLike,
  *,
  inputs: Sequence[str | os.PathLike] = (),
  options: Mapping[str, Any] | None = None,
  limits: Limits = USUAL,
) -> dict[str, Any]:
  """Write the pictures of a data set as shards in `out`; returns the manifest.

  Every photograph is decoded once, every label checked against it, and every
  shard read again. What cannot be used is left out and listed in the manifest
  with the reason. `out` appears only when it is whole. Stopped and started
  again, finished shards are kept if they are as they were; on a finished `out`
  of the same input nothing is done.

  Args:
    dataset: what to write.
    out: folder to make.
    inputs: folders and files that the data set is read from: what was prepared
      from others is prepared anew.
    options: by which it was opened, as JSON: likewise.
    limits: what is left out, and how many of them are refused.

  Raises:
    UserError: there is nothing to prepare, too many pictures are bad, or `out`
      is taken.
    DiskFullError: there is no room for the shards.
  """
  out = paths.to_path(out)
  paths.refuse_bucket(out, 'shards cannot be written')
  inputs = [*inputs, *dataset.also_read]
  fingerprint = _fingerprint(dataset, inputs, options or {}, limits, out)
  if out.exists():
    return _existing(out, fingerprint)
  _check_dataset(dataset)
  with workdir_lock.hold_out(out):
    partial = _make_partial(out, fingerprint)
    with _kept_if_of_use(partial, inputs[0] if inputs else dataset.name):
      shards = list(prepare_shards.write_shards(partial, dataset, limits))
      manifest = _make_manifest(dataset, shards, fingerprint)
      if not manifest['count']:
        reasons = '; '.join(map(_tell, manifest['skipped'][:_NAMED]))
        raise prepare_shards.RefusedError(
          f'no picture to prepare ({reasons or "empty"})'
        )
    manifest_path = partial / array_records.MANIFEST
    manifest_path.write_text(array_records.to_json(manifest), encoding='utf-8')
    os.rename(partial, out)
  for journal in out.glob('shard-*.json'):
    journal.unlink()
  return manifest


@contextlib.contextmanager
def _kept_if_of_use(partial: pathlib.Path, place: object) -> Iterator[None]:
  """Removes what was written where no later run can go on from it."""
  try:
    yield
  except BaseException as error:
    is_refused = isinstance(error, prepare_shards.RefusedError)
    if is_refused or not any(partial.glob('shard-*.json')):
      shutil.rmtree(partial)
    if is_refused:
      raise UserError(f'{place}: {error}') from error
    raise


def _check_dataset(dataset: labeled.DataSet) -> None:
  if dataset.classes is not None:
    manifest_classes.check(dataset.classes, dataset.name)
  seen = set()
  for name in dataset.ids:
    if name in seen:
      raise UserError(f'{dataset.name}: two pictures are called {name}')
    seen.add(name)


def _make_partial(out: pathlib.Path, fingerprint: str) -> pathlib.Path:
  """Where shards wait until all are there; those of other input are removed."""
  partial = out.with_name(f'.{out.name}.{fingerprint[:16]}.partial')
  digits = '[0-9a-f]' * 16  # `photos.v2` is none of the names of `photos`
  for other in out.parent.glob(f'.{glob.escape(out.name)}.{digits}.partial'):
    if other != partial:
      shutil.rmtree(other)
  partial.mkdir(parents=True, exist_ok=True)
  return partial


def _make_manifest(
  dataset: labeled.DataSet,
  shards: Sequence[Mapping[str, Any]],
  fingerprint: str,
) -> dict[str, Any]:
  skipped = [{'file': f, 'reason': reason} for f, reason in dataset.skipped]
  known: collections.Counter[str] = collections.Counter()
  for shard in shards:
    skipped.extend(shard['skipped'])
    known.update(shard['labels'])
  kept = ('file', 'count', 'bytes', 'sha256')
  written = [{k: s[k] for k in kept} for s in shards if s['count']]
  classes = dataset.classes
  return {
    'schema_version': records.SCHEMA_VERSION,
    'name': dataset.name,
    'source': dataset.source,
    'license': dataset.license,
    'count': sum(shard['count'] for shard in written),
    'bytes': sum(shard['bytes'] for shard in written),
    'labels': {key: known[key] for key in labeled.LABELS if key in known},
    'classes': classes and manifest_classes.to_fields(classes),
    'units': {key: unit for key, unit in UNITS.items() if key in known},
    'exclusions': list(dataset.exclusions),
    'bad': sum(shard['bad'] for shard in shards),
    'notes': [*dataset.notes, *_find_notes(shards, known)],
    'fingerprint': fingerprint,
    'shards': written,
    'skipped': sorted(skipped, key=lambda entry: entry['file']),
  }


def _find_notes(shards, known) -> Iterator[str]:
  """What only reading all pictures could tell."""
  several = [name for shard in shards for name in shard['several']]
  if several:
    names = ', '.join(several[:_NAMED]) + (', ...' * bool(several[_NAMED:]))
    yield (
      f'{len(several)} files hold several pictures, of which the first is '
      f'taken: {names}'
    )
  dropped = sum(shard['dropped'] for shard in shards)
  if dropped:
    yield f'{dropped} captions are too long and left out'
  total = sum(shard['count'] for shard in shards)
  for key, count in known.items():
    if count < total and key != 'intrinsics':
      yield (
        f'{count} of {total} pictures have {key}, so that no task can ask for '
        f'it: --require {key} leaves the others out'
      )


def _existing(out: pathlib.Path, fingerprint: str) -> dict[str, Any]:
  if (out / array_records.MANIFEST).is_file():
    manifest = array_records.load_manifest(out)
    if manifest['fingerprint'] == fingerprint:
      return manifest
  raise UserError(
    f'{out}: holds something else already; choose another folder or remove it'
  )


def _fingerprint(
  dataset: labeled.DataSet,
  inputs: Sequence[str | os.PathLike],
  options: Mapping[str, Any],
  limits: Limits,
  out: pathlib.Path,
) -> str:
  """Digest of what the shards are a function of."""
  facts = [
    records.SCHEMA_VERSION,
    [dataset.name, dataset.license, dataset.source, list(dataset.ids)],
    dataset.classes and manifest_classes.to_fields(dataset.classes),
    [list(_list_files(paths.to_path(path), out)) for path in inputs],
    {key: str(value) for key, value in options.items()},
    dataclasses.asdict(limits),
  ]
  text = json.dumps(facts, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _list_files(
  path: pathlib.Path, out: pathlib.Path
) -> Iterator[tuple[str, int, int]]:
  """Name, length and time of a file or of each below a folder, not of `out`."""
  if path.is_file():
    stat = path.stat()
    yield path.name, stat.st_size, stat.st_mtime_ns
  own = out.absolute()
  for folder, folders, files in os.walk(path.absolute()):
    if pathlib.Path(folder) == own.parent:
      folders[:] = [name for name in folders if not _is_of(name, own.name)]
      files = [name for name in files if not _is_of(name, own.name)]
    folders.sort()
    for name in sorted(files):
      stat = os.lstat(os.path.join(folder, name))
      file = os.path.relpath(os.path.join(folder, name), path)
      text = os.fsencode(file).decode(errors='replace')
      yield text, stat.st_size, stat.st_mtime_ns


def _is_of(name: str, out: str) -> bool:
  return name == out or name.startswith(f'.{out}.')


def _tell(entry: Mapping[str, str]) -> str:
  return f'{entry["file"]}: {entry["reason"]}'
