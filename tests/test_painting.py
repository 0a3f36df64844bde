"""The same pictures, however few times the text and the network are asked."""

import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import models, sharding
from vbanana_jax.diffusion import samplers
from vbanana_jax.inference import engine, outputs, sampling
from vbanana_jax.models import from_network, to_network
from vbanana_jax.runtime import prefetch
from vbanana_jax.tokenizer.tokenizer import Tokenizer

SIZE = (16, 24)

pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture(scope='module')
def network():
  """A smoke-size model and weights that all matter."""
  model = models.build_model(
    {
      'size': 'smoke',
      'patch': 8,
      'vocab_size': Tokenizer.load().vocab_size,
      'max_text': 40,
    },
    models.Precision(),
  )
  picture = jnp.zeros((1, *SIZE, 3))
  tokens = jnp.zeros((1, 8), jnp.int32)
  inputs = (picture, jnp.zeros(1), tokens, picture, jnp.ones(1, bool))
  shapes = models.unbox(jax.eval_shape(model.init, jax.random.key(0), *inputs))
  rng = np.random.default_rng(0)
  return model, jax.tree.map(
    lambda x: jnp.asarray(0.15 * rng.standard_normal(x.shape, np.float32)),
    shapes['params'],
  )


def make_batch(b=3):
  rng = np.random.default_rng(0)
  tokens = rng.integers(1, 60, (b, 12)).astype(np.int32)
  tokens[:, 7:] = 0
  return {
    'tokens': tokens,
    'source': rng.random((b, *SIZE, 3), np.float32),
    'has_source': np.array([True, False, True])[:b],
    'noise_scale': np.ones(b, np.float32),
    'index': np.arange(b, dtype=np.int32),
  }


@pytest.fixture(scope='module')
def one_device():
  return sharding.build_mesh(devices=jax.devices()[:1])


def paint(network, batch, **way):
  model, params = network
  painter = sampling.make_sample_fn(model, seed=0, **way)
  return np.asarray(jax.jit(painter)(params, batch))


def paint_wastefully(network, batch, *, steps, method='euler', guidance=1.0):
  """Text anew in every step, and both branches in two calls at every time."""
  model, params = network
  source, has_source = to_network(batch['source']), batch['has_source']

  def call(z, time, tokens):
    time = jnp.maximum(time, 0.04)
    return model.apply({'params': params}, z, time, tokens, source, has_source)

  def denoise(z, time):
    x = call(z, time, batch['tokens'])
    scale = jnp.where((time > 0.1) & (time < 1.0), guidance - 1.0, 0.0)
    without = call(z, time, jnp.zeros_like(batch['tokens']))
    return x + scale[:, None, None, None] * (x - without)

  noise = jax.vmap(
    lambda i: jax.random.normal(
      jax.random.fold_in(sampling.keys.make_key(0, 'sample'), i), (*SIZE, 3)
    )
  )(batch['index'])
  x = jax.jit(
    lambda noise: samplers.sample(
      denoise,
      noise,
      times=samplers.even_times(steps),
      start_time=0.04,
      method=method,
    )
  )(noise)
  return np.clip(from_network(x), 0, 1)


@pytest.mark.parametrize(
  'way',
  [
    {'steps': 8},
    {'steps': 3, 'method': 'heun'},
    {'steps': 12, 'guidance': 3.0},
  ],
)
def test_sampling_is_that_of_computing_all_anew(network, way):
  batch = make_batch()
  expected = paint_wastefully(network, batch, **way)
  assert 0.05 < np.mean((expected > 0) & (expected < 1))
  np.testing.assert_allclose(
    paint(network, batch, **way), expected, atol=1e-5, rtol=0
  )


def test_a_text_memory_replaces_tokens(network):
  model, params = network
  batch = make_batch()
  batch['tokens'][:] = batch['tokens'][0]
  expected = paint(network, batch, steps=0)
  memory = sampling.make_text_encoder(model)(params, batch.pop('tokens')[:1])
  found = paint(network, {**batch, 'memory': memory}, steps=0)
  np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def inner_jaxprs(jaxpr):
  for equation in jaxpr.eqns:
    for value in jax.tree.leaves(list(equation.params.values())):
      inner = getattr(value, 'jaxpr', value)
      if hasattr(inner, 'eqns'):
        yield equation, inner


def count(jaxpr, name):
  """Operations of a kind, and those of what it calls."""
  return sum(equation.primitive.name == name for equation in jaxpr.eqns) + sum(
    count(inner, name) for _, inner in inner_jaxprs(jaxpr)
  )


def test_text_is_not_encoded_inside_the_loop(network):
  model, params = network
  batch = make_batch()
  whole = jax.make_jaxpr(sampling.make_sample_fn(model, seed=0, steps=4))(
    params, batch
  ).jaxpr
  loops = [
    inner
    for equation, inner in inner_jaxprs(whole)
    if equation.primitive.name == 'scan' and equation.params['length'] == 4
  ]
  assert len(loops) == 1
  memory = jax.eval_shape(
    sampling.make_text_encoder(model), params, batch['tokens']
  )
  alone = jax.make_jaxpr(
    lambda p, memory, z: model.apply(
      {'params': p},
      z,
      jnp.zeros(3),
      memory,
      z,
      batch['has_source'],
      method='denoise',
    )
  )(params, memory, batch['source']).jaxpr
  dots = count(loops[0], 'dot_general')
  assert dots == count(alone, 'dot_general')
  assert count(whole, 'dot_general') > dots


