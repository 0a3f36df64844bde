"""Golden files of a tiny FLUX.2 klein; tests/oracles/README.md tells of them.

VBANANA_KLEIN names a folder with another set of the same form.
"""

import functools
import hashlib
import json
import os
import pathlib

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from vbanana_jax import models
from vbanana_jax.klein import importer, sources, vendor
from vbanana_jax.klein.pipeline import Pipeline
from vbanana_jax.klein.snapshot import Snapshot

FOLDER = pathlib.Path(
  os.environ.get('VBANANA_KLEIN')
  or pathlib.Path(__file__).parent / 'oracles' / 'klein'
)
SNAPSHOT = FOLDER / 'snapshot'
EXACT = models.Precision()


def load_json(name):
  return json.loads((FOLDER / f'{name}.json').read_text(encoding='utf-8'))


def load_arrays(name):
  """Arrays of an .npz file by their name."""
  with np.load(FOLDER / f'{name}.npz') as arrays:
    return dict(arrays)


def load_cases(name):
  """Arrays of an .npz file by the name of their case and their own."""
  cases = {}
  for key, array in load_arrays(name).items():
    if '/' in key:
      case, rest = key.split('/', 1)
      cases.setdefault(case, {})[rest] = array
  return cases


def states():
  return tuple(load_json('pipeline')['layers'])


@functools.cache
def open_snapshot(precision=EXACT):
  return Snapshot(SNAPSHOT, precision, states())


@functools.cache
def load_params(part):
  return open_snapshot().load(part)


@functools.cache
def open_pipeline():
  length = load_json('pipeline')['text_length']
  return Pipeline(SNAPSHOT, EXACT, states(), length)


def write_single_file(folder):
  """The transformer in the vendor's own layout, which the folder may lack.

  It is put together from the snapshot's, and has to be the vendor's to the bit.
  """
  path = FOLDER / 'single_file.safetensors'
  if path.exists():
    return path
  file = SNAPSHOT / 'transformer' / 'diffusion_pytorch_model.safetensors'
  tensors = safetensors.numpy.load_file(file)
  rows = {}
  shapes = {name: array.shape for name, array in tensors.items()}
  for name, pieces in vendor.list_pieces(shapes).items():
    first = 0
    for piece in pieces:
      last = first + piece.stop - piece.start
      rows.setdefault(piece.name, {})[piece.start] = tensors[name][first:last]
      first = last
  joined = {
    name: np.concatenate([parts[start] for start in sorted(parts)])
    for name, parts in rows.items()
  }
  path = folder / 'single_file.safetensors'
  safetensors.numpy.save_file(joined, path)
  golden = load_json('single_file')['sha256']
  assert hashlib.sha256(path.read_bytes()).hexdigest() == golden
  return path


def make_import(out, snapshot=SNAPSHOT):
  """The tiny snapshot as `vbanana import klein` leaves it in `out`."""
  source = sources.open_source(snapshot, states=states())
  importer.import_snapshot(source, out, lambda total: lambda count: None)
  return out


def channels_last(x):
  """`[b c h w]`, as torch has it, to `[b h w c]`."""
  return jnp.asarray(np.moveaxis(x, 1, -1))


def error(ours, theirs):
  """Largest difference over the largest value, or over 1 if that is less."""
  theirs = np.asarray(theirs, np.float64)
  assert ours.shape == theirs.shape
  difference = np.abs(np.asarray(ours, np.float64) - theirs).max()
  return difference / max(1.0, np.abs(theirs).max())
