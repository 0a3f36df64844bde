"""Prompts to the token ids that klein's text encoder was trained with."""

import hashlib
import os
import pathlib

import numpy as np
import tokenizers
from jaxtyping import Int

from vbanana_jax.errors import UserError

# A conversation of one turn, to be answered without thinking aloud.
_BEFORE = '<|im_start|>user\n'
_AFTER = '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n'
_PAD = '<|endoftext|>'
_MARKS = ('<|im_start|>', '<|im_end|>', '<think>', '</think>', _PAD)


class PromptTokenizer:
  """Encodes prompts; made of the `tokenizer.json` of a snapshot.

  Attributes:
    hash: SHA-256 of the file.
    vocab_size: one more than the largest id.
    pad: id that fills up a prompt.
  """

  def __init__(self, path: str | os.PathLike):
    """Reads a file.

    Raises:
      UserError: it cannot be read, or is another network's.
    """
    path = pathlib.Path(path)
    try:
      encoded = path.read_bytes()
      bpe = tokenizers.Tokenizer.from_buffer(encoded)
    except Exception as error:  # the reader raises no other class
      why = getattr(error, 'strerror', None) or str(error)
      raise UserError(
        f'{path} cannot be read ({why}): download the snapshot again'
      ) from error
    # A saved file may say to cut or to fill up; this is done here.
    bpe.no_padding()
    bpe.no_truncation()
    for mark in _MARKS:
      if bpe.token_to_id(mark) is None:
        raise UserError(
          f'{path} has no token {mark}: take the tokenizer of FLUX.2 klein'
        )
    self._bpe = bpe
    added = bpe.get_added_tokens_decoder().values()
    self._marks = sorted(token.content for token in added)
    self.hash: str = hashlib.sha256(encoded).hexdigest()
    self.vocab_size: int = max(bpe.get_vocab().values()) + 1
    self.pad: int = bpe.token_to_id(_PAD)

  def count(self, text: str) -> int:
    """Number of tokens of a prompt, the form around it included."""
    return len(self.list_ids(text))

  def encode(self, text: str, max_length: int) -> Int[np.ndarray, 'l']:
    """Token ids of a prompt in its form, filled up to `max_length` with pads.

    Raises:
      UserError: it has more tokens, or holds a mark of the form; nothing is
        cut, since the end of the form would be.
    """
    ids = self.list_ids(text)
    if len(ids) > max_length:
      raise UserError(
        f'the prompt has {len(ids)} tokens and the model takes {max_length}; '
        f'shorten it: {text[:60]!r}...'
      )
    return np.array(ids + [self.pad] * (max_length - len(ids)), np.int32)

  def decode(self, ids: Int[np.ndarray, 'l']) -> str:
    """Text of `ids` with its form and without pads, for reading logs."""
    kept = [int(i) for i in ids if i != self.pad]
    return self._bpe.decode(kept, skip_special_tokens=False)

  def list_ids(self, text: str) -> list[int]:
    """Token ids of a prompt in its form, however many.

    Raises:
      UserError: it holds a mark of the form.
    """
    if marks := [mark for mark in self._marks if mark in text]:
      raise UserError(
        f'the prompt holds {marks[0]}, which the text encoder reads as a mark '
        f'and not as words: write it otherwise: {text[:60]!r}'
      )
    form = f'{_BEFORE}{text}{_AFTER}'
    return self._bpe.encode(form, add_special_tokens=False).ids
