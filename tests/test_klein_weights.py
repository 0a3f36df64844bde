"""Snapshots fill every parameter, or are refused with nothing loaded."""

import json
import math
import shutil

import jax
import klein_files
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from jax.sharding import NamedSharding, PartitionSpec

from vbanana_jax.errors import UserError
from vbanana_jax.klein import snapshot, stored, weights
from vbanana_jax.models.klein.config import (
  AutoencoderConfig,
  TextConfig,
  TransformerConfig,
)

PARTS = ('transformer', 'vae', 'text_encoder')
PUBLISHED = klein_files.load_json('published_keys')
# As their config.json files say.
WIDE = {
  'head_width': 128,
  'axes': (32,) * 4,
  'theta': 2000.0,
  'channels': 128,
  'mlp_ratio': 3.0,
  'time_features': 256,
  'eps': 1e-6,
}
QWEN = {
  'vocab_size': 151936,
  'heads': 32,
  'key_heads': 8,
  'head_width': 128,
  'theta': 1e6,
  'eps': 1e-6,
}
BUILT = {
  'klein_4b/transformer': snapshot.build_transformer(
    TransformerConfig(
      heads=24, double_blocks=5, single_blocks=20, text_width=7680, **WIDE
    ),
    klein_files.EXACT,
  ),
  'klein_9b/transformer': snapshot.build_transformer(
    TransformerConfig(
      heads=32, double_blocks=8, single_blocks=24, text_width=12288, **WIDE
    ),
    klein_files.EXACT,
  ),
  'klein_4b/vae': snapshot.build_autoencoder(
    AutoencoderConfig(
      encoder_widths=(128, 256, 512, 512),
      decoder_widths=(128, 256, 512, 512),
      layers=2,
      groups=32,
      latent_channels=32,
      patch=(2, 2),
      statistics_eps=1e-4,
    ),
    klein_files.EXACT,
  ),
  'klein_4b/text_encoder': snapshot.build_text_encoder(
    TextConfig(width=2560, hidden=9728, **QWEN), 36, klein_files.EXACT
  ),
  'klein_9b/text_encoder': snapshot.build_text_encoder(
    TextConfig(width=4096, hidden=12288, **QWEN), 36, klein_files.EXACT
  ),
}


def list_published(name):
  folder = klein_files.FOLDER  # any: nothing is read
  return {
    tensor: stored.Stored(folder / name, tuple(shape), 'BF16')
    for tensor, shape in PUBLISHED[name]['tensors'].items()
  }


@pytest.mark.parametrize('name', BUILT)
def test_published_names_and_shapes_fill_the_published_sizes(name):
  part, tensors = BUILT[name], list_published(name)
  abstract = part.make_abstract()
  weights.check(part.rows, abstract, tensors, part.dead)
  used = {row.stored for row in part.rows}
  count = sum(math.prod(x.shape) for x in jax.tree.leaves(abstract))
  assert count == sum(math.prod(tensors[tensor].shape) for tensor in used)
  kept = {
    'klein_4b/text_encoder': 3_114_088_192,
    'klein_9b/text_encoder': 5_831_883_520,
    'klein_4b/vae': 84_046_115 + 256,  # with the statistics, without a counter
  }
  assert count == kept.get(name, PUBLISHED[name]['parameters'])


@pytest.mark.parametrize('name', BUILT)
def test_one_name_too_few_or_too_many_is_refused(name):
  part, tensors = BUILT[name], list_published(name)
  abstract = part.make_abstract()
  first = part.rows[0].stored
  few = {key: value for key, value in tensors.items() if key != first}
  with pytest.raises(UserError, match=f'lacks {first}'):
    weights.check(part.rows, abstract, few, part.dead)
  many = {**tensors, 'one.more.weight': tensors[first]}
  with pytest.raises(UserError, match=r'one\.more\.weight, unknown'):
    weights.check(part.rows, abstract, many, part.dead)


def test_a_layer_that_is_not_needed_has_no_other_names():
  part = BUILT['klein_4b/text_encoder']
  tensors = list_published('klein_4b/text_encoder')
  name = 'model.layers.35.more.weight'
  tensors[name] = tensors['model.norm.weight']
  with pytest.raises(UserError, match=f'has {name}, unknown'):
    weights.check(part.rows, part.make_abstract(), tensors, part.dead)


