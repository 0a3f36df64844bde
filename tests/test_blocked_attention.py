"""Attention in blocks equals the plain one, alone and shared by devices."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax import models, sharding
from vbanana_jax.models import attention, blocked
from vbanana_jax.models.klein import attention as klein_attention
from vbanana_jax.plan import topologies

PLAIN = models.Precision()
SPLASH = functools.partial(blocked.attend_splash, interpret=True)
IN_BLOCKS = dataclasses.replace(PLAIN, blocked=SPLASH)


@pytest.fixture
def small_blocks(monkeypatch):
  """Of several blocks, of which the last is not full."""
  monkeypatch.setattr(blocked, 'LEAST_TOKENS', 100)
  monkeypatch.setattr(blocked, '_BLOCK', 128)


def make(n, m, *, batch=2, heads=2, width=32):
  rng = np.random.default_rng(n + m)
  shapes = [(batch, count, heads, width) for count in (n, m, m)]
  q, k, v = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in shapes)
  return q, k, v, jnp.asarray(rng.random((batch, m)) > 0.3)


def check_alike(plain, in_blocks, arrays, atol):
  """Values, and gradients of a weighted sum."""
  rng = np.random.default_rng(0)
  weights = rng.normal(size=jax.eval_shape(plain, *arrays).shape)

  def score(function, *arrays):
    return jnp.sum(function(*arrays) * weights)

  np.testing.assert_allclose(in_blocks(*arrays), plain(*arrays), atol=atol)
  wanted, found = (
    jax.jit(jax.grad(functools.partial(score, function), (0, 1, 2)))(*arrays)
    for function in (plain, in_blocks)
  )
  for one, other in zip(found, wanted):
    np.testing.assert_allclose(one, other, atol=atol)


def test_blocks_equal_the_whole(small_blocks):
  *arrays, mask = make(150, 200)
  check_alike(
    lambda q, k, v: attention.attend(q, k, v, mask, PLAIN),
    lambda q, k, v: attention.attend(q, k, v, mask, IN_BLOCKS),
    arrays,
    atol=1e-5,
  )


def test_blocks_equal_the_whole_of_klein(small_blocks):
  *arrays, _ = make(256, 256)
  check_alike(
    lambda q, k, v: klein_attention.attend(q, k, v, PLAIN),
    lambda q, k, v: klein_attention.attend(q, k, v, IN_BLOCKS),
    arrays,
    atol=1e-5,
  )


@pytest.mark.parametrize('batch, heads', [(4, 2), (1, 3)])
def test_each_device_attends_for_its_own_rows_and_heads(
  batch, heads, small_blocks
):
  mesh = sharding.build_mesh({'replica': 2, 'fsdp': 2, 'tensor': 2})
  shared = dataclasses.replace(
    PLAIN, blocked=sharding.shard_map_over_heads(SPLASH, mesh)
  )
  *arrays, mask = make(128, 128, batch=batch, heads=heads)
  attend = jax.jit(lambda q, k, v: attention.attend(q, k, v, mask, shared))
  np.testing.assert_allclose(
    attend(*arrays), attention.attend(*arrays, mask, PLAIN), atol=1e-5
  )


def test_a_few_tokens_are_attended_to_whole():
  def never(*_):
    raise AssertionError('a kernel for 40 tokens')

  q, k, v, mask = make(40, 40)
  precision = dataclasses.replace(PLAIN, blocked=never)
  attention.attend(q, k, v, mask, precision)
  klein_attention.attend(q, k, v, precision)


@pytest.mark.skipif(not topologies.has_libtpu(), reason='needs libtpu')
def test_a_chip_holds_the_attention_of_a_large_picture():
  chip = topologies.load_devices(topologies.find_topology('v5e-1'))[0]
  place = jax.sharding.SingleDeviceSharding(chip)
  shape = jax.ShapeDtypeStruct((1, 4352, 8, 128), jnp.bfloat16, sharding=place)
  kernel = blocked.find_kernel('tpu')

  def score(q, k, v):
    return jnp.sum(kernel(q, k, v).astype(jnp.float32))

  program = jax.jit(jax.grad(score, (0, 1, 2))).lower(*3 * [shape]).compile()
  scores = 4352**2 * 8 * 2
  assert program.memory_analysis().temp_size_in_bytes < scores / 2
