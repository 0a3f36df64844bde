"""Mistakes that others made with klein, built in: the golden files notice.

Each is made in one place, and the comparison that passes without it fails. The
numbers are those of the list in docs/open_weights.md.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
from klein_files import channels_last, error

from vbanana_jax.diffusion import schedules
from vbanana_jax.klein import (
  pictures,
  pipeline,
  sampling,
  sources,
  stored,
  tables,
  tokenizer,
  vendor,
  weights,
)
from vbanana_jax.models import attention as bounded
from vbanana_jax.models import layers
from vbanana_jax.models.klein import (
  attention,
  autoencoder,
  blocks,
  qwen,
  rotary,
  transformer,
)

pytestmark = pytest.mark.usefixtures('quick_compilation')
MOVES = klein_files.load_cases('transformer')
PICTURES = klein_files.load_cases('vae')
TEXT = klein_files.load_arrays('text')
STEPS = klein_files.load_cases('pipeline')
# What is asked of each stage, see oracles/README.md.
MOVED, CODED, TOLD, SAMPLED = 2e-4, 2e-5, 2e-5, 5e-4


class Changed:
  """A module in which some names mean something else."""

  def __init__(self, module, **changes):
    self._module = module
    self.__dict__.update(changes)

  def __getattr__(self, name):
    return getattr(self._module, name)


def get_part(name):
  return klein_files.open_snapshot().parts[name]


def flip(part, path, axis=0):
  """Parameters of a part in which one has its halves the other way round."""
  return change(part, {path: lambda x: jnp.roll(x, x.shape[axis] // 2, axis)})


def change(part, changes):
  """Parameters of a part, some of them changed; by path."""
  params = klein_files.load_params(part)
  leaves = weights.flatten(params)
  made = {path: make(leaves[path]) for path, make in changes.items()}
  return jax.tree.map_with_path(
    lambda path, leaf: made.get('/'.join(key.key for key in path), leaf), params
  )


# The transformer.


def make_move(config=(), places=None):
  """The transformer, traced anew."""
  network = get_part('transformer').network
  config = dataclasses.replace(network.config, **dict(config))
  network = network.clone(config=config)

  def apply(params, tokens, times, text, own_places):
    chosen = own_places.array if places is None else places
    return network.apply({'params': params}, tokens, times, text, chosen)

  return jax.jit(apply, static_argnums=4)


@functools.cache
def get_move():
  return make_move()


@dataclasses.dataclass(frozen=True)
class Places:
  """Places of a case, told apart by its name."""

  case: str

  @property
  def array(self):
    return MOVES[self.case]['img_ids']


def move(apply, name='reference', *, params=None, times=None):
  """How far the transformer is from a golden case."""
  case = MOVES[name]
  output = apply(
    klein_files.load_params('transformer') if params is None else params,
    jnp.asarray(case['hidden_states']),
    jnp.asarray(case['timestep'] if times is None else times),
    jnp.asarray(case['encoder_hidden_states']),
    Places(name),
  )
  return error(output, case['output'])


def test_nothing_is_wrong_with_the_transformer():
  assert move(get_move()) < MOVED
  assert move(get_move(), 'faint') < MOVED


def both_sides(*paths):
  """Each parameter gets what the next one of the list has."""
  leaves = weights.flatten(klein_files.load_params('transformer'))
  others = [*paths[1:], paths[0]]
  return {
    path: lambda x, other=other: leaves[other]
    for path, other in zip(paths, others, strict=True)
  }


MISREAD = {
  '3: the halves of the last modulation as in the blocks': lambda: flip(
    'transformer', 'head_modulation/kernel', 1
  ),
  '9: the modulations of text and pictures are one for the other': lambda: (
    change(
      'transformer',
      both_sides('text_modulation/kernel', 'picture_modulation/kernel'),
    )
  ),
  '10: the gate is the second half of a single block': lambda: change(
    'transformer',
    both_sides('single/mlp/gate/kernel', 'single/mlp/up/kernel'),
  ),
  '10: the gate is the second half of a double block': lambda: change(
    'transformer',
    both_sides(
      'double/picture/mlp/gate/kernel', 'double/picture/mlp/up/kernel'
    ),
  ),
  '12: one gain for the queries of both streams': lambda: change(
    'transformer',
    {
      'double/text/qkv/q_norm/scale': lambda x: weights.flatten(
        klein_files.load_params('transformer')
      )['double/picture/qkv/q_norm/scale']
    },
  ),
  '13: sines before cosines': lambda: flip(
    'transformer', 'time_in/kernel', 0
  ),
}  # fmt: skip


@pytest.mark.parametrize('trap', MISREAD)
def test_weights_that_are_taken_for_others(trap):
  assert move(get_move(), params=MISREAD[trap]()) > MOVED


def test_10_the_mlp_before_the_attention_in_their_joined_matrix():
  part = get_part('transformer')
  hidden, width = part.network.config.hidden, part.network.config.width
  starts = {'single/out/kernel': hidden, 'single/down/kernel': 0}
  rows = [
    row._replace(start=starts.get(row.path, row.start)) for row in part.rows
  ]
  assert rows != list(tables.transformer_rows(part.network.config))
  assert hidden != width
  params = dataclasses.replace(part, rows=rows).load(klein_files.SNAPSHOT)
  assert move(get_move(), params=params) > MOVED


def test_13_the_time_is_rounded_to_bfloat16():
  thousandths = 1000 * jnp.asarray(MOVES['batch']['timestep'])
  rounded = thousandths.astype(jnp.bfloat16).astype(jnp.float32)
  assert np.any(rounded != thousandths)
  assert move(get_move(), 'batch', times=rounded / 1000) > MOVED


def turn_halves_here(x, tables_, dtype):
  return rotary.turn_halves(x, tables_).astype(dtype)


def swap_shift_and_scale(x, shift, scale, eps):
  return blocks.layer_norm(x, eps) * (1 + shift[:, None]) + scale[:, None]


def skip_second(function):
  """A function that gives its input back the second time."""
  calls = []

  def call(x):
    calls.append(x)
    return x if len(calls) == 2 else function(x)

  return call


COARSE = 10000.0 ** (128 / 127)  # over 127 of 127 steps: j / (half - 1)
# Module, name, and what stands there instead.
MISTAKEN = {
  '8: a root mean square in place of the layer norm': (
    blocks, 'layer_norm', lambda x, eps: layers.rms_norm(x)
  ),
  '9: shift and scale in the other order, in the blocks': (
    blocks, 'modulate', swap_shift_and_scale
  ),
  '9: no silu before the modulations': (
    transformer, 'nn',
    Changed(transformer.nn, silu=skip_second(transformer.nn.silu)),
  ),
  '11: halves turn together, not neighbors': (
    blocks, 'layers', Changed(layers, apply_rope=turn_halves_here)
  ),
  '11: the text is not turned': (
    rotary, 'text_places', lambda length: np.zeros((length, 4), int)
  ),
  '13: the time is not in thousandths': (transformer, '_TIME_UNIT', 1.0),
  '13: frequencies over one less than half': (
    transformer, '_LONGEST_PERIOD', COARSE
  ),
}  # fmt: skip


@pytest.mark.parametrize('trap', MISTAKEN)
def test_other_arithmetic_of_the_transformer(trap, monkeypatch):
  monkeypatch.setattr(*MISTAKEN[trap])
  assert move(make_move()) > MOVED


def test_11_rows_and_columns_are_swapped():
  places = MOVES['reference']['img_ids'][:, [0, 2, 1, 3]]
  assert move(make_move(places=places)) > MOVED


@pytest.mark.parametrize('step', [0, 20])
def test_15_a_reference_stands_elsewhere(step, monkeypatch):
  places = MOVES['reference']['img_ids']
  grids = [
    tuple(map(int, places[places[:, 0] == number][:, 1:3].max(0) + 1))
    for number in (0, rotary._REFERENCE_STEP)
  ]
  np.testing.assert_array_equal(rotary.picture_places(grids), places)
  monkeypatch.setattr(rotary, '_REFERENCE_STEP', step)
  assert move(make_move(places=rotary.picture_places(grids))) > MOVED


def test_18_another_eps_of_the_transformer():
  assert move(make_move({'eps': 1e-5}), 'faint') > MOVED


def test_18_another_eps_of_the_layer_norms_alone(monkeypatch):
  norm = blocks.layer_norm
  monkeypatch.setattr(blocks, 'layer_norm', lambda x, eps: norm(x, 1e-5))
  assert move(make_move(), 'faint') > MOVED


def test_3_a_vendors_file_is_read_unswapped(tmp_path, monkeypatch):
  path = klein_files.write_single_file(tmp_path)
  list_pieces = vendor.list_pieces

  def list_unswapped(shapes):
    pieces = list_pieces(shapes)
    name = 'norm_out.linear.weight'
    return {**pieces, name: sorted(pieces[name], key=lambda piece: piece.start)}

  monkeypatch.setattr(vendor, 'list_pieces', list_unswapped)
  states = klein_files.states()
  source = sources.open_source(path, klein_files.SNAPSHOT, states)
  (target,) = (each for each in sources.plan(source) if each.source == path)
  name = 'norm_out.linear.weight'
  made = [piece.read() for piece in target.pieces if piece.tensor == name]
  part = get_part('transformer')
  golden = part.list_tensors(klein_files.SNAPSHOT)[name]
  whole = stored.read(golden, name, (slice(None), slice(None))).tobytes()
  assert b''.join(made) != whole
  assert b''.join(reversed(made)) == whole


# The autoencoder.


def use(method, *inputs, **config):
  network = get_part('vae').network
  changed = dataclasses.replace(network.config, **config)
  network = network.clone(config=changed)
  params = {'params': klein_files.load_params('vae')}
  return jax.jit(lambda p, *x: network.apply(p, *x, method=method))(
    params, *inputs
  )


def to_tokens(case, **config):
  """How far tokens of golden latents are from the golden ones."""
  tokens = use('to_tokens', channels_last(case['latents']), **config)
  b, _, _, c = tokens.shape
  return error(tokens.reshape(b, -1, c), case['tokens'])


def encode():
  case = PICTURES['smallest']
  moments = use('encode_moments', channels_last(case['pictures']))
  return error(moments, channels_last(case['moments']))


def pack_channels_last(latents, patch):
  b, y, x, c = latents.shape
  z = latents.reshape(b, y // patch[0], patch[0], x // patch[1], patch[1], c)
  return z.swapaxes(2, 3).reshape(b, y // patch[0], x // patch[1], -1)


def normalize_first(self, latents):
  c = self.config.latent_channels
  z = (latents - self.mean[:c]) / self._spread()[:c]
  return autoencoder.pack(z, self.config.patch)


def pad_both_sides(x, kernel, strides, padding, **rest):
  padding = ((1, 1), (1, 1)) if strides == (2, 2) else padding
  return jax.lax.conv_general_dilated(x, kernel, strides, padding, **rest)


def test_nothing_is_wrong_with_the_autoencoder():
  assert to_tokens(PICTURES['odd']) < CODED
  assert encode() < CODED


def test_6_tokens_are_packed_channels_last(monkeypatch):
  monkeypatch.setattr(autoencoder, 'pack', pack_channels_last)
  assert to_tokens(PICTURES['odd']) > CODED


def test_6_latents_are_normalized_before_they_are_packed(monkeypatch):
  monkeypatch.setattr(autoencoder.Autoencoder, 'to_tokens', normalize_first)
  assert to_tokens(PICTURES['odd']) > CODED


def test_7_the_eps_of_the_statistics_is_that_of_batch_norms():
  assert to_tokens(PICTURES['odd'], statistics_eps=1e-5) > CODED


def test_17_strided_convolutions_are_padded_on_both_sides(monkeypatch):
  lax = Changed(jax.lax, conv_general_dilated=pad_both_sides)
  monkeypatch.setattr(autoencoder, 'jax', Changed(jax, lax=lax))
  assert encode() > CODED


def test_18_another_eps_of_the_group_norms(monkeypatch):
  monkeypatch.setattr(autoencoder, '_EPS', 1e-5)
  assert encode() > CODED


# Text.


def tell(**config):
  """How far features of the golden prompts are from the golden ones."""
  part = get_part('text_encoder')
  changed = dataclasses.replace(part.network.config, **config)
  network = part.network.clone(config=changed)
  features = jax.jit(network.apply)(
    {'params': klein_files.load_params('text_encoder')},
    jnp.asarray(TEXT['input_ids']),
    jnp.asarray(TEXT['attention_mask'] > 0),
  )
  return error(features, TEXT['prompt_embeds'])


def tile_heads(q, k, v, precision, mask=None):
  times = q.shape[2] // k.shape[2]
  k, v = (jnp.tile(x, (1, 1, times, 1)) for x in (k, v))
  return attention.attend(q, k, v, precision, mask)


def turn_neighbors(x, cosines_sines):
  # The tables of halves, with each angle twice in a row.
  half = x.shape[-1] // 2
  cos, sin = (np.repeat(each[:, :half], 2, 1) for each in cosines_sines)
  return layers.apply_rope(x, (cos, sin), x.dtype)


def norm_states(states, axis):
  return jnp.concatenate([layers.rms_norm(x) for x in states], axis)


def interleave(states, axis):
  return jnp.stack(states, -1).reshape(*states[0].shape[:-1], -1)


def test_nothing_is_wrong_with_the_text_encoder():
  assert tell() < TOLD


def test_4_states_are_off_by_one():
  states = klein_files.states()
  hidden = TEXT['hidden_states']
  for step in (-1, 1):
    moved = [hidden[state + step] for state in states]
    assert error(np.concatenate(moved, -1), TEXT['prompt_embeds']) > TOLD


UNTOLD = {
  '4: states behind a norm': (
    'jnp', Changed(jnp, concatenate=norm_states)
  ),
  '4: features of the states in turn': (
    'jnp', Changed(jnp, concatenate=interleave)
  ),
  '11: neighbors turn together, not halves': (
    'rotary', Changed(rotary, turn_halves=turn_neighbors)
  ),
  '19: heads of the keys in turn': (
    'attention', Changed(attention, attend=tile_heads)
  ),
}  # fmt: skip


@pytest.mark.parametrize('trap', UNTOLD)
def test_other_arithmetic_of_the_text_encoder(trap, monkeypatch):
  monkeypatch.setattr(qwen, *UNTOLD[trap])
  assert tell() > TOLD


def test_18_another_eps_of_the_text_encoder():
  assert tell(eps=1e-5) > TOLD


def test_5_a_chat_form_without_its_empty_thoughts(monkeypatch):
  words = klein_files.load_json('tokenizer')
  own = klein_files.open_snapshot().tokenizer
  case = next(each for each in words['cases'] if each['text'] == '')
  assert own.list_ids('') == case['chat_ids']
  shorter = tokenizer._AFTER.replace('<think>\n\n</think>\n\n', '')
  monkeypatch.setattr(tokenizer, '_AFTER', shorter)
  assert own.list_ids('') != case['chat_ids']


# From words to a picture.


@functools.cache
def encode_words():
  """Features of the first golden case's prompt, and of none."""
  case = klein_files.load_json('pipeline')['cases'][0]
  assert (case['name'], case['images']) == ('edit', 1)
  features = klein_files.open_pipeline().encode_prompts([case['prompt'], ''])
  return features, case['guidance']


