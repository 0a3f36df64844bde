"""Golden files of a tiny FLUX.2 klein; tests/oracles/README.md tells of them.

VBANANA_KLEIN names a folder with another set of the same form.
"""

import functools
import json
import os
import pathlib

import jax.numpy as jnp
import numpy as np

from vbanana_jax import models
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


def channels_last(x):
  """`[b c h w]`, as torch has it, to `[b h w c]`."""
  return jnp.asarray(np.moveaxis(x, 1, -1))


def error(ours, theirs):
  """Largest difference over the largest value, or over 1 if that is less."""
  theirs = np.asarray(theirs, np.float64)
  assert ours.shape == theirs.shape
  difference = np.abs(np.asarray(ours, np.float64) - theirs).max()
  return difference / max(1.0, np.abs(theirs).max())
