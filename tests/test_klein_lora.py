"""Adapters change what they change in diffusers and peft, and so much."""

import json

import jax
import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
import safetensors.numpy
from klein_files import error

from vbanana_jax.errors import UserError
from vbanana_jax.klein import adapter_files, lora
from vbanana_jax.models.klein import rotary

pytestmark = pytest.mark.usefixtures('quick_compilation')
FOLDER = klein_files.FOLDER / 'lora'
LAYOUTS = {'diffusers': FOLDER, 'peft': FOLDER / 'peft'}
TOLERANCE = 1e-3
GOLDEN = klein_files.load_arrays('lora/lora')
STEP = klein_files.load_arrays('training')


def open_transformer():
  """Rows, abstract parameters and network of the golden transformer."""
  part = klein_files.open_snapshot().parts['transformer']
  return part.rows, part.make_abstract(), part.network


def read(layout='diffusers'):
  rows, abstract, _ = open_transformer()
  return adapter_files.read(LAYOUTS[layout], rows, abstract)


@pytest.fixture(scope='module')
def apply():
  """The network's answer to the step's inputs, changed by an adapter."""
  rows, abstract, network = open_transformer()
  _, _, height, width = STEP['noise'].shape
  places = rotary.picture_places([(height, width)] * 2)
  params = klein_files.load_params('transformer')

  @jax.jit
  def run(factors, scale):
    changed = lora.spread(lora.Adapter(factors, scale), rows, abstract)
    return network.apply(
      {'params': params, 'lora': changed},
      jnp.asarray(STEP['tokens']),
      jnp.asarray(STEP['sigmas']),
      jnp.asarray(STEP['prompt_embeds']),
      places,
    )

  return run


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize(
  'share, name', [(0.0, 'plain'), (0.5, 'output_half'), (1.0, 'output')]
)
def test_an_adapter_changes_as_much_as_there(layout, share, name, apply):
  adapter = read(layout)
  found = apply(adapter.factors, share * adapter.scale)
  assert error(found, GOLDEN[name]) < TOLERANCE


def test_gradients_of_an_adapter_equal_the_published_ones(apply):
  adapter = read()
  noise, clean = STEP['noise'], STEP['x']
  wanted = jnp.asarray(noise - clean).reshape(*noise.shape[:2], -1)
  wanted = wanted.swapaxes(1, 2)  #                                      b n c

  def loss(factors):
    velocity = apply(factors, adapter.scale)[:, : wanted.shape[1]]
    return jnp.mean((velocity - wanted) ** 2)

  value, gradients = jax.value_and_grad(loss)(adapter.factors)
  np.testing.assert_allclose(value, GOLDEN['loss'], rtol=1e-5)
  golden = safetensors.numpy.load_file(FOLDER / 'gradients.safetensors')
  count = 0
  for name, pair in gradients.items():
    for block in range(len(pair['down'])):
      module = name.replace('*', str(block), 1)
      for key, word in (('down', 'lora_A'), ('up', 'lora_B')):
        theirs = golden[f'{module}.{word}.weight']
        ours = np.asarray(pair[key][block]).T
        assert np.abs(ours - theirs).max() < TOLERANCE * np.abs(theirs).max()
        count += 1
  assert count == len(golden)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_an_adapter_comes_back_as_it_was(layout, tmp_path):
  golden = read(layout)
  adapter_files.write(tmp_path, golden, layout)
  name = {'diffusers': adapter_files.DIFFUSERS, 'peft': adapter_files.PEFT}
  wanted = safetensors.numpy.load_file(LAYOUTS[layout] / name[layout])
  found = safetensors.numpy.load_file(tmp_path / name[layout])
  assert sorted(found) == sorted(wanted)
  for name, array in wanted.items():
    np.testing.assert_array_equal(found[name], array)
  rows, abstract, _ = open_transformer()
  again = adapter_files.read(tmp_path, rows, abstract)
  assert again.scale == golden.scale


def test_new_factors_change_nothing_and_have_the_shapes_that_are_read():
  rows, abstract, _ = open_transformer()
  golden = read()
  change = lora.LowRank(rows, abstract, 'attention', rank=3, alpha=6.0)
  made = change.make_factors(jax.random.key(0))
  assert jax.tree.map(jnp.shape, made) == jax.tree.map(
    jnp.shape, golden.factors
  )
  assert all(not pair['up'].any() for pair in made.values())
  more = lora.list_targets(rows, 'blocks')
  assert set(made) < set(more)
  assert 'transformer_blocks.*.ff_context.linear_in' in more


def damage(folder, tmp_path, change):
  """A copy of an adapter of peft whose tensors and config `change` changes."""
  tensors = safetensors.numpy.load_file(folder / adapter_files.PEFT)
  config = json.loads((folder / 'adapter_config.json').read_text())
  change(tensors, config)
  safetensors.numpy.save_file(tensors, tmp_path / adapter_files.PEFT)
  (tmp_path / 'adapter_config.json').write_text(json.dumps(config))
  return tmp_path


NAME = 'base_model.model.transformer_blocks.0.attn.to_q.lora_{}.weight'
FAR = NAME.format('A').replace('.0.', '.99.')
MISTAKES = {
  'half': (lambda t, c: t.pop(NAME.format('A')), 'lacks'),
  'another network': (
    lambda t, c: t.update({FAR: t[NAME.format('A')]}),
    'transformer_blocks.99.attn.to_q, which the network lacks',
  ),
  'a bias': (
    lambda t, c: t.update({'base_model.model.x.bias': np.zeros(1, 'f')}),
    'base_model.model.x.bias, unknown here',
  ),
  'another rank': (lambda t, c: c.update(r=4), 'rank 4 and the network ask'),
  'no rank': (lambda t, c: c.pop('r'), 'r is None'),
  'dora': (lambda t, c: c.update(use_dora=True), 'has use_dora'),
}


@pytest.mark.parametrize('change, told', MISTAKES.values(), ids=MISTAKES)
def test_what_is_no_plain_adapter_is_refused(change, told, tmp_path):
  folder = damage(LAYOUTS['peft'], tmp_path, change)
  rows, abstract, _ = open_transformer()
  with pytest.raises(UserError, match=told):
    adapter_files.read(folder, rows, abstract)


def test_an_adapter_that_is_not_there(tmp_path):
  rows, abstract, _ = open_transformer()
  with pytest.raises(UserError, match='neither'):
    adapter_files.read(tmp_path, rows, abstract)
  with pytest.raises(UserError, match=r"'all': choose of \['attention'"):
    lora.list_targets(rows, 'all')
