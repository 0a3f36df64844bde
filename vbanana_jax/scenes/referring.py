"""Referring phrases that denote one set of objects, or nothing at all.

Forms are drawn, evaluated, and uttered only if what they denote is clear to
a viewer: no two objects nearly level, no landmark that is not unique.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from vbanana_jax.scenes.facts import Facts, make_facts, visible_slots
from vbanana_jax.scenes.forms import (
  EXTREMES,
  HALVES,
  KINDS,
  QUICK_KINDS,
  RELATIONS,
  Form,
  find_denoted,
  match_attributes,
  name_slot,
)
from vbanana_jax.scenes.levels import SIZES, Level
from vbanana_jax.scenes.placement import Draws
from vbanana_jax.scenes.wording import write_form
from vbanana_jax.scenes.world import Scene

__all__ = [
  'KINDS',
  'QUICK_KINDS',
  'Form',
  'Phrase',
  'absent_phrases',
  'denote',
  'get_kinds',
  'phrases',
  'render_text',
  'visible_slots',
]

MOST_PER_KIND = 4
_TRIES = 6  # of forms of a kind, some of which turn out to be unclear
_ABSENT_TRIES = 3
_HIGHEST_RANK = 4


class Phrase(NamedTuple):
  """A phrase and the slots of all objects that it denotes.

  Attributes:
    text: for example 'the red sphere', 'boxes on the left'.
    kind: one of KINDS; of a combination, the last of them.
    slots: in increasing order; empty for something absent.
  """

  text: str
  kind: str
  slots: tuple[int, ...]


def get_kinds(level: Level) -> tuple[str, ...]:
  """Kinds of phrases that are used at a level."""
  return QUICK_KINDS if level.name == 'quick' else KINDS


def phrases(
  scene: Scene,
  visible: Bool[np.ndarray, 'k'],
  rng: np.random.Generator,
  kinds: Sequence[str] = KINDS,
) -> list[Phrase]:
  """Phrases for visible objects, at most `MOST_PER_KIND` of each kind.

  Args:
    scene: one scene.
    visible: slots that may be denoted, from `visible_slots`.
    rng: chooses the forms and their wording.
    kinds: which kinds of phrases, of KINDS.
  """
  facts = make_facts(scene, visible)
  draw = Draws(rng)
  result = []
  for kind in kinds if facts.slots else ():
    found: dict[Form, frozenset[int]] = {}
    for _ in range(_TRIES):
      form = _draw_present(kind, facts, draw)
      if form is None or form in found:
        continue
      slots = find_denoted(form, facts)
      if slots:
        found[form] = slots
      if len(found) == MOST_PER_KIND:
        break
    for form, slots in found.items():
      text = write_form(form, draw, many=len(slots) > 1)
      result.append(Phrase(text, kind, tuple(sorted(slots))))
  return result


def absent_phrases(
  scene: Scene,
  visible: Bool[np.ndarray, 'k'],
  level: Level,
  rng: np.random.Generator,
) -> list[Phrase]:
  """Phrases that denote nothing in the scene, hidden objects included.

  Many are nearly true, such as 'the red sphere' where there are red boxes
  and blue spheres. The list is never empty. Arguments as for `phrases`; the
  words come from the level.
  """
  everything = make_facts(scene)
  shown = everything._replace(slots=[k for k in everything.slots if visible[k]])
  draw = Draws(rng)
  found: dict[Form, str] = {}
  for kind in get_kinds(level):
    for _ in range(_ABSENT_TRIES):
      form = _draw_absent(kind, shown, level, draw)
      if form and find_denoted(form, everything) == frozenset():
        found[form] = kind
  while not found:  # some class is missing in some color
    form = Form(draw.one_of(level.colors), draw.one_of(level.classes))
    if not match_attributes(form, everything):
      found[form] = 'class'
  result = []
  for form, kind in found.items():
    many = form.place not in EXTREMES and draw.chance(0.4)
    result.append(Phrase(write_form(form, draw, many=many), kind, ()))
  return result


def denote(
  form: Form, scene: Scene, visible: Bool[np.ndarray, 'k']
) -> frozenset[int] | None:
  """Slots of the visible objects that `form` means; None if it is unclear."""
  return find_denoted(form, make_facts(scene, visible))


def render_text(
  form: Form, rng: np.random.Generator, *, many: bool = False
) -> str:
  """A wording of `form`, in the plural if `many`."""
  return write_form(form, Draws(rng), many=many)


def _draw_present(kind: str, facts: Facts, draw: Draws) -> Form | None:
  """A form of `kind` whose attributes some object has."""
  slot = draw.one_of(facts.slots)
  says = _draw_fields(kind, draw)
  form = Form(
    facts.color[slot] if 'color' in says else '',
    facts.class_name[slot] if 'class' in says else '',
    facts.size[slot] if 'size' in says else '',
    facts.material[slot] if 'material' in says else '',
  )
  if kind == 'relation':
    return _situate(form, slot, facts, draw)
  if kind not in ('position', 'ordinal'):
    return form
  place = draw.one_of(EXTREMES)
  if kind == 'position' and draw.chance(0.4):
    return form._replace(place=draw.one_of(HALVES))
  number = len(match_attributes(form, facts))
  if number < 2:
    return None
  if kind == 'position':
    return form._replace(place=place)
  rank = 2 + draw.below(min(number, _HIGHEST_RANK) - 1)
  return form._replace(place=place, rank=rank)


def _draw_absent(
  kind: str, shown: Facts, level: Level, draw: Draws
) -> Form | None:
  """A form of `kind` that may be true of nothing."""
  says = _draw_fields(kind, draw)

  def word(field: str, names: list[str], options: Sequence[str]) -> str:
    if field not in says:
      return ''
    if shown.slots and draw.chance(0.5):
      return names[draw.one_of(shown.slots)]
    return draw.one_of(options)

  form = Form(
    word('color', shown.color, level.colors),
    word('class', shown.class_name, level.classes),
    word('size', shown.size, SIZES),
    word('material', shown.material, level.materials),
  )
  if kind == 'relation':
    if not shown.slots:
      return None
    mark = draw.one_of(shown.slots)
    return _relate(form, draw.one_of(RELATIONS), mark, shown, draw)
  if kind == 'position':
    return form._replace(place=draw.one_of(HALVES + EXTREMES))
  if kind == 'ordinal':
    rank = 2 + draw.below(_HIGHEST_RANK - 1)
    return form._replace(place=draw.one_of(EXTREMES), rank=rank)
  return form


def _draw_fields(kind: str, draw: Draws) -> list[str]:
  """The attribute that `kind` speaks of, and maybe simpler ones."""
  fields = [kind] if kind in KINDS[:4] else []
  if kind == 'color':
    return fields
  if kind != 'class' and draw.chance(0.7):
    fields.append('class')
  if draw.chance(0.5 if kind == 'class' else 0.35):
    fields.append('color')
  if kind == 'material' and draw.chance(0.2):
    fields.append('size')
  return fields


def _situate(form: Form, slot: int, facts: Facts, draw: Draws) -> Form | None:
  """Says what `slot` stands on or carries, or how it lies to another."""
  carrier = facts.carrier[slot]
  if carrier in facts.slots and draw.chance(0.7):
    return _relate(form, 'on', carrier, facts, draw)
  for other in facts.slots:
    if facts.carrier[other] == slot and draw.chance(0.7):
      return _relate(form, 'under', other, facts, draw)
  mark = draw.one_of(facts.slots)
  return _relate(form, draw.one_of(RELATIONS[:4]), mark, facts, draw)


def _relate(
  form: Form, relation: str, mark: int, facts: Facts, draw: Draws
) -> Form | None:
  landmark = name_slot(facts, mark, draw, ('color', 'class'))
  if landmark is None:
    return None
  return form._replace(relation=relation, landmark=landmark)
