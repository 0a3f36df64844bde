"""Captions say what is there, in as many words as their level allows."""

import re
from collections import Counter

import numpy as np
import pytest
from phrase_reader import NOUNS, SINGULAR

from vbanana_jax.scenes import language, world
from vbanana_jax.scenes.wording import NUMBERS, join_words

NUMBER = {word: i for i, word in enumerate(NUMBERS)} | {'a': 1, 'an': 1}
COLOR = '|'.join(world.COLORS)
NOUN = '|'.join([*NOUNS.values(), *NOUNS])


def sample(level, number=120):
  for index in range(number):
    scene = world.sample_scene(world.LEVELS[level], 3, index)
    yield scene, np.random.default_rng(index)


def count_objects(scene, *leaves):
  names = {
    'class_id': world.OBJECTS,
    'color': tuple(world.COLORS),
    'material': world.MATERIALS,
    'size': world.SIZES,
  }
  return Counter(
    tuple(names[leaf][getattr(scene, leaf)[k]] for leaf in leaves)
    for k in range(int(scene.count))
  )


@pytest.mark.parametrize('level', ('quick', 'full'))
def test_detail_0_is_short_and_counts_rightly(level):
  for scene, rng in sample(level):
    text = language.caption(scene, rng, 0)
    assert len(text.split()) <= 10
    found = re.search(r'(\w+) objects?\b', text)
    if found:
      assert NUMBER[found[1]] == scene.count
    for noun in re.findall(NOUN, text):
      noun = SINGULAR.get(noun, noun)
      assert world.OBJECTS.index(noun) in scene.class_id
    if scene.count == 0:
      assert 'empty' in text


@pytest.mark.parametrize('level', ('quick', 'full'))
def test_detail_1_counts_classes_and_colors(level):
  for scene, rng in sample(level):
    said = Counter()
    text = language.caption(scene, rng, 1)
    for number, color, noun in re.findall(rf'(\w+) ({COLOR}) ({NOUN})\b', text):
      said[color, SINGULAR.get(noun, noun)] += NUMBER[number]
    assert said == count_objects(scene, 'color', 'class_id'), text


@pytest.mark.parametrize('level', ('quick', 'full'))
def test_detail_2_names_every_object_with_all_of_its_attributes(level):
  texture = '(?:checkered |striped |mottled )?'
  pattern = re.compile(
    rf'({"|".join(world.SIZES)}) ({COLOR}) ({"|".join(world.MATERIALS)}) '
    rf'{texture}({NOUN}) (at the|on|front|back|left|right|centre)\b'
  )
  for scene, rng in sample(level):
    text = language.caption(scene, rng, 2)
    said = Counter(found[:4] for found in pattern.findall(text))
    true = count_objects(scene, 'size', 'color', 'material', 'class_id')
    assert said == true, text
    assert ('ground' in text) == bool(scene.outdoor)
    assert ('foggy' in text) == (scene.fog[0] > 0)
    if level == 'quick':
      assert len(text.split()) <= 45
      wall = world.TEXTURES[scene.surface_texture[1]]
      word = {'bricks': 'brick wall', 'stripes': 'striped wall'}[wall]
      assert 'checkered floor' in text and word in text


def test_places_and_support_are_told():
  for index in range(300):
    level = world.LEVELS['quick']
    scene = world.sample_scene(level, 11, index, count=2)
    text = language.caption(scene, np.random.default_rng(0), 2)
    carrier = world.supporters(scene)[:2]
    assert ('on top of' in text) == bool((carrier >= 0).any())
    if (carrier < 0).all():
      x = np.sort(scene.center[:2, 0] / scene.center[:2, 2])
      if x[0] < -0.3 and x[1] > 0.3:
        assert text.index('left') < text.index('right')


def test_only_visible_objects_are_captioned():
  scene = world.sample_scene(world.LEVELS['quick'], 0, 1, count=4)
  visible = np.arange(12) == 2
  text = language.caption(scene, np.random.default_rng(0), 2, visible)
  assert len(re.findall(NOUN, text)) == 1
  assert world.OBJECTS[scene.class_id[2]] in text


def test_captions_are_a_function_of_the_generator_and_vary():
  scene = world.sample_scene(world.LEVELS['full'], 0, 3, count=4)
  for detail in (0, 1, 2):
    texts = [
      language.caption(scene, np.random.default_rng(seed), detail)
      for seed in (*range(20), *range(20))
    ]
    assert texts[:20] == texts[20:]
    assert len(set(texts)) >= 4


def test_join_words():
  assert join_words([]) == ''
  assert join_words(['a']) == 'a'
  assert join_words(['a', 'b', 'c']) == 'a, b and c'
