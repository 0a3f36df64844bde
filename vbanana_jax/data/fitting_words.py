"""Which words of an example a network's instructions have room for."""

from typing import Any

from vbanana_jax import families
from vbanana_jax.data import sources
from vbanana_jax.errors import UserError
from vbanana_jax.tokenizer.tokenizer import Tokenizer

# Tokens that an instruction has beside a phrase, at most.
_AROUND_PHRASE = 64


def keep_fitting(
  example: sources.Example,
  max_text: int,
  tokenizer: families.Tokenizer | None = None,
) -> sources.Example:
  """The example without captions and phrases that are too long.

  Args:
    example: its `captions` are a sequence of str, its `phrases` one of
      `labels.Phrase`, if it has any.
    max_text: longest instruction in tokens.
    tokenizer: of the network; the package's own if not given.

  Raises:
    UserError: all captions are too long, or all phrases, or the instruction of
      its edit.
  """
  count = (tokenizer or Tokenizer.load()).count
  room = max(max_text - _AROUND_PHRASE, max_text // 2)
  kept = dict(example)
  if example.get('captions'):
    lengths = [count(text) for text in example['captions']]
    kept['captions'] = _keep(
      'caption', example['captions'], lengths, max_text, max_text
    )
  if example.get('phrases'):
    lengths = [count(phrase.text) for phrase in example['phrases']]
    kept['phrases'] = _keep(
      'phrase', example['phrases'], lengths, room, max_text
    )
  if example.get('edit'):
    lengths = [count(example['edit']['instruction'])]
    _keep('instruction', lengths, lengths, max_text, max_text)
  return kept


def _keep(what: str, texts: Any, lengths, room: int, max_text: int) -> Any:
  fitting = [text for text, n in zip(texts, lengths) if n <= room]
  if not fitting:
    raise UserError(
      f'its {what} has {min(lengths)} tokens, config.model.max_text is '
      f'{max_text}'
    )
  return texts if len(fitting) == len(texts) else type(texts)(fitting)
