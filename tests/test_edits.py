"""Edits name one object and change what they say, and nothing else."""

import re
from collections import Counter

import numpy as np
import pytest
from phrase_reader import Reader

from vbanana_jax.scenes import edits, world

EVERYTHING = np.ones(world.MAX_OBJECTS, bool)
STEP_M = {'half a metre': 0.5, 'one metre': 1.0}
WAYS = {
  'to the left': (-1, 0, 0),
  'to the right': (1, 0, 0),
  'closer': (0, 0, -1),
  'towards the camera': (0, 0, -1),
  'back': (0, 0, 1),
  'away from the camera': (0, 0, 1),
}
PATTERNS = {
  'recolor': (
    r'make (?P<it>.*) (?P<to>\w+)',
    r'paint (?P<it>.*) (?P<to>\w+)',
    r'change the colour of (?P<it>.*) to (?P<to>\w+)',
  ),
  'remove': (r'(?:remove|delete|take away) (?P<it>.*)',),
  'move': (
    rf'(?:move|shift) (?P<it>.*) (?P<step>{"|".join(STEP_M)}) '
    rf'(?P<to>{"|".join(WAYS)})',
  ),
  'resize': (
    r'make (?P<it>.*) (?P<to>\w+)',
    r'resize (?P<it>.*) to (?P<to>\w+)',
  ),
  'add': (
    r'(?:add|put) an? (?P<what>.*) (?P<to>on the left|on the right|in the '
    r'middle)',
    r'(?P<to>on the left|on the right|in the middle), add an? (?P<what>.*)',
  ),
}


def read(edit):
  for pattern in PATTERNS[edit.kind]:
    found = re.fullmatch(pattern, edit.text)
    if found:
      return found.groupdict()
  raise AssertionError(edit)


def find_target(scene, edit):
  said = read(edit)
  found = Reader(scene, EVERYTHING).read(said['it'])
  assert len(found) == 1, edit.text
  return said, found.pop()


def changed(before, after):
  """Names of leaves that differ, and the slots where any of them does."""
  names, slots = set(), set()
  for name in world.Scene._fields:
    a, b = getattr(before, name), getattr(after, name)
    assert a.shape == b.shape and a.dtype == b.dtype, name
    if not np.array_equal(a, b):
      names.add(name)
      if a.ndim:
        slots |= set(np.flatnonzero((a != b).reshape(len(a), -1).any(1)))
  return names, slots


def sample(level, number=250):
  for index in range(number):
    level_ = world.LEVELS[level]
    scene = world.sample_scene(level_, 9, index)
    before = world.Scene(*(leaf.copy() for leaf in scene))
    rng = np.random.default_rng(index)
    edit = edits.sample_edit(scene, level_, rng)
    assert changed(before, scene) == (set(), set())  # the argument is kept
    yield scene, edit


def check_stands(scene):
  """Objects are on the floor or on something, and do not intersect."""
  count = int(scene.count)
  low = scene.center[:count, 1] - scene.half_extent[:count, 1]
  carrier = world.supporters(scene)
  assert (np.abs(low[carrier[:count] < 0]) < 1e-3).all()
  top = scene.center[:, 1] + scene.half_extent[:, 1]
  for k in range(count):
    if carrier[k] >= 0:
      assert abs(low[k] - top[carrier[k]]) < 1e-3
    for other in range(k):
      if k != carrier[other] and other != carrier[k]:
        apart = np.hypot(*(scene.center[k] - scene.center[other])[[0, 2]])
        # inscribed circles are within any footprint
        assert apart > min(scene.half_extent[k, [0, 2]]) + min(
          scene.half_extent[other, [0, 2]]
        )
  half = world.HALF_EXTENT_M[scene.class_id[:count], scene.size[:count]]
  assert np.allclose(half, scene.half_extent[:count])


@pytest.mark.parametrize('level', ('quick', 'full'))
def test_edits_change_exactly_what_they_say(level):
  seen = Counter()
  for scene, edit in sample(level):
    seen[edit.kind] += 1
    _CHECK[edit.kind](scene, edit)
    check_stands(edit.scene)
  assert set(seen) == set(edits.KINDS) and min(seen.values()) > 20, seen


def check_recolor(scene, edit):
  said, slot = find_target(scene, edit)
  assert changed(scene, edit.scene) == ({'color'}, {slot})
  assert list(world.COLORS)[edit.scene.color[slot]] == said['to']


