"""Captions of scenes at three levels of detail, written by a grammar."""

from collections import Counter

import numpy as np
from jaxtyping import Bool

from vbanana_jax.scenes.facts import Facts, make_facts
from vbanana_jax.scenes.levels import TEXTURES
from vbanana_jax.scenes.placement import Draws
from vbanana_jax.scenes.wording import (
  NUMBERS,
  add_article,
  describe,
  join_words,
  pluralize,
)
from vbanana_jax.scenes.world import Scene

TEXTURE_WORDS = {
  'plain': 'plain',
  'checker': 'checkered',
  'stripes': 'striped',
  'bricks': 'brick',
  'noise': 'mottled',
}
_ROOMS = ('room', 'room', 'indoor scene')
_GROUNDS = ('field', 'field', 'outdoor scene')
_MOST_SENTENCES = 3  # objects that get a clause each; more make a list
_FRONT_M, _BACK_M = 3.0, 4.5
SIDE = 0.33  # from where on an object is left or right, half image heights


def caption(
  scene: Scene,
  rng: np.random.Generator,
  detail: int,
  visible: Bool[np.ndarray, 'k'] | None = None,
) -> str:
  """Describes a scene.

  Args:
    scene: one scene.
    rng: chooses the wording.
    detail: 0 a few words; 1 counts, colors and classes; 2 each object with
      size, color, material, class and position, and the surfaces (at most
      45 words with 6 plain objects).
    visible: slots to speak of, all if None.
  """
  facts = make_facts(scene, visible)
  draw = Draws(rng)
  place = draw.one_of(_GROUNDS if scene.outdoor else _ROOMS)
  if scene.fog[0] > 0.0:
    place = f'foggy {place}'
  if detail == 2:
    return _write_full(scene, facts, place, draw)
  if not facts.slots:
    return add_article(f'empty {place}')
  things = _count_colors(facts) if detail else _name_things(facts, draw)
  return _place_things(things, add_article(place), draw)


def _place_things(things: str, place: str, draw: Draws) -> str:
  frames = ('{things} in {place}', '{place} with {things}', '{place}: {things}')
  return draw.one_of(frames).format(things=things, place=place)


def _name_things(facts: Facts, draw: Draws) -> str:
  """'four objects', or 'spheres and a box'."""
  number = Counter(facts.class_name[k] for k in facts.slots)
  if len(number) > 2 or draw.chance(0.4):
    return _count('object', len(facts.slots))
  return join_words(
    [pluralize(n) if c > 1 else add_article(n) for n, c in number.items()]
  )


def _count_colors(facts: Facts) -> str:
  """'two red spheres and an orange box', from left to right."""
  number = Counter(
    f'{facts.color[k]} {facts.class_name[k]}' for k in _order(facts)
  )
  return join_words([_count(name, count) for name, count in number.items()])


def _count(phrase: str, count: int) -> str:
  if count == 1:
    return add_article(phrase)
  *adjectives, noun = phrase.split()
  return ' '.join([NUMBERS[count], *adjectives, pluralize(noun)])


def _order(facts: Facts) -> list[int]:
  return sorted(facts.slots, key=facts.across.__getitem__)


def _write_full(scene: Scene, facts: Facts, place: str, draw: Draws) -> str:
  surfaces = _name_surfaces(scene)
  slots = _order(facts)
  if len(slots) > _MOST_SENTENCES:
    things = [
      f'{_describe(scene, facts, k)} {_locate(facts, k, "on {}", "{}")}'
      for k in slots
    ]
    things = ', '.join(things)
    surfaces = ', '.join(surfaces)
    frames = ('{place}, {surfaces}: {things}', '{place}: {things}; {surfaces}')
  else:
    things = [
      f'{add_article(_describe(scene, facts, k))} '
      f'{_locate(facts, k, "on top of the {}", "at the {}")}'
      for k in slots
    ]
    things = join_words(things) or 'no objects'
    surfaces = join_words([add_article(name) for name in surfaces])
    place = add_article(place)
    frames = (
      '{things} in {place} with {surfaces}',
      '{place} with {surfaces}: {things}',
    )
  return draw.one_of(frames).format(
    place=place, things=things, surfaces=surfaces
  )


def _name_surfaces(scene: Scene) -> list[str]:
  """'checkered floor', 'brick wall'."""
  words = [TEXTURE_WORDS[TEXTURES[i]] for i in scene.surface_texture]
  if scene.outdoor:
    return [f'{words[0]} ground']
  return [f'{words[0]} floor', f'{words[1]} wall']


def _describe(scene: Scene, facts: Facts, slot: int) -> str:
  texture = TEXTURES[scene.texture[slot]]
  noun = facts.class_name[slot]
  if texture != 'plain':
    noun = f'{TEXTURE_WORDS[texture]} {noun}'
  return describe(
    noun, facts.size[slot], facts.color[slot], facts.material[slot]
  )


def _locate(facts: Facts, slot: int, on: str, at: str) -> str:
  """Where an object is, by the templates for support and for position."""
  carrier = facts.carrier[slot]
  if carrier in facts.slots:
    return on.format(f'{facts.color[carrier]} {facts.class_name[carrier]}')
  depth_m, across = facts.depth_m[slot], facts.across[slot]
  words = [
    'front' if depth_m < _FRONT_M else 'back' if depth_m > _BACK_M else '',
    'left' if across < -SIDE else 'right' if across > SIDE else '',
  ]
  return at.format(' '.join(filter(None, words)) or 'centre')
