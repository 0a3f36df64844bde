"""Which device holds what: the table's rules, and what breaks them."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from vbanana_jax import config as config_lib
from vbanana_jax import models, sharding
from vbanana_jax.errors import UserError
from vbanana_jax.sharding import rules
from vbanana_jax.training import checkpoint, optim, weights
from vbanana_jax.training import state as state_lib

SIZE = 16
# How `fsdp_tp` splits the weights; what is not here is whole on every device.
SPLIT = {
  (None, 'fsdp', 'tensor'): {
    *(f'{stack}blocks.{name}.kernel'
      for stack in ('', 'text.')
      for name in ('q', 'k', 'v', 'mlp.gate', 'mlp.up')),
    'text_key',
    'text_value',
  },
  (None, 'tensor', 'fsdp'): {
    f'{stack}blocks.{name}.kernel'
    for stack in ('', 'text.')
    for name in ('out', 'mlp.down')
  },
  (None, 'fsdp'): {
    'noisy_out.kernel',
    'source_out.kernel',
    'position.kernel',
  },
  ('fsdp',): {'modulation.kernel', 'head_modulation.kernel', 'head', 'copy'},
  (None, 'tensor'): {'time_in.kernel'},
  ('tensor', 'fsdp'): {'time_out.kernel'},
}  # fmt: skip


def build_optimizer(name='muon'):
  config = config_lib.load_config('quickstart').to_dict()['optim']
  return optim.build_optimizer({**config, 'name': name}, 10, models.Precision())


@pytest.fixture(scope='module')
def model():
  return models.build_model(
    {
      'size': 'smoke',
      'patch': 8,
      'vocab_size': 64,
      'max_text': 8,
      'remat': 'none',
    },
    models.Precision(),
  )


@pytest.fixture(scope='module')
def axes(model):
  return state_lib.make_logical_axes(model, size=SIZE)


def make_abstract_state(model, optimizer):
  return jax.eval_shape(
    lambda: state_lib.make_state(model, optimizer, size=SIZE, seed=0)
  )


@pytest.fixture(scope='module')
def abstract(model):
  return make_abstract_state(model, build_optimizer())


def make_mesh(replica=1, fsdp=-1, tensor=1, count=8):
  sizes = {'replica': replica, 'fsdp': fsdp, 'tensor': tensor}
  return sharding.build_mesh(sizes, jax.devices()[:count])


def list_specs(shardings):
  """Axes of the mesh by path, without what is whole at the end."""
  specs = {}
  for path, place in jax.tree.leaves_with_path(shardings):
    spec = list(place.spec)
    while spec and spec[-1] is None:
      spec.pop()
    name = jax.tree_util.keystr(path, simple=True, separator='.')
    specs[name] = tuple(spec)
  return specs


def expect(split, preset):
  """What a preset leaves of the axes that `fsdp_tp` splits."""
  kept = {'dp': (), 'fsdp': ('fsdp',), 'fsdp_tp': ('fsdp', 'tensor')}[preset]
  expected = {}
  for spec, names in split.items():
    spec = [axis if axis in kept else None for axis in spec]
    while spec and spec[-1] is None:
      spec.pop()
    expected |= dict.fromkeys(names, tuple(spec))
  return expected


@pytest.mark.parametrize('preset', ['dp', 'fsdp', 'fsdp_tp'])
def test_every_weight_is_split_as_the_table_says(abstract, axes, preset):
  mesh = make_mesh(tensor=2 if preset == 'fsdp_tp' else 1)
  found = list_specs(
    sharding.make_shardings(abstract.params, axes, mesh, preset)
  )
  expected = expect(SPLIT, preset)
  assert set(expected) <= set(found)
  assert found == {name: expected.get(name, ()) for name in found}


@pytest.mark.parametrize('name', ['muon', 'adamw'])
def test_averages_and_moments_follow_their_weights(model, axes, name):
  abstract = make_abstract_state(model, build_optimizer(name))
  places = sharding.make_shardings(
    abstract, axes, make_mesh(tensor=2), 'fsdp_tp'
  )
  assert places.params == places.ema_params
  weights_specs = list_specs(places.params)
  moments = list_specs(places.opt_state)
  shapes = {
    jax.tree_util.keystr(path, simple=True, separator='.'): leaf.shape
    for path, leaf in jax.tree.leaves_with_path(abstract.opt_state)
  }
  followed = {weight: 0 for weight in weights_specs}
  for path, spec in moments.items():
    owners = [
      weight
      for weight in weights_specs
      if path.endswith(f'.{weight}') and 'u.' in path
    ]
    if owners:
      owner = max(owners, key=len)
      followed[owner] += 1
      assert spec == weights_specs[owner], path
    else:
      assert spec == () and len(shapes[path]) < 2, path
  # Muon keeps one moment, Adam two.
  muon = optim.find_matrices(abstract.params)
  owned = {
    jax.tree_util.keystr(path, simple=True, separator='.')
    for path, is_owned in jax.tree.leaves_with_path(muon)
    if is_owned
  }
  for weight, count in followed.items():
    assert count == (1 if name == 'muon' and weight in owned else 2)


def test_a_device_holds_its_share_alone():
  config = config_lib.load_config('quickstart').to_dict()
  config['model'] |= {'size': 'base', 'max_text': 8}
  model = weights.build_network(config)
  abstract = make_abstract_state(model, build_optimizer())
  axes = state_lib.make_logical_axes(model, size=SIZE)
  for preset, mesh, share in (
    ('dp', make_mesh(), 1),
    ('fsdp', make_mesh(), 1 / 8),
    ('fsdp', make_mesh(replica=2), 1 / 4),
    ('fsdp_tp', make_mesh(tensor=4), 1 / 8),
  ):
    places = sharding.make_shardings(abstract, axes, mesh, preset)
    held = sum(
      np.prod(place.shard_shape(leaf.shape))
      for leaf, place in zip(jax.tree.leaves(abstract), jax.tree.leaves(places))
    )
    whole = sum(leaf.size for leaf in jax.tree.leaves(abstract))
    # Vectors are whole everywhere, and the modulation over `tensor`.
    assert share <= held / whole < 1.25 * share, preset


@pytest.mark.parametrize(
  'sizes, spec',
  [((2, 4, 1), (None, 'fsdp')), ((1, 2, 4), (None, 'tensor', 'fsdp'))],
)
def test_muon_takes_whole_matrices_and_gathers_none(sizes, spec):
  mesh = make_mesh(*sizes)
  split = NamedSharding(mesh, PartitionSpec(*spec))
  rng = np.random.default_rng(0)
  params, gradients = (
    {
      'blocks': {'q': {'kernel': rng.normal(size=(3, 8, 16)).astype('f')}},
      'bias': rng.normal(size=8).astype('f'),
    }
    for _ in range(2)
  )
  config = config_lib.load_config('quickstart').to_dict()['optim']
  optimizer = build_optimizer()
  states = optimizer.init(params)
  _, states = optimizer.update(gradients, states, params)  # rate 0
  places = {
    'blocks': {'q': {'kernel': split}},
    'bias': sharding.replicated_sharding(mesh),
  }
  shared = sharding.reshard_for_muon(
    optimizer, optim.find_stacks(config, params), places
  )

  def place(tree):
    return jax.tree.map(
      lambda x: jax.device_put(x, split if np.ndim(x) == 3 else places['bias']),
      tree,
    )

  given = place((gradients, states, params))
  there = jax.tree.map(lambda x: x.sharding, given)
  compiled = {
    name: jax.jit(one.update, in_shardings=there, out_shardings=there[:2])
    .lower(*given)
    .compile(compiler_options={'xla_backend_optimization_level': 0})
    for name, one in (('shared', shared), ('plain', optimizer))
  }
  assert 'all-gather(' in compiled['plain'].as_text()
  assert 'all-gather(' not in compiled['shared'].as_text()
  expected = optimizer.update(gradients, states, params)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7),
    jax.device_get(compiled['shared'](*given)),
    jax.device_get(expected),
  )
  assert optim.find_stacks({**config, 'name': 'adamw'}, params) == (
    jax.tree.map(lambda x: False, params)
  )


def test_an_array_of_no_weight_is_refused(abstract, axes):
  odd = abstract._replace(opt_state={'odd': jax.ShapeDtypeStruct((9, 9), 'f4')})
  with pytest.raises(ValueError, match="'odd'"):
    sharding.make_shardings(odd, axes, make_mesh(), 'fsdp')


@pytest.mark.parametrize(
  'change, message',
  [
    ({'embed': None, 'mlp': 'delete'}, r"without a rule: \['mlp'\]"),
    ({'heads': 'fsdp'}, "two axes of .*'blocks'.* over the same devices"),
  ],
)
def test_rules_that_do_not_fit_are_named(
  abstract, axes, monkeypatch, change, message
):
  table = {**rules.PRESETS['fsdp'], **change}
  table = {name: axis for name, axis in table.items() if axis != 'delete'}
  monkeypatch.setitem(rules.PRESETS, 'fsdp', table)
  with pytest.raises(UserError, match=message):
    sharding.make_shardings(abstract, axes, make_mesh(), 'fsdp')


def test_weights_that_devices_cannot_share_are_named(abstract, axes):
  with pytest.raises(UserError, match=r'fsdp is 6,.* 32 of .* 6 devices: 2\.'):
    sharding.make_shardings(abstract, axes, make_mesh(count=6), 'fsdp')
  # Whole weights fit any number.
  sharding.make_shardings(abstract, axes, make_mesh(count=6), 'dp')
  with pytest.raises(UserError, match=r'tensor is 2.*sharding=fsdp_tp'):
    sharding.make_shardings(abstract, axes, make_mesh(tensor=2), 'fsdp')
  with pytest.raises(UserError, match="'zero': choose of dp, fsdp, fsdp_tp"):
    sharding.make_shardings(abstract, axes, make_mesh(), 'zero')


def test_heads_are_not_cut():
  config = config_lib.load_config('quickstart').to_dict()
  config |= {'sharding': 'fsdp_tp'}  # nano: 4 heads, and 3 of the text
  with pytest.raises(UserError, match=r'4 heads.* 3 heads.* can: 1$'):
    weights.build_network(config, make_mesh(tensor=2))
  config['model']['size'] = 'base'  # 12 and 8
  with pytest.raises(UserError, match=r'tensor is 8.* can: 4$'):
    weights.build_network(config, make_mesh(tensor=8))
  weights.build_network(config, make_mesh(tensor=4))
  with pytest.raises(UserError, match=r'of 6 devices .* can: 2$'):  # and not 4
    weights.build_network(config, make_mesh(tensor=3, count=6))


@pytest.mark.parametrize(
  'batch_size, accumulate, nearest',
  [(9, 1, '8 and 12'), (3, 1, '4'), (0, 1, '4'), (20, 2, '16 and 24')],
)
def test_batches_that_devices_cannot_share_are_named(
  batch_size, accumulate, nearest
):
  mesh = make_mesh(replica=2, tensor=2)  # 4 shares
  with pytest.raises(UserError, match=f'is {batch_size}, .*can: {nearest}$'):
    sharding.check_batch_size('batch', batch_size, mesh, accumulate)
  sharding.check_batch_size('batch', 24, mesh, accumulate)


@pytest.mark.parametrize(
  'sizes, message',
  [
    ((1, 3, -1), 'each is one of 1, 2, 4, 8'),
    ((-1, -1, 1), 'one size may be'),
    ((1, 4, 1), 'there are 8 devices'),
    ((1, 16, 1), 'there are 8 devices'),
    ((0, -1, 1), 'each at least 1'),
  ],
)
def test_meshes_that_do_not_fit_are_named(sizes, message):
  with pytest.raises(UserError, match=message):
    make_mesh(*sizes)


def test_a_mesh_needs_all_three_axes():
  with pytest.raises(UserError, match='give replica, fsdp, tensor'):
    sharding.build_mesh({'replica': 1, 'data': -1})
  assert make_mesh(2, -1, 2).devices.shape == (2, 2, 2)
  assert make_mesh(-1, 1, 2).devices.shape == (4, 1, 2)


class Chip(types.SimpleNamespace):
  """What the mesh reads of a TPU's device."""

  def __hash__(self):
    return self.id


