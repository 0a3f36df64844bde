"""The loss of FLUX.2 klein's trainers, and gradients of every weight of it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
import safetensors.numpy
from klein_files import error

from vbanana_jax import models, sharding
from vbanana_jax.diffusion import flow, schedules
from vbanana_jax.klein import weights
from vbanana_jax.models.klein.network import Klein, KleinConfig
from vbanana_jax.training import optim, step

pytestmark = pytest.mark.usefixtures('quick_compilation')
GOLDEN = klein_files.load_arrays('training')
NARROW = models.Precision('bfloat16', 'bfloat16', accelerator=True)
SCANNED = models.Precision(accelerator=True)
LOSS, GRADIENT = 1e-5, 5e-4  # relative; of each weight, over its largest entry


@functools.cache
def build_network(precision=klein_files.EXACT, **changes):
  parts = klein_files.open_snapshot(precision).parts
  networks = {name: part.network for name, part in parts.items()}
  transformer = networks.pop('transformer')
  shape = dataclasses.replace(transformer.config, **changes)
  config = KleinConfig(max_text=40, patch=16, pad=0, nothing=(1, 2, 3))
  return Klein(config, transformer.clone(config=shape), **networks)


@functools.cache
def load_transformer():
  return klein_files.open_snapshot().load('transformer', jnp.float32)


def channels_last(x):
  return klein_files.channels_last(x).astype(jnp.float32)


def lose(network, params, rows):
  """Mean loss of the golden pairs `rows`."""

  def take(name):
    return jnp.asarray(GOLDEN[name])[rows]

  x, cond, noise = (
    channels_last(GOLDEN[name])[rows] for name in ('x', 'cond', 'noise')
  )
  draws = step.Draws(jnp.zeros(len(rows), bool), 1 - take('sigmas'), noise)

  def denoise(z):
    return network.apply(
      {'params': {'transformer': params}},
      z,
      draws.time,
      take('prompt_embeds'),
      cond,
      jnp.ones(len(rows), bool),
      method='denoise',
    )

  found = step.find_losses(
    denoise,
    x,
    draws,
    jnp.ones(x.shape[:3]),
    kind=network.flow.prediction,
    levels=schedules.TrainingLevels(),
  )
  return jnp.mean(found), found


def to_stored(gradients):
  """Gradients by the stored names of the weights."""
  leaves = weights.flatten(gradients)
  stored = {}
  rows = klein_files.open_snapshot().parts['transformer'].rows
  for row in sorted(rows, key=lambda row: row.start):
    leaf = np.asarray(leaves[row.path])
    leaf = leaf if row.block is None else leaf[row.block]
    part = leaf.transpose(np.argsort(row.order))
    before = [stored[row.stored]] if row.stored in stored else []
    stored[row.stored] = np.concatenate([*before, part], row.axis)
  return stored


def check(found, most_loss=LOSS, most_gradient=GRADIENT):
  (loss, each), gradients = found
  np.testing.assert_allclose(loss, GOLDEN['loss'], rtol=most_loss)
  each, wanted = each.reshape(-1, 3), GOLDEN['loss_each']
  np.testing.assert_allclose(each, [wanted] * len(each), rtol=most_loss)
  theirs = safetensors.numpy.load_file(
    klein_files.FOLDER / 'training_gradients.safetensors'
  )
  ours = to_stored(gradients)
  assert ours.keys() == theirs.keys()
  for name, wanted in theirs.items():
    off = np.abs(ours[name] - wanted).max() / np.abs(wanted).max()
    assert off < most_gradient, (name, off)


def take_gradient(network, rows=range(3)):
  rows = np.array(rows)
  return jax.value_and_grad(
    lambda params: lose(network, params, rows), has_aux=True
  )


@pytest.mark.parametrize(
  'network, wrap',
  [
    (build_network(), lambda f: f),
    (build_network(), jax.jit),
    (build_network(SCANNED, remat='full'), jax.jit),
  ],
  ids=['eager', 'jit', 'scanned'],
)
def test_loss_and_gradients_equal_the_published_ones(network, wrap):
  check(wrap(take_gradient(network))(load_transformer()))


def test_narrow_products_stay_close_to_the_published_ones():
  # As on an accelerator; measured: 1e-4 of the loss, 2.5e-2 of a gradient.
  found = jax.jit(take_gradient(build_network(NARROW)))(load_transformer())
  check(found, most_loss=1e-3, most_gradient=5e-2)


@pytest.mark.parametrize(
  'preset, sizes',
  [('fsdp', (2, 4, 1)), ('fsdp_tp', (1, 2, 3))],
)
def test_split_weights_have_the_same_gradients(preset, sizes):
  count = np.prod(sizes)
  axes = dict(zip(sharding.MESH_AXES, sizes))
  mesh = sharding.build_mesh(axes, jax.devices()[:count])
  params = load_transformer()
  part = klein_files.open_snapshot().parts['transformer']
  places = sharding.make_shardings(
    params, models.get_axes(part.make_boxed()), mesh, preset
  )
  over = {axis for place in jax.tree.leaves(places) for axis in place.spec}
  assert {axis for axis, size in axes.items() if size > 1} - {'replica'} <= over
  constrain = sharding.build_activation_constraint(mesh)
  network = build_network()
  network = network.clone(
    transformer=network.transformer.clone(constrain=constrain)
  )
  # Every pair as often as rows are dealt out.
  rows = np.tile(np.arange(3), sharding.num_batch_shards(mesh))
  found = jax.jit(take_gradient(network, rows), in_shardings=(places,))(
    jax.device_put(params, places)
  )
  check(found)


def test_times_and_pictures_are_those_of_the_trainers():
  u = jnp.asarray(GOLDEN['u'])
  sigmas = schedules.training_sigmas(u)
  np.testing.assert_allclose(sigmas, GOLDEN['sigmas'], atol=1e-7)
  x, noise = channels_last(GOLDEN['x']), channels_last(GOLDEN['noise'])
  prediction = channels_last(GOLDEN['prediction'])
  error_v = flow.find_velocity_error(-prediction, x, noise, 1 - sigmas, 'v')
  each = jnp.mean(error_v**2, axis=(1, 2, 3))
  np.testing.assert_allclose(each, GOLDEN['loss_each'], rtol=LOSS)


@pytest.mark.parametrize(
  'shift, wanted',
  [('none', None), ('flux1', 0.5 + 0.65 * 768 / 3840), ('0.8', 0.8)],
)
def test_levels_are_moved_towards_noise(shift, wanted):
  keys = jax.random.split(jax.random.key(0), 64)
  levels = schedules.TrainingLevels(times='uniform', shift=shift)
  plain = 1 - dataclasses.replace(levels, shift='none').draw(keys, 1024)
  sigma = 1 - levels.draw(keys, 1024)
  assert 0 < float(plain.min()) and float(plain.max()) <= 1
  if wanted is None:
    np.testing.assert_array_equal(sigma, plain)
    return
  odds = (sigma / (1 - sigma)) / (plain / (1 - plain))
  np.testing.assert_allclose(odds, np.exp(wanted), rtol=2e-3)


def test_a_source_that_is_not_there_is_seen_by_nobody():
  network, params = build_network(), load_transformer()
  x, cond = channels_last(GOLDEN['x']), channels_last(GOLDEN['cond'])
  time, memory = jnp.full(3, 0.4), jnp.asarray(GOLDEN['prompt_embeds'])

  @jax.jit
  def denoise(source, has_source):
    return network.apply(
      {'params': {'transformer': params}},
      x, time, memory, source, has_source, method='denoise',
    )  # fmt: skip

  some = jnp.array([True, False, True])
  both = denoise(cond, some)
  other = denoise(cond + 1, some)
  with_all = denoise(cond, jnp.ones(3, bool))
  without = denoise(cond[:, :0], jnp.zeros(3, bool))
  assert error(both[1], without[1]) < 1e-5
  assert error(both[::2], with_all[::2]) < 1e-5
  assert error(other[1], both[1]) < 1e-6
  assert min(error(other[k], both[k]) for k in (0, 2)) > 1e-2
  assert error(with_all[1], without[1]) > 1e-2


def test_weights_of_a_token_are_those_of_its_pixels():
  weight_px = np.zeros((1, 32, 48), np.float32)
  weight_px[0, 16:, 16:32] = 3.0
  weight_px[0, 0, 0] = 1.0
  found = build_network().pool_weights(jnp.asarray(weight_px))
  np.testing.assert_array_equal(found[0], [[1, 0, 0], [0, 3 * 256, 0]])


def test_muon_owns_the_matrices_of_both_stacks():
  params = jax.eval_shape(lambda: load_transformer())
  owned = weights.flatten(optim.find_matrices(params))
  stacked = {name for name, yes in owned.items() if yes}
  assert stacked == {
    name for name, leaf in weights.flatten(params).items() if leaf.ndim == 3
  }
  assert len(stacked) == 2 * 7 + 7
