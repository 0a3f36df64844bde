"""An import, untouched or tuned, back to the layout that it came from."""

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vbanana_jax.errors import UserError
from vbanana_jax.klein import assembly, imported, stored, weights
from vbanana_jax.klein.snapshot import Part, Snapshot
from vbanana_jax.klein.tables import Row
from vbanana_jax.models import numerics
from vbanana_jax.runtime import paths

_TRANSFORMER = 'transformer'
# As safetensors names types, and as numpy does with ml_dtypes.
_TYPES = {'BF16': 'bfloat16', 'F16': 'float16', 'F32': 'float32'}


class Tuned(NamedTuple):
  """Parameters of a transformer that was tuned.

  Attributes:
    params: a tree as `Part.make_abstract` of the import has it.
    of: where they come from, in words; others of the same words are taken for
      the same.
  """

  params: Any
  of: str


def export_snapshot(
  folder: str | os.PathLike,
  out: pathlib.Path,
  start: assembly.Start,
  tuned: Tuned | None = None,
) -> list[str]:
  """Writes a snapshot for `diffusers`; the names of its files.

  Of an untouched import every file has the bytes that were imported. Of a tuned
  one the transformer's files keep their headers, so the names, order, shapes
  and types of all tensors; a number is the nearest one of its type.

  Args:
    folder: of the import.
    out: folder to make.
    start: see `assembly.make_folder`.
    tuned: other parameters of the transformer, if any.

  Raises:
    UserError: the folder is no whole import, the parameters are of another
      network, or `out` is there.
    DiskFullError: there is no room.
  """
  paths.refuse_bucket(out, 'tensors cannot be written')
  manifest = imported.load_manifest(folder)
  snapshot = imported.open_import(folder, numerics.Precision())
  known = {name: entry['sha256'] for name, entry in manifest['files'].items()}
  others = _list_tuned(snapshot, tuned.params) if tuned else ()
  anew = {target.name: target for target in others}
  targets = [
    anew.get(name) or assembly.copy(name, snapshot.folder / name)
    for name in known
  ]

  def finish(hashes: Mapping[str, str]) -> dict[str, bytes]:
    for name, found in hashes.items():
      if name not in anew and found != known[name]:
        raise UserError(
          f'{snapshot.folder / name} has other bytes than were imported: '
          'import the snapshot again'
        )
    return {}

  about = ['export', known, tuned and tuned.of]
  fingerprint = assembly.make_fingerprint(about, targets)
  assembly.make_folder(out, targets, fingerprint, finish, start)
  return list(known)


def _list_tuned(snapshot: Snapshot, params: Any) -> Iterator[assembly.Target]:
  """The transformer's files with other numbers."""
  part = snapshot.parts[_TRANSFORMER]
  leaves = weights.flatten(params)
  _check_leaves(part, leaves)
  tensors = part.list_tensors(snapshot.folder)
  rows: dict[str, list[Row]] = {}
  for row in part.rows:
    rows.setdefault(row.stored, []).append(row)
  for file in sorted({tensor.file for tensor in tensors.values()}):
    header = stored.read_header(file)
    pieces = [_make_piece(header.data)]
    for name, (first, last) in header.spans.items():
      dtype = tensors[name].dtype

      def read(name=name, dtype=dtype) -> bytes:
        return make_tensor(rows[name], leaves, _TYPES[dtype]).tobytes()

      pieces.append(assembly.Piece(last - first, read, name, dtype))
    yield assembly.Target(f'{_TRANSFORMER}/{file.name}', file, pieces)


def _make_piece(data: bytes) -> assembly.Piece:
  return assembly.Piece(len(data), lambda: data)


def make_tensor(
  rows: list[Row], leaves: Mapping[str, Any], dtype: str
) -> np.ndarray:
  """A stored tensor from the parameters that it fills: a table, read back.

  Args:
    rows: of `tables`, all of the tensor.
    leaves: parameters by path.
    dtype: of the result.
  """
  parts = []
  for row in sorted(rows, key=lambda row: row.start):
    leaf = leaves[row.path]
    leaf = leaf if row.block is None else leaf[row.block]
    array = np.asarray(leaf).astype(dtype)
    parts.append(array.transpose(np.argsort(row.order)))
  return np.ascontiguousarray(np.concatenate(parts, axis=rows[0].axis))


def _check_leaves(part: Part, leaves: Mapping[str, Any]) -> None:
  """Raises UserError unless they are the parameters of the import's network."""
  wanted = weights.flatten(part.make_abstract())
  for path in sorted(wanted.keys() | leaves.keys()):
    shapes = [tree[path].shape if path in tree else None
              for tree in (wanted, leaves)]  # fmt: skip
    if shapes[0] != shapes[1]:
      raise UserError(
        f'the weights are not those of the import: {path} has the shape '
        f'{shapes[1]} and {shapes[0]} is asked for'
      )
