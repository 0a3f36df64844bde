"""Which leaf Muon owns, the schedule, and the average of the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax import contrib

from vbanana_jax import models, sharding
from vbanana_jax.errors import UserError
from vbanana_jax.training import muon, optim, state

CONFIG = {
  'name': 'muon',
  'learning_rate': 0.02,
  'adam_learning_rate': 1e-3,
  'muon_iterations': 5,
  'weight_decay': 0.0,
  'clip': 1.0,
  'warmup': 0.1,
  'decay': 0.5,
}


@pytest.fixture(scope='module')
def params():
  model = models.build_model(
    {
      'size': 'smoke',
      'patch': 8,
      'vocab_size': 64,
      'max_text': 8,
      'remat': 'none',
    },
    models.Precision(),
  )
  return jax.eval_shape(lambda: state.make_params(model, size=16, seed=0))


def names_of(tree):
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(path) for path, leaf in leaves if leaf}


def test_muon_owns_exactly_the_matrices_of_the_blocks(params):
  names = names_of(optim.find_matrices(params))
  matrices = ('q', 'k', 'v', 'out')
  mlp = ('gate', 'up', 'down')
  assert names == {"['text_key']", "['text_value']"} | {
    f"{stack}['blocks']{name}['kernel']"
    for stack in ('', "['text']")
    for name in [f"['{m}']" for m in matrices]
    + [f"['mlp']['{m}']" for m in mlp]
  }


def test_muon_orthogonalizes_each_block_alone(params):
  optimizer = optim.build_optimizer(CONFIG, 10, models.Precision())
  weights = jax.tree.map(lambda x: jnp.zeros(x.shape), params)
  rng = np.random.default_rng(0)
  gradients = jax.tree.map(
    lambda x: jnp.array(rng.normal(size=x.shape), jnp.float32), params
  )
  opt_state = optimizer.init(weights)
  for _ in range(2):  # the first step has learning rate 0
    updates, opt_state = optimizer.update(gradients, opt_state, weights)
  for block in updates['blocks']['q']['kernel']:
    singular = np.linalg.svd(block, compute_uv=False)
    assert singular.max() / singular.min() < 4.0
  raw = np.linalg.svd(gradients['blocks']['q']['kernel'][0], compute_uv=False)
  assert raw.max() / raw.min() > 10.0


@pytest.mark.parametrize(
  'matmul_dtype, tolerance', [('float32', 1e-5), ('bfloat16', 0.15)]
)
def test_muon_is_that_of_optax(params, matmul_dtype, tolerance):
  weights = jax.tree.map(lambda x: jnp.ones(x.shape), params)
  rng = np.random.default_rng(0)
  gradients = [
    jax.tree.map(
      lambda x: jnp.array(rng.normal(size=x.shape), jnp.float32), params
    )
    for _ in range(2)
  ]
  config = {**CONFIG, 'weight_decay': 0.1, 'clip': 1e9, 'warmup': 0.0}
  schedule = optim.build_schedule(config, 10)
  matrices = contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
  expected = contrib.muon(
    lambda step: config['learning_rate'] * schedule(step),
    ns_steps=config['muon_iterations'],
    weight_decay=config['weight_decay'],
    adam_weight_decay=config['weight_decay'],
    adam_learning_rate=lambda step: (
      config['adam_learning_rate'] * schedule(step)
    ),
    adam_b2=0.99,
    muon_weight_dimension_numbers=lambda tree: jax.tree.map(
      lambda owned: matrices if owned else None, optim.find_matrices(tree)
    ),
  )
  found = optim.build_optimizer(config, 10, models.Precision(matmul_dtype))
  states = [expected.init(weights), found.init(weights)]
  # A checkpoint of either can be restored into the other.
  assert jax.tree.structure(states[0]) == jax.tree.structure(states[1][1])
  for gradient in gradients:
    ours, states[1] = found.update(gradient, states[1], weights)
    theirs, states[0] = expected.update(gradient, states[0], weights)
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
    scale = float(jnp.abs(b).max())
    np.testing.assert_allclose(a, b, atol=tolerance * scale)


@pytest.mark.parametrize('shape', [(3, 8, 24), (3, 24, 8)])
def test_muon_takes_matrices_in_turn_to_the_same_end(shape):
  x = jnp.array(np.random.default_rng(0).normal(size=shape), jnp.float32)
  step = jax.jit(muon.orthogonalize, static_argnums=(1, 2, 3))
  np.testing.assert_allclose(
    step(x, 5, 'float32', True), step(x, 5, 'float32', False), atol=1e-5
  )


def test_only_a_cpu_that_has_all_takes_matrices_in_turn(params):
  weights = jax.tree.map(lambda x: jnp.ones(x.shape), params)

  def has_loop(precision, devices):
    mesh = sharding.build_mesh(devices=jax.devices()[:devices])
    optimizer = optim.build_optimizer(CONFIG, 10, precision, mesh)
    step = jax.jit(optimizer.update)
    state = jax.eval_shape(optimizer.init, weights)
    return 'while' in step.lower(weights, state, weights).as_text()

  assert has_loop(models.Precision(), 1)
  assert not has_loop(models.Precision(), 2)
  assert not has_loop(models.Precision(accelerator=True), 1)


def test_schedule_warms_up_holds_and_ends_at_zero():
  schedule = optim.build_schedule({'warmup': 0.1, 'decay': 0.5}, 100)
  values = [float(schedule(step)) for step in (0, 5, 10, 30, 50, 75, 100)]
  np.testing.assert_allclose(values, [0, 0.5, 1, 1, 1, 0.5, 0], atol=1e-6)


def test_the_average_forgets_its_start():
  decays = [float(optim.make_ema_decay(0.999, s)) for s in (0, 90, 10**6)]
  np.testing.assert_allclose(decays, [0.1, 0.91, 0.999], rtol=1e-6)


def test_an_unknown_optimizer_is_named():
  with pytest.raises(UserError, match='sgd'):
    optim.build_optimizer({**CONFIG, 'name': 'sgd'}, 10, models.Precision())


@pytest.mark.parametrize(
  'name,key,leaf',
  [('muon', 'learning_rate', 'text_key'), ('adamw', 'adam_learning_rate', 'w')],
)
def test_the_rates_that_are_logged_are_those_of_the_updates(name, key, leaf):
  config = {**CONFIG, 'name': name}
  rates = optim.build_learning_rates(config, 10)
  optimizer = optim.build_optimizer(config, 10, models.Precision())
  # Both make of a gradient that stays the same an update as large as their
  # learning rate, but for a factor.
  gradient = {leaf: jnp.eye(4)[None]}
  params = {leaf: jnp.zeros((1, 4, 4))}
  moments, factors = optimizer.init(params), []
  for step in range(1, 11):
    updates, moments = optimizer.update(gradient, moments, params)
    size, rate = float(jnp.max(jnp.abs(updates[leaf]))), rates(step)[key]
    if step == 1:
      assert size == rate == 0  # where the warm-up begins
    else:
      factors.append(size / rate)
  np.testing.assert_allclose(factors, factors[0], rtol=1e-4)
  assert rates(5) == {
    name: CONFIG[name] for name in dict.fromkeys([key, 'adam_learning_rate'])
  }
