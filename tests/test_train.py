"""One loop: what it promises about stopping, resuming and bad numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import config as config_lib
from vbanana_jax import models, train
from vbanana_jax.diffusion.schedules import TrainingLevels
from vbanana_jax.errors import NonFiniteLossError, UserError
from vbanana_jax.runtime import logs
from vbanana_jax.training import checkpoint, config_numbers, weights
from vbanana_jax.training.step import make_gradient_fn, make_train_step


def test_a_finished_run_says_so_and_changes_nothing(whole_run, capsys):
  before = (whole_run / 'metrics.jsonl').read_text()
  train.train(logs.load_json(whole_run / 'run.json')['config'], whole_run)
  said = capsys.readouterr().out
  assert 'trained already' in said
  assert f'--config.init_from={whole_run}' in said
  assert (whole_run / 'metrics.jsonl').read_text() == before


def test_numbers_out_of_range_are_named(tmp_path):
  config = config_lib.load_config('quickstart:pretrain,smoke').to_dict()
  for key, value in (
    ('seed', -1),
    ('keep_checkpoints', 0),
    ('accumulate', 0),
    ('batch_size', -3),
  ):
    with pytest.raises(UserError, match=f'config.{key} is {value}'):
      train.train({**config, key: value}, tmp_path)
  with pytest.raises(UserError, match='keep_every is 4 steps, no multiple'):
    train.train({**config, 'keep_every': '4 steps'}, tmp_path)
  profile = {'start': 7, 'steps': 2}
  with pytest.raises(UserError, match='start is 7, and the run has 6 steps'):
    train.train({**config, 'profile': profile}, tmp_path)
  with pytest.raises(UserError, match="writers has 'csv'"):
    train.train({**config, 'writers': 'csv'}, tmp_path)
  settings = {**config['eval'], 'sampler': 'rk4'}
  with pytest.raises(UserError, match="sampler is 'rk4': choose of"):
    train.train({**config, 'eval': settings}, tmp_path)
  config['model']['patch'] = 0
  with pytest.raises(UserError, match='patch is 0: choose an even number'):
    weights.build_network(config)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'override',
  [
    'optim.learning_rate=nan', 'optim.learning_rate=-1', 'optim.clip=inf',
    'optim.ema_decay=2', 'loss.one_pass_share=1.5', 'loss.time_mean=nan',
    'eval.limit=-1', 'eval.batch_size=0', 'model.max_text=0',
    'profile.start=-1', 'profile.steps=0',
    f'seed={2**63}',
  ],
)  # fmt: skip
def test_numbers_that_a_key_cannot_have_are_refused(override, tmp_path):
  config = config_lib.load_config('quickstart:pretrain,smoke')
  config_lib.apply_overrides(config, [f'--config.{override}'])
  key = override.partition('=')[0]
  with pytest.raises(UserError, match=rf'config\.{key} is .*: it has to be'):
    train.train(config.to_dict(), tmp_path)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', config_lib.list_configs())
def test_numbers_of_our_configs_pass(name):
  for arg in ('', ':smoke'):
    config_numbers.check_numbers(config_lib.load_config(name + arg).to_dict())


def test_another_vocabulary_is_refused(whole_run, monkeypatch):
  with checkpoint.Checkpoints(whole_run) as checkpoints:
    manifest = checkpoints.load_manifest()
    config = logs.load_json(whole_run / 'run.json')['config']
    monkeypatch.setattr(
      checkpoints, 'load_manifest', lambda: {**manifest, 'tokenizer': 'other'}
    )
    with pytest.raises(UserError, match='another vocabulary'):
      weights.check_manifest(checkpoints, config)


class Constant:
  """A network of one weight."""

  flow = models.DiT.flow

  def apply(self, variables, x, *inputs, method):
    if method == 'to_latents':
      return models.to_network(x)
    return x * 0 + variables['params']['w']

  def pool_weights(self, weight_px):
    return weight_px


def make_tiny_step(**options):
  import optax

  from vbanana_jax.training.state import TrainState

  optimizer = optax.sgd(0.1)
  params = {'w': jnp.zeros(())}
  state = TrainState(
    jnp.zeros((), jnp.int32), params, params, optimizer.init(params)
  )
  step = make_train_step(
    make_gradient_fn(Constant(), seed=0, levels=TrainingLevels()),
    optimizer,
    num_tasks=2,
    ema_decay=0.9,
    **options,
  )
  batch = {
    'tokens': jnp.ones((4, 2), jnp.int32),
    'source': jnp.zeros((4, 8, 8, 3)),
    'has_source': jnp.ones(4, bool),
    'target': jnp.full((4, 8, 8, 3), 0.75),
    'weight_px': jnp.ones((4, 8, 8)),
    'task': jnp.array([0, 0, 1, 1]),
    'noise_scale': jnp.full(4, 4.0),
    'one_pass_share': jnp.ones(4),
    'index': jnp.arange(4),
  }
  return jax.jit(step), state, batch


def test_one_pass_examples_learn_the_plain_squared_error():
  step, state, batch = make_tiny_step()
  state, metrics = step(state, batch)
  np.testing.assert_allclose(metrics['loss'], 0.25, rtol=1e-6)  # (2 .75 - 1)^2
  np.testing.assert_allclose(state.params['w'], 0.1, rtol=1e-5)
  np.testing.assert_allclose(metrics['task_loss'], [0.5, 0.5], rtol=1e-6)
  np.testing.assert_array_equal(metrics['task_count'], [2, 2])
  assert int(state.step) == 1
  # A weight of 0, whose gradient is -1 at a learning rate of 0.1.
  np.testing.assert_allclose(metrics['gradient_norm'], 1.0, rtol=1e-5)
  np.testing.assert_allclose(metrics['update_norm'], 0.1, rtol=1e-5)
  assert metrics['parameter_norm'] == 0
  _, metrics = step(state, batch)
  np.testing.assert_allclose(metrics['parameter_norm'], 0.1, rtol=1e-5)


def test_without_an_average_the_same_weights_are_trained():
  step, state, batch = make_tiny_step()
  wanted, _ = step(state, batch)
  found, _ = step(state._replace(ema_params=None), batch)
  assert found.ema_params is None
  np.testing.assert_array_equal(found.params['w'], wanted.params['w'])
  again = found.restart({'w': jnp.ones(())})
  assert again.ema_params is None and int(again.step) == 1
  assert wanted.restart(again.params).ema_params['w'] == 1


def test_norms_are_read_at_logged_steps_and_change_nothing():
  every, state, batch = make_tiny_step()
  second, also, _ = make_tiny_step(log_every=2)
  for is_read in (False, True, False):
    state, metrics = every(state, batch)
    also, rare = second(also, batch)
    jax.tree.map(np.testing.assert_array_equal, state, also)
    for key in ('parameter_norm', 'update_norm'):
      assert rare[key] == metrics[key] if is_read else np.isnan(rare[key])


def test_weights_of_pixels_count_in_one_pass_alone():
  step, state, batch = make_tiny_step()
  batch['target'] = batch['target'].at[:, :4].set(0.5)
  even = step(state, batch)[1]['loss']
  batch['weight_px'] = batch['weight_px'].at[:, 4:].set(3.0)
  np.testing.assert_allclose(even, 0.125, rtol=1e-6)
  np.testing.assert_allclose(step(state, batch)[1]['loss'], 0.1875, rtol=1e-6)
  batch['one_pass_share'] = jnp.zeros(4)
  weighted = step(state, batch)[1]['loss']
  batch['weight_px'] = jnp.ones((4, 8, 8))
  np.testing.assert_allclose(step(state, batch)[1]['loss'], weighted, rtol=1e-6)


def test_a_loss_that_is_not_finite_leaves_the_state_alone():
  step, state, batch = make_tiny_step()
  batch['target'] = batch['target'].at[1].set(jnp.nan)
  after, metrics = step(state, batch)
  jax.tree.map(np.testing.assert_array_equal, state, after)
  assert np.isnan(metrics['update_norm'])
  with pytest.raises(NonFiniteLossError, match='step 7'):
    train.check_finite(metrics, 7)


def test_noise_of_an_example_does_not_depend_on_its_batch():
  step, state, batch = make_tiny_step()
  batch['one_pass_share'] = jnp.zeros(4)
  _, together = step(state, batch)
  one = {key: value[2:3].repeat(4, axis=0) for key, value in batch.items()}
  _, alone = step(state, one)
  two = {key: value[3:].repeat(4, axis=0) for key, value in batch.items()}
  _, other = step(state, two)
  np.testing.assert_allclose(
    together['task_loss'][1],
    alone['task_loss'][1] / 4 + other['task_loss'][1] / 4,
    rtol=1e-5,
  )
