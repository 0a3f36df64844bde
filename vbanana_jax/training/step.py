"""The compiled heart: one training step, and painting an answer.

Everything random in a step is drawn per example from (seed, example index),
so neither batch size nor topology changes what an example sees.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from vbanana_jax import keys
from vbanana_jax.diffusion import losses, paths, samplers
from vbanana_jax.models import TextKV, from_network, to_network
from vbanana_jax.training import optim
from vbanana_jax.training.state import TrainState


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
    one_pass, 0.0, paths.sample_times(key_time, time_mean, time_std)
  )
  noise_scale = jnp.where(one_pass, 0.0, batch['noise_scale'])
  shape = batch['target'].shape[1:]
  return one_pass, time, paths.make_noise(key_noise, shape, noise_scale)


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
  z = paths.interpolate(x, noise, time)
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


def make_train_step(
  model,
  optimizer: optax.GradientTransformation,
  *,
  seed: int,
  num_tasks: int,
  time_mean: float,
  time_std: float,
  ema_decay: float,
  accumulate: int = 1,
) -> Callable[[TrainState, dict], tuple[TrainState, dict]]:
  """The function `(state, batch) -> (state, metrics)` to be jitted.

  A step whose loss or gradient is not finite returns the state unchanged;
  the caller sees it in `metrics['loss']` and stops. With `accumulate`, the
  gradient of a batch is summed over so many parts of it, one after the other;
  the memory for activations is that of one part, and the update is the same
  to rounding.

  Metrics:
    loss: mean over the batch.
    gradient_norm: of all gradients together, before clipping.
    parameter_norm: of all weights together, before the update.
    update_norm: of what the update adds to them; 0 if it is not applied.
    task_loss: `[num_tasks]`, sum of the examples' losses.
    task_count: `[num_tasks]`, number of examples.
  """

  def take_gradient(params, batch):
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

    return jax.value_and_grad(mean_loss, has_aux=True)(params)

  def take_gradient_in_parts(params, batch):
    def add(total, part):
      (_, per_example), gradients = take_gradient(params, part)
      return jax.tree.map(jnp.add, total, gradients), per_example

    zeros = jax.tree.map(jnp.zeros_like, params)
    total, per_example = jax.lax.scan(
      add, zeros, split_batch(batch, accumulate)
    )
    gradients = jax.tree.map(lambda x: x / accumulate, total)
    per_example = per_example.T.reshape(-1)  # back in the batch's order
    return (jnp.mean(per_example), per_example), gradients

  def train_step(state, batch):
    take = take_gradient if accumulate == 1 else take_gradient_in_parts
    (loss, per_example), gradients = take(state.params, batch)
    norm = optax.tree.norm(gradients)

    def update(state):
      updates, opt_state = optimizer.update(
        gradients, state.opt_state, state.params
      )
      decay = optim.make_ema_decay(ema_decay, state.step)
      params = optax.apply_updates(state.params, updates)
      ema = optax.incremental_update(params, state.ema_params, 1.0 - decay)
      updated = TrainState(state.step + 1, params, ema, opt_state)
      return updated, optax.tree.norm(updates)

    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    parameter_norm = optax.tree.norm(state.params)
    state, update_norm = jax.lax.cond(
      finite, update, lambda state: (state, jnp.zeros_like(norm)), state
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


def split_batch(batch: dict, parts: int) -> dict:
  """Every `parts`-th row of a batch together: leaves `[parts, b / parts, ...]`.

  Neighboring rows live on one device; taking every k-th leaves each device
  its share of every part.
  """
  return jax.tree.map(
    lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch
  )


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
    has_source = batch['has_source']
    b = source.shape[0]
    if 'text_kv' in batch:
      text_kv = _repeat_text(batch['text_kv'], b)
    else:
      text_kv = encode(params, batch['tokens'])

    def build_denoiser(text_kv, source, has_source):
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

    denoise = build_denoiser(text_kv, source, has_source)
    if steps == 0:
      return from_network(samplers.predict_in_one_pass(denoise, source.shape))
    if guidance != 1.0:
      nothing = jnp.zeros((1, text_kv.mask.shape[1] - 1), jnp.int32)
      without = _repeat_text(encode(params, nothing), b)
      denoise_pairs = build_denoiser(
        jax.tree.map(_pair, text_kv, without, _TEXT_ROWS),
        _pair(source, source),
        _pair(has_source, has_source),
      )

      def denoise_both(z, time):
        x = denoise_pairs(_pair(z, z), _pair(time, time))
        x = x.reshape(b, 2, *z.shape[1:])
        return x[:, 0], x[:, 1]

      denoise = samplers.guide(denoise, denoise_both, scale=guidance)
    example_keys = keys.make_example_keys(
      keys.make_key(seed, 'sample'), batch['index']
    )
    noise = paths.make_noise(
      example_keys, source.shape[1:], batch['noise_scale']
    )
    painted = samplers.sample(denoise, noise, steps=steps, method=method)
    return from_network(painted)

  def clipped(params, batch):
    return jnp.clip(sample(params, batch), 0.0, 1.0)

  return clipped


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
