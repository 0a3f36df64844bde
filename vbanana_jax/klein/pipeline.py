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
from vbanana_jax.diffusion import schedules
from vbanana_jax.klein import sampling
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
    parts: Sequence[str] | None = None,
  ):
    """Loads a snapshot, in the types in which it is stored.

    Args:
      folder: of the snapshot.
      precision: arithmetic; the backend's own if not given.
      states: after which layers of the text encoder features are taken.
      text_length: tokens of a prompt, pads included.
      parts: those that are loaded now, and others by `load_part`; all of them
        if not given.

    Raises:
      UserError: a file is missing or damaged, or is not FLUX.2 klein's.
    """
    precision = precision or models.build_precision()
    self.snapshot = Snapshot(folder, precision, states)
    self.text_length = text_length
    self._params: dict[str, Any] = {}
    for name in self.snapshot.parts if parts is None else parts:
      self.load_part(name)

  def load_part(self, name: str) -> Any:
    """Loads one of the parts of the snapshot; its parameters.

    Raises:
      UserError: a file is missing or damaged.
    """
    self._params[name] = self.snapshot.load(name)
    return self._params[name]

  def drop_part(self, name: str) -> None:
    """Makes room for other parts."""
    del self._params[name]

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
    flat, joined, grids = _flatten(noise, references)
    tokens = _sample(
      self._params['transformer'],
      flat,
      joined,
      text,
      jnp.asarray(sigmas),
      guidance,
      network=self.snapshot.parts['transformer'].network,
      grids=grids,
    )
    return tokens.reshape(noise.shape)

  def find_velocity(
    self,
    z: Float[Array, 'b y x c'],
    sigma: Float[Array, 'b'],
    text: Float[Array, 'b l j'],
    references: Sequence[Float[Array, 'b _ _ c']] = (),
  ) -> Float[Array, 'b y x c']:
    """noise - data of the flow, at noisy tokens in rows and columns.

    Args:
      z: tokens of the target.
      sigma: share of noise in them.
      text: features of one prompt for each picture.
      references: from `encode_picture`.
    """
    flat, joined, grids = _flatten(z, references)
    velocity = _find_velocity(
      self._params['transformer'],
      flat,
      joined,
      text,
      sigma,
      network=self.snapshot.parts['transformer'].network,
      grids=grids,
    )
    return velocity.reshape(z.shape)

  def decode(self, tokens: Float[Array, 'b y x c']) -> Float[Array, 'b h w 3']:
    """Pictures in [0, 1] of normalized tokens in rows and columns."""
    latents = self._apply('vae', tokens, method='from_tokens')
    pictures = self._apply('vae', latents, method='decode')
    return jnp.clip(models.from_network(pictures), 0.0, 1.0)

  def _apply(self, name: str, *inputs: Any, method: str = '__call__'):
    network = self.snapshot.parts[name].network
    return _apply(self._params[name], inputs, network=network, method=method)


def _flatten(target, references):
  """Tokens of the target, of all references, and rows and columns of each."""
  pictures = (target, *references)
  flat = [x.reshape(len(x), -1, x.shape[-1]) for x in pictures]
  joined = jnp.concatenate(flat[1:], axis=1) if references else flat[0][:, :0]
  return flat[0], joined, tuple(x.shape[1:3] for x in pictures)


@functools.partial(jax.jit, static_argnames=('network', 'grids'))
def _find_velocity(params, z, references, text, sigma, *, network, grids):
  """Velocity at tokens `[b n c]` of targets; see `Pipeline.find_velocity`."""
  tokens = jnp.concatenate([z, references], axis=1)
  places = rotary.picture_places(grids)
  velocity = network.apply({'params': params}, tokens, sigma, text, places)
  return velocity[:, : z.shape[1]]


@functools.partial(jax.jit, static_argnames=('network', 'grids'))
def _sample(params, noise, references, text, sigmas, scale, *, network, grids):
  """Tokens at the end of the path; see `Pipeline.sample`."""
  times = len(text) // len(noise)

  def velocity(z, sigma):
    z, seen, sigma = (jnp.concatenate([x] * times)
                      for x in (z, references, sigma))  # fmt: skip
    return _find_velocity(
      params, z, seen, text, sigma, network=network, grids=grids
    )

  if times == 2:
    velocity = sampling.guide(velocity, scale)
  return sampling.integrate(velocity, noise, sigmas)


@functools.partial(jax.jit, static_argnames=('network', 'method'))
def _apply(params, inputs, *, network, method):
  return network.apply({'params': params}, *inputs, method=method)
