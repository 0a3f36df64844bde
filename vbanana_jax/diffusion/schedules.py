"""Levels of noise: which ones training draws, and between which sampling steps.

A level is told as a time, as in `flow`, or as sigma = 1 - time, the share of
noise, which falls from 1 to 0. To shift levels is to spend more of them on much
noise, as pictures of many tokens need.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from vbanana_jax.diffusion import flow
from vbanana_jax.errors import UserError

# FLUX.2's trainers draw one of so many levels.
TRAINING_LEVELS = 1000
# FLUX.2's sampling: two lines in the number of tokens, for 10 and 200 steps.
_SLOPE_10, _START_10 = 8.73809524e-05, 1.89833333
_SLOPE_200, _START_200 = 0.00016927, 0.45666666
# With more tokens than that the line for 200 steps holds for any number.
_MANY_TOKENS = 4300
# FLUX.1's training: one line through two points (tokens, shift).
_FEW_FLUX1, _MANY_FLUX1 = (256, 0.5), (4096, 1.15)

TIMES = ('logit_normal', 'uniform')
SHIFTS = ('none', 'flux1')


def find_shift(tokens: int, steps: int) -> float:
  """How much longer FLUX.2's sampling stays with much noise, as a logarithm.

  Args:
    tokens: of the target alone; references do not count.
    steps: number of sampling steps.
  """
  at_200 = _SLOPE_200 * tokens + _START_200
  if tokens > _MANY_TOKENS:
    return at_200
  at_10 = _SLOPE_10 * tokens + _START_10
  slope = (at_200 - at_10) / 190
  return slope * steps + at_200 - 200 * slope


def sampling_sigmas(tokens: int, steps: int) -> Float32[np.ndarray, 'k']:
  """Levels between which FLUX.2's sampling steps, `steps + 1` from 1 to 0.

  Args:
    tokens: of the target alone.
    steps: number of sampling steps.
  """
  even = np.linspace(1.0, 1.0 / steps, steps)
  sigmas = shift_sigmas(even, find_shift(tokens, steps))
  return np.append(sigmas, 0.0).astype(np.float32)


def shift_sigmas(sigma: Any, shift: float) -> Any:
  """Levels above 0, moved towards much noise by a logarithm."""
  stretch = math.exp(shift)
  return stretch / (stretch + 1.0 / sigma - 1.0)


def training_sigmas(u: Float[Array, 'b']) -> Float32[Array, 'b']:
  """FLUX.2's levels for training, from numbers that are even in [0, 1).

  The list of levels falls: a small number means much noise.
  """
  index = jnp.floor(u * TRAINING_LEVELS).clip(0, TRAINING_LEVELS - 1)
  return ((TRAINING_LEVELS - index) / TRAINING_LEVELS).astype(jnp.float32)


# What the squared error of the velocity counts for, by level of noise.
WEIGHTINGS = {
  'none': jnp.ones_like,
  'sigma_sqrt': lambda sigma: sigma**-2.0,
  'cosmap': lambda sigma: 2 / (math.pi * (1 - 2 * sigma + 2 * sigma**2)),
}


@dataclasses.dataclass(frozen=True)
class TrainingLevels:
  """Which levels training draws, and what an error at each counts for.

  Attributes:
    times: of `TIMES`: logit-normal times, or FLUX.2's levels, each as often.
    mean: of the logit-normal times; 'uniform' has none.
    std: likewise.
    shift: of `SHIFTS`: FLUX.1's by the number of tokens; or a number, the
      logarithm by which levels are moved towards much noise.
    weighting: a key of `WEIGHTINGS`.
  """

  times: str = 'logit_normal'
  mean: float = -0.8
  std: float = 0.8
  shift: str = 'none'
  weighting: str = 'none'

  def draw(self, keys: jax.Array, tokens: int) -> Float[Array, 'b']:
    """A time for each key.

    Args:
      keys: one for each example.
      tokens: of a target.
    """
    if self.times == 'uniform':
      time = 1.0 - training_sigmas(jax.vmap(jax.random.uniform)(keys))
    else:
      time = flow.sample_times(keys, self.mean, self.std)
    if self.shift == 'none':
      return time
    if self.shift == 'flux1':
      (few, start), (many, end) = _FEW_FLUX1, _MANY_FLUX1
      shift = start + (end - start) * (tokens - few) / (many - few)
    else:
      shift = float(self.shift)
    return 1.0 - shift_sigmas(1.0 - time, shift)

  def find_weights(self, time: Float[Array, 'b']) -> Float[Array, 'b']:
    """What the squared error of the velocity counts for."""
    return WEIGHTINGS[self.weighting](1.0 - time)


def build_levels(config: Mapping[str, Any]) -> TrainingLevels:
  """Of a config's section `loss`.

  Raises:
    UserError: names the key that cannot be.
  """
  for key, known in (('times', TIMES), ('weighting', tuple(WEIGHTINGS))):
    if config[key] not in known:
      raise UserError(
        f'config.loss.{key} is {config[key]!r}: choose of {", ".join(known)}'
      )
  shift = config['shift']
  if shift not in SHIFTS and not _is_finite(shift):
    raise UserError(
      f'config.loss.shift is {shift!r}: choose of {", ".join(SHIFTS)}, or give '
      'a number, as 0.8'
    )
  return TrainingLevels(
    times=config['times'],
    mean=config['time_mean'],
    std=config['time_std'],
    shift=shift,
    weighting=config['weighting'],
  )


def _is_finite(text: str) -> bool:
  try:
    return math.isfinite(float(text))
  except ValueError:
    return False
