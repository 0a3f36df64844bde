"""The pictures of a report, as arrays in one file beside results.json."""

import io
import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np

from vbanana_jax.runtime import files

# What numpy raises for a damaged file, and we for one of other results.
BAD_GALLERY = (
  OSError, EOFError, ValueError, KeyError, IndexError, TypeError,
  zipfile.BadZipFile, zlib.error,
)  # fmt: skip


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
