"""Left and right swapped in words, for a picture that is mirrored.

Whole words alone: "left-handed" becomes "right-handed", and "upright",
"leftover" and "left2" stay. So do idioms where neither word is a side: "right
behind", "all right", "left over". What is not understood, and so stays too:
abbreviations ("far l", "rt"), "clockwise", times as directions ("at 3
o'clock"), east and west, and the letters of what is written in the picture.
"""

import re

import numpy as np

from vbanana_jax import labels
from vbanana_jax.errors import UserError

_PAIRS = (
  ('left', 'right'),
  ('lefts', 'rights'),
  ('leftmost', 'rightmost'),
  ('leftward', 'rightward'),
  ('leftwards', 'rightwards'),
  ('lefthand', 'righthand'),
  ('lefthanded', 'righthanded'),
  ('lefty', 'righty'),
)
_OTHER = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_SIDES = '|'.join(sorted(_OTHER, key=len, reverse=True))
# Neither word is a side in these, unless "the", "to", "on" or "far" stands
# before; they are found first and stay.
_IDIOMS = (
  r'all right|right angle(?:s|d)?|(?:been|nothing|anything) left'
  r'(?! of\b| side\b| hand\b|-)'
  r'|(?<!\bthe )(?<!\bto )(?<!\bon )(?<!\bfar )(?:right (?:away|now|there|here'
  r'|after|before|behind|above|below|beneath|underneath|beside|next|in front'
  r'|in the middle)|left (?:over|behind|out|alone|unattended))'
)
_LETTER = r'[^\W_]'  # letters and digits; a hyphen or apostrophe ends a word
_PATTERN = re.compile(
  rf'(?<!{_LETTER})(?:(?P<idiom>{_IDIOMS})|(?P<side>{_SIDES}))(?!{_LETTER})',
  re.IGNORECASE,
)


def mirror_words(text: str) -> str:
  """The text that is true of the mirrored picture; case is kept."""
  return _PATTERN.sub(_mirror_match, text)


def mirror_classes(classes: labels.Classes) -> np.ndarray:
  """Ids of classes in the mirrored picture: "left eye" becomes "right eye".

  Returns:
    int32[n + 1]: new id by old id; the last entry is `VOID`, at its index -1.

  Raises:
    UserError: the other side of a class is not in the table.
  """
  ids = np.arange(len(classes.names) + 1, dtype=np.int32)
  ids[-1] = labels.VOID
  for k, name in enumerate(classes.names):
    other = mirror_words(name)
    if other == name:
      continue
    if other not in classes.names:
      raise UserError(
        f'class {name!r} has no {other!r} beside it, which it becomes in a '
        'mirrored picture: set augment.flip=0'
      )
    ids[k] = classes.names.index(other)
  return ids


def _mirror_match(found: re.Match) -> str:
  word = found['side']
  if word is None:
    return found[0]
  other = _OTHER[word.lower()]
  if word.isupper():
    return other.upper()
  return other.capitalize() if word[0].isupper() else other
