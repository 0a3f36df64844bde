"""Reads phrases with regular expressions and finds what they denote.

Written apart from `scenes.forms`, from the English alone: comparisons are of
projected centers, shifted by `slack` to see whether an answer is a close call.
"""

import re

import numpy as np

from vbanana_jax.scenes import camera, world

NOUNS = {
  'sphere': 'spheres',
  'box': 'boxes',
  'cylinder': 'cylinders',
  'cone': 'cones',
  'torus': 'tori',
  'pyramid': 'pyramids',
  'capsule': 'capsules',
  'ellipsoid': 'ellipsoids',
}
PLAIN = {'object': 'objects', 'thing': 'things', 'one': 'ones'}
SINGULAR = {b: a for a, b in (NOUNS | PLAIN).items()}
RANKS = {'second': 2, 'third': 3, 'fourth': 4}
RELATION = re.compile(
  r'(.*?) (to the left of|left of|to the right of|right of|in front of|'
  r'nearer than|behind|farther away than|on top of|standing on|underneath|'
  r'under) (the .*)'
)
HALF = re.compile(r'(.*) (?:on|in) the (left|right)(?: side| half)?')
RANKED_SIDE = re.compile(
  r'the (second|third|fourth) (.*) from the (left|right)'
)
RANKED_DEPTH = re.compile(
  r'the (second|third|fourth) (nearest|closest|farthest|most distant) (.*)'
)
EXTREME = re.compile(
  r'the (leftmost|rightmost|nearest|closest|farthest|most distant) (.*)'
)
EXTREME_SIDE = re.compile(r'the (.*) furthest (left|right)')
EXTREME_DEPTH = re.compile(r'the (.*) nearest the camera')
BARE = re.compile(r'(?:all the |all |the )?(.*)')


class Reader:
  """The objects of one scene, and the phrases that speak of them."""

  def __init__(self, scene, visible):
    self.scene = scene
    count = int(scene.count)
    xy, self.z = camera.project(scene, scene.center[:count], 200, 200)
    self.x = xy[:, 0] / 100 - 1  # half image heights from the middle
    self.slots = {k for k in range(count) if visible[k]}

  def read(self, text, slack=0.0):
    """Set of slots; `slack` is in half image heights, or 2.5 times meters."""
    if found := RELATION.fullmatch(text):
      group, relation, landmark = found.groups()
      (mark,) = self.read(landmark, slack)
      return {
        k
        for k in self.read(group, slack) - {mark}
        if self.holds(relation, k, mark, slack)
      }
    if found := RANKED_SIDE.fullmatch(text):
      rank, group, side = found.groups()
      return self.rank(group, side, RANKS[rank], slack)
    if found := RANKED_DEPTH.fullmatch(text):
      rank, side, group = found.groups()
      return self.rank(group, side, RANKS[rank], slack)
    if found := EXTREME.fullmatch(text):
      side, group = found.groups()
      return self.rank(group, side, 1, slack)
    if found := EXTREME_SIDE.fullmatch(text):
      return self.rank(*found.groups(), 1, slack)
    if found := EXTREME_DEPTH.fullmatch(text):
      return self.rank(found[1], 'nearest', 1, slack)
    if found := HALF.fullmatch(text):
      group, side = found.groups()
      sign = -1 if side == 'left' else 1
      return {k for k in self.read(group) if sign * self.x[k] + slack > 0}
    return self.match(BARE.fullmatch(text)[1])

  def match(self, words):
    *adjectives, noun = words.split()
    noun = SINGULAR.get(noun, noun)
    assert noun in NOUNS or noun in PLAIN, words
    slots = self.slots
    if noun in NOUNS:
      slots = self._having('class_id', world.OBJECTS, noun)
    for word in adjectives:
      for leaf, names in (
        ('color', tuple(world.COLORS)),
        ('size', world.SIZES),
        ('material', world.MATERIALS),
      ):
        if word in names:
          slots = slots & self._having(leaf, names, word)
          break
      else:
        raise AssertionError(f'unknown word {word!r} in {words!r}')
    return slots

  def rank(self, group, side, rank, slack):
    group = self.match(group)
    order = {
      'leftmost': 'left of',
      'left': 'left of',
      'rightmost': 'right of',
      'right': 'right of',
      'nearest': 'nearer than',
      'closest': 'nearer than',
    }.get(side, 'behind')
    return {
      k
      for k in group
      if sum(self.holds(order, o, k, slack) for o in group - {k}) == rank - 1
    }

  def holds(self, relation, a, b, slack):
    if 'left' in relation:
      return self.x[a] < self.x[b] + slack
    if 'right' in relation:
      return self.x[a] > self.x[b] - slack
    if relation in ('in front of', 'nearer than'):
      return self.z[a] < self.z[b] + 2.5 * slack
    if relation in ('behind', 'farther away than'):
      return self.z[a] > self.z[b] - 2.5 * slack
    if 'under' in relation:
      a, b = b, a
    center, half = self.scene.center, self.scene.half_extent
    gap = center[a, 1] - half[a, 1] - center[b, 1] - half[b, 1]
    apart = np.hypot(*(center[a] - center[b])[[0, 2]])
    return abs(gap) < 0.005 and apart < max(half[b, 0], half[b, 2])

  def _having(self, leaf, names, word):
    ids = getattr(self.scene, leaf)
    return {k for k in self.slots if names[ids[k]] == word}


def is_plural(text):
  """Whether the phrase speaks of several things."""
  group = RELATION.fullmatch(text)
  return any(word in SINGULAR for word in (group[1] if group else text).split())