def test_outside_the_interval_the_other_branch_is_not_computed():
  guided = samplers.guide(
    lambda z, t: jnp.full_like(z, 2.0),
    lambda z, t: (jnp.full_like(z, jnp.nan), z),
    scale=3.0,
    interval=(0.1, 1.0),
  )
  z = jnp.zeros((2, 4, 4, 3))
  np.testing.assert_array_equal(guided(z, jnp.array([0.0, 0.1])), 2.0)
  assert np.isnan(guided(z, jnp.array([0.5, 0.5]))).all()


def make_canvases(n=7):
  rng = np.random.default_rng(1)
  shapes = [SIZE, (24, 16), SIZE, SIZE, (16, 16), SIZE, (24, 16)][:n]
  return [
    engine.GenerationInput(
      rng.random((*shape, 3), np.float32), True, 'depth', 1.0, number
    )
    for number, shape in enumerate(shapes)
  ]


def test_many_at_once_are_painted_as_one_by_one(network, one_device):
  way = engine.SamplerConfig(0, 2)
  box = engine.InferenceEngine(*network, one_device)
  texts = []
  encode = box._encode
  box._encode = lambda *args: texts.append(args) or encode(*args)
  items = make_canvases()
  alone = {c.label: box.paint(way, [c])[0] for c in items}
  one_by_one = list(box.paint_batches(way, iter(items), rows=1))
  assert [item.label for item, _ in one_by_one] == list(range(7))
  for item, painted in one_by_one:
    np.testing.assert_array_equal(painted, alone[item.label])
  together = list(box.paint_batches(way, iter(items), rows=3))
  assert sorted(item.label for item, _ in together) == list(range(7))
  for item, painted in together:
    assert painted.shape == item.source.shape
    np.testing.assert_allclose(painted, alone[item.label], atol=1e-5, rtol=0)
  assert len(texts) == 1  # one instruction for all of them


def test_seeds_share_a_program_and_not_the_noise(network, one_device):
  box = engine.InferenceEngine(*network, one_device)
  (item,) = make_canvases(1)
  first, again, other = (
    box.paint(engine.SamplerConfig(seed, 1), [item]) for seed in (0, 0, 3)
  )
  (painter,) = box._painters.values()
  assert painter._cache_size() == 1
  np.testing.assert_array_equal(first, again)
  assert not np.array_equal(first, other)


def test_each_picture_of_a_batch_keeps_its_instruction(network, one_device):
  box = engine.InferenceEngine(*network, one_device)
  way = engine.SamplerConfig(0, 0)
  first, second = make_canvases()[:3:2]
  longer = 'paint every red sphere that stands left of the tall blue box green'
  second = engine.GenerationInput(second.source, True, longer, 1.0)
  both = box.paint(way, [first, second])
  np.testing.assert_allclose(both[0], box.paint(way, [first])[0], atol=1e-5)
  np.testing.assert_allclose(both[1], box.paint(way, [second])[0], atol=1e-5)


@pytest.mark.parametrize('size', [64, 136, 248, 256, 264, 376, 512])
def test_few_shapes_are_ever_compiled(size):
  grids = set()
  for edge in range(size, 4000, 17):
    for shape in ((edge, 1000), (1000, edge)):
      grid = outputs.make_grid(*shape, size=size, patch=8)
      assert not any(side % 8 for side in grid)
      # The photo's own edges, shrunk: each to 1 part in 48 and half a patch.
      scale = min(size / min(shape), 4 * size / max(shape))
      for edge, side in zip(shape, grid):
        assert abs(side - scale * edge) <= scale * edge / 48 + 4.001
      grids.add(grid)
  assert len(grids) <= 145
  usual = {grid for grid in grids if max(grid) <= 2 * min(grid)}
  assert len(usual) <= 49
  assert outputs.make_grid(480, 640, size=192, patch=8) == (192, 256)
  lengths = {engine.fit_text(n, 160) for n in range(161)}
  assert lengths == {16, 32, 64, 128, 160}


def test_work_ahead_keeps_the_order_and_its_bounds():
  begun = []
  gate = threading.Event()

  def double(x):
    gate.wait()
    if x == 3:
      raise ValueError('three')
    return 2 * x

  def items():
    for x in range(6):
      begun.append(x)
      if x == 2:
        gate.set()
      yield x

  results = prefetch.prefetch_map(double, items(), ahead=2, threads=2)
  assert not begun  # nothing is begun before it is asked for
  item, future = next(results)
  assert (item, future.result(), begun) == (0, 0, [0, 1, 2])
  rest = dict(results)
  assert [rest[x].result() for x in (1, 2, 4, 5)] == [2, 4, 8, 10]
  with pytest.raises(ValueError, match='three'):
    rest[3].result()


def test_slow_items_do_not_hold_back_results_that_are_there():
  done = threading.Event()

  def items():
    yield 'first'
    assert done.wait(10)
    time.sleep(0.2)  # until the future knows
    yield 'second'
    pytest.fail('asked for a third before the first was told')

  results = prefetch.prefetch_map(
    lambda item: done.set(), items(), ahead=9, threads=1, eager_yield=True
  )
  assert next(results)[0] == 'first'
