"""The network: shapes, what may depend on what, and the fast products."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import models
from vbanana_jax.errors import UserError
from vbanana_jax.models import attention, layers, numerics, patches

POLICY = models.Precision()


def build(precision=POLICY, **changes):
  config = {
    'size': 'smoke',
    'patch': 8,
    'vocab_size': 64,
    'max_text': 8,
    'remat': 'none',
  }
  return models.build_model({**config, **changes}, precision)


def make_inputs(b=2, h=16, w=16, seed=0):
  rng = np.random.default_rng(seed)
  pictures = rng.normal(size=(2, b, h, w, 3)).astype('f')
  tokens = rng.integers(1, 64, (b, 8)).astype(np.int32)
  tokens[:, 5:] = 0
  return (
    jnp.asarray(pictures[0]),
    jnp.linspace(0.1, 0.9, b),
    jnp.asarray(tokens),
    jnp.asarray(pictures[1]),
    jnp.ones(b, bool),
  )


@pytest.fixture(scope='module')
def network():
  model = build()
  inputs = make_inputs()
  params = jax.jit(model.init)(jax.random.key(0), *inputs)['params']
  # A fresh head is nearly blind: wake everything that starts at zero.
  params = jax.tree.map(
    lambda x: x + 0.05 * jax.random.normal(jax.random.key(1), x.shape), params
  )
  apply = jax.jit(lambda *a: model.apply({'params': params}, *a))
  return model, params, apply


@pytest.mark.parametrize('size', sorted(models.SIZES))
def test_named_sizes_trace(size):
  model = build(size=size)
  variables = jax.eval_shape(
    model.init, jax.random.key(0), *make_inputs(b=1, h=64, w=64)
  )
  count = models.count_parameters(variables['params'])
  low, high = {
    'smoke': (1e4, 1e6),
    'nano': (4e6, 9e6),
    'mini': (1e7, 3e7),
    'small': (3e7, 6e7),
    'base': (8e7, 1.8e8),
    'large': (2.8e8, 5e8),
    'xl': (1.8e9, 2.6e9),
  }[size]
  assert low < count < high


@pytest.mark.parametrize('shape', [(16, 16), (8, 24), (32, 8)])
def test_any_size_and_aspect(network, shape):
  model, params, _ = network
  inputs = make_inputs(1, *shape)
  x = model.apply({'params': params}, *inputs)
  assert x.shape == (1, *shape, 3) and x.dtype == jnp.float32


def test_patches_must_divide_the_picture(network):
  model, params, _ = network
  with pytest.raises(ValueError, match='20x16'):
    model.apply({'params': params}, *make_inputs(1, 20, 16))


def test_patchify_is_undone():
  x = jnp.arange(2 * 16 * 24 * 3.0).reshape(2, 16, 24, 3)
  y = patches.unpatchify(patches.patchify(x, 8), (2, 3), 8)
  np.testing.assert_array_equal(x, y)


def test_patches_fade_into_each_other():
  grid, patch = (2, 3), 4
  ones = jnp.ones((1, 6, 3 * 64))
  flat = patches.blend_patches(ones, grid, patch)
  np.testing.assert_allclose(flat, np.ones((1, 8, 12, 3)), rtol=1e-6)
  # One patch alone: full at the edges of the picture, and towards its neighbors
  # it falls from seven eighths to one eighth over the pixels of a place.
  corner = jnp.zeros((1, 6, 3 * 64)).at[0, 0].set(1.0)
  blended = np.asarray(patches.blend_patches(corner, grid, patch))[0, ..., 0]
  fall = np.array([1, 1, 7 / 8, 5 / 8, 3 / 8, 1 / 8, 0, 0])
  np.testing.assert_allclose(blended[:, 0], fall, atol=1e-6)
  np.testing.assert_allclose(blended[0, :8], fall, atol=1e-6)


def test_each_pixel_is_of_the_patches_around_it():
  values = np.random.default_rng(0).normal(size=(1, 6, 8, 8, 1))
  blended = patches.blend_patches(
    jnp.asarray(values.reshape(1, 6, 64), jnp.float32), (2, 3), 4
  )
  # Row 2 and column 4 lie in four patches: half a patch before a place is the
  # start of its patch.
  shares = {(0, 0): (4, 6), (0, 1): (4, 2), (1, 0): (0, 6), (1, 1): (0, 2)}
  fade = np.array([1, 3, 5, 7, 7, 5, 3, 1]) / 8
  expected = sum(
    fade[y] * fade[x] * values[0, 3 * row + column, y, x, 0]
    for (row, column), (y, x) in shares.items()
  )
  np.testing.assert_allclose(blended[0, 2, 4, 0], expected, rtol=1e-5)


def test_examples_do_not_see_each_other(network):
  _, _, apply = network
  inputs = make_inputs()
  changed = [x.at[1].set(x[0]) for x in inputs]
  np.testing.assert_allclose(apply(*inputs)[0], apply(*changed)[0], atol=1e-5)


def test_every_input_matters(network):
  _, _, apply = network
  inputs = make_inputs()
  before = apply(*inputs)
  changes = [
    (0, inputs[0] + 1.0),
    (1, inputs[1] * 0.5),
    (2, inputs[2].at[:, 2].set(9)),
    (3, inputs[3] + 1.0),
    (4, jnp.zeros(2, bool)),
  ]
  for place, value in changes:
    after = apply(*inputs[:place], value, *inputs[place + 1 :])
    assert float(jnp.abs(after - before).max()) > 1e-4, place


def test_an_absent_source_is_never_read(network):
  _, _, apply = network
  canvas, time, tokens, source, _ = make_inputs()
  absent = jnp.zeros(2, bool)
  np.testing.assert_array_equal(
    apply(canvas, time, tokens, source, absent),
    apply(canvas, time, tokens, source * 3.0, absent),
  )


def test_an_open_gate_copies_the_source_pixel_by_pixel(network):
  model, params, _ = network
  params = models.unbox(params)
  canvas, time, tokens, source, _ = make_inputs()
  bias = jnp.full_like(params['copy_bias'], -50.0).at[3].set(50.0)
  changed = params | {'copy_bias': bias, 'copy': 0.0 * params['copy']}

  def paint(params, has_source):
    inputs = canvas, time, tokens, source, has_source
    return model.apply({'params': params}, *inputs)

  open_, closed = (paint(changed, jnp.array([x, x])) for x in (True, False))
  is_copied = np.zeros((8, 8), bool)
  is_copied[0, 3] = True  # of every patch
  is_copied = np.tile(is_copied, (source.shape[1] // 8, source.shape[2] // 8))
  np.testing.assert_allclose(open_[:, is_copied], source[:, is_copied])
  painted = changed | {'copy_bias': jnp.full_like(bias, -50.0)}
  np.testing.assert_allclose(
    open_[:, ~is_copied], paint(painted, jnp.ones(2, bool))[:, ~is_copied]
  )
  assert not np.allclose(closed[:, is_copied], source[:, is_copied], atol=0.1)


def test_text_memory_knows_neither_time_nor_image(network):
  model, params, apply = network
  canvas, time, tokens, source, has_source = make_inputs()
  memory = model.apply({'params': params}, tokens, method='encode_text')
  x = model.apply(
    {'params': params},
    canvas,
    time,
    memory,
    source,
    has_source,
    method='denoise',
  )
  np.testing.assert_allclose(
    x, apply(canvas, time, tokens, source, has_source), atol=1e-5
  )


def test_padding_of_an_instruction_changes_nothing(network):
  model, params, _ = network
  canvas, time, tokens, source, has_source = make_inputs()
  short = model.apply(
    {'params': params}, canvas, time, tokens[:, :5], source, has_source
  )
  long = model.apply(
    {'params': params}, canvas, time, tokens, source, has_source
  )
  np.testing.assert_allclose(short, long, atol=1e-5)


@pytest.mark.parametrize('remat', ['dots', 'full'])
def test_rematerialization_changes_nothing(network, remat):
  model, params, _ = network
  inputs = make_inputs()

  def loss(params, model):
    return jnp.mean(model.apply({'params': params}, *inputs) ** 2)

  expected = jax.grad(loss)(params, model)
  found = jax.grad(loss)(params, build(remat=remat))
  for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found)):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_scan_equals_unrolled(network):
  _, params, apply = network
  inputs = make_inputs()
  model = build(models.Precision(accelerator=True))
  scanned = jax.jit(lambda *a: model.apply({'params': params}, *a))
  assert 'while' in scanned.lower(*inputs).as_text()
  np.testing.assert_allclose(scanned(*inputs), apply(*inputs), atol=1e-5)


def test_rotation_keeps_relative_places():
  q, k = np.random.default_rng(0).normal(size=(2, 1, 9, 1, 16)).astype('f')
  q[:] = q[:, :1]
  k[:] = k[:, :1]
  positions = np.stack(np.indices((3, 3)), -1).reshape(-1, 2)
  tables = layers.rope_sin_cos(positions, 16)
  q, k = (
    layers.apply_rope(jnp.array(q), tables, 'float32'),
    layers.apply_rope(jnp.array(k), tables, 'float32'),
  )
  scores = np.einsum('bnke,bmke->nm', q, k)
  # (0,0)->(1,1) and (1,1)->(2,2) are the same step.
  np.testing.assert_allclose(scores[0, 4], scores[4, 8], rtol=1e-5)
  assert abs(scores[0, 4] - scores[0, 1]) > 1e-3


@pytest.mark.parametrize(
  'matmul_dtype,tolerance', [('float32', 1e-5), ('bfloat16', 2e-2)]
)
def test_dot_and_its_gradients(matmul_dtype, tolerance):
  rng = np.random.default_rng(0)
  x = jnp.array(rng.normal(size=(2, 3, 8)), jnp.float32)
  kernel = jnp.array(rng.normal(size=(8, 5)), jnp.float32)
  g = jnp.array(rng.normal(size=(2, 3, 5)), jnp.float32)
  y, vjp = jax.vjp(lambda x, w: numerics.dot(x, w, matmul_dtype), x, kernel)
  expected, expected_vjp = jax.vjp(lambda x, w: x @ w, x, kernel)
  assert y.dtype == jnp.float32
  for a, b in zip((y, *vjp(g)), (expected, *expected_vjp(g))):
    scale = float(jnp.abs(b).max())
    np.testing.assert_allclose(a, b, atol=tolerance * scale)


def test_every_product_of_a_step_has_narrow_operands_and_wide_results():
  model = models.build_model(
    {
      'size': 'smoke',
      'patch': 8,
      'vocab_size': 64,
      'max_text': 8,
      'remat': 'none',
    },
    models.Precision(matmul_dtype='bfloat16'),
  )
  inputs = make_inputs()
  params = jax.eval_shape(model.init, jax.random.key(0), *inputs)['params']

  def loss(params):
    return jnp.mean(model.apply({'params': params}, *inputs) ** 2)

  lines = jax.jit(jax.grad(loss)).lower(params).as_text().splitlines()
  products = [
    line for line in lines if 'dot_general' in line and 'xbf16>' in line
  ]
  assert len(products) > 30
  assert all(line.rstrip().endswith('xf32>') for line in products)
  mixed = [line for line in products if 'xf32>, tensor' in line.split('->')[0]]
  assert not mixed


@pytest.mark.skipif(
  numerics.build_precision('cpu').matmul_dtype != 'bfloat16',
  reason='this CPU multiplies bfloat16 no faster',
)
def test_the_fast_product_is_taken_where_the_cpu_has_it():
  rng = np.random.default_rng(0)
  x = jnp.array(rng.normal(size=(16, 64, 256)), jnp.float32)
  kernel = jnp.array(rng.normal(size=(256, 512)), jnp.float32)

  def build(matmul_dtype):
    def both_ways(x, kernel):
      y, vjp = jax.vjp(lambda x, w: numerics.dot(x, w, matmul_dtype), x, kernel)
      return y, vjp(y)

    return jax.jit(both_ways).lower(x, kernel).compile()

  programs = {name: build(name) for name in ('bfloat16', 'float32')}
  products = [
    line for line in programs['bfloat16'].as_text().splitlines()
    if ' dot(' in line
  ]  # fmt: skip
  assert len(products) == 3
  # A compiler without the fast product would widen the factors first.
  text = programs['bfloat16'].as_text()
  for line in products:
    assert ' = f32[' in line
    for factor in re.search(r' dot\((.*?)\)', line)[1].split(', '):
      name = re.escape(factor.split()[-1])
      assert re.search(rf'{name}(: | = )bf16\[', text), line


@pytest.mark.parametrize(
  'matmul_dtype, tolerance', [('float32', 2e-5), ('bfloat16', 2e-2)]
)
def test_attention_and_its_gradients(matmul_dtype, tolerance):
  rng = np.random.default_rng(0)
  q, k, v, g = (
    layers.rms_norm(jnp.array(rng.normal(size=(2, m, 3, 8)), jnp.float32))
    for m in (5, 7, 7, 5)
  )
  mask = jnp.arange(7) < jnp.array([[4], [7]])

  def run(precision):
    y, vjp = jax.vjp(
      lambda q, k, v: attention.attend(q, k, v, mask, precision), q, k, v
    )
    return y, *vjp(g.reshape(y.shape))

  ours = run(models.Precision(matmul_dtype))
  library = run(models.Precision(accelerator=True))
  for a, b in zip(ours, library):
    scale = float(jnp.abs(b).max())
    np.testing.assert_allclose(a, b, atol=tolerance * scale)


def test_attention_of_the_farthest_keys_is_finite():
  q = 4 * jnp.ones((1, 1, 1, 64))
  k = jnp.stack([-q[0], -0.5 * q[0]], axis=1)
  v = jnp.array([1.0, 3.0])[None, :, None, None] * jnp.ones((1, 2, 1, 64))
  y, vjp = jax.vjp(
    lambda q, k, v: attention.attend(q, k, v, jnp.ones((1, 2), bool), POLICY),
    q, k, v,
  )  # fmt: skip
  np.testing.assert_allclose(y, 2.0, rtol=1e-6)  # both logits lie at the cap
  assert all(jnp.isfinite(leaf).all() for leaf in vjp(y))


def test_policy_of_a_cpu_follows_what_it_can_do(processor):
  narrow = processor != 'avx2'
  expected = 'bfloat16' if narrow else 'float32'
  assert numerics.build_precision('cpu').matmul_dtype == expected
  assert numerics.build_precision('cpu').activation_dtype == 'float32'
  assert numerics.build_precision('gpu').activation_dtype == 'bfloat16'


def test_policy_of_a_cpu_that_says_nothing(monkeypatch, tmp_path):
  monkeypatch.setattr(numerics, '_CPU_INFO', tmp_path / 'cpuinfo')
  assert numerics.build_precision('cpu').matmul_dtype == 'float32'


@pytest.mark.parametrize(
  'flags, matmul_dtype',
  [
    ('', 'bfloat16'),
    ('--xla_cpu_max_isa=AVX2', 'float32'),
    ('--xla_a=1  --xla_cpu_max_isa=avx512_vnni', 'float32'),
    ('--xla_cpu_max_isa=AVX2 --xla_cpu_max_isa=AMX', 'bfloat16'),
    ('--xla_cpu_max_isa=unknown', 'bfloat16'),  # XLA warns and goes on
  ],
)
def test_policy_keeps_to_what_xla_may_use(
  flags, matmul_dtype, set_processor, monkeypatch
):
  set_processor('amx_bf16 avx512_bf16')
  monkeypatch.setenv('XLA_FLAGS', flags)
  assert numerics.build_precision('cpu').matmul_dtype == matmul_dtype


def test_unknown_size_and_key_are_named():
  with pytest.raises(UserError, match='huge'):
    build(size='huge')
  with pytest.raises(UserError, match='widht'):
    build(widht=3)
  with pytest.raises(UserError, match=r"remat is 'some'.*'dots'"):
    build(remat='some')
  with pytest.raises(UserError, match='patch is 5: choose an even number'):
    build(patch=5)
