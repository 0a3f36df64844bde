"""Edit instructions: words that name one object, and the edited scene."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from vbanana_jax.scenes import forms
from vbanana_jax.scenes.facts import Facts, make_facts
from vbanana_jax.scenes.language import TEXTURE_WORDS
from vbanana_jax.scenes.levels import (
  COLORS,
  HALF_EXTENT_M,
  MATERIALS,
  MAX_OBJECTS,
  OBJECTS,
  SIZES,
  TEXTURES,
  Level,
)
from vbanana_jax.scenes.placement import Draws, Placed, Stage
from vbanana_jax.scenes.referring import get_kinds
from vbanana_jax.scenes.wording import add_article, describe, write_form
from vbanana_jax.scenes.world import Scene, find_place

KINDS = ('recolor', 'remove', 'add', 'move', 'resize')
_GAP_M = 0.02  # left between footprints
_STEPS_M = {0.5: 'half a metre', 1.0: 'one metre'}
_STEPS = {  # x and z of the step, and the words after its length
  'left': ((-1, 0), ('to the left',)),
  'right': ((1, 0), ('to the right',)),
  'near': ((0, -1), ('closer', 'towards the camera')),
  'far': ((0, 1), ('back', 'away from the camera')),
}
_RECOLOR = (
  'make {it} {color}',
  'paint {it} {color}',
  'change the colour of {it} to {color}',
)
_REMOVE = ('remove {it}', 'delete {it}', 'take away {it}')
_ADD = ('add {thing} {where}', 'put {thing} {where}', '{where}, add {thing}')
_MOVE = ('move {it} {step} {way}', 'shift {it} {step} {way}')
_RESIZE = ('make {it} {size}', 'resize {it} to {size}')
_STEP_SIZE = {1: 'make {it} larger', -1: 'make {it} smaller'}


class Edit(NamedTuple):
  """An instruction, its kind (one of KINDS), and the scene after it."""

  text: str
  kind: str
  scene: Scene


def sample_edit(
  scene: Scene,
  level: Level,
  rng: np.random.Generator,
  visible: Bool[np.ndarray, 'k'] | None = None,
) -> Edit:
  """Draws an edit that can be said in words and done in the scene.

  The instruction names exactly one object that stays apart from the others
  and, moved or resized, in view. An object that carries another is only
  recolored. Slots keep their order; removal closes the gap. In a full scene
  where nothing can be named, every object is removed.

  Args:
    scene: before the edit.
    level: its level.
    rng: chooses everything.
    visible: slots that the words may name, all if None.
  """
  facts = make_facts(scene, visible)
  draw = Draws(rng)
  for kind in _shuffle(KINDS, draw):
    for slot in _shuffle(facts.slots, draw) if kind != 'add' else ():
      if kind != 'recolor' and slot in facts.carrier:
        continue
      form = forms.name_slot(facts, slot, draw, get_kinds(level))
      if form is None:
        continue
      it = write_form(form, draw, definite=True)
      edit = _CHANGE[kind](scene, level, facts, slot, it, draw)
      if edit is not None:
        return edit
    if kind == 'add' and int(scene.count) < level.max_objects:
      edit = _add(scene, level, draw, rng)
      if edit is not None:
        return edit
  if int(scene.count) == 0:
    return sample_edit(scene, level, rng, visible)  # only the draw was unlucky
  return Edit('remove every object', 'remove', _remove_all(scene))


def _recolor(
  scene: Scene, level: Level, facts: Facts, slot: int, it: str, draw: Draws
) -> Edit:
  old = facts.color[slot]
  color = draw.one_of([name for name in level.colors if name != old])
  leaf = _set(scene.color, slot, list(COLORS).index(color))
  text = draw.one_of(_RECOLOR).format(it=it, color=color)
  return Edit(text, 'recolor', scene._replace(color=leaf))


def _remove(
  scene: Scene, level: Level, facts: Facts, slot: int, it: str, draw: Draws
) -> Edit:
  return Edit(
    draw.one_of(_REMOVE).format(it=it), 'remove', _close_gap(scene, slot)
  )


def _move(
  scene: Scene, level: Level, facts: Facts, slot: int, it: str, draw: Draws
) -> Edit | None:
  if facts.carrier[slot] >= 0:
    return None  # it would hang in the air
  for way in _shuffle(tuple(_STEPS), draw):
    direction, words = _STEPS[way]
    for step_m in _shuffle(tuple(_STEPS_M), draw):
      center = scene.center[slot].copy()
      center[[0, 2]] += np.float32(step_m) * np.array(direction, np.float32)
      after = scene._replace(center=_set(scene.center, slot, center))
      if _stands_well(after, level, slot):
        text = draw.one_of(_MOVE).format(
          it=it, step=_STEPS_M[step_m], way=draw.one_of(words)
        )
        return Edit(text, 'move', after)
  return None


def _resize(
  scene: Scene, level: Level, facts: Facts, slot: int, it: str, draw: Draws
) -> Edit | None:
  old = int(scene.size[slot])
  for size in _shuffle(tuple(range(len(SIZES))), draw):
    if size == old:
      continue
    half = HALF_EXTENT_M[scene.class_id[slot], size]
    center = scene.center[slot].copy()
    center[1] += half[1] - scene.half_extent[slot, 1]
    after = scene._replace(
      size=_set(scene.size, slot, size),
      half_extent=_set(scene.half_extent, slot, half),
      center=_set(scene.center, slot, center),
    )
    if _stands_well(after, level, slot, facts.carrier[slot]):
      frames = _RESIZE
      if size - old in _STEP_SIZE:
        frames = (*_RESIZE, _STEP_SIZE[size - old])
      text = draw.one_of(frames).format(it=it, size=SIZES[size])
      return Edit(text, 'resize', after)
  return None


def _add(
  scene: Scene, level: Level, draw: Draws, rng: np.random.Generator
) -> Edit | None:
  class_name = draw.one_of(level.classes)
  class_id, size = OBJECTS.index(class_name), draw.below(len(SIZES))
  place = find_place(scene, level, rng, class_id, size)
  if place is None:
    return None
  center, yaw = place
  color = draw.one_of(level.colors)
  material = draw.one_of(level.materials)
  texture = draw.one_of(level.object_textures)
  slot = int(scene.count)
  after = scene._replace(
    count=np.array(slot + 1, np.int32),
    class_id=_set(scene.class_id, slot, class_id),
    color=_set(scene.color, slot, list(COLORS).index(color)),
    material=_set(scene.material, slot, MATERIALS.index(material)),
    size=_set(scene.size, slot, size),
    texture=_set(scene.texture, slot, TEXTURES.index(texture)),
    center=_set(scene.center, slot, center),
    half_extent=_set(scene.half_extent, slot, HALF_EXTENT_M[class_id, size]),
    yaw=_set(scene.yaw, slot, yaw),
  )
  noun = class_name
  if texture != 'plain':
    noun = f'{TEXTURE_WORDS[texture]} {class_name}'
  thing = add_article(describe(noun, SIZES[size], color, material))
  across = make_facts(after).across[slot]
  where = 'in the middle'
  if abs(across) > 0.33:
    where = 'on the left' if across < 0 else 'on the right'
  text = draw.one_of(_ADD).format(thing=thing, where=where)
  return Edit(text, 'add', after)


_CHANGE = {
  'recolor': _recolor,
  'remove': _remove,
  'move': _move,
  'resize': _resize,
}
_PER_SLOT = (
  'class_id',
  'color',
  'material',
  'size',
  'texture',
  'center',
  'half_extent',
  'yaw',
)


def _set(leaf: np.ndarray, slot: int, value) -> np.ndarray:
  leaf = leaf.copy()
  leaf[slot] = value
  return leaf


def _close_gap(scene: Scene, slot: int) -> Scene:
  """Takes a slot out and moves the following ones up."""
  leaves = {'count': np.array(int(scene.count) - 1, np.int32)}
  for name in _PER_SLOT:
    leaf = np.roll(getattr(scene, name), -1, axis=0)
    leaf[:slot] = getattr(scene, name)[:slot]
    leaf[MAX_OBJECTS - 1] = -1 if name == 'class_id' else 0
    leaves[name] = leaf
  return scene._replace(**leaves)


def _remove_all(scene: Scene) -> Scene:
  for slot in reversed(range(int(scene.count))):
    scene = _close_gap(scene, slot)
  return scene


def _stands_well(
  scene: Scene, level: Level, slot: int, carrier: int = -1
) -> bool:
  """Whether an object is in the room, in view, and apart from the others."""
  room = None if scene.outdoor else tuple(scene.room.tolist())
  stage = Stage(level, room, tuple(scene.camera.tolist()))
  one = _describe(stage, scene, slot)
  x, _, z = one.center
  across, up, _, half_height = one.seen
  low, high = level.apparent_height
  if not (
    stage.contains(x, z, one.radius + _GAP_M)
    and low <= half_height <= high
    and abs(across) < 0.92
    and abs(up) + 0.8 * half_height < 1.0
  ):
    return False
  for k in range(int(scene.count)):
    if k == slot:
      continue
    other = _describe(stage, scene, k)
    if k == carrier:
      if one.radius > min(other.half[0], other.half[2]):
        return False
    elif _collide(one, other) or _overlap(one, other, level.separation):
      return False
  return True


def _describe(stage: Stage, scene: Scene, slot: int) -> Placed:
  return stage.describe(
    int(scene.class_id[slot]),
    int(scene.size[slot]),
    tuple(scene.center[slot].tolist()),
    float(scene.yaw[slot]),
    scene.half_extent[slot].tolist(),
  )


def _collide(one: Placed, other: Placed) -> bool:
  x, _, z = (a - b for a, b in zip(one.center, other.center))
  return np.hypot(x, z) < one.radius + other.radius + _GAP_M


def _overlap(one: Placed, other: Placed, separation: float) -> bool:
  """Whether one hides too much of the other, by the level's rule."""
  return all(
    abs(one.seen[i] - other.seen[i])
    < separation * (one.seen[i + 2] + other.seen[i + 2])
    for i in (0, 1)
  )


def _shuffle(items, draw: Draws) -> list:
  return sorted(items, key=lambda _: draw.uniform())
