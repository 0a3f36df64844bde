"""English for logical forms: nouns, adjectives, templates of phrases."""

from collections.abc import Sequence

from vbanana_jax.scenes.forms import HALVES, Form
from vbanana_jax.scenes.placement import Draws

NUMBERS = (
  'no',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
  'eleven',
  'twelve',
)
_PLURALS = {'box': 'boxes', 'torus': 'tori'}
_PLAIN_NOUNS = ('object', 'object', 'thing', 'one')
_RANKS = {2: 'second', 3: 'third', 4: 'fourth'}

# {} is the noun phrase; a plural 'all {}' may stand for 'the {}'.
_ONE = ('the {}', 'the {}', '{}')
_MANY = ('the {}', 'all {}', 'all the {}', '{}')
_IN_HALF = ('on the {}', 'on the {} side', 'in the {} half')
_EXTREME = {
  'leftmost': ('the leftmost {}', 'the {} furthest left'),
  'rightmost': ('the rightmost {}', 'the {} furthest right'),
  'nearest': ('the nearest {}', 'the closest {}', 'the {} nearest the camera'),
  'farthest': ('the farthest {}', 'the most distant {}'),
}
_RANKED = {
  'leftmost': ('the {} {} from the left',),
  'rightmost': ('the {} {} from the right',),
  'nearest': ('the {} nearest {}', 'the {} closest {}'),
  'farthest': ('the {} farthest {}', 'the {} most distant {}'),
}
_RELATION = {
  'left': ('left of', 'to the left of'),
  'right': ('right of', 'to the right of'),
  'front': ('in front of', 'nearer than'),
  'behind': ('behind', 'farther away than'),
  'on': ('on top of', 'standing on'),
  'under': ('under', 'underneath'),
}


def write_form(
  form: Form, draw: Draws, *, many: bool = False, definite: bool = False
) -> str:
  """A wording of `form`.

  Args:
    form: what to say.
    draw: chooses the words.
    many: say it in the plural.
    definite: begin with 'the', as inside of a sentence.
  """
  noun = form.class_name or draw.one_of(_PLAIN_NOUNS)
  phrase = describe(
    pluralize(noun) if many else noun, form.size, form.color, form.material
  )
  if form.rank > 1:
    return draw.one_of(_RANKED[form.place]).format(_RANKS[form.rank], phrase)
  if form.place and form.place not in HALVES:
    return draw.one_of(_EXTREME[form.place]).format(phrase)
  frame = 'the {}' if definite else draw.one_of(_MANY if many else _ONE)
  phrase = frame.format(phrase)
  if form.place:
    return f'{phrase} {draw.one_of(_IN_HALF).format(form.place)}'
  if form.relation:
    landmark = write_form(form.landmark, draw, definite=True)
    return f'{phrase} {draw.one_of(_RELATION[form.relation])} {landmark}'
  return phrase


def describe(noun: str, size: str, color: str, material: str) -> str:
  """Noun with its adjectives in the English order; empty ones are left out."""
  return ' '.join(filter(None, (size, color, material, noun)))


def pluralize(noun: str) -> str:
  """'boxes' for 'box'."""
  return _PLURALS.get(noun) or noun + 's'


def add_article(phrase: str) -> str:
  """'an orange box' for 'orange box'."""
  return f'{"an" if phrase[0] in "aeiou" else "a"} {phrase}'


def join_words(phrases: Sequence[str]) -> str:
  """'a, b and c'."""
  if len(phrases) < 2:
    return ''.join(phrases)
  return f'{", ".join(phrases[:-1])} and {phrases[-1]}'
