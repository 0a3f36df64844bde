"""Noise levels of klein: sigma falls from 1, noise alone, to 0, the picture.

On the path `z = (1 - sigma) x + sigma noise` sigma is 1 - time of
`vbanana_jax.diffusion.flow`.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

# Training draws one of so many levels.
TRAINING_LEVELS = 1000
# Two lines in the number of tokens, for 10 and for 200 steps.
_SLOPE_10, _START_10 = 8.73809524e-05, 1.89833333
_SLOPE_200, _START_200 = 0.00016927, 0.45666666
# With more tokens than that the line for 200 steps holds for any number.
_MANY_TOKENS = 4300


def find_shift(tokens: int, steps: int) -> float:
  """How much longer sampling stays with much noise, as a logarithm.

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
  """Levels between which sampling steps, `steps + 1` of them from 1 to 0.

  Args:
    tokens: of the target alone.
    steps: number of sampling steps.
  """
  even = np.linspace(1.0, 1.0 / steps, steps)
  stretch = math.exp(find_shift(tokens, steps))
  sigmas = stretch / (stretch + 1.0 / even - 1.0)
  return np.append(sigmas, 0.0).astype(np.float32)


def training_sigmas(u: Float[Array, 'b']) -> Float32[Array, 'b']:
  """Levels for training, from numbers that are even in [0, 1).

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
