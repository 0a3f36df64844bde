"""Words and pictures to a picture, by the networks of a snapshot."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from vbanana_jax import models
from vbanana_jax.klein import sampling, schedules
from vbanana_jax.klein.snapshot import STATES, Snapshot
from vbanana_jax.models import numerics
from vbanana_jax.models.klein import rotary

# Tokens of a prompt, pads included: the base was trained with as many.
TEXT_LENGTH = 512


class Pipeline:
  """A snapshot with its weights, ready to be asked.

  Attributes:
    snapshot: its configs.
    text_length: tokens of a prompt, pads included.
  """

  def __init__(
    self,
    folder: str | os.PathLike,
    precision: numerics.Precision | None = None,
    states: tuple[int, ...] = STATES,
    text_length: int = TEXT_LENGTH,
  ):
    """Loads all of a snapshot, in the types in which it is stored.

    Args:
      folder: of the snapshot.
      precision: arithmetic; the backend's own if not given.
      states: after which layers of the text encoder features are taken.
      text_length: tokens of a prompt, pads included.

    Raises:
      UserError: a file is missing or damaged, or is not FLUX.2 klein's.
    """
    precision = precision or models.build_precision()
    self.snapshot = Snapshot(folder, precision, states)
    self.text_length = text_length
    self._params = {
      name: self.snapshot.load(name) for name in self.snapshot.parts
    }

  def generate(
    self,
    prompts: Sequence[str],
    noise: Float[Array, 'b y x c'],
    references: Sequence[Float[Array, 'b _ _ 3']] = (),
    *,
    steps: int = 50,
    guidance: float = 4.0,
  ) -> Float[Array, 'b h w 3']:
    """Pictures in [0, 1].

    Args:
      prompts: one for each picture.
      noise: Gaussian, one row and column a token, all channels of it.
      references: pictures in [-1, 1] that the prompt may speak of, as
        `pictures.prepare_reference` makes them; the n-th ones of all
        examples have one size.
      steps: number of sampling steps.
      guidance: how far to go from what the network paints without a prompt
        to what it paints with it, and beyond; at most 1 is the prompt alone.

    Raises:
      UserError: a prompt is too long or holds a mark.
    """
    text = self.encode_prompts(prompts)
    if guidance > 1:
      untold = jnp.broadcast_to(self.encode_prompts(['']), text.shape)
      text = jnp.concatenate([text, untold])
    encoded = [self.encode_picture(picture) for picture in references]
    sigmas = schedules.sampling_sigmas(noise[0, ..., 0].size, steps)
    return self.decode(self.sample(noise, text, encoded, sigmas, guidance))

  def encode_prompts(self, prompts: Sequence[str]) -> Float[Array, 'b l j']:
    """Features of prompts, pads included.

    Raises:
      UserError: a prompt is too long or holds a mark.
    """
    tokenizer = self.snapshot.tokenizer
    ids = [tokenizer.encode(text, self.text_length) for text in prompts]
    tokens = jnp.asarray(np.stack(ids))
    return self._apply('text_encoder', tokens, tokens != tokenizer.pad)

  def encode_picture(
    self, picture: Float[Array, 'b h w 3']
  ) -> Float[Array, 'b y x c']:
    """Normalized tokens of pictures in [-1, 1], in rows and columns."""
    latents = self._apply('vae', picture, method='encode')
    return self._apply('vae', latents, method='to_tokens')

  def sample(
    self,
    noise: Float[Array, 'b y x c'],
    text: Float[Array, 'm l j'],
    references: Sequence[Float[Array, 'b _ _ c']],
    sigmas: Float32[np.ndarray, 'k'],
    guidance: float,
  ) -> Float[Array, 'b y x c']:
    """Normalized tokens of pictures, in rows and columns.

    Args:
      noise: as in `generate`, or tokens at the first of `sigmas`.
      text: features of one prompt for each picture and, if there is guidance,
        of one more for each.
      references: from `encode_picture`.
      sigmas: levels of noise from one step to the next.
      guidance: as in `generate`; not read if `text` is of one prompt each.
    """
    b, _, _, c = noise.shape
    flat = [x.reshape(b, -1, c) for x in (noise, *references)]
    tokens = _sample(
      self._params['transformer'],
      flat[0],
      jnp.concatenate(flat[1:], axis=1) if references else flat[0][:, :0],
      text,
      jnp.asarray(sigmas),
      guidance,
      network=self.snapshot.parts['transformer'].network,
      grids=tuple(x.shape[1:3] for x in (noise, *references)),
    )
    return tokens.reshape(noise.shape)

  def decode(self, tokens: Float[Array, 'b y x c']) -> Float[Array, 'b h w 3']:
    """Pictures in [0, 1] of normalized tokens in rows and columns."""
    latents = self._apply('vae', tokens, method='from_tokens')
    pictures = self._apply('vae', latents, method='decode')
    return jnp.clip(models.from_network(pictures), 0.0, 1.0)

  def _apply(self, name: str, *inputs: Any, method: str = '__call__'):
    network = self.snapshot.parts[name].network
    return _apply(self._params[name], inputs, network=network, method=method)


@functools.partial(jax.jit, static_argnames=('network', 'grids'))
def _sample(params, noise, references, text, sigmas, scale, *, network, grids):
  """Tokens at the end of the path; see `Pipeline.sample`."""
  b, n, _ = noise.shape
  times = len(text) // b
  places = rotary.picture_places(grids)

  def velocity(z, sigma):
    tokens = jnp.concatenate([z, references], axis=1)
    tokens, sigma = (jnp.concatenate([x] * times) for x in (tokens, sigma))
    return network.apply({'params': params}, tokens, sigma, text, places)[:, :n]

  if times == 2:
    velocity = sampling.guide(velocity, scale)
  return sampling.integrate(velocity, noise, sigmas)


@functools.partial(jax.jit, static_argnames=('network', 'method'))
def _apply(params, inputs, *, network, method):
  return network.apply({'params': params}, *inputs, method=method)
