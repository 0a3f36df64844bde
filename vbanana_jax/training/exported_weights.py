"""Weights that travel: a folder with config.json and model.safetensors.

What `vbanana export --format safetensors` writes, and what opens wherever a run
does. The weights are bfloat16 there and float32 in memory. config.json says
what they mean, and lists the other files with their sizes and SHA-256.
"""

import functools
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from vbanana_jax.errors import DamagedError, UserError
from vbanana_jax.runtime import logs, paths
from vbanana_jax.training import state

CONFIG = 'config.json'
WEIGHTS = 'model.safetensors'
RUN, METRICS, CARD = 'run.json', 'metrics.jsonl', 'README.md'
FORMAT = 'vbanana_jax weights 1'
_METADATA = {'format': 'flax'}  # how layers are laid out, as the Hub names it
_STORED = np.dtype(jnp.bfloat16)
# As safetensors names types.
_TYPES = {'BF16': _STORED, 'F16': np.float16, 'F32': np.float32}
_NEEDED = {'step': int, 'manifest': dict, 'files': dict, 'trainings': list}
_AGAIN = 'bring it back from a copy, or export it again'


def pack(params: Any) -> bytes:
  """The file of the weights: the same bytes for the same numbers.

  Args:
    params: nested dicts of arrays; names are joined with dots.
  """
  flat = traverse_util.flatten_dict(params, sep='.')
  arrays = {
    name: np.ascontiguousarray(np.asarray(flat[name]).astype(_STORED))
    for name in sorted(flat)
  }
  return safetensors.numpy.save(arrays, _METADATA)


def list_files(contents: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
  """What config.json says of the files beside it, by their names."""
  return {
    name: {'bytes': len(data), 'sha256': hashlib.sha256(data).hexdigest()}
    for name, data in contents.items()
  }


def name_weights(sha256: str, step: int) -> str:
  """What results call weights: the start of their digest, and their step."""
  return f'{sha256[:16]} at step {step}'


def is_export(folder: paths.Path) -> bool:
  """Whether a folder has one of the two files that make it an export."""
  if (folder / WEIGHTS).is_file():
    return True
  try:
    about = json.loads((folder / CONFIG).read_bytes())
  except (OSError, ValueError):
    return False
  return isinstance(about, dict) and about.get('format') == FORMAT


def load_about(folder: paths.Path) -> dict[str, Any]:
  """config.json of an export.

  Raises:
    UserError: it is missing, no JSON, or of something else.
  """
  path = folder / CONFIG
  about = logs.load_json(path)
  told = about.get('format') if isinstance(about, dict) else None
  if told != FORMAT:
    raise UserError(
      f'{path} is not of an export of weights: its format is {told!r}, and '
      f'this version reads {FORMAT!r}'
    )
  for key, kind in _NEEDED.items():
    if not isinstance(about.get(key), kind):
      raise UserError(f'{path} has no {key}: {_AGAIN}')
  if WEIGHTS not in about['files']:
    raise UserError(f'{path} does not list {WEIGHTS}: {_AGAIN}')
  return about


class ExportedWeights:
  """Reads an export as `checkpoint.Checkpoints` reads those of a run.

  Args:
    folder: see the top of this file.

  Attributes:
    path: of the file with the weights.

  Raises:
    UserError: config.json is of something else.
    DamagedError: a file beside it is not as listed.
  """

  def __init__(self, folder: str | os.PathLike):
    self._folder = paths.to_path(folder)
    self.path = self._folder / WEIGHTS
    self._about = load_about(self._folder)
    for name in self._about['files']:
      if name != WEIGHTS:
        self._read(name)

  def __enter__(self) -> 'ExportedWeights':
    return self

  def __exit__(self, kind, error, trace) -> None:
    pass

  def latest_step(self) -> int:
    """Step of the training that the weights are of."""
    return self._about['step']

  def load_manifest(self) -> dict[str, Any]:
    """What the weights mean, as checkpoints say it."""
    return self._about['manifest']

  def load_shapes(self) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights by name."""
    return {name: array.shape for name, array in self._arrays.items()}

  def restore_ema(self, abstract_params: Any, *, partial: bool = False) -> Any:
    """The weights, on the devices; with `partial`, those asked for.

    Args:
      abstract_params: their shapes, types and shardings.
      partial: whether there may be others, which are left alone.
    """
    if not partial:
      state.check_fit(self.path, self.load_shapes(), abstract_params)
    asked = traverse_util.flatten_dict(abstract_params, sep='/')
    placed = {
      name: _place(self._arrays[name], leaf) for name, leaf in asked.items()
    }
    return traverse_util.unflatten_dict(placed, sep='/')

  @functools.cached_property
  def _arrays(self) -> dict[str, np.ndarray]:
    """bfloat16, by the names that checkpoints have."""
    tensors = unpack(self.path, self._read(WEIGHTS), ('BF16',))
    return {name.replace('.', '/'): array for name, array in tensors.items()}

  def _read(self, name: str) -> bytes:
    """A file that is as config.json lists it."""
    return read_listed(self._folder / name, self._about['files'][name])


def read_listed(
  path: paths.Path,
  listed: Mapping[str, Any],
  *,
  by: str = CONFIG,
  again: str = _AGAIN,
) -> bytes:
  """A file whose bytes are those that were written.

  Args:
    path: of the file.
    listed: its `bytes` and `sha256`, as `list_files` says them.
    by: what lists them.
    again: the remedy where they are others.

  Raises:
    DamagedError: it cannot be read, or has other bytes.
  """
  try:
    data = path.read_bytes()
  except OSError as error:
    raise DamagedError(
      f'{path} cannot be read ({error.strerror or error}): {again}'
    ) from error
  if len(data) != listed['bytes']:
    raise DamagedError(
      f'{path} has {len(data)} of {listed["bytes"]} bytes: {again}'
    )
  if hashlib.sha256(data).hexdigest() != listed['sha256']:
    raise DamagedError(f'{path} has other bytes than {by} lists: {again}')
  return data


def unpack(
  path: paths.Path, data: bytes, kinds: Collection[str]
) -> dict[str, np.ndarray]:
  """Arrays by name, of the bytes of a safetensors file.

  Args:
    path: of the file, for errors.
    data: its bytes.
    kinds: which types may be in it, of `_TYPES`.

  Raises:
    DamagedError: these are no such file's.
    UserError: it has tensors of another type.
  """
  try:
    tensors = safetensors.deserialize(data)
  except safetensors.SafetensorError as error:
    raise DamagedError(
      f'{path} is no file of tensors ({error}): {_AGAIN}'
    ) from error
  others = {tensor['dtype'] for _, tensor in tensors} - set(kinds)
  if others:
    wanted = ' or '.join(kinds)
    raise UserError(f'{path} has tensors of {min(others)}, not {wanted}')
  return {
    name: np.frombuffer(each['data'], _TYPES[each['dtype']]).reshape(
      each['shape']
    )
    for name, each in tensors
  }


def _place(array: np.ndarray, leaf: Any) -> jax.Array:
  """Every device's own part of an array, in the type of `leaf`."""
  return jax.make_array_from_callback(
    leaf.shape, leaf.sharding, lambda part: array[part].astype(leaf.dtype)
  )
