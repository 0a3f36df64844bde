"""The compiled heart: one training step.

Everything random in a step is drawn per example from (seed, example index),
so neither batch size nor topology changes what an example sees.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vbanana_jax import keys
from vbanana_jax.diffusion import flow, losses
from vbanana_jax.models import to_network
from vbanana_jax.training import optim
from vbanana_jax.training.state import TrainState

_UNREAD = np.full(2, np.nan, np.float32)  # norms of a step that is not logged


def draw_noise(
  batch, *, key, time_mean, time_std
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """What chance decides of a training batch.

  Args:
    batch: see `types.Batch`.
    key: of the run; folded with each example's index.
    time_mean: of the logit-normal times.
    time_std: likewise.

  Returns:
    one_pass: bool[b], whether an example is a one-pass answer.
    time: f32[b] in [0, 1]; 0 of a one-pass answer.
    noise: f32[b h w 3]; zeros of a one-pass answer.
  """
  example_keys = keys.make_example_keys(key, batch['index'])
  key_mode, key_time, key_noise = jnp.moveaxis(
    jax.vmap(lambda k: jax.random.split(k, 3))(example_keys), 1, 0
  )
  one_pass = jax.vmap(jax.random.uniform)(key_mode) < batch['one_pass_share']
  time = jnp.where(
    one_pass, 0.0, flow.sample_times(key_time, time_mean, time_std)
  )
  noise_scale = jnp.where(one_pass, 0.0, batch['noise_scale'])
  shape = batch['target'].shape[1:]
  return one_pass, time, flow.make_noise(key_noise, shape, noise_scale)


def make_example_losses(model, params, batch, *, key, time_mean, time_std):
  """Loss of every example of a training batch, `[b]`.

  With its task's probability an example is a one-pass answer: empty image,
  time 0. Otherwise it stands somewhere on the path from noise to its target.

  Args:
    model: from `models.build_model`.
    params: its weights.
    batch: see `types.Batch`.
    key: of the run; folded with each example's index.
    time_mean: of the logit-normal times.
    time_std: likewise.
  """
  x = to_network(batch['target'])
  one_pass, time, noise = draw_noise(
    batch, key=key, time_mean=time_mean, time_std=time_std
  )
  z = flow.interpolate(x, noise, time)
  prediction = model.apply(
    {'params': params},
    z,
    time,
    batch['tokens'],
    to_network(batch['source']),
    batch['has_source'],
  )
  # Weights shift where a one-pass answer tips from background to color; a
  # sampled picture should keep the frequencies of the data.
  weight_px = jnp.where(
    one_pass[:, None, None], batch['weight_px'], batch['weight_px'] > 0
  )
  return losses.velocity_loss(prediction, x, z, time, weight_px)


def make_gradient_fn(
  model, *, seed: int, time_mean: float, time_std: float, accumulate: int = 1
) -> Callable[[dict, dict], tuple[jax.Array, jax.Array, dict]]:
  """The function `(params, batch) -> (loss, example losses [b], gradients)`.

  The loss is the mean over the batch. With `accumulate`, the gradient is
  summed over so many parts of the batch, one after the other; the memory for
  activations is that of one part, and the gradient is the same to rounding.
  """

  def take(params, batch):
    def mean_loss(params):
      per_example = make_example_losses(
        model,
        params,
        batch,
        key=keys.make_key(seed, 'noise'),
        time_mean=time_mean,
        time_std=time_std,
      )
      return jnp.mean(per_example), per_example

    (loss, per_example), gradients = jax.value_and_grad(
      mean_loss, has_aux=True
    )(params)
    return loss, per_example, gradients

  def take_in_parts(params, batch):
    def add(total, part):
      _, per_example, gradients = take(params, part)
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
  take_gradient: Callable[[dict, dict], tuple[jax.Array, jax.Array, dict]],
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
    loss, per_example, gradients = take_gradient(state.params, batch)
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
    ema = optax.incremental_update(params, state.ema_params, 1.0 - decay)
    step = state.step + 1
    norms = jax.lax.cond(
      step % log_every == 0,
      measure_norms,
      lambda params, updates: _UNREAD,
      state.params,
      updates,
    )
    return TrainState(step, params, ema, opt_state), norms

  return update


def split_batch(batch: dict, parts: int) -> dict:
  """Every `parts`-th row of a batch together: leaves `[parts, b / parts, ...]`.

  Neighboring rows live on one device; taking every k-th leaves each device
  its share of every part.
  """
  return jax.tree.map(
    lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch
  )
