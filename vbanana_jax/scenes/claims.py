"""What a full caption claims of its picture, one fact at a time."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from vbanana_jax.scenes.facts import Facts, make_facts
from vbanana_jax.scenes.forms import Form, find_denoted
from vbanana_jax.scenes.language import SIDE
from vbanana_jax.scenes.world import Scene

KINDS = ('class', 'color', 'size', 'place', 'relation', 'count')


class Claim(NamedTuple):
  """One fact.

  Attributes:
    kind: one of KINDS.
    form: means at least one object of the picture; of a count, of what.
    count: how many objects `form` means; 0 of other kinds, which do not count.
  """

  kind: str
  form: Form
  count: int = 0


def list_claims(scene: Scene, visible: Bool[np.ndarray, 'k']) -> list[Claim]:
  """The facts that `language.caption` at detail 2 states, each once.

  Left out are those on which a viewer could hesitate.

  Args:
    scene: one scene.
    visible: slots that the caption speaks of.
  """
  facts = make_facts(scene, visible)
  claims = dict.fromkeys(
    claim
    for slot in facts.slots
    for claim in _claim_slot(facts, slot)
    if find_denoted(claim.form, facts)
  )
  number = Counter(facts.class_name[slot] for slot in facts.slots)
  counts = [
    Claim('count', Form('', name), count) for name, count in number.items()
  ]
  return [*claims, *counts]


def _claim_slot(facts: Facts, slot: int) -> list[Claim]:
  color, class_name = facts.color[slot], facts.class_name[slot]
  colored = Form(color, class_name)
  found = [
    Claim('class', Form('', class_name)),
    Claim('color', colored),
    Claim('size', Form('', class_name, facts.size[slot])),
  ]
  carrier = facts.carrier[slot]
  if carrier in facts.slots:
    mark = Form(facts.color[carrier], facts.class_name[carrier])
    on = colored._replace(relation='on', landmark=mark)
    return [*found, Claim('relation', on)]
  across = facts.across[slot]
  if abs(across) > SIDE:
    place = 'left' if across < 0 else 'right'
    found.append(Claim('place', colored._replace(place=place)))
  return found
