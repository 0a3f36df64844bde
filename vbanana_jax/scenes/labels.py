"""What is known of a scene in words: its classes, phrases and captions."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vbanana_jax import labels
from vbanana_jax.scenes import claims, language, referring
from vbanana_jax.scenes.levels import CLASSES, SURFACES, Level
from vbanana_jax.scenes.world import Scene

_ABSENT_SHARE = 0.13  # of phrases, those that denote nothing
_DETAILS = 3  # of captions


@functools.cache
def make_classes(level: Level) -> labels.Classes:
  """Classes of all levels, and which of them occur at one."""
  return labels.Classes(
    names=CLASSES,
    areas=tuple(map(CLASSES.index, level.semantic_classes)),
    things=tuple(map(CLASSES.index, level.classes)),
    any_thing='object',
  )


def list_instance_classes(scene: Scene) -> Int[np.ndarray, 'k']:
  """Class ids of objects 1, 2, ...; a slot is the object of the next number."""
  return scene.class_id[: int(scene.count)] + np.int32(len(SURFACES))


class ScenePhrases:
  """Phrases about a scene, written when they are drawn; see `labels.Phrases`.

  Args:
    scene: one scene.
    level: whose words are used.
    instance: its objects by number, 0 for none.
  """

  def __init__(
    self, scene: Scene, level: Level, instance: Int[np.ndarray, 'h w']
  ):
    self._scene = scene
    self._level = level
    self._instance = instance

  def draw(self, rng: np.random.Generator, most: int) -> list[labels.Phrase]:
    """One to `most` phrases of different objects; some denote nothing."""
    scene, level = self._scene, self._level
    visible = referring.visible_slots(self._instance)
    kinds = referring.get_kinds(level)
    drawn: list[referring.Phrase] = []
    taken: set[int] = set()
    for _ in range(int(rng.integers(1, most + 1))):
      free: list[referring.Phrase] = []
      if rng.random() >= _ABSENT_SHARE:
        for k in rng.permutation(len(kinds)):
          found = referring.phrases(scene, visible, rng, (kinds[k],))
          free = [p for p in found if taken.isdisjoint(p.slots)]
          if free:
            break
      free = free or referring.absent_phrases(scene, visible, level, rng)
      phrase = _choose(rng, free)
      if phrase.text not in [other.text for other in drawn]:
        drawn.append(phrase)
        taken.update(phrase.slots)
    return [
      labels.Phrase(
        phrase.text,
        np.isin(self._instance, np.array(phrase.slots, np.int32) + 1),
      )
      for phrase in drawn
    ]


class SceneCaptions:
  """Captions of a scene, written when they are drawn; see `labels.Captions`.

  Args:
    scene: one scene.
    instance: its objects by number; those that are too small are not told.
  """

  def __init__(self, scene: Scene, instance: Int[np.ndarray, 'h w']):
    self._scene = scene
    self._instance = instance

  def draw(self, rng: np.random.Generator) -> str:
    """A caption at a random level of detail."""
    return self._write(rng, int(rng.integers(_DETAILS)))

  def draw_full(self, rng: np.random.Generator) -> str:
    """A caption that says all of `list_claims`."""
    return self._write(rng, _DETAILS - 1)

  def list_claims(self) -> list[claims.Claim]:
    """The facts of a full caption."""
    return claims.list_claims(self._scene, self._find_visible())

  def _write(self, rng: np.random.Generator, detail: int) -> str:
    return language.caption(self._scene, rng, detail, self._find_visible())

  def _find_visible(self):
    return referring.visible_slots(self._instance)


def _choose(rng: np.random.Generator, options: Sequence[Any]) -> Any:
  return options[int(rng.integers(len(options)))]
