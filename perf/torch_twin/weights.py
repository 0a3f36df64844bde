"""Copies a parameter tree of ours into the twin, by name.

Every array of ours has to be read and every one of the twin written, so that a
change of our tree is noticed and not skipped.
"""

from collections.abc import Mapping

import jax
import numpy as np
import torch
from flax import traverse_util

from perf.torch_twin import network


def load_params(twin: network.DiT, params: Mapping) -> None:
  """Fills `twin` in place.

  Raises:
    ValueError: an array has no place, or a place no array.
  """
  flat = traverse_util.flatten_dict(jax.device_get(params), sep='/')
  source = {name: np.asarray(leaf) for name, leaf in flat.items()}
  state = {}
  for name in list(source):
    if name.startswith(('blocks/', 'text/blocks/')):
      continue
    state |= _convert(name, source.pop(name))
  for stack, number in (
    ('blocks', len(twin.blocks)),
    ('text/blocks', len(twin.text.blocks)),
  ):
    inside = {
      name.removeprefix(f'{stack}/'): source.pop(name)
      for name in list(source)
      if name.startswith(f'{stack}/')
    }
    for index in range(number):
      block = _convert_block({k: v[index] for k, v in inside.items()})
      prefix = f'{stack.replace("/", ".")}.{index}.'
      state |= {prefix + name: value for name, value in block.items()}
  wanted = twin.state_dict()
  if state.keys() != wanted.keys():
    raise ValueError(
      f'only one side has: {sorted(state.keys() ^ wanted.keys())}'
    )
  # A product per block there, one for all blocks here.
  for name, value in state.items():
    if value.shape != tuple(wanted[name].shape):
      raise ValueError(
        f'{name}: {value.shape} of ours, {tuple(wanted[name].shape)} there'
      )
  tensors = {k: torch.from_numpy(np.array(v)) for k, v in state.items()}
  twin.load_state_dict(tensors)


def _convert(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
  """One array outside the blocks."""
  if name in ('text_key', 'text_value'):  # depth i o -> depth*o i
    return {
      f'{name}.weight': np.swapaxes(value, 1, 2).reshape(-1, value.shape[1])
    }
  if name == 'head':
    return {'head.weight': value.T}
  if name == 'text/embedding':
    return {'text.embedding.weight': value}
  path, _, leaf = name.replace('/', '.').rpartition('.')
  if leaf == 'kernel':
    return {f'{path}.weight': value.T}
  if leaf == 'scale':
    return {f'{path}.weight': value}
  return {name.replace('/', '.'): value}


def _convert_block(ours: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """One block's arrays: joint products, and attention as a module."""
  ours = dict(ours)

  def join(names: tuple[str, ...], prefix: str = '') -> np.ndarray:
    parts = [ours.pop(f'{prefix}{name}/kernel') for name in names]
    return np.concatenate(parts, axis=1).T

  theirs = {
    'attention.qkv.weight': join(('q', 'k', 'v')),
    'attention.out.weight': join(('out',)),
    'mlp.gate_up.weight': join(('gate', 'up'), 'mlp/'),
    'mlp.down.weight': join(('down',), 'mlp/'),
    'attention.q_norm.weight': ours.pop('q_norm/scale'),
    'attention.k_norm.weight': ours.pop('k_norm/scale'),
  }
  if 'neighbors/weights' in ours:  # reach d -> d 1 reach
    theirs['neighbors.weight'] = ours.pop('neighbors/weights').T[:, None]
  for name, value in ours.items():
    theirs |= _convert(name, value)
  return theirs