def make_slices(slices, side=2):
  """Devices of slices of `side` x `side` chips, in no order."""
  chips = [
    Chip(
      id=((s * side) + x) * side + y,
      platform='tpu',
      device_kind='a TPU',
      slice_index=s,
      process_index=s,
      coords=(x, y, 0),
      core_on_chip=0,
    )
    for s in range(slices)
    for x in range(side)
    for y in range(side)
  ]
  return [chips[k] for k in np.random.default_rng(0).permutation(len(chips))]


def test_only_replica_crosses_slices():
  mesh = sharding.build_mesh(
    {'replica': 4, 'fsdp': -1, 'tensor': 1}, make_slices(2)
  )
  assert mesh.devices.shape == (4, 2, 1)
  slices = np.vectorize(lambda chip: chip.slice_index)(mesh.devices)
  np.testing.assert_array_equal(slices[:, 0, 0], [0, 0, 1, 1])
  np.testing.assert_array_equal(slices[:, 0], slices[:, 1])
  with pytest.raises(UserError, match=r'3 slices.* that is: 3'):
    sharding.build_mesh({'replica': 1, 'fsdp': -1, 'tensor': 1}, make_slices(3))


def test_rows_of_a_batch_are_split_over_replica_and_fsdp():
  mesh = make_mesh(replica=2, fsdp=2, tensor=2)
  batch = {'a': np.arange(24.0).reshape(8, 3), 'b': {'c': np.arange(8)}}
  placed = sharding.put_batch(batch, mesh)
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(placed), batch)
  for shard in placed['a'].addressable_shards:
    assert shard.data.shape == (2, 3)
  np.testing.assert_array_equal(
    sharding.local_batch_indices(8, mesh), np.arange(8)
  )


