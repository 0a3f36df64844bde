"""Claims of a caption hold in its scene, and a caption says all of them."""

from collections import Counter

import numpy as np
import pytest
from phrase_reader import Reader

from vbanana_jax.scenes import claims, language, wording, world
from vbanana_jax.scenes.placement import Draws

EVERYTHING = np.ones(world.MAX_OBJECTS, bool)


def sample(level, number=60):
  for index in range(number):
    yield world.sample_scene(world.LEVELS[level], 4, index)


@pytest.mark.parametrize('level', ('quick', 'full'))
def test_claims_hold_for_another_reader_and_are_in_the_caption(level):
  seen = Counter()
  for index, scene in enumerate(sample(level)):
    rng = np.random.default_rng(index)
    text = language.caption(scene, rng, 2, EVERYTHING)
    reader = Reader(scene, EVERYTHING)
    found = claims.list_claims(scene, EVERYTHING)
    assert len(set(found)) == len(found)
    for claim in found:
      seen[claim.kind] += 1
      form = claim.form
      for word in (form.color, form.class_name, form.size, form.place):
        assert word in text
      if form.relation:
        assert form.relation == 'on' and f'{form.landmark.class_name}' in text
      slots = reader.read(wording.write_form(form, Draws(rng)))
      assert slots
      if claim.kind == 'count':
        assert len(slots) == claim.count
  assert set(seen) == set(claims.KINDS)


def test_every_object_has_its_color_and_an_empty_room_claims_nothing():
  for scene in sample('quick'):
    found = claims.list_claims(scene, EVERYTHING)
    colors = {
      (claim.form.color, claim.form.class_name)
      for claim in found
      if claim.kind == 'color'
    }
    names, count = tuple(world.COLORS), int(scene.count)
    assert colors == {
      (names[scene.color[k]], world.OBJECTS[scene.class_id[k]])
      for k in range(count)
    }
    assert bool(found) == bool(count)


def test_what_is_hidden_is_not_claimed():
  scene = next(scene for scene in sample('quick') if int(scene.count) > 1)
  visible = EVERYTHING.copy()
  visible[0] = False
  counted = [
    claim.count
    for claim in claims.list_claims(scene, visible)
    if claim.kind == 'count'
  ]
  assert sum(counted) == int(scene.count) - 1
