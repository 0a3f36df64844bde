"""Painting an answer: in one pass, or by a sampler with guidance.

Noise is drawn per example from (seed, example index), so neither batch size
nor topology changes a picture.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt32

from vbanana_jax import keys
from vbanana_jax.diffusion import flow, samplers, schedules

# Between which times latents of so many places is sampled, in so many steps.
TIMES = {
  'even': lambda steps, places: samplers.even_times(steps),
  'flux2': lambda steps, places: (
    1.0 - jnp.asarray(schedules.sampling_sigmas(places, steps))
  ),
}


def make_text_encoder(model) -> Callable[[dict, jax.Array], Any]:
  """The function `(weights, tokens [b l]) -> memory`, once a prompt."""

  def encode(params, tokens):
    return model.apply({'params': params}, tokens, method='encode_text')

  return encode


def make_sample_fn(
  model,
  *,
  seed: int | None,
  steps: int,
  method: str = samplers.DEFAULT,
  guidance: float = 1.0,
) -> Callable[[dict, dict], jax.Array]:
  """The function `(params, batch) -> rgb [b h w 3]` in [0, 1].

  Instead of `tokens` a batch may bring `memory`, what `make_text_encoder` made
  of them: a row for each picture, or one row for all.

  Args:
    model: see `models.contract.Network`.
    seed: of the noise, folded with each example's index; None where a batch
      brings `noise`, of `make_noise_key`, so that seeds share a program.
    steps: 0 for the one-pass answer; otherwise sampler steps.
    method: a key of `samplers.STEPS`; one pass has none.
    guidance: 1 is off. The unconditional branch reads an empty instruction
      and keeps the source.
  """
  traits, encode = model.flow, make_text_encoder(model)

  def sample(weights, batch, source):
    b = source.shape[0]
    memory = batch.get('memory')
    if memory is None:
      memory = encode(weights, batch['tokens'])
    memory = _repeat_text(model, memory, b)
    given = memory, source, batch['has_source']
    denoise = _build_denoiser(model, weights, *given)
    if steps == 0:
      return samplers.predict_in_one_pass(denoise, source.shape)
    if guidance != 1.0:
      without = _apply(model, weights, memory, method='encode_nothing')
      without = _repeat_text(model, without, b)
      denoise_both = _build_both(model, weights, *given, without)
      denoise = samplers.guide(
        denoise, denoise_both, scale=guidance, interval=traits.guided
      )
    scale = jnp.ones(b) if traits.unit_noise else batch['noise_scale']
    _, rows, columns, _ = source.shape
    return samplers.sample(
      denoise,
      flow.make_noise(_find_keys(seed, batch), source.shape[1:], scale),
      times=TIMES[traits.times](steps, rows * columns),
      start_time=traits.start_time,
      method=method,
    )

  def paint(weights, batch):
    source = _apply(model, weights, batch['source'], method='to_latents')
    latents = sample(weights, batch, source)
    painted = _apply(model, weights, latents, method='from_latents')
    return jnp.clip(painted, 0.0, 1.0)

  return paint


def make_noise_key(seed: int) -> UInt32[Array, 'k']:
  """What the noise of a seed is drawn from, as plain numbers."""
  return jax.random.key_data(keys.make_key(seed, 'sample'))


def _find_keys(seed: int | None, batch: dict) -> jax.Array:
  noise = batch['noise'] if seed is None else make_noise_key(seed)
  key = jax.random.wrap_key_data(noise)
  return keys.make_example_keys(key, batch['index'])


def _apply(model, weights, *inputs, method: str):
  return model.apply({'params': weights}, *inputs, method=method)


def _build_denoiser(model, weights, memory, source, has_source):
  """The function `(z [b y x c], time [b]) -> x [b y x c]` of one question."""

  def denoise(z, time):
    given = z, time, memory, source, has_source
    prediction = _apply(model, weights, *given, method='denoise')
    return flow.to_picture(prediction, z, time, model.flow.prediction)

  return denoise


def _build_both(model, weights, memory, source, has_source, without):
  """The function `(z, time) -> (x, x without words)`, both in one batch."""
  denoise_pairs = _build_denoiser(
    model,
    weights,
    jax.tree.map(_pair, memory, without, model.memory_rows),
    _pair(source, source),
    _pair(has_source, has_source),
  )

  def denoise_both(z, time):
    x = denoise_pairs(_pair(z, z), _pair(time, time))
    x = x.reshape(z.shape[0], 2, *z.shape[1:])
    return x[:, 0], x[:, 1]

  return denoise_both


def _repeat_text(model, memory, b: int):
  """One row for each of `b` pictures, where all share one."""

  def repeat(x, axis):
    return jnp.broadcast_to(x, (*x.shape[:axis], b, *x.shape[axis + 1 :]))

  return jax.tree.map(repeat, memory, model.memory_rows)


def _pair(x: jax.Array, y: jax.Array, axis: int = 0) -> jax.Array:
  """Rows of `x` and `y` in turn: a pair stays on one device."""
  both = jnp.stack([x, y], axis + 1)
  return both.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