def test_own_rows_see_no_others():
  mesh = make_mesh(replica=2, fsdp=2, tensor=2)
  x = sharding.put_batch({'x': np.arange(8.0)}, mesh)['x']
  offset = jax.device_put(1.0, sharding.replicated_sharding(mesh))
  own = sharding.shard_map_over_batch(
    lambda shared, x: x - jnp.sum(x) + shared, mesh, shared=1
  )
  found = jax.jit(own)(offset, x)
  pairs = np.arange(8.0).reshape(4, 2)
  expected = pairs - pairs.sum(1, keepdims=True) + 1
  np.testing.assert_array_equal(found, expected.reshape(-1))


def test_a_checkpoint_moves_to_any_mesh(abstract, axes, tmp_path):
  rng = np.random.default_rng(0)
  host = jax.tree.map(
    lambda leaf: np.asarray(100 * rng.random(leaf.shape), leaf.dtype), abstract
  )
  host = host._replace(step=np.int32(7))
  meshes = {
    'fsdp': make_mesh(),
    'fsdp_tp': make_mesh(replica=2, fsdp=2, tensor=2),
    'dp': make_mesh(count=1),
  }
  places = {
    preset: sharding.make_shardings(abstract, axes, mesh, preset)
    for preset, mesh in meshes.items()
  }
  with checkpoint.Checkpoints(tmp_path, keep=1) as checkpoints:
    checkpoints.save(jax.device_put(host, places['fsdp']), {})
  for preset, wanted in places.items():
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
      restored = checkpoints.restore(sharding.make_abstract(abstract, wanted))
    assert jax.tree.map(lambda x: x.sharding, restored) == wanted, preset
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), host)


def test_weights_know_the_names_of_their_axes(axes, abstract):
  for names, leaf in zip(
    jax.tree.leaves(axes, is_leaf=lambda x: isinstance(x, PartitionSpec)),
    jax.tree.leaves(abstract.params),
    strict=True,
  ):
    assert len(names) == leaf.ndim and None not in tuple(names)
