"""Adapters in the files of diffusers and of peft."""

import json
import math
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vbanana_jax.errors import UserError
from vbanana_jax.klein import lora
from vbanana_jax.klein import stored as files
from vbanana_jax.klein.tables import Row
from vbanana_jax.runtime import files as atomic
from vbanana_jax.runtime import paths

# File names, and what comes before the name of a matrix.
DIFFUSERS = 'pytorch_lora_weights.safetensors'
PEFT, _PEFT_CONFIG = 'adapter_model.safetensors', 'adapter_config.json'
_PREFIXES = {DIFFUSERS: 'transformer.', PEFT: 'base_model.model.'}
_METADATA = 'lora_adapter_metadata'
_FACTORS = {'down': 'lora_A', 'up': 'lora_B'}
# Settings that make of the factors something else than a plain change.
_OTHER_METHODS = ('use_dora', 'use_rslora', 'rank_pattern', 'alpha_pattern')


def write(
  folder: str | os.PathLike, adapter: lora.Adapter, layout: str
) -> list[paths.Path]:
  """Writes an adapter as diffusers or peft does.

  Args:
    folder: of the file; made if it is not there.
    adapter: float32 factors, and alpha over rank.
    layout: 'diffusers', one file with rank and alpha in its header, or 'peft',
      with a JSON file beside it.

  Returns:
    the files.

  Raises:
    UserError: it cannot be written, or one is there already.
  """
  name = {'diffusers': DIFFUSERS, 'peft': PEFT}[layout]
  tensors = {}
  for matrix, pair in adapter.factors.items():
    for key, array in pair.items():
      for module, block in _split_blocks(matrix, np.asarray(array)):
        stored = f'{_PREFIXES[name]}{module}.{_FACTORS[key]}.weight'
        tensors[stored] = np.ascontiguousarray(block.T)
  rank = lora.find_rank(adapter.factors)
  modules = {re.sub(r'\.lora_[AB]\.weight$', '', key) for key in tensors}
  config = {
    'peft_type': 'LORA',
    'r': rank,
    'lora_alpha': adapter.scale * rank,
    'target_modules': sorted(m.removeprefix(_PREFIXES[name]) for m in modules),
    'rank_pattern': {},
    'alpha_pattern': {},
    'use_dora': False,
    'use_rslora': False,
    'bias': 'none',
    'lora_dropout': 0.0,
  }
  metadata = {'format': 'pt'}
  if layout == 'diffusers':
    told = {f'transformer.{key}': value for key, value in config.items()}
    metadata[_METADATA] = json.dumps(told, indent=2, sort_keys=True)
  folder = paths.to_path(folder)
  if (folder / name).exists():
    raise UserError(f'{folder / name} is there already: choose another folder')
  contents = {folder / name: files.make_file(tensors, metadata)}
  if layout == 'peft':
    told = json.dumps({**config, 'inference_mode': True}, indent=2)
    contents[folder / _PEFT_CONFIG] = f'{told}\n'.encode()
  return atomic.write_together(contents)


def _split_blocks(matrix: str, array: np.ndarray):
  """The name and the factor of each block."""
  if '*' not in matrix:
    yield matrix, array
    return
  for number, block in enumerate(array):
    yield matrix.replace('*', str(number), 1), block


def read(
  folder: str | os.PathLike, rows: Sequence[Row], abstract: Mapping[str, Any]
) -> lora.Adapter:
  """Reads an adapter of diffusers or of peft.

  Blocks that it does not change have factors of zeros.

  Args:
    folder: with the file of either layout.
    rows: of `tables.transformer_rows`.
    abstract: shapes of the transformer's parameters.

  Returns:
    float32 factors, on the host.

  Raises:
    UserError: there is no such file, it is damaged, changes what the
      transformer lacks, or is more than a plain low-rank change.
  """
  folder = pathlib.Path(folder)
  name = next((n for n in _PREFIXES if (folder / n).exists()), None)
  if name is None:
    raise UserError(
      f'{folder} has neither {DIFFUSERS} nor {PEFT}: name the folder that '
      'diffusers or peft saved'
    )
  path = folder / name
  tensors = files.list_file(path)
  config = _read_config(path, tensors)
  shapes = lora.find_shapes(rows, abstract)
  rank = config['r']
  factors: dict[str, dict[str, np.ndarray]] = {}
  for stored, tensor in tensors.items():
    module, key = _parse(path, stored, _PREFIXES[name])
    matrix, block = _find_block(module)
    if matrix not in shapes or not _has_block(shapes[matrix], block):
      raise UserError(f'{path} changes {module}, which the network lacks')
    *blocks, inputs, outputs = shapes[matrix]
    wanted = (rank, inputs) if key == 'down' else (outputs, rank)
    if tensor.shape != wanted:
      raise UserError(
        f'{path}: {stored} is {list(tensor.shape)}, and rank {rank} and the '
        f'network ask for {list(wanted)}'
      )
    pair = factors.setdefault(
      matrix,
      {
        'down': np.zeros((*blocks, inputs, rank), np.float32),
        'up': np.zeros((*blocks, rank, outputs), np.float32),
      },
    )
    place = pair[key] if block is None else pair[key][block]
    place[...] = files.read(tensor, stored, ()).T
  _check_pairs(path, tensors)
  return lora.Adapter(factors, config['lora_alpha'] / rank)


def _read_config(path: pathlib.Path, tensors: files.Tensors) -> dict[str, Any]:
  """Rank and alpha, from the header or from the file beside it."""
  if path.name == PEFT:
    config = files.read_json(path.with_name(_PEFT_CONFIG))
  else:
    text = files.read_metadata(path).get(_METADATA)
    config = {
      key.removeprefix('transformer.'): value
      for key, value in json.loads(text or '{}').items()
    }
    if text is None:  # diffusers takes alpha for the rank then
      ranks = [t.shape[0] for name, t in tensors.items() if '.lora_A.' in name]
      config = {'r': ranks[0], 'lora_alpha': ranks[0]} if ranks else {}
  for key in ('r', 'lora_alpha'):
    value = config.get(key)
    if not isinstance(value, int | float) or not 0 < value < math.inf:
      raise UserError(f'{path}: {key} is {value!r} and has to be above 0')
  if others := [key for key in _OTHER_METHODS if config.get(key)]:
    raise UserError(
      f'{path} has {", ".join(others)}: only plain LoRA is read, with one rank '
      'and one alpha'
    )
  return config


def _parse(path, stored: str, prefix: str) -> tuple[str, str]:
  """The matrix that a tensor belongs to, and which of its factors it is."""
  for key, word in _FACTORS.items():
    end = f'.{word}.weight'
    if stored.startswith(prefix) and stored.endswith(end):
      return stored.removeprefix(prefix).removesuffix(end), key
  raise UserError(f'{path} has {stored}, unknown here: it is no plain LoRA')


def _find_block(module: str) -> tuple[str, int | None]:
  found = re.match(r'((?:single_)?transformer_blocks\.)(\d+)(\..*)', module)
  if not found:
    return module, None
  return f'{found[1]}*{found[3]}', int(found[2])


def _has_block(shape: tuple[int, ...], block: int | None) -> bool:
  return block is None or (len(shape) == 3 and block < shape[0])


def _check_pairs(path, tensors) -> None:
  halves = {'lora_A': 'lora_B', 'lora_B': 'lora_A'}
  for stored in tensors:
    other = re.sub('lora_[AB]', lambda found: halves[found[0]], stored)
    if other not in tensors:
      raise UserError(f'{path} has {stored} and lacks {other}')
