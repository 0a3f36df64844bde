"""Nine pixels that the published distilled 4B paints from a given noise.

Noise and pixels are those of the integration test of `diffusers`.
"""

import pathlib
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from vbanana_jax import models
from vbanana_jax.diffusion import schedules
from vbanana_jax.klein import imported
from vbanana_jax.klein.findings import Finding, judge
from vbanana_jax.klein.pipeline import Pipeline

PROMPT = 'A small cactus with a happy face in the Sahara desert.'
_FILE = pathlib.Path(__file__).with_name('published_check.npz')
_ABOUT = 'nine published pixels'
_STEPS, _TOLERANCE, _NETWORK = 4, 0.05, 'FLUX.2 klein 4B'


class Check(NamedTuple):
  """What is given, and what comes out.

  Attributes:
    noise: one row and column a token, all channels of it.
    corner: the last column of values of the 3 x 3 pixels at the lower right.
  """

  noise: Float32[np.ndarray, '1 y x c']
  corner: Float32[np.ndarray, '9']


def load_check() -> Check:
  """The published numbers."""
  with np.load(_FILE) as arrays:
    bits, corner = arrays['noise'], arrays['corner']
  noise = bits.view(jnp.bfloat16).astype(np.float32)
  return Check(np.moveaxis(noise, 1, -1), corner)


def compare(
  picture: Float[Array, '1 h w 3'], corner: Float32[np.ndarray, '9']
) -> Finding:
  """The largest difference of a picture in [0, 1] from the published pixels."""
  ours = np.asarray(picture)[0, -3:, -3:, -1].flatten()
  error = float(np.abs(ours - corner).max())
  return judge(_ABOUT, error, 'largest difference', most=_TOLERANCE)


def examine(pipeline: Pipeline, text: Float[Array, '1 l j']) -> Finding:
  """Paints the published picture, if this is the network that painted it.

  Args:
    pipeline: with its transformer and autoencoder.
    text: features of `PROMPT`.
  """
  network = pipeline.snapshot.parts['transformer']
  count = models.count_parameters(network.make_abstract())
  name, _ = imported.get_license(count)
  if name != _NETWORK or not pipeline.snapshot.distilled:
    return Finding(_ABOUT, None, 'known of the distilled 4B alone')
  check = load_check()
  noise = jnp.asarray(check.noise)
  sigmas = schedules.sampling_sigmas(noise[0, ..., 0].size, _STEPS)
  tokens = pipeline.sample(noise, text, (), sigmas, 1.0)
  return compare(pipeline.decode(tokens), check.corner)
