"""A snapshot to an import: everything proven before anything is written.

Headers and configs come first: every stored name fills a parameter or is named
as one that nothing needs, every parameter is filled, shapes and types are as
the configs say. Then the files are copied piece by piece, every number looked
at, and the folder gets its name when all of it is there.
"""

import collections
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vbanana_jax import __version__
from vbanana_jax.klein import assembly, imported, sources, weights
from vbanana_jax.runtime import paths


def import_snapshot(
  source: sources.Source, out: pathlib.Path, start: assembly.Start
) -> dict[str, Any]:
  """Makes a folder with a snapshot and its manifest, which is returned.

  See `assembly.make_folder` for what an interrupted import leaves.

  Args:
    source: from `sources.open_source`.
    out: folder to make.
    start: see `assembly.make_folder`.

  Raises:
    UserError: the source is damaged or changes, or `out` is something else.
    DiskFullError: there is no room.
  """
  paths.refuse_bucket(out, 'tensors cannot be written')
  targets = list(sources.plan(source))
  about = [imported.FORMAT, source.snapshot.states]
  fingerprint = assembly.make_fingerprint(about, targets)
  if imported.is_import(out):
    manifest = imported.load_manifest(out)
    if manifest['made_from'] == fingerprint:
      return manifest

  def finish(hashes: Mapping[str, str]) -> dict[str, bytes]:
    manifest = _make_manifest(source, targets, hashes, fingerprint)
    return {imported.MANIFEST: imported.to_bytes(manifest)}

  assembly.make_folder(out, targets, fingerprint, finish, start)
  return imported.load_manifest(out)


def _make_manifest(
  source: sources.Source,
  targets: Sequence[assembly.Target],
  hashes: Mapping[str, str],
  made_from: str,
) -> dict[str, Any]:
  snapshot = source.snapshot
  parts = {name: _count(source, name) for name in snapshot.parts}
  # Of the contents alone, so that it is the same wherever it is imported.
  contents = json.dumps([snapshot.states, dict(sorted(hashes.items()))])
  network, terms = imported.get_license(parts[sources.TRANSFORMER]['weights'])
  return {
    'family': imported.FAMILY,
    'format': imported.FORMAT,
    'network': network,
    'license': terms,
    'source': str(source.file or snapshot.folder),
    'states': list(snapshot.states),
    'tokenizer': snapshot.tokenizer.hash,
    'parts': parts,
    'files': {
      target.name: {'bytes': target.size, 'sha256': hashes[target.name]}
      for target in targets
    },
    'fingerprint': hashlib.sha256(contents.encode()).hexdigest(),
    'made_from': made_from,
    'version': __version__,
  }


def _count(source: sources.Source, name: str) -> dict[str, Any]:
  """How many tensors fill how many parameters of a part."""
  part, tensors = source.snapshot.parts[name], source.tensors[name]
  leaves = weights.flatten(part.make_abstract())
  used = {row.stored for row in part.rows}
  return {
    'tensors': len(tensors),
    'used': len(used),
    'dead': sorted(set(tensors) - used),
    'parameters': len(leaves),
    'weights': sum(math.prod(leaf.shape) for leaf in leaves.values()),
    'types': dict(collections.Counter(tensors[key].dtype for key in used)),
  }