def check_remove(scene, edit):
  _, slot = find_target(scene, edit)
  count = int(scene.count)
  assert edit.scene.count == count - 1
  assert (edit.scene.class_id[count - 1 :] == -1).all()
  kept = [k for k in range(count) if k != slot]
  for name in ('class_id', 'color', 'size', 'center', 'half_extent', 'yaw'):
    assert np.array_equal(
      getattr(scene, name)[kept], getattr(edit.scene, name)[: count - 1]
    )


def check_move(scene, edit):
  said, slot = find_target(scene, edit)
  assert changed(scene, edit.scene) == ({'center'}, {slot})
  step = edit.scene.center[slot] - scene.center[slot]
  true = STEP_M[said['step']] * np.array(WAYS[said['to']])
  assert np.allclose(step, true, atol=1e-5)


def check_resize(scene, edit):
  said, slot = find_target(scene, edit)
  names, slots = changed(scene, edit.scene)
  assert names == {'size', 'half_extent', 'center'} and slots == {slot}
  old, new = int(scene.size[slot]), int(edit.scene.size[slot])
  if said['to'] in ('larger', 'smaller'):
    assert new - old == (1 if said['to'] == 'larger' else -1)
  else:
    assert world.SIZES[new] == said['to']
  moved = edit.scene.center[slot] - scene.center[slot]
  assert moved[0] == moved[2] == 0


def check_add(scene, edit):
  said = read(edit)
  slot = int(scene.count)
  names, slots = changed(scene, edit.scene)
  assert slots == {slot} and 'count' in names
  assert edit.scene.count == slot + 1
  reader = Reader(edit.scene, EVERYTHING)
  plain = re.sub('(checkered|striped|mottled) ', '', said['what'])
  assert slot in reader.match(plain)
  x = reader.x[slot]
  side = 'left' if x < -0.33 else 'right' if x > 0.33 else 'middle'
  assert said['to'].endswith(side)


_CHECK = {
  'recolor': check_recolor,
  'remove': check_remove,
  'move': check_move,
  'resize': check_resize,
  'add': check_add,
}


@pytest.mark.parametrize('name', ('quick', 'full'))
def test_empty_and_full_scenes(name):
  level = world.LEVELS[name]
  for index in range(30):
    rng = np.random.default_rng(index)
    empty = world.sample_scene(level, 2, index, count=0)
    assert edits.sample_edit(empty, level, rng).kind == 'add'
    full = world.sample_scene(level, 2, index, count=level.max_objects)
    assert edits.sample_edit(full, level, rng).kind != 'add'


def test_nothing_nameable_in_a_full_scene_removes_everything():
  level = world.LEVELS['quick']
  scene = world.sample_scene(level, 2, 0, count=level.max_objects)
  edit = edits.sample_edit(scene, level, np.random.default_rng(0), ~EVERYTHING)
  assert edit.text == 'remove every object' and edit.scene.count == 0
  empty = world.sample_scene(level, 2, 0, count=0)
  for name in ('class_id', 'color', 'center', 'half_extent', 'yaw'):
    assert np.array_equal(getattr(edit.scene, name), getattr(empty, name))


def test_hidden_objects_are_not_named():
  level = world.LEVELS['full']
  for index in range(40):
    scene = world.sample_scene(level, 4, index, count=5)
    visible = np.arange(12) < 2
    rng = np.random.default_rng(index)
    edit = edits.sample_edit(scene, level, rng, visible)
    if edit.kind in ('recolor', 'move', 'resize'):
      assert changed(scene, edit.scene)[1] <= {0, 1}


def test_objects_that_carry_others_are_only_recolored():
  level, seen = world.LEVELS['full'], 0
  for index in range(150):
    scene = world.sample_scene(level, 6, index, count=8)
    carriers = set(world.supporters(scene).tolist()) - {-1}
    for seed in range(2 if carriers else 0):
      edit = edits.sample_edit(scene, level, np.random.default_rng(seed))
      if edit.kind in ('move', 'resize', 'remove'):
        assert find_target(scene, edit)[1] not in carriers
        seen += 1
  assert seen > 20


def test_edits_are_a_function_of_the_generator():
  level = world.LEVELS['full']
  scene = world.sample_scene(level, 0, 0, count=6)
  texts = []
  for seed in range(20):
    one, two = (
      edits.sample_edit(scene, level, np.random.default_rng(seed))
      for _ in range(2)
    )
    assert one.text == two.text
    assert changed(one.scene, two.scene) == (set(), set())
    texts.append(one.text)
  assert len(set(texts)) > 10
