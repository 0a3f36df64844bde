"""The same training on any mesh: other devices change the last digits alone.

A few steps on one device are the reference. Whoever else takes them, in as
many parts as they like, has to come to the same losses, gradient norms,
weights, averages and moments within `RTOL`: the sums are the same and taken in
another order.
"""

import jax
import numpy as np
import pytest

from vbanana_jax import config as config_lib
from vbanana_jax import models, sharding
from vbanana_jax.data import sources
from vbanana_jax.evaluation import evaluators, held_out
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.models import dit
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import optim, setup
from vbanana_jax.training.state import make_params, make_state
from vbanana_jax.training.step import split_batch

STEPS, BATCH, SIZE, WORDS = 3, 16, 16, 1024
# Of losses and norms; of arrays, as a share of their largest entry.
RTOL = 1e-3
# Compiles five times faster to slower code that computes the same.
QUICK = {
  'xla_backend_optimization_level': 0,
  'xla_cpu_use_fusion_emitters': False,
}


def make_config(preset, accumulate=1):
  config = config_lib.load_config('quickstart').to_dict()
  # Learns from the first step on: with a rate of zero all weights are equal.
  config['optim'] |= {'warmup': 0.0, 'muon_iterations': 2}
  return {
    **config,
    'image_size': SIZE,
    'sharding': preset,
    'accumulate': accumulate,
  }


def build_model(mesh, *, accelerator=False, remat='none'):
  """As small as can be with four heads to share."""
  config = dit.ModelConfig(
    width=32,
    depth=2,
    heads=4,
    patch=8,
    bottleneck=16,
    text_width=32,
    text_depth=1,
    text_heads=4,
    vocab_size=WORDS,
    max_text=64,
    remat=remat,
  )
  precision = models.Precision(accelerator=accelerator)
  return dit.DiT(config, precision, sharding.build_activation_constraint(mesh))


def build_mesh(*sizes):
  devices = jax.devices()[: int(np.prod(sizes))]
  return sharding.build_mesh(dict(zip(sharding.MESH_AXES, sizes)), devices)


def make_batches():
  rng = np.random.default_rng(0)
  for step in range(STEPS):
    yield {
      'tokens': rng.integers(1, WORDS, (BATCH, 6)).astype(np.int32),
      'source': rng.random((BATCH, SIZE, SIZE, 3), np.float32),
      'has_source': rng.random(BATCH) < 0.7,
      'target': rng.random((BATCH, SIZE, SIZE, 3), np.float32),
      'weight_px': rng.integers(0, 3, (BATCH, SIZE, SIZE)).astype(np.float32),
      'task': rng.integers(0, 2, BATCH).astype(np.int32),
      'noise_scale': np.ones(BATCH, np.float32),
      'one_pass_share': rng.choice([0.0, 1.0], BATCH).astype(np.float32),
      'index': np.arange(step * BATCH, (step + 1) * BATCH),
    }


def run(sizes, preset, accumulate=1, **changes):
  """Metrics of every step, and the states before and after them."""
  config, mesh = make_config(preset, accumulate), build_mesh(*sizes)
  model = build_model(mesh, **changes)
  optimizer = optim.build_optimizer(config['optim'], 2 * STEPS, model.precision)
  abstract = setup.make_abstract_state(config, model, optimizer, mesh)
  places = jax.tree.map(lambda x: x.sharding, abstract)
  state = jax.jit(
    lambda: make_state(model, optimizer, size=SIZE, seed=0),
    out_shardings=places,
    compiler_options=QUICK,
  )()
  before, rows, step = jax.device_get(state), [], None
  for host_batch in make_batches():
    batch = sharding.put_batch(host_batch, mesh)
    if step is None:
      jitted = setup.jit_train_step(config, model, optimizer, mesh, state, 2)
      step = jitted.lower(state, batch).compile(compiler_options=QUICK)
    state, metrics = step(state, batch)
    rows.append(jax.device_get(metrics))
  assert jax.tree.map(lambda x: x.sharding, state) == places
  return rows, before, jax.device_get(state)


