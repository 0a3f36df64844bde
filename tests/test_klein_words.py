"""Prompts, noise levels and reference pictures as the published pipeline's."""

import json
import re

import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
import tokenizers
from klein_files import error

from vbanana_jax.diffusion import schedules
from vbanana_jax.errors import UserError
from vbanana_jax.klein import pictures
from vbanana_jax.klein.tokenizer import PromptTokenizer

PATH = klein_files.SNAPSHOT / 'tokenizer' / 'tokenizer.json'
WORDS = klein_files.load_json('tokenizer')
SCHEDULES = klein_files.load_json('schedules')
SIZES = klein_files.load_json('pictures')
TOKEN_PX = (16, 16)


@pytest.fixture(scope='module')
def tokenizer():
  return PromptTokenizer(PATH)


def has_mark(text):
  added = json.loads(PATH.read_text(encoding='utf-8'))['added_tokens']
  return any(token['content'] in text for token in added)


@pytest.mark.parametrize('number', range(len(WORDS['cases'])))
def test_prompts_become_the_published_ids(tokenizer, number):
  case = WORDS['cases'][number]
  text, length = case['text'], WORDS['length']
  if has_mark(text):
    with pytest.raises(UserError, match='write it otherwise'):
      tokenizer.encode(text, length)
    return
  ids = case['chat_ids']
  assert tokenizer.count(text) == len(ids)
  whole = tokenizer.encode(text, len(ids))
  np.testing.assert_array_equal(whole, ids)
  assert tokenizer.decode(whole) == tokenizers.normalizers.NFC().normalize_str(
    case['chat']
  )
  if len(ids) > length:
    with pytest.raises(UserError, match=f'has {len(ids)} tokens.*{length}'):
      tokenizer.encode(text, length)
  else:
    padded = tokenizer.encode(text, length)
    np.testing.assert_array_equal(padded, case['input_ids'])
    np.testing.assert_array_equal(
      padded != tokenizer.pad, np.array(case['attention_mask']) > 0
    )


def test_what_a_saved_tokenizer_pads_and_cuts_is_not_read(tokenizer, tmp_path):
  bpe = tokenizers.Tokenizer.from_file(str(PATH))
  bpe.enable_padding(length=64)
  bpe.enable_truncation(4)
  bpe.save(str(tmp_path / 'tokenizer.json'))
  other = PromptTokenizer(tmp_path / 'tokenizer.json')
  text = 'a red ball'
  np.testing.assert_array_equal(
    other.encode(text, 40), tokenizer.encode(text, 40)
  )
  assert other.hash != tokenizer.hash


@pytest.mark.parametrize(
  'content, message',
  [
    (None, 'cannot be read'),
    ('{', 'cannot be read'),
    ('other', 'has no token <|im_start|>'),
  ],
)
def test_another_file_is_no_tokenizer(tmp_path, content, message):
  path = tmp_path / 'tokenizer.json'
  if content == 'other':
    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(path))
  elif content:
    path.write_text(content)
  with pytest.raises(UserError, match=re.escape(message)) as caught:
    PromptTokenizer(path)
  assert str(path) in str(caught.value)


def test_sampling_levels_equal_the_published_ones():
  for case in SCHEDULES['sampling']:
    tokens, steps = case['tokens'], case['steps']
    assert abs(schedules.find_shift(tokens, steps) - case['mu']) < 1e-6
    sigmas = schedules.sampling_sigmas(tokens, steps)
    assert error(sigmas, case['sigmas']) < 1e-6
    assert sigmas.dtype == np.float32


def test_training_levels_and_weights_equal_the_published_ones():
  training, weighting = SCHEDULES['training'], SCHEDULES['weighting']
  for inside in (0.01, 0.99):  # of the interval of one level
    u = (jnp.array(training['index']) + inside) / schedules.TRAINING_LEVELS
    sigmas = schedules.training_sigmas(u)
    np.testing.assert_allclose(sigmas, training['sigma'], rtol=1e-6)
  sigmas = jnp.array(weighting['sigma'])
  for name, weigh in schedules.WEIGHTINGS.items():
    np.testing.assert_allclose(weigh(sigmas), weighting[name], rtol=1e-5)


def test_references_get_the_published_sizes():
  for case in SIZES['sizes']:
    planned = pictures.plan_reference(tuple(case['size']), TOKEN_PX)
    assert planned == (tuple(case['scaled']), tuple(case['cropped']))
  for case in SIZES['limits']:
    with pytest.raises(UserError, match='a reference picture of'):
      pictures.plan_reference(tuple(case['size']), TOKEN_PX)


def test_references_become_the_published_pixels():
  golden = klein_files.load_arrays('pictures')
  y, x = np.mgrid[:900, :1400]
  large = np.stack(
    [(7 * x + 3 * y) // 11, (x**2 + 5 * y) // 97, (2 * x + y**2) // 53], -1
  )
  for name, picture, every in (
    ('small_out', golden['small'], 1),
    ('large_out_sampled', (large % 256).astype(np.uint8), 16),
  ):
    prepared = pictures.prepare_reference(picture, TOKEN_PX)
    assert (
      error(np.moveaxis(prepared[None, ::every, ::every], -1, 1), golden[name])
      < 1e-6
    )
