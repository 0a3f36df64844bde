"""What the numbers of a config can be, asked before anything is built."""

import math
from collections.abc import Mapping
from typing import Any

from vbanana_jax import keys
from vbanana_jax.errors import UserError

_MAY_BE_NEGATIVE = ('loss.time_mean',)
_AT_LEAST_ONE = (
  'accumulate', 'keep_checkpoints', 'model.max_text', 'data.text_length',
  'eval.batch_size', 'eval.constant_scenes', 'profile.steps',
)  # fmt: skip
_SHARES = (
  'loss.one_pass_share', 'optim.warmup', 'optim.decay', 'optim.ema_decay'
)  # fmt: skip
# Their own checks know more: -1 is what is left, and batches are divided.
_CHECKED_ELSEWHERE = (
  'mesh',
  'batch_size',
  'image_size',
  'mixture',
  'model.patch',
)


def check_numbers(section: Mapping[str, Any], above: str = '') -> None:
  """Refuses numbers that are not finite, or that their key cannot have.

  Args:
    section: of a config, or all of it.
    above: name of the section with a dot behind it.

  Raises:
    UserError: with the key, its number, and what it can be.
  """
  for name, value in section.items():
    key = above + name
    if key in _CHECKED_ELSEWHERE:
      continue
    if isinstance(value, Mapping):
      check_numbers(value, f'{key}.')
    elif isinstance(value, int | float):
      least, most = get_range(key)
      if not (least <= value <= most and math.isfinite(value)):
        raise UserError(
          f'config.{key} is {value}: it has to be from {least} to {most}'
        )


def get_range(key: str) -> tuple[float, float]:
  """The least and the most that a number can be."""
  least = int(key in _AT_LEAST_ONE)
  if key in _MAY_BE_NEGATIVE:
    least = -keys.MOST_SEED
  return least, 1 if key in _SHARES else keys.MOST_SEED
