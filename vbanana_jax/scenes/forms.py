"""Logical forms of referring phrases, and the objects that they denote."""

from typing import NamedTuple

from vbanana_jax.scenes import facts as scene_facts
from vbanana_jax.scenes.facts import Facts
from vbanana_jax.scenes.placement import Draws

KINDS = (
  'color',
  'class',
  'size',
  'material',
  'position',
  'relation',
  'ordinal',
)
QUICK_KINDS = ('color', 'class', 'position')
HALVES = ('left', 'right')
EXTREMES = ('leftmost', 'rightmost', 'nearest', 'farthest')
RELATIONS = ('left', 'right', 'front', 'behind', 'on', 'under')


class Form(NamedTuple):
  """What a phrase means: attributes, then a place, a rank or a relation.

  Empty fields say nothing. `place` is one of HALVES (of the image) or of
  EXTREMES, of which `rank` counts: 2 is the second from that end. `relation`
  (of RELATIONS) is to the one object that `landmark` denotes.
  """

  color: str = ''
  class_name: str = ''
  size: str = ''
  material: str = ''
  place: str = ''
  rank: int = 1
  relation: str = ''
  landmark: 'Form | None' = None


def find_denoted(form: Form, facts: Facts) -> frozenset[int] | None:
  """Slots that `form` means; None where a viewer could hesitate."""
  chosen = match_attributes(form, facts)
  if form.relation:
    return _related(form, facts, chosen)
  if form.place in HALVES:
    verdicts = [scene_facts.is_in_left_half(facts, k) for k in chosen]
    if None in verdicts:
      return None
    wanted = form.place == 'left'
    return frozenset(k for k, v in zip(chosen, verdicts) if v is wanted)
  if form.place:
    return _ranked(form, facts, chosen)
  return frozenset(chosen)


def match_attributes(form: Form, facts: Facts) -> list[int]:
  """Slots that have the form's color, class, size and material."""
  slots = facts.slots
  for wanted, names in (
    (form.color, facts.color),
    (form.class_name, facts.class_name),
    (form.size, facts.size),
    (form.material, facts.material),
  ):
    if wanted:
      slots = [k for k in slots if names[k] == wanted]
  return slots


def name_slot(
  facts: Facts, slot: int, draw: Draws, kinds: tuple[str, ...]
) -> Form | None:
  """A form that denotes exactly `slot`, as simple as there is, or None.

  Args:
    facts: of the scene.
    slot: the object to name.
    draw: chooses among equally simple forms.
    kinds: which of KINDS may be used, beyond color and class.
  """
  color, class_name = facts.color[slot], facts.class_name[slot]
  forms = [Form(color), Form('', class_name), Form(color, class_name)]
  if 'size' in kinds:
    forms.append(Form('', class_name, facts.size[slot]))
  if 'material' in kinds:
    forms.append(Form('', class_name, '', facts.material[slot]))
  unique = [form for form in forms if find_denoted(form, facts) == {slot}]
  if not unique and 'position' in kinds:
    groups = (Form('', class_name), Form(color, class_name))
    forms = [form._replace(place=x) for form in groups for x in EXTREMES]
    unique = [form for form in forms if find_denoted(form, facts) == {slot}]
  return draw.one_of(unique) if unique else None


def _related(
  form: Form, facts: Facts, chosen: list[int]
) -> frozenset[int] | None:
  landmarks = find_denoted(form.landmark, facts)
  if landmarks is None or len(landmarks) != 1:
    return None
  (mark,) = landmarks
  holds = _COMPARE[form.relation]
  chosen = [k for k in chosen if k != mark]
  verdicts = [holds(facts, k, mark) for k in chosen]
  if None in verdicts:
    return None
  return frozenset(k for k, v in zip(chosen, verdicts) if v)


def _ranked(
  form: Form, facts: Facts, chosen: list[int]
) -> frozenset[int] | None:
  if len(chosen) < form.rank:
    return frozenset()
  values, falling, before = _ORDER[form.place]
  line = sorted(chosen, key=values(facts).__getitem__, reverse=falling)
  slot = line[form.rank - 1]
  if all(before(facts, k, slot) for k in line[: form.rank - 1]) and all(
    before(facts, slot, k) for k in line[form.rank :]
  ):
    return frozenset((slot,))
  return None


def _swap(comparison):
  return lambda facts, a, b: comparison(facts, b, a)


_COMPARE = {
  'left': scene_facts.is_left,
  'right': _swap(scene_facts.is_left),
  'front': scene_facts.is_nearer,
  'behind': _swap(scene_facts.is_nearer),
  'on': scene_facts.is_on,
  'under': _swap(scene_facts.is_on),
}
_ORDER = {  # what is sorted, whether in falling order, what comes before what
  'leftmost': (lambda f: f.across, False, _COMPARE['left']),
  'rightmost': (lambda f: f.across, True, _COMPARE['right']),
  'nearest': (lambda f: f.depth_m, False, _COMPARE['front']),
  'farthest': (lambda f: f.depth_m, True, _COMPARE['behind']),
}