@pytest.fixture(scope='module')
def reference():
  return run((1, 1, 1), 'dp')


# Ways of spreading the work, and beside each some ways of cutting it up.
WAYS = {
  'dp on 8': ((1, 8, 1), 'dp', {}),
  'fsdp on 8, accumulated': ((1, 8, 1), 'fsdp', {'accumulate': 2}),
  'fsdp_tp on 2x4, scanned': ((1, 2, 4), 'fsdp_tp', {'accelerator': True}),
  'fsdp_tp on 4x2, dots kept': ((1, 4, 2), 'fsdp_tp', {'remat': 'dots'}),
  'all at once on 2x2x2': (
    (2, 2, 2),
    'fsdp_tp',
    {'accumulate': 4, 'accelerator': True, 'remat': 'full'},
  ),
  'one, accumulated': ((1, 1, 1), 'fsdp', {'accumulate': 8, 'remat': 'full'}),
}


@pytest.mark.parametrize('way', WAYS)
def test_every_way_learns_the_same(reference, way):
  sizes, preset, changes = WAYS[way]
  rows, before, after = run(sizes, preset, **changes)
  jax.tree.map(np.testing.assert_array_equal, before, reference[1])
  for row, expected in zip(rows, reference[0], strict=True):
    for name, value in expected.items():
      np.testing.assert_allclose(row[name], value, rtol=RTOL, err_msg=name)
  for (path, expected), found in zip(
    jax.tree.leaves_with_path(reference[2]), jax.tree.leaves(after), strict=True
  ):
    np.testing.assert_allclose(
      found,
      expected,
      rtol=0,
      atol=RTOL * np.abs(expected).max(),
      err_msg=jax.tree_util.keystr(path),
    )


def test_the_reference_learns(reference):
  _, before, after = reference
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b).max() > 10 * RTOL * np.abs(b).max(),
    before.params,
    after.params,
  )
  assert sum(jax.tree.leaves(moved)) > 0.5 * len(jax.tree.leaves(moved))


def test_parts_of_a_batch_take_every_so_many_rows():
  parts = split_batch({'index': np.arange(8), 'x': np.zeros((8, 2, 3))}, 4)
  np.testing.assert_array_equal(parts['index'][1], [1, 5])
  assert parts['x'].shape == (4, 2, 2, 3)


def test_weights_that_are_split_paint_and_score_the_same():
  task = TASKS['depth']
  batches = list(
    held_out.make_eval_batches(
      task,
      sources.SceneSource('quick', 5, SIZE),
      range(8),
      batch_size=8,
      seed=0,
      max_text=64,
    )
  )
  found = []
  for sizes, preset in (((1, 1, 1), 'dp'), ((2, 2, 2), 'fsdp_tp')):
    mesh = build_mesh(*sizes)
    model, config = build_model(mesh), make_config(preset)
    optimizer = optim.build_optimizer(config['optim'], STEPS, model.precision)
    abstract = setup.make_abstract_state(config, model, optimizer, mesh)
    params = jax.jit(
      lambda model=model: make_params(model, size=SIZE, seed=0),
      out_shardings=jax.tree.map(lambda x: x.sharding, abstract.params),
      compiler_options=QUICK,
    )()
    paint = make_sample_fn(model, seed=0, steps=0)
    evaluator = evaluators.TaskEvaluator(task, paint, mesh)
    evaluator.compile(params, batches[0])
    found.append(evaluator.run(params, batches))
  one, split = found
  np.testing.assert_allclose(split.painted, one.painted, atol=1e-5)
  assert split.n == one.n == 8
  for name in ('abs_rel', 'rmse'):
    np.testing.assert_allclose(
      split.metrics[name], one.metrics[name], rtol=RTOL
    )
