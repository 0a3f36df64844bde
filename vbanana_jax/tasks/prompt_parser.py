"""Reads legends out of instructions: which color stands for what.

A legend is read backwards. A clause that ends in a color is an entry if a
linking word stands before the color; what stands before the link is the name:
`The exit sign | is rendered in a solid | light purple`. The tables below are
the grammar.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from vbanana_jax import errors
from vbanana_jax.codecs import palettes

# Pieces of text by kind; the first kind that fits wins. A quoted piece is one
# name or color, whatever is inside. A join may end an entry, a stop ends a
# sentence.
_TOKEN = re.compile(
  r"""
    (?P<code>   (?:rgb\s*)?[(<\[](?:\s*\d+\s*,){2}\s*\d+\s*[)>\]]
              | (?:\#|\b0x)[0-9a-z]+\b )
  | (?P<quoted> "[^"]*" | “[^”]*” | (?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w))*'(?!\w) )
  | (?P<join>   [,}] | \.+(?=\s+(?-i:[a-z])) | (?:and|while|but)(?![\w-]) )
  | (?P<stop>   (?<!\b(?-i:[A-Z][a-z]))\.+(?=[\s"')}\]]|$)
              | [!?;\n] | \{(?=[^{}]*[:=]) )
  | (?P<word>   the\ colou?r\b | [-=]> | [\w'\u2019-]+ | [:=→()] )
  """,
  re.IGNORECASE | re.VERBOSE,
)
# Between a name and its color, in this order; each part may be missing.
_VERBS = frozenset('is are be should must will has have : = -> => →'.split())
_PARTICIPLES = frozenset(
  'rendered represented depicted shown painted drawn colored coloured set '
  'marked displayed highlighted labeled labelled filled indicated'.split()
)
_PREPOSITIONS = frozenset('in as by to with using'.split())
_ADJECTIVES = frozenset(
  ('a', 'an', 'solid', 'pure', 'plain', 'the color', 'the colour')
)
# A link after one of these belongs to the name: 'the cat that is white'.
_RELATIVES = frozenset('that which who'.split())
_EACH = frozenset(('each', 'all'))
_LINK = (_VERBS, _EACH, _PARTICIPLES, _PREPOSITIONS, _ADJECTIVES)
# After a color that ends a clause, and before 'white background'.
_AFTER = frozenset('color colour mask masks pixels )'.split())
_BEFORE_GROUND = frozenset('on with against a an solid plain'.split())
BACKGROUND = 'background'
READABLE_DISTANCE = 28.0  # levels; nearer colors of a legend are refused
# Names of what is left over.
_GROUNDS = (BACKGROUND, 'rest', 'rest of the image', 'everything else')
# Before a name: what speaks of the picture. Then at its start and at its end.
_OPENING = re.compile(
  r'.*?\b(?:image|input|legend|map|mapping|masks?|picture|segmentation)\b.*?'
  r'(?::|,| so that| such that| in which)\s',
  re.IGNORECASE | re.DOTALL,
)
_PREFIXES = (
  'segment ', 'highlight ', 'with ', 'the area that corresponds to ',
  'the area of ', 'the ',
)  # fmt: skip
_SUFFIXES = (' category', ' color', ' colour')
_PLAIN = str.maketrans('“”[]', '""()')
QUOTES = str.maketrans('', '', '"“”')
_MOST_WORDS = 3  # of a color's name


class _Token(NamedTuple):
  kind: str
  text: str  # in lower case
  start: int
  stop: int


class _End(NamedTuple):
  """A color at the end of a clause; `size` tokens stand before its link."""

  color: str  # as it is written
  size: int
  is_strong: bool  # linked by more than a bare preposition


def read_legend(prompt: str) -> list[tuple[str, palettes.Color]]:
  """Names with their colors, in order; the background is `BACKGROUND`.

  Reads JSON-like mappings and English sentences; colors by name, #rrggbb,
  (r, g, b), <r, g, b> or RGB(r, g, b). Names are without a leading 'the'.

  Raises:
    UserError: for a level above 255, hexadecimal digits that are no color,
      or a name that CSS does not have; with the name of the entry.

  Source: Vision Banana, the prompts of figures 2, 3 and 4.
  """
  tokens = [
    _Token(
      str(found.lastgroup),
      found.group().lower().translate(_PLAIN),
      *found.span(),
    )
    for found in _TOKEN.finditer(prompt)
  ]
  entries = []
  for is_stop, sentence in itertools.groupby(
    tokens, lambda t: t.kind == 'stop'
  ):
    if not is_stop:
      entries += _read_sentence(prompt, list(sentence))
  return [
    (BACKGROUND if name.lower() in _GROUNDS else name, color)
    for name, color in dict.fromkeys(entries)
    if name
  ]


def _read_sentence(
  prompt: str, tokens: list[_Token]
) -> Iterator[tuple[str, palettes.Color]]:
  """Names with their colors."""
  for i, token in enumerate(tokens):
    if token.text == BACKGROUND:  # as in 'on a white background'
      left = tokens[:i]
      color, _ = _pop_color(left)
      if color and _drop(left, _BEFORE_GROUND):
        yield BACKGROUND, _read_color(BACKGROUND, color)
        tokens = left + tokens[i + 1 :]
        break
  joins = [i for i, token in enumerate(tokens) if token.kind == 'join']
  ends = {i: _find_end(tokens[:i]) for i in (*joins, len(tokens))}
  # In 'the man in red, waving, is rendered in green', 'in red' is no entry.
  strong = [i for i, end in ends.items() if end and end.is_strong]
  last_strong = max(strong, default=-1)
  start = 0
  for i, end in ends.items():
    if end and end.size > start and (end.is_strong or i > last_strong):
      name = _clean_name(prompt, tokens[start : end.size])
      yield name, _read_color(name, end.color)
    elif i > start:
      _check_mapping(tokens[start:i])
      continue  # the join belongs to a name
    start = i + 1


def _check_mapping(clause: list[_Token]) -> None:
  """Raises UserError for '"cat": "reddish"', which would be left out."""
  color = [token.text for token in clause[2:] if token.kind != 'join']
  if color and clause[0].kind == 'quoted' and clause[1].text == ':':
    _read_color(clause[0].text.strip('"\''), ' '.join(color))


def _read_color(name: str, text: str) -> palettes.Color:
  """The color of an entry; UserError names the entry."""
  try:
    return palettes.parse_color(text)
  except errors.UserError as error:
    raise errors.UserError(f'{name!r}: {error}') from None


def _find_end(tokens: list[_Token]) -> _End | None:
  """The color and the link that `tokens` end in, if they do."""
  left = list(tokens)
  _drop(left, _AFTER)
  color, is_code = _pop_color(left)
  if color is None:
    return None
  # 'yellow (<255, 255, 0>)' says it twice: the numbers are the exact one.
  in_brackets = _drop(left, {'('}) > 0
  if in_brackets or is_code:
    other, other_is_code = _pop_color(left)
    color = other if other and other_is_code else color
    in_brackets = in_brackets and other is None
  dropped = {part: _drop(left, part) for part in reversed(_LINK)}
  if left and left[-1].text in _RELATIVES:
    return None
  if dropped[_VERBS] or dropped[_PARTICIPLES] or in_brackets:
    return _End(color, len(left), True)
  if dropped[_PREPOSITIONS] or is_code:  # 'cat #ff0000' needs no link
    return _End(color, len(left), not dropped[_PREPOSITIONS])
  return None


def _drop(tokens: list[_Token], texts) -> int:
  """Takes tokens of `texts` off the end; how many there were."""
  size = len(tokens)
  while tokens and tokens[-1].text in texts:
    tokens.pop()
  return size - len(tokens)


def _pop_color(tokens: list[_Token]) -> tuple[str | None, bool]:
  """Takes the longest color off the end; whether it is in numbers.

  With the words before a name that would make it another color: 'light
  purple' is taken whole, and refused where it belongs to an entry.
  """
  if tokens and tokens[-1].kind == 'code':
    return tokens.pop().text, True
  for size in range(min(_MOST_WORDS, len(tokens)), 0, -1):
    run = tokens[-size:]
    if size == 1 or all(token.kind == 'word' for token in run):
      try:
        palettes.parse_color(' '.join(token.text for token in run))
      except errors.UserError:
        continue
      while size < len(tokens) and tokens[-size - 1].text in palettes.SHADES:
        size += 1
      text = ' '.join(token.text for token in tokens[-size:])
      del tokens[-size:]
      return text, False
  return None, False


def _clean_name(prompt: str, tokens: list[_Token]) -> str:
  """The name as it is spelled, without what merely introduces it."""
  name = ' '.join(prompt[tokens[0].start : tokens[-1].stop].split())
  if len(tokens) == 1 and tokens[0].kind == 'quoted':
    return name[1:-1].strip()
  name = _OPENING.sub('', name, count=1).strip(" ,.:(-*'")
  for prefix in _PREFIXES:
    if name.lower().startswith(prefix):
      name = name[len(prefix) :].lstrip()
  for suffix in _SUFFIXES:
    if name.lower().endswith(suffix):
      name = name[: -len(suffix)]
  return name.translate(QUOTES).strip()