def take_step(text=None):
  """How far the first step of the golden edit is from where it went."""
  golden, opened = STEPS['edit'], klein_files.open_pipeline()
  features, guidance = encode_words()
  token_px = get_part('vae').network.config.token_px
  picture = pictures.prepare_reference(golden['image.0'], token_px)
  z = opened.sample(
    channels_last(golden['noise']),
    features if text is None else text,
    [opened.encode_picture(jnp.asarray(picture)[None])],
    golden['sigmas'][:2],
    guidance,
  )
  wanted = golden['path'][0].reshape(z.shape)
  return error(z, wanted)


def trace_anew(monkeypatch):
  """The same function would be taken for traced already."""
  monkeypatch.setattr(
    pipeline,
    '_sample',
    lambda *inputs, network, grids: jax.jit(
      lambda *traced: sample(*traced, network=network, grids=grids)
    )(*inputs),
  )


sample = pipeline._sample.__wrapped__


def test_nothing_is_wrong_with_a_step():
  assert take_step() < SAMPLED


def test_2_pads_are_zero_or_left_out():
  features, _ = encode_words()
  prompt = klein_files.load_json('pipeline')['cases'][0]['prompt']
  words = klein_files.open_snapshot().tokenizer.count(prompt)
  assert words < features.shape[1]
  assert take_step(features.at[:, words:].set(0)) > SAMPLED
  assert take_step(features[:, :words]) > SAMPLED


