"""A snapshot that was imported: proven, with a manifest, ready to be tuned.

The folder has the layout of the snapshot, so that whatever reads one reads the
other. `import.json` is written last and says what was proven.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from vbanana_jax.errors import UserError
from vbanana_jax.klein import stored
from vbanana_jax.klein.snapshot import Snapshot
from vbanana_jax.models import numerics

MANIFEST = 'import.json'
FAMILY, FORMAT = 'klein', 1
_READ_BYTES = 1 << 22
# Published sizes of the transformer: name and license.
_LICENSES = {
  3_875_544_576: ('FLUX.2 klein 4B', 'Apache-2.0'),
  9_078_581_248: (
    'FLUX.2 klein 9B',
    'FLUX non-commercial license: no commercial use of it or of what is tuned '
    'from it',
  ),
}
_UNKNOWN = (
  'not a published size',
  'not known: read the license of where it was taken from',
)


def is_import(folder: str | os.PathLike) -> bool:
  """Whether a folder is what `vbanana import klein` makes."""
  return (pathlib.Path(folder) / MANIFEST).is_file()


def load_manifest(folder: str | os.PathLike) -> dict[str, Any]:
  """What was proven of an import; see `importer`.

  Raises:
    UserError: there is none, or one of another form.
  """
  path = pathlib.Path(folder) / MANIFEST
  if not path.is_file():
    raise UserError(
      f'{folder} is no import: make one with vbanana import klein'
    )
  manifest = stored.read_json(path)
  if (manifest.get('family'), manifest.get('format')) != (FAMILY, FORMAT):
    raise UserError(
      f'{path} is of another version of vbanana_jax: import the snapshot again'
    )
  return manifest


def open_import(
  folder: str | os.PathLike, precision: numerics.Precision
) -> Snapshot:
  """The snapshot in an import, with the states that it was imported with.

  Names and sizes of all files are compared with the manifest; `verify` compares
  their contents too.

  Args:
    folder: of the import.
    precision: arithmetic, see `Snapshot`.

  Raises:
    UserError: it is none, or a file is not as it was imported.
  """
  manifest = load_manifest(folder)
  folder = pathlib.Path(folder)
  for name, known in manifest['files'].items():
    path = folder / name
    size = path.stat().st_size if path.is_file() else None
    if size != known['bytes']:
      told = 'is missing' if size is None else f'has {size} bytes'
      raise _changed(path, f'{told}, {known["bytes"]} were imported')
  return Snapshot(folder, precision, tuple(manifest['states']))


def verify(
  folder: str | os.PathLike, report: Callable[[int], object]
) -> Mapping[str, str]:
  """SHA-256 of the files of an import, by name, all as in its manifest.

  Args:
    folder: of the import.
    report: is told of every number of bytes that are done.

  Raises:
    UserError: a file is missing or has other bytes.
  """
  known = load_manifest(folder)['files']
  found = {}
  for name, entry in known.items():
    path = pathlib.Path(folder) / name
    found[name] = hash_file(path, report)
    if found[name] != entry['sha256']:
      raise _changed(path, 'has other bytes than were imported')
  return found


def hash_file(path: pathlib.Path, report: Callable[[int], object]) -> str:
  """SHA-256 of a file.

  Raises:
    UserError: it cannot be read.
  """
  found, piece = hashlib.sha256(), memoryview(bytearray(_READ_BYTES))
  try:
    with path.open('rb') as file:
      while count := file.readinto(piece):
        found.update(piece[:count])
        report(count)
  except OSError as error:
    raise stored.unreadable(path, error) from error
  return found.hexdigest()


def get_license(weights: int) -> tuple[str, str]:
  """Name and license of the published transformer of so many weights."""
  return _LICENSES.get(weights, _UNKNOWN)


def to_bytes(manifest: Mapping[str, Any]) -> bytes:
  """A manifest as its file holds it."""
  return (json.dumps(manifest, indent=1) + '\n').encode()


def _changed(path: pathlib.Path, told: str) -> UserError:
  return UserError(
    f'{path} {told}: bring it back from a copy, or import the snapshot again'
  )
