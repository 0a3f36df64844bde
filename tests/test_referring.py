"""Phrases denote exactly their slots, by a reader of the English alone."""

from collections import Counter

import numpy as np
import pytest
from phrase_reader import Reader, is_plural

from vbanana_jax.scenes import referring, world
from vbanana_jax.scenes.referring import Form

LEVELS = ('quick', 'full')
EVERYTHING = np.ones(world.MAX_OBJECTS, bool)


def make_cases(level, number=150):
  for index in range(number):
    rng = np.random.default_rng(index)
    scene = world.sample_scene(world.LEVELS[level], 5, index)
    visible = rng.random(world.MAX_OBJECTS) < (1.0 if index % 2 else 0.8)
    visible &= np.arange(world.MAX_OBJECTS) < scene.count
    yield scene, visible, rng


def make_line(colors, classes, x, z):
  """A scene with medium objects in given columns and depths (m)."""
  scene = world.sample_scene(world.LEVELS['full'], 0, 0, count=0)
  n = len(colors)
  class_id = np.full(12, -1, np.int32)
  class_id[:n] = [world.OBJECTS.index(name) for name in classes]
  color, size = np.zeros((2, 12), np.int32)
  color[:n] = [list(world.COLORS).index(name) for name in colors]
  size[:n] = 1
  half, center = np.zeros((2, 12, 3), np.float32)
  half[:n] = world.HALF_EXTENT_M[class_id[:n], 1]
  center[:n] = np.stack([x, half[:n, 1], z], -1)
  return scene._replace(
    count=np.array(n, np.int32),
    class_id=class_id,
    color=color,
    size=size,
    half_extent=half,
    center=center,
    camera=np.array([1.5, 0.0, 0.0, 0.9], np.float32),
  )


@pytest.mark.parametrize('level', LEVELS)
def test_phrases_denote_their_slots_by_an_independent_reader(level):
  seen = Counter()
  kinds = referring.get_kinds(world.LEVELS[level])
  for scene, visible, rng in make_cases(level):
    reader = Reader(scene, visible)
    found = referring.phrases(scene, visible, rng, kinds)
    assert bool(found) == visible.any()
    for phrase in found:
      for slack in (-0.1, 0.0, 0.1):  # a close call would be ambiguous
        assert reader.read(phrase.text, slack) == set(phrase.slots), phrase
      assert is_plural(phrase.text) == (len(phrase.slots) > 1), phrase
      assert list(phrase.slots) == sorted(phrase.slots)
      seen[phrase.kind] += 1
  assert set(seen) == set(kinds) and min(seen.values()) > 100, seen


@pytest.mark.parametrize('level', LEVELS)
def test_absent_phrases_denote_nothing_even_hidden(level):
  seen, nearly = Counter(), 0
  for scene, visible, rng in make_cases(level):
    reader = Reader(scene, EVERYTHING)
    found = referring.absent_phrases(scene, visible, world.LEVELS[level], rng)
    assert found
    for phrase in found:
      assert phrase.slots == ()
      for slack in (-0.1, 0.0, 0.1):
        assert reader.read(phrase.text, slack) == set(), phrase
      seen[phrase.kind] += 1
      words = phrase.text.removeprefix('the ').split()
      if phrase.kind == 'class' and len(words) == 2:
        nearly += all(
          reader.match(f'{word} objects' if word in world.COLORS else word)
          for word in words
          if word != 'all'
        )
  assert set(seen) == set(referring.get_kinds(world.LEVELS[level]))
  assert nearly > 20  # both words are true of something, not of one thing


def test_phrases_are_a_function_of_the_generator():
  for scene, visible, _ in make_cases('full', 10):
    level = world.LEVELS['full']

    def draw(seed, scene=scene, visible=visible, level=level):
      rng = np.random.default_rng(seed)
      return (
        referring.phrases(scene, visible, rng),
        referring.absent_phrases(scene, visible, level, rng),
      )

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_denote_on_a_scene_laid_out_by_hand():
  scene = make_line(
    ('red', 'blue', 'red', 'green'),
    ('box', 'sphere', 'sphere', 'box'),
    x=[-1.5, -0.5, 0.5, 1.5],
    z=[3.0, 5.0, 4.0, 6.0],
  )

  def denote(**form):
    return referring.denote(Form(**form), scene, EVERYTHING)

  blue = Form(color='blue')
  assert denote(color='red') == {0, 2}
  assert denote(class_name='sphere', color='red') == {2}
  assert denote(place='right') == {2, 3}
  assert denote(place='nearest') == {0}
  assert denote(class_name='sphere', place='nearest') == {2}
  assert denote(place='leftmost', rank=3) == {2}
  assert denote(place='farthest', rank=2) == {1}
  assert denote(relation='left', landmark=blue) == {0}
  assert denote(relation='front', landmark=blue) == {0, 2}
  assert denote(class_name='box', relation='behind', landmark=blue) == {3}
  assert denote(relation='on', landmark=blue) == set()
  assert denote(relation='left', landmark=Form(color='red')) is None
  assert denote(class_name='cone', place='nearest') == set()


def test_close_calls_are_not_denoted():
  scene = make_line(('red', 'blue'), ('box', 'box'), [-0.05, 0.0], [4.0, 4.1])
  for form in (
    Form(place='left'),
    Form(place='leftmost'),
    Form(place='nearest'),
    Form(relation='behind', landmark=Form('blue')),
    Form(relation='right', landmark=Form('blue')),
  ):
    assert referring.denote(form, scene, EVERYTHING) is None


def test_objects_on_top_are_related_by_contact():
  scene = make_line(
    ('red', 'blue', 'red'),
    ('box', 'sphere', 'sphere'),
    [-1.0, -1.0, 1.0],
    [4.0, 4.0, 4.0],
  )
  scene.center[1, 1] += 2 * scene.half_extent[0, 1]
  on = Form(relation='on', landmark=Form(class_name='box'))
  under = Form(relation='under', landmark=Form('blue'))
  assert referring.denote(on, scene, EVERYTHING) == {1}
  assert referring.denote(under, scene, EVERYTHING) == {0}


def test_contact_phrases_occur():
  texts = [
    phrase.text
    for scene, visible, rng in make_cases('full', 100)
    for phrase in referring.phrases(scene, visible, rng, ('relation',))
  ]
  assert sum('on top of' in t or 'standing on' in t for t in texts) > 5
  assert sum('under' in t for t in texts) > 5


def test_visible_slots_count_pixels():
  instance = np.zeros((8, 8), np.int32)
  instance[:2, :6] = 1
  instance[3, :6] = 3
  bar = 12 / instance.size
  slots = referring.visible_slots(instance, bar).tolist()
  assert slots == [True] + [False] * 11
  assert referring.visible_slots(instance, 6 / instance.size).sum() == 2
  # The same share at any size.
  twice = instance.repeat(2, 0).repeat(2, 1)
  assert referring.visible_slots(twice, bar).tolist() == slots
  assert not referring.visible_slots(instance * 0).any()


def test_nothing_visible_has_no_phrases_but_absent_ones():
  level = world.LEVELS['quick']
  for count in (0, level.max_objects):
    scene = world.sample_scene(level, 0, 0, count=count)
    rng = np.random.default_rng(0)
    assert referring.phrases(scene, ~EVERYTHING, rng) == []
    assert referring.absent_phrases(scene, ~EVERYTHING, level, rng)