def test_16_guidance_from_the_prompt_and_not_from_none(monkeypatch):
  guide = sampling.guide
  monkeypatch.setattr(
    sampling, 'guide', lambda both, scale: guide(both, scale + 1)
  )
  trace_anew(monkeypatch)
  assert take_step() > SAMPLED


def test_21_the_velocity_points_to_the_noise(monkeypatch):
  integrate = sampling.integrate
  monkeypatch.setattr(
    sampling,
    'integrate',
    lambda velocity, *rest: integrate(lambda *x: -velocity(*x), *rest),
  )
  trace_anew(monkeypatch)
  assert take_step() > SAMPLED


def shift_of_flux1(tokens, steps):
  return 0.5 + (1.15 - 0.5) * (tokens - 256) / (4096 - 256)


SHIFTS = {
  '14: references count': lambda tokens, steps: find_shift(2 * tokens, steps),
  '14: as FLUX.1 in sampling': shift_of_flux1,
  '14: 3, whatever the size': lambda tokens, steps: np.log(3.0),
}
find_shift = schedules.find_shift


@pytest.mark.parametrize('trap', SHIFTS)
def test_another_shift_of_the_levels(trap, monkeypatch):
  golden = STEPS['edit']
  tokens, steps = golden['path'].shape[-2], len(golden['sigmas']) - 1
  sigmas = schedules.sampling_sigmas(tokens, steps)
  assert error(sigmas, golden['sigmas']) < 1e-6
  monkeypatch.setattr(schedules, 'find_shift', SHIFTS[trap])
  sigmas = schedules.sampling_sigmas(tokens, steps)
  assert error(sigmas, golden['sigmas']) > 1e-6