def rebuild(part, params):
  """Stored tensors from parameters: the table, read the other way."""
  leaves, tensors = weights.flatten(params), {}
  for row in part.rows:
    leaf = np.asarray(leaves[row.path])
    leaf = leaf if row.block is None else leaf[row.block]
    parts = tensors.setdefault(row.stored, [])
    parts.append((row.start, row.axis, leaf.transpose(np.argsort(row.order))))
  return {
    name: np.concatenate([x for _, _, x in sorted(parts, key=lambda p: p[0])],
                         axis=parts[0][1])
    for name, parts in tensors.items()
  }  # fmt: skip


@pytest.mark.parametrize('name', PARTS)
def test_what_is_loaded_is_what_is_stored(name):
  part = klein_files.open_snapshot().parts[name]
  rebuilt = rebuild(part, klein_files.load_params(name))
  folder = klein_files.SNAPSHOT / name
  seen = set()
  for path in folder.glob('*.safetensors'):
    with safetensors.safe_open(path, framework='np') as file:
      for key in file.keys():
        if key not in part.dead:
          assert rebuilt[key].dtype == file.get_tensor(key).dtype
          np.testing.assert_array_equal(rebuilt[key], file.get_tensor(key))
          seen.add(key)
  assert seen == set(rebuilt)


def test_devices_read_their_own_shares():
  part = klein_files.open_snapshot().parts['transformer']
  mesh = jax.make_mesh((2,), ('fsdp',))

  def place(leaf):
    halves = [size % 2 == 0 for size in leaf.shape]
    axis = max((k for k, even in enumerate(halves) if even), default=None)
    spec = ['fsdp' if k == axis else None for k in range(leaf.ndim)]
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

  abstract = jax.tree.map(place, part.make_abstract())
  shared = part.load(klein_files.SNAPSHOT, np.float32, abstract)
  jax.tree.map(
    lambda x, y: np.testing.assert_array_equal(x, y.astype(np.float32)),
    shared,
    klein_files.load_params('transformer'),
  )
  kernel = shared['single']['mlp']['up']['kernel']
  assert not kernel.sharding.is_fully_replicated


@pytest.fixture
def copy(tmp_path):
  """A snapshot that may be damaged."""
  return shutil.copytree(klein_files.SNAPSHOT, tmp_path / 'snapshot')


def edit(path, **changes):
  values = json.loads(path.read_text())
  path.write_text(json.dumps({**values, **changes}))


def edit_tensors(copy, change):
  path = copy / 'vae' / 'diffusion_pytorch_model.safetensors'
  tensors = safetensors.numpy.load_file(path)
  change(tensors)
  safetensors.numpy.save_file(tensors, path)


def drop(tensors):
  del tensors['decoder.conv_in.bias']


def rename(tensors):
  tensors['decoder.conv_on.bias'] = tensors.pop('decoder.conv_in.bias')


def add(tensors):
  tensors['decoder.more.bias'] = np.zeros(3, 'f')


def cut(tensors):
  tensors['quant_conv.bias'] = tensors['quant_conv.bias'][:-1].copy()


def quantize(tensors):
  tensors['quant_conv.bias'] = tensors['quant_conv.bias'].astype(np.int8)


@pytest.mark.parametrize(
  'change, message',
  [
    (drop, 'vae lacks decoder.conv_in.bias'),
    (rename, 'vae lacks decoder.conv_in.bias'),
    (add, 'vae has decoder.more.bias, unknown here'),
    (cut, 'quant_conv.bias is .* and the config asks for'),
    (quantize, 'quant_conv.bias is stored as I8'),
  ],
)
def test_tensors_that_do_not_fit_are_refused(copy, change, message):
  edit_tensors(copy, change)
  opened = snapshot.Snapshot(copy, klein_files.EXACT, klein_files.states())
  with pytest.raises(UserError, match=message):
    opened.load('vae')


def break_index(copy):
  path = copy / 'text_encoder' / 'model.safetensors.index.json'
  places = json.loads(path.read_text())['weight_map']
  first = next(iter(places))
  other = next(file for file in places.values() if file != places[first])
  edit(path, weight_map={**places, first: other})


def empty_index(copy):
  edit(copy / 'text_encoder' / 'model.safetensors.index.json', weight_map={})


def leave_folder(copy):
  path = copy / 'text_encoder' / 'model.safetensors.index.json'
  edit(path, weight_map={'model.norm.weight': '../model.safetensors'})


