"""The networks of FLUX.2 klein equal the published libraries'."""

import dataclasses

import jax
import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
from klein_files import channels_last, error

from vbanana_jax import models
from vbanana_jax.klein import snapshot
from vbanana_jax.models.klein import autoencoder, rotary

pytestmark = pytest.mark.usefixtures('quick_compilation')
MOVES = klein_files.load_cases('transformer')
PICTURES = klein_files.load_cases('vae')
TEXT = klein_files.load_arrays('text')
TOLERANCE = {'transformer': 2e-4, 'vae': 2e-5, 'text': 2e-5}
NARROW = 5e-2  # with bfloat16 operands


def move(case, precision=klein_files.EXACT):
  """What the transformer makes of a case's inputs."""
  opened = klein_files.open_snapshot(precision)
  network = opened.parts['transformer'].network
  length = len(case['txt_ids'])
  np.testing.assert_array_equal(rotary.text_places(length), case['txt_ids'])

  @jax.jit
  def apply(params, *inputs):
    return network.apply({'params': params}, *inputs, case['img_ids'])

  return apply(
    klein_files.load_params('transformer'),
    jnp.asarray(case['hidden_states']),
    jnp.asarray(case['timestep']),
    jnp.asarray(case['encoder_hidden_states']),
  )


def use(method, *inputs):
  """A method of the autoencoder."""
  network = klein_files.open_snapshot().parts['vae'].network
  params = klein_files.load_params('vae')
  return jax.jit(lambda p, *x: network.apply({'params': p}, *x, method=method))(
    params, *inputs
  )


@pytest.mark.parametrize('name', MOVES)
def test_the_transformer_equals_the_published_one(name):
  case = MOVES[name]
  assert error(move(case), case['output']) < TOLERANCE['transformer']


@pytest.mark.parametrize(
  'precision, tolerance',
  [
    (models.Precision(accelerator=True), TOLERANCE['transformer']),
    (models.Precision('bfloat16', 'bfloat16', accelerator=True), NARROW),
  ],
  ids=['scanned', 'bfloat16'],
)
def test_the_transformer_as_an_accelerator_runs_it(precision, tolerance):
  case = MOVES['two_references']
  assert error(move(case, precision), case['output']) < tolerance


def test_time_and_rotations_equal_the_published_ones():
  case = MOVES['reference']
  network = klein_files.open_snapshot().parts['transformer'].network
  time = network.apply(
    {'params': klein_files.load_params('transformer')},
    jnp.asarray(case['timestep']),
    method='embed_time',
  )
  golden = case['inside/time_guidance_embed']
  assert error(time, golden) < TOLERANCE['transformer']
  places = np.concatenate([case['txt_ids'], case['img_ids']])
  c = network.config
  for ours, name in zip(
    rotary.axes_tables(places, c.axes, c.theta), ('cos', 'sin'), strict=True
  ):
    assert error(ours, case[f'inside/{name}']) < 1e-6


def test_places_of_references_are_those_of_the_published_pipeline():
  for name, references in (('plain', 0), ('reference', 1)):
    places = MOVES[name]['img_ids']
    grids = []
    for number in range(references + 1):
      rows_columns = places[places[:, 0] == 10 * number][:, 1:3]
      grids.append(tuple(map(int, rows_columns.max(0) + 1)))
    np.testing.assert_array_equal(rotary.picture_places(grids), places)


@pytest.mark.parametrize('name', PICTURES)
def test_the_autoencoder_equals_the_published_one(name):
  case = PICTURES[name]
  moments = use('encode_moments', channels_last(case['pictures']))
  assert error(moments, channels_last(case['moments'])) < TOLERANCE['vae']
  latents = use('encode', channels_last(case['pictures']))
  assert error(latents, channels_last(case['latents'])) < TOLERANCE['vae']
  tokens = use('to_tokens', channels_last(case['latents']))
  b, rows, columns, c = tokens.shape
  assert error(tokens.reshape(b, -1, c), case['tokens']) < TOLERANCE['vae']
  given = jnp.asarray(case['given_tokens']).reshape(b, rows, columns, c)
  latents = use('from_tokens', given)
  assert error(latents, channels_last(case['given_latents'])) < TOLERANCE['vae']
  decoded = use('decode', channels_last(case['given_latents']))
  assert error(decoded, channels_last(case['decoded'])) < TOLERANCE['vae']


def test_packing_is_undone():
  latents = jnp.arange(2 * 6 * 4 * 3.0).reshape(2, 6, 4, 3)
  tokens = autoencoder.pack(latents, (3, 2))
  assert tokens.shape == (2, 2, 2, 18)
  np.testing.assert_array_equal(autoencoder.unpack(tokens, (3, 2)), latents)


def test_a_picture_must_divide_into_tokens():
  y, x = klein_files.open_snapshot().parts['vae'].network.config.token_px
  with pytest.raises(ValueError, match='does not divide'):
    use('encode', jnp.zeros((1, y + 1, x, 3)))


def encode(states):
  """Features of the golden prompts from these states."""
  case = TEXT
  config = klein_files.open_snapshot().parts['text_encoder'].network.config
  config = dataclasses.replace(config, states=states)
  part = snapshot.build_text_encoder(
    config, len(case['hidden_states']) - 1, klein_files.EXACT
  )
  return jax.jit(part.network.apply)(
    {'params': part.load(klein_files.SNAPSHOT)},
    jnp.asarray(case['input_ids']),
    jnp.asarray(case['attention_mask'] > 0),
  )


def test_the_text_encoder_equals_the_published_one():
  features = encode(klein_files.states())
  assert error(features, TEXT['prompt_embeds']) < TOLERANCE['text']


def test_every_state_of_the_text_encoder_equals_the_published_one():
  # The last one is behind a norm there, and never asked for.
  states = TEXT['hidden_states'][:-1]
  features = encode(tuple(range(len(states))))
  assert error(features, np.concatenate(states, -1)) < TOLERANCE['text']
