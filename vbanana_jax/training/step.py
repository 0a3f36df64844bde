"""The compiled heart: one training step.

Everything random in a step is drawn per example from (seed, example index),
so neither batch size nor topology changes what an example sees.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vbanana_jax import keys
from vbanana_jax.diffusion import flow, losses
from vbanana_jax.diffusion.schedules import TrainingLevels
from vbanana_jax.training import optim
from vbanana_jax.training.state import TrainState, join_weights

_UNREAD = np.full(2, np.nan, np.float32)  # norms of a step that is not logged


class Draws(NamedTuple):
  """What chance decides of a training batch.

  Attributes:
    one_pass: bool[b], whether an example is a one-pass answer.
    time: f32[b] in [0, 1]; 0 of a one-pass answer.
    noise: f32[b y x c]; zeros of a one-pass answer.
  """

  one_pass: jax.Array
  time: jax.Array
  noise: jax.Array


def draw_noise(
  batch, shape: tuple[int, ...], *, key, levels: TrainingLevels, unit=False
) -> Draws:
  """Draws for every example of a batch.

  Args:
    batch: see `types.Batch`.
    shape: of the latents of one example, `(y, x, c)`.
    key: of the run; folded with each example's index.
    levels: of the noise.
    unit: whether noise has unit strength, whatever the batch says.
  """
  example_keys = keys.make_example_keys(key, batch['index'])
  b = len(batch['index'])
  key_mode, key_time, key_noise = jnp.moveaxis(
    jax.vmap(lambda k: jax.random.split(k, 3))(example_keys), 1, 0
  )
  one_pass = jax.vmap(jax.random.uniform)(key_mode) < batch['one_pass_share']
  scale = jnp.ones(b) if unit else batch['noise_scale']
  scale = jnp.where(one_pass, 0.0, scale)
  time = levels.draw(key_time, shape[0] * shape[1])
  return Draws(
    one_pass,
    jnp.where(one_pass, 0.0, time),
    flow.make_noise(key_noise, shape, scale),
  )


def make_example_losses(
  model, weights, batch, *, key: jax.Array, levels: TrainingLevels
) -> jax.Array:
  """Loss of every example of a training batch, `[b]`.

  With its task's probability an example is a one-pass answer: empty latents,
  time 0. Otherwise it stands somewhere on the path from noise to its target.

  Args:
    model: see `models.contract.Network`.
    weights: of all of it.
    batch: see `types.Batch`.
    key: of the run; folded with each example's index.
    levels: of the noise.
  """

  def apply(*inputs, method):
    return model.apply({'params': weights}, *inputs, method=method)

  x = apply(batch['target'], method='to_latents')
  source = apply(batch['source'], method='to_latents')
  memory = batch.get('memory')
  if memory is None:
    memory = apply(batch['tokens'], method='encode_text')
  draws = draw_noise(
    batch, x.shape[1:], key=key, levels=levels, unit=model.flow.unit_noise
  )

  def denoise(z):
    return apply(
      z, draws.time, memory, source, batch['has_source'], method='denoise'
    )

  # Weights shift where a one-pass answer tips from background to color; a
  # sampled picture should keep the frequencies of the data.
  weight_px = jnp.where(
    draws.one_pass[:, None, None], batch['weight_px'], batch['weight_px'] > 0
  )
  weight = model.pool_weights(weight_px)
  return find_losses(
    denoise, x, draws, weight, kind=model.flow.prediction, levels=levels
  )


def find_losses(
  denoise: Callable[[jax.Array], jax.Array],
  x: jax.Array,
  draws: Draws,
  weight: jax.Array,
  *,
  kind: str,
  levels: TrainingLevels,
) -> jax.Array:
  """Losses `[b]` of latents `x [b y x c]` at given draws.

  Args:
    denoise: the network's prediction from a point of the path.
    x: true latents.
    draws: of times and noise.
    weight: `[b, y, x]`, of each place.
    kind: of the prediction, of `flow.PREDICTIONS`.
    levels: say what an error counts for; in one pass all count alike.
  """
  _, time, noise = draws
  prediction = denoise(flow.interpolate(x, noise, time))
  error = flow.find_velocity_error(prediction, x, noise, time, kind)
  loss = losses.velocity_loss(error, weight)
  if levels.weighting == 'none':
    return loss
  return loss * jnp.where(draws.one_pass, 1.0, levels.find_weights(time))


def make_gradient_fn(
  model, *, seed: int, levels: TrainingLevels, accumulate: int = 1
) -> Callable[[dict, dict, dict], tuple[jax.Array, jax.Array, dict]]:
  """The function that takes gradients of the mean loss of a batch.

  It is `(params, frozen, batch) -> (loss, example losses [b], gradients)`, of
  trained and of frozen parts of the network. With `accumulate`, the gradient is
  summed over so many parts of the batch, one after the other; the memory for
  activations is that of one part, and the gradient is the same to rounding.
  """

  def take(params, frozen, batch):
    def mean_loss(params):
      per_example = make_example_losses(
        model,
        join_weights(params, frozen),
        batch,
        key=keys.make_key(seed, 'noise'),
        levels=levels,
      )
      return jnp.mean(per_example), per_example

    (loss, per_example), gradients = jax.value_and_grad(
      mean_loss, has_aux=True
    )(params)
    return loss, per_example, gradients

  def take_in_parts(params, frozen, batch):
    def add(total, part):
      _, per_example, gradients = take(params, frozen, part)
      return jax.tree.map(jnp.add, total, gradients), per_example

    zeros = jax.tree.map(jnp.zeros_like, params)
    total, per_example = jax.lax.scan(
      add, zeros, split_batch(batch, accumulate)
    )
    gradients = jax.tree.map(lambda x: x / accumulate, total)
    per_example = per_example.T.reshape(-1)  # back in the batch's order
    return jnp.mean(per_example), per_example, gradients

  return take if accumulate == 1 else take_in_parts


def make_train_step(
  take_gradient: Callable[..., tuple[jax.Array, jax.Array, dict]],
  optimizer: optax.GradientTransformation,
  *,
  num_tasks: int,
  ema_decay: float,
  log_every: int = 1,
) -> Callable[[TrainState, dict], tuple[TrainState, dict]]:
  """The function `(state, batch) -> (state, metrics)` to be jitted.

  A step whose loss or gradient is not finite returns the state unchanged;
  the caller sees it in `metrics['loss']` and stops.

  Metrics:
    loss: mean over the batch.
    gradient_norm: of all gradients together, before clipping.
    parameter_norm: of all weights together, before the update; nan unless
      `log_every` divides the step that this is, and the update is applied.
    update_norm: of what the update adds to them; likewise.
    task_loss: `[num_tasks]`, sum of the examples' losses.
    task_count: `[num_tasks]`, number of examples.

  Args:
    take_gradient: from `make_gradient_fn`.
    optimizer: from `optim.build_optimizer`.
    num_tasks: of the mixture.
    ema_decay: of the averaged weights, in the end; see `optim.make_ema_decay`.
    log_every: steps between those whose norms are read.
  """
  update = make_update(optimizer, ema_decay=ema_decay, log_every=log_every)

  def train_step(state, batch):
    loss, per_example, gradients = take_gradient(
      state.params, state.frozen, batch
    )
    norm = optax.tree.norm(gradients)
    state, (parameter_norm, update_norm) = jax.lax.cond(
      jnp.isfinite(loss) & jnp.isfinite(norm),
      lambda state: update(state, gradients),
      lambda state: (state, _UNREAD),
      state,
    )
    by_task = jax.nn.one_hot(batch['task'], num_tasks)
    return state, {
      'loss': loss,
      'gradient_norm': norm,
      'parameter_norm': parameter_norm,
      'update_norm': update_norm,
      'task_loss': jnp.sum(per_example[:, None] * by_task, axis=0),
      'task_count': jnp.sum(by_task, axis=0),
    }

  return train_step


def make_update(
  optimizer: optax.GradientTransformation, *, ema_decay: float, log_every: int
) -> Callable[[TrainState, dict], tuple[TrainState, jax.Array]]:
  """The function `(state, gradients) -> (state, norms)`; see `make_train_step`.

  Norms, f32[2], are of the weights before the update and of what it adds.
  """

  def measure_norms(params, updates):
    return jnp.stack([optax.tree.norm(params), optax.tree.norm(updates)])

  def update(state, gradients):
    updates, opt_state = optimizer.update(
      gradients, state.opt_state, state.params
    )
    decay = optim.make_ema_decay(ema_decay, state.step)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema_params
    if ema is not None:
      ema = optax.incremental_update(params, ema, 1.0 - decay)
    step = state.step + 1
    norms = jax.lax.cond(
      step % log_every == 0,
      measure_norms,
      lambda params, updates: _UNREAD,
      state.params,
      updates,
    )
    return TrainState(step, params, ema, opt_state, state.frozen), norms

  return update


def split_batch(batch: dict, parts: int) -> dict:
  """Every `parts`-th row of a batch together: leaves `[parts, b / parts, ...]`.

  Neighboring rows live on one device; taking every k-th leaves each device
  its share of every part.
  """
  return jax.tree.map(
    lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch
  )
