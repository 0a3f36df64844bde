"""The pictures of a report, as arrays in one file beside results.json."""

import io
import itertools
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from vbanana_jax.runtime import files

# What numpy raises for a damaged file, and we for one of other results.
BAD_GALLERY = (
  OSError, EOFError, ValueError, KeyError, IndexError, TypeError,
  zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def make_gallery(
  batch: dict, painted: np.ndarray, n: int
) -> list[dict[str, Any]]:
  """Some of the first scenes as asked and painted, for the report.

  Each with its `row` in the batch.
  """
  return [
    {
      'row': int(i),
      'prompt': batch['prompt'][i],
      'source': batch['source'][i] if batch['has_source'][i] else None,
      'painted': painted[i],
      'target': batch['target'][i],
      'valid_px': batch['weight_px'][i] > 0,
      'aux': {key: leaf[i] for key, leaf in batch['aux'].items()},
    }
    for i in itertools.islice(_varied(batch), n)
  ]


def _varied(batch: dict) -> Iterator[int]:
  """Rows with objects first: an empty room shows little."""
  rows = np.flatnonzero(batch['valid'])
  yield from sorted(rows, key=lambda i: (batch['count'][i] == 0, i))


def list_prompts(gallery: dict[str, list[dict]]) -> dict[str, list[str]]:
  """What results.json keeps of it; see `load_gallery`."""
  return {
    name: [example['prompt'] for example in examples]
    for name, examples in gallery.items()
  }


def save_gallery(path: pathlib.Path, gallery: dict[str, list[dict]]) -> None:
  """Arrays of the gallery as one npz; the prompts are in results.json."""
  arrays = {}
  for trial, examples in gallery.items():
    for i, example in enumerate(examples):
      for key in ('source', 'painted', 'target', 'valid_px'):
        if example[key] is not None:
          arrays[f'{trial}/{i}/{key}'] = example[key]
      for key, leaf in example['aux'].items():
        arrays[f'{trial}/{i}/aux/{key}'] = leaf
  files.write_atomic(path, files.to_npz(arrays))


def load_gallery(
  path: pathlib.Path, prompts: dict[str, list[str]]
) -> dict[str, list[dict[str, Any]]]:
  """Inverse of `save_gallery`."""
  gallery = {
    trial: [{'prompt': prompt, 'source': None, 'aux': {}} for prompt in texts]
    for trial, texts in prompts.items()
  }
  with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
    for name in arrays.files:
      trial, i, *key = name.split('/')
      example = gallery[trial][int(i)]
      target = example['aux'] if key[0] == 'aux' else example
      target[key[-1]] = arrays[name]
  return gallery
