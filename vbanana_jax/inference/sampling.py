"""Painting an answer: in one pass, or by a sampler with guidance.

Noise is drawn per example from (seed, example index), so neither batch size
nor topology changes a picture.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vbanana_jax import keys
from vbanana_jax.diffusion import flow, samplers
from vbanana_jax.models import TextKV, from_network, to_network


def make_text_encoder(model) -> Callable[[dict, jax.Array], TextKV]:
  """The function `(params, tokens [b l]) -> text_kv`, once a prompt."""

  def encode(params, tokens):
    return model.apply({'params': params}, tokens, method='encode_text')

  return encode


def make_sample_fn(
  model,
  *,
  seed: int,
  steps: int,
  method: str = samplers.DEFAULT,
  guidance: float = 1.0,
) -> Callable[[dict, dict], jax.Array]:
  """The function `(params, batch) -> rgb [b h w 3]` in [0, 1].

  Instead of `tokens` a batch may bring `text_kv`, what `make_text_encoder` made
  of them: a row for each picture, or one row for all.

  Args:
    model: from `models.build_model`.
    seed: of the noise, folded with each example's index.
    steps: 0 for the one-pass answer; otherwise sampler steps.
    method: a key of `samplers.STEPS`; one pass has none.
    guidance: 1 is off. The unconditional branch reads an empty instruction
      and keeps the source.
  """
  encode = make_text_encoder(model)

  def sample(params, batch):
    source = to_network(batch['source'])
    b = source.shape[0]
    if 'text_kv' in batch:
      text_kv = _repeat_text(batch['text_kv'], b)
    else:
      text_kv = encode(params, batch['tokens'])
    given = text_kv, source, batch['has_source']
    denoise = _build_denoiser(model, params, *given)
    if steps == 0:
      return from_network(samplers.predict_in_one_pass(denoise, source.shape))
    if guidance != 1.0:
      nothing = jnp.zeros((1, text_kv.mask.shape[1] - 1), jnp.int32)
      without = _repeat_text(encode(params, nothing), b)
      denoise_both = _build_both(model, params, *given, without)
      denoise = samplers.guide(denoise, denoise_both, scale=guidance)
    example_keys = keys.make_example_keys(
      keys.make_key(seed, 'sample'), batch['index']
    )
    noise = flow.make_noise(
      example_keys, source.shape[1:], batch['noise_scale']
    )
    painted = samplers.sample(denoise, noise, steps=steps, method=method)
    return from_network(painted)

  def clipped(params, batch):
    return jnp.clip(sample(params, batch), 0.0, 1.0)

  return clipped


def _build_denoiser(model, params, text_kv: TextKV, source, has_source):
  """The function `(z [b h w 3], time [b]) -> x [b h w 3]` of one question."""

  def denoise(z, time):
    return model.apply(
      {'params': params},
      z,
      time,
      text_kv,
      source,
      has_source,
      method='denoise',
    )

  return denoise


def _build_both(model, params, text_kv, source, has_source, without: TextKV):
  """The function `(z, time) -> (x, x without words)`, both in one batch."""
  denoise_pairs = _build_denoiser(
    model,
    params,
    jax.tree.map(_pair, text_kv, without, _TEXT_ROWS),
    _pair(source, source),
    _pair(has_source, has_source),
  )

  def denoise_both(z, time):
    x = denoise_pairs(_pair(z, z), _pair(time, time))
    x = x.reshape(z.shape[0], 2, *z.shape[1:])
    return x[:, 0], x[:, 1]

  return denoise_both


# The axis of a text memory's leaves that counts instructions.
_TEXT_ROWS = TextKV(keys=1, values=1, mask=0)


def _repeat_text(text_kv: TextKV, b: int) -> TextKV:
  """One row for each of `b` pictures, where all share one."""

  def repeat(x, axis):
    return jnp.broadcast_to(x, (*x.shape[:axis], b, *x.shape[axis + 1 :]))

  return jax.tree.map(repeat, text_kv, _TEXT_ROWS)


def _pair(x: jax.Array, y: jax.Array, axis: int = 0) -> jax.Array:
  """Rows of `x` and `y` in turn: a pair stays on one device."""
  both = jnp.stack([x, y], axis + 1)
  return both.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
