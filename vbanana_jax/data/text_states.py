"""What a text encoder made of instructions, ahead of a training.

`config.model.text_cache` names the folder. Examples are a function of the
config and their number, so that the instructions of a training are known before
it begins.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from vbanana_jax import __version__, families
from vbanana_jax.data import build, stream
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import array_cache, paths

_FILL = 'vbanana cache with the --config settings of the training'


class TextStates:
  """Memories of instructions, see `models.contract`, from a folder.

  Attributes:
    cache: the folder.
  """

  def __init__(self, cache: array_cache.ArrayCache):
    self.cache = cache

  def load(self, prompt: str) -> np.ndarray:
    """The memory of an instruction.

    Raises:
      UserError: it is not there.
    """
    states = self.cache.load(prompt)
    if states is None:
      raise UserError(
        f'{self.cache.folder} has no text states of {prompt[:120]!r}: make '
        f'them with {_FILL}'
      )
    return states

  def find_last_step(
    self, config: Mapping[str, Any], start: int, total: int
  ) -> int:
    """The last step up to which instructions are there without a gap.

    Args:
      config: see `configs/base.py`.
      start: number of finished steps.
      total: of the run.

    Raises:
      UserError: those of the next step are not there.
    """
    if start >= total:
      return total
    filled = self.cache.find_filled(describe_stream(config))
    first, batch = start * config['batch_size'], config['batch_size']
    last = min(filled.stop // batch, total) if first in filled else start
    if last < total:  # where steps that are sorted together end
      last -= last % stream.count_sorted_steps(stream.make_settings(config))
    if last <= start:
      raise UserError(
        f'{self.cache.folder} lacks text states of the examples from {first} '
        f'on: make them with {_FILL}, and --examples {first}:{total * batch} '
        'or less for a part of them'
      )
    return last


def open_states(
  config: Mapping[str, Any], precision: families.Precision
) -> TextStates | None:
  """Those of a config; None where its network encodes instructions itself.

  Args:
    config: see `configs/base.py`.
    precision: arithmetic of the network.

  Raises:
    UserError: the folder is of another text encoder, or longer instructions,
      or the family has none.
  """
  section = config['model']
  if not section['text_cache']:
    return None
  about = families.get_family(section).describe_memory(section, precision)
  folder = paths.to_path(section['text_cache'])
  return TextStates(array_cache.ArrayCache(folder, about))


def describe_stream(config: Mapping[str, Any]) -> str:
  """Digest of all that the instructions of a config depend on."""
  about = [
    __version__,
    build.describe_data(config),
    config['mixture'],
    config['seed'],
    config['image_size'],
    config['model']['max_text'],
  ]
  return hashlib.sha256(json.dumps(about).encode()).hexdigest()
