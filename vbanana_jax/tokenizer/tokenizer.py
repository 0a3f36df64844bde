"""Instructions to token ids: a small byte-level BPE of our own prompts.

Text is lower-cased and cut into words, single digits and runs of
punctuation; a word is one token whether it stands in a sentence or between
quotation marks. Bytes are the alphabet, so no character is unknown. The
vocabulary file is made by `launch/make_vocabulary.py`.
"""

import functools
import hashlib
import pathlib

import numpy as np
import tokenizers
from jaxtyping import Int

from vbanana_jax import errors

VOCABULARY = pathlib.Path(__file__).parent / 'vocabulary.json'
PAD = '<pad>'  # id 0


class Tokenizer:
  """Encodes instructions; made by `Tokenizer.load()`."""

  def __init__(self, file_bytes: bytes):
    self._bpe = tokenizers.Tokenizer.from_buffer(file_bytes)
    self.hash: str = hashlib.sha256(file_bytes).hexdigest()
    self.vocab_size: int = self._bpe.get_vocab_size()

  @classmethod
  @functools.cache
  def load(cls) -> 'Tokenizer':
    """The tokenizer that ships with the package; read once a process."""
    return cls(VOCABULARY.read_bytes())

  def count(self, text: str) -> int:
    """Number of tokens of `text`."""
    return len(self._bpe.encode(text).ids)

  def encode(self, text: str, max_length: int) -> Int[np.ndarray, 'l']:
    """Token ids of `text`, padded with 0 to `max_length`.

    Raises:
      UserError: if `text` has more than `max_length` tokens; nothing is cut.
    """
    ids = self._bpe.encode(text).ids
    if len(ids) > max_length:
      raise errors.UserError(
        f'the instruction has {len(ids)} tokens and the model takes '
        f'{max_length}; shorten it: {text[:60]!r}...'
      )
    padded = np.zeros(max_length, np.int32)
    padded[: len(ids)] = ids
    return padded

  def decode(self, ids: Int[np.ndarray, 'l']) -> str:
    """Text of `ids` up to its letter case and spacing, for reading logs."""
    return self._bpe.decode([int(i) for i in ids]).strip()
