"""Tokenizer: no unknown character, digits apart, nothing cut."""

import hashlib

import numpy as np
import pytest

from vbanana_jax import errors
from vbanana_jax.codecs import palettes
from vbanana_jax.scenes import world
from vbanana_jax.tokenizer.tokenizer import VOCABULARY, Tokenizer


@pytest.fixture(scope='module')
def tokenizer():
  return Tokenizer.load()


def test_loaded_once_and_hashed(tokenizer):
  assert Tokenizer.load() is tokenizer
  assert tokenizer.hash == hashlib.sha256(VOCABULARY.read_bytes()).hexdigest()
  assert tokenizer.vocab_size <= 1024


def test_padding_is_zero_and_never_a_token(tokenizer):
  ids = tokenizer.encode('a red sphere', 8)
  assert ids.dtype == np.int32 and ids.shape == (8,)
  assert (ids[:3] > 0).all() and (ids[3:] == 0).all()
  assert (tokenizer.encode('', 4) == 0).all()
  assert (tokenizer.encode('<pad> <unk> \x00', 40) > 0).sum() > 3


def test_digits_are_single(tokenizer):
  one = {str(d): tokenizer.encode(str(d), 1)[0] for d in range(10)}
  assert len(set(one.values())) == 10
  ids = tokenizer.encode('2048', 4)
  assert list(ids) == [one[d] for d in '2048']
  assert set(tokenizer.encode('(128, 7)', 16)) > {one[d] for d in '1287'}


@pytest.mark.parametrize(
  'text',
  [
    'Ünïcödé 猫 🍌',
    'zebra\tcrossing\n',
    '«a» — b…',
    'a{"b": <1, 2, 3>}',
    '\x7f',
  ],
)
def test_nothing_is_unknown(tokenizer, text):
  ids = tokenizer.encode(text, 128)
  assert 0 < (ids > 0).sum()
  back = tokenizer.decode(ids[ids > 0])
  assert ''.join(back.split()) == ''.join(text.lower().split())


def test_a_word_is_one_token_wherever_it_stands(tokenizer):
  (sphere,) = tokenizer.encode('sphere', 1)
  for text in ('The sphere.', '{"sphere": "red"}', 'SPHERE', 'red sphere'):
    assert sphere in tokenizer.encode(text, 16)


def test_our_own_words_are_whole(tokenizer):
  for text in (*palettes.NAMED, *world.CLASSES, *world.COLORS):
    assert tokenizer.count(text) == len(text.split()), text


def test_too_long_is_refused_with_its_length(tokenizer):
  with pytest.raises(errors.UserError, match='6 tokens and the model takes 5'):
    tokenizer.encode('red red red red red red', 5)
  assert tokenizer.encode('red red red red red', 5).all()