def test_20_a_reference_is_cut_from_its_corner_or_resized(monkeypatch):
  golden = klein_files.load_arrays('pictures')
  token_px = get_part('vae').network.config.token_px

  def prepare(picture):
    made = pictures.prepare_reference(picture, token_px)
    return error(np.moveaxis(made[None], -1, 1), golden['small_out'])

  small = golden['small']
  assert prepare(small) < 1e-6
  rows, columns = golden['small_out'].shape[-2:]
  assert prepare(small[:rows, :columns]) > 1e-6
  whole = ((rows, columns), (rows, columns))
  # A picture below the cap is resized where both sizes are the smaller one.
  monkeypatch.setattr(pictures, 'plan_reference', lambda *size: whole)
  assert prepare(small) > 1e-6


def test_23_large_logits_are_not_cut():
  """Gains of a trained network may take logits beyond what ours bounds."""
  precision = klein_files.EXACT
  q = k = jnp.array([[[[30.0, 0.0, 0.0, 0.0]], [[32.0, 0.0, 0.0, 0.0]]]])
  v = jnp.array([[[[1.0, 0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0, 0.0]]]])
  logits = np.einsum('bnke,bmke->bknm', q, k) / 2
  assert logits.min() > 60
  sharp = np.exp(logits - logits.max(-1, keepdims=True))
  wanted = np.einsum(
    'bknm,bmke->bnke', sharp / sharp.sum(-1, keepdims=True), v
  ).reshape(1, 2, 4)
  assert error(attention.attend(q, k, v, precision), wanted) < 1e-6
  seen = jnp.ones((1, 2), bool)
  assert error(bounded.attend(q, k, v, seen, precision), wanted) > 0.1