def remove_shard(copy):
  next((copy / 'text_encoder').glob('*.safetensors')).unlink()


def truncate(copy):
  path = next((copy / 'text_encoder').glob('*.safetensors'))
  path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
  'change, message',
  [
    (break_index, 'index.json and model.* disagree about'),
    (empty_index, 'has no weight_map'),
    (leave_folder, 'is not a file beside it'),
    (remove_shard, 'cannot be read'),
    (truncate, 'cannot be read'),
  ],
)
def test_files_that_do_not_fit_are_refused(copy, change, message):
  change(copy)
  opened = snapshot.Snapshot(copy, klein_files.EXACT, klein_files.states())
  with pytest.raises(UserError, match=message):
    opened.load('text_encoder')


@pytest.mark.parametrize(
  'file, changes, message',
  [
    ('model_index', {'_class_name': 'FluxPipeline'}, 'names a FluxPipeline'),
    ('transformer/config', {'guidance_embeds': True}, 'only False is impl'),
    ('transformer/config', {'axes_dims_rope': [2, 2, 2, 2]}, 'do not sum up'),
    ('transformer/config', {'axes_dims_rope': [3, 5]}, 'axes_dims_rope cannot'),
    ('transformer/config', {'num_layers': 'two'}, 'num_layers cannot be'),
    ('transformer/config', {'new_feature': 3}, 'new_feature is 3, which is un'),
    ('transformer/config', {'joint_attention_dim': 7}, 'text_encoder makes'),
    ('vae/config', {'act_fn': 'relu'}, 'act_fn is .relu.'),
    ('vae/config', {'norm_num_groups': 5}, 'norm_num_groups cannot be 5'),
    ('vae/config', {'latent_channels': 5}, 'vae makes'),
    ('text_encoder/config', {'rope_theta': None}, 'rope_theta cannot be None'),
    (
      'text_encoder/config',
      {'rope_scaling': {'rope_type': 'yarn'}},
      'rope_scaling cannot be',
    ),
    ('text_encoder/config', {'use_sliding_window': True}, 'use_sliding_window'),
    ('text_encoder/config', {'num_hidden_layers': 3}, 'layer_types|must rise'),
    ('text_encoder/config', {'vocab_size': 7}, 'tokenizer.json has'),
    ('scheduler/scheduler_config', {'use_dynamic_shifting': False}, 'use_dyn'),
  ],
)
def test_configs_of_other_networks_are_refused(copy, file, changes, message):
  edit(copy / f'{file}.json', **changes)
  with pytest.raises(UserError, match=message) as caught:
    snapshot.Snapshot(copy, klein_files.EXACT, klein_files.states())
  assert str(copy) in str(caught.value)


def test_a_missing_key_or_file_is_named(copy):
  path = copy / 'transformer' / 'config.json'
  values = json.loads(path.read_text())
  del values['num_layers']
  path.write_text(json.dumps(values))
  with pytest.raises(UserError, match="has no 'num_layers'"):
    snapshot.Snapshot(copy, klein_files.EXACT, klein_files.states())
  path.unlink()
  with pytest.raises(UserError, match=r'config\.json cannot be read'):
    snapshot.Snapshot(copy, klein_files.EXACT, klein_files.states())
  path.write_text('[1')
  with pytest.raises(UserError, match='is not JSON'):
    snapshot.Snapshot(copy, klein_files.EXACT, klein_files.states())


def test_rotation_is_read_from_configs_of_newer_libraries(copy):
  path = copy / 'text_encoder' / 'config.json'
  values = json.loads(path.read_text())
  theta = 12345.0
  for key in ('rope_theta', 'rope_scaling'):
    values.pop(key, None)
  values['rope_parameters'] = {'rope_theta': theta, 'rope_type': 'default'}
  path.write_text(json.dumps(values))
  opened = snapshot.Snapshot(copy, klein_files.EXACT, klein_files.states())
  assert opened.parts['text_encoder'].network.config.theta == theta


@pytest.mark.parametrize('said', [True, False])
def test_a_distilled_snapshot_says_so(copy, said):
  edit(copy / 'model_index.json', is_distilled=said)
  opened = snapshot.Snapshot(copy, klein_files.EXACT, klein_files.states())
  assert opened.distilled == said
