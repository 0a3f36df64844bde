"""What a scene is, and how one is drawn from `(level, seed, index)`.

The world frame has x right, y up, z forward, in meters. The camera stands at
`(0, camera height, 0)` and looks along z; the room turns around it instead.
Everything here is host code in numpy.
"""

import math
from typing import NamedTuple

import numpy as np

from vbanana_jax.scenes.decor import draw_lights, draw_pale_pair
from vbanana_jax.scenes.levels import (
  CLASSES,
  COLORS,
  HALF_EXTENT_M,
  LEVELS,
  MATERIALS,
  MAX_LIGHTS,
  MAX_OBJECTS,
  OBJECTS,
  SIZES,
  SURFACES,
  TEXTURES,
  TILE_M,
  Level,
)
from vbanana_jax.scenes.placement import Draws, Placed, Stage, place_object

__all__ = [
  'CLASSES',
  'COLORS',
  'HALF_EXTENT_M',
  'LEVELS',
  'MATERIALS',
  'MAX_LIGHTS',
  'MAX_OBJECTS',
  'OBJECTS',
  'SIZES',
  'SURFACES',
  'TEXTURES',
  'TILE_M',
  'Level',
  'Scene',
  'find_place',
  'sample_scene',
  'stack_scenes',
  'supporters',
]


class Scene(NamedTuple):
  """One scene as numpy leaves of fixed shape; slots `0..count-1` are filled.

  Edits are `scene._replace(...)` on copies of leaves; batches are made by
  `stack_scenes`. Colors are RGB in [0, 1] and lengths are meters.
  """

  outdoor: np.ndarray  # bool []
  room: np.ndarray  # f32 [6]: x low, x high, z low, z high, height, yaw (rad)
  surface_texture: np.ndarray  # int32 [3]: floor or ground, wall, ceiling
  surface_color: np.ndarray  # f32 [3, 2, 3]: two colors for each of them
  sky: np.ndarray  # f32 [2, 3]: color at the horizon, overhead
  lights: np.ndarray  # f32 [3, 7]: position (m), color (0: off), radius (m);
  # the lights that are on come first, and a radius of 0 casts hard shadows
  ambient: np.ndarray  # f32 [3]
  fog: np.ndarray  # f32 [4]: density (1/m), color
  count: np.ndarray  # int32 []
  class_id: np.ndarray  # int32 [12]: index into OBJECTS, -1 in empty slots
  color: np.ndarray  # int32 [12]: index into list(COLORS)
  material: np.ndarray  # int32 [12]: index into MATERIALS
  size: np.ndarray  # int32 [12]: index into SIZES
  texture: np.ndarray  # int32 [12]: index into TEXTURES
  center: np.ndarray  # f32 [12, 3]
  half_extent: np.ndarray  # f32 [12, 3]: bounding box before yaw
  yaw: np.ndarray  # f32 [12]: radians about y, from x towards z
  camera: np.ndarray  # f32 [4]: height (m), pitch, roll, vertical fov (rad)


def stack_scenes(scenes: list[Scene]) -> Scene:
  """A batch: every leaf gets a leading axis of `len(scenes)`."""
  return Scene(*(np.stack(leaves) for leaves in zip(*scenes, strict=True)))


def sample_scene(
  level: Level, seed: int, index: int, *, count: int | None = None
) -> Scene:
  """Draws the scene `index` of the stream `seed`.

  Args:
    level: one of `LEVELS`.
    seed: of the stream, >= 0.
    index: of the scene in the stream, >= 0.
    count: number of objects, 0..level.max_objects; uniform when None.
  """
  rng = np.random.Generator(np.random.Philox(key=[seed, index]))
  draw = Draws(rng)
  number = draw.below(level.max_objects + 1)
  if count is not None:
    if not 0 <= count <= level.max_objects:
      raise ValueError(f'count {count} is not in 0..{level.max_objects}')
    number = count
  outdoor = draw.chance(level.outdoor_share)
  placed = None
  while placed is None:  # a narrow view cannot hold many objects: draw anew
    camera = _draw_camera(level, draw)
    room = _draw_room(level, draw)
    stage = Stage(level, None if outdoor else room, camera)
    placed = _place_all(stage, number, draw)
  return _assemble(level, draw, outdoor, room, camera, placed)


def _draw_camera(level: Level, draw: Draws) -> tuple[float, ...]:
  return (
    draw.between(*level.camera_height_m),
    math.radians(draw.between(*level.pitch_deg)),
    math.radians(draw.between(*level.roll_deg)),
    math.radians(draw.between(*level.fov_deg)),
  )


def _draw_room(level: Level, draw: Draws) -> tuple[float, ...]:
  return (
    -draw.between(2.4, 5.0),
    draw.between(2.4, 5.0),
    -draw.between(1.5, 3.0),
    draw.between(*level.wall_m),
    draw.between(*level.room_height_m),
    math.radians(draw.between(-28.0, 28.0)),
  )


def _place_all(stage: Stage, number: int, draw: Draws) -> list[Placed] | None:
  """Places `number` objects, or None where there is no space for them."""
  placed: list[Placed] = []
  for _ in range(number):
    for _ in range(4):  # another class or size may fit where one did not
      class_id = OBJECTS.index(draw.one_of(stage.level.classes))
      size = draw.below(len(SIZES))
      one = place_object(stage, placed, class_id, size, draw)
      if one is not None:
        placed.append(one)
        break
    else:
      return None
  return placed


def _assemble(
  level: Level,
  draw: Draws,
  outdoor: bool,
  room: tuple[float, ...],
  camera: tuple[float, ...],
  placed: list[Placed],
) -> Scene:
  count = len(placed)
  class_id = np.full(MAX_OBJECTS, -1, np.int32)
  color, material, size, texture = np.zeros((4, MAX_OBJECTS), np.int32)
  center = np.zeros((MAX_OBJECTS, 3), np.float32)
  half_extent = np.zeros((MAX_OBJECTS, 3), np.float32)
  yaw = np.zeros(MAX_OBJECTS, np.float32)
  if count:
    class_id[:count] = [p.class_id for p in placed]
    size[:count] = [p.size for p in placed]
    center[:count] = [p.center for p in placed]
    half_extent[:count] = HALF_EXTENT_M[class_id[:count], size[:count]]
    yaw[:count] = [p.yaw for p in placed]
    colors, textures = tuple(COLORS), level.object_textures
    color[:count] = [colors.index(draw.one_of(level.colors)) for _ in placed]
    material[:count] = [
      MATERIALS.index(draw.one_of(level.materials)) for _ in placed
    ]
    texture[:count] = [TEXTURES.index(draw.one_of(textures)) for _ in placed]
  names = (level.floor_textures, level.wall_textures, ('plain',))
  surface_texture = [TEXTURES.index(draw.one_of(name)) for name in names]
  surface_color = [
    draw_pale_pair(draw, grassy=outdoor),
    draw_pale_pair(draw, grassy=False),
    draw_pale_pair(draw, grassy=False),
  ]
  haze = draw.between(0.75, 0.95)
  sky = ((haze * 0.92, haze * 0.97, haze), (0.25, 0.45, draw.between(0.7, 1.0)))
  fog = (0.0, *sky[0])
  if draw.chance(level.fog_share):
    fog = (draw.between(0.02, 0.08), *sky[0])
  return Scene(
    outdoor=np.array(outdoor),
    room=np.array(room, np.float32),
    surface_texture=np.array(surface_texture, np.int32),
    surface_color=np.array(surface_color, np.float32),
    sky=np.array(sky, np.float32),
    lights=draw_lights(level, draw, outdoor, room),
    ambient=np.array([draw.between(0.4, 0.5)] * 3, np.float32),
    fog=np.array(fog, np.float32),
    count=np.array(count, np.int32),
    class_id=class_id,
    color=color,
    material=material,
    size=size,
    texture=texture,
    center=center,
    half_extent=half_extent,
    yaw=yaw,
    camera=np.array(camera, np.float32),
  )


def find_place(
  scene: Scene,
  level: Level,
  rng: np.random.Generator,
  class_id: int,
  size: int,
  *,
  ignore: int | None = None,
) -> tuple[np.ndarray, float] | None:
  """A free place on the floor for one more object, or None if none is found.

  Args:
    scene: the scene to add to.
    level: its level.
    rng: of the host.
    class_id: index into OBJECTS.
    size: index into SIZES.
    ignore: slot that does not count as an obstacle (the one that moves).

  Returns:
    center f32 [3] (m) and yaw (rad), as for the leaves of `Scene`.
  """
  room = None if scene.outdoor else tuple(map(float, scene.room))
  stage = Stage(level, room, tuple(map(float, scene.camera)))
  others = [
    stage.describe(
      int(scene.class_id[k]),
      int(scene.size[k]),
      tuple(map(float, scene.center[k])),
      float(scene.yaw[k]),
      tuple(map(float, scene.half_extent[k])),
    )
    for k in range(int(scene.count))
    if k != ignore
  ]
  one = place_object(stage, others, class_id, size, Draws(rng), stack=False)
  if one is None:
    return None
  return np.array(one.center, np.float32), one.yaw


def supporters(scene: Scene) -> np.ndarray:
  """int32 [12]: the slot that carries each object, -1 for the floor."""
  result = np.full(MAX_OBJECTS, -1, np.int32)
  low = scene.center[:, 1] - scene.half_extent[:, 1]
  top = scene.center[:, 1] + scene.half_extent[:, 1]
  for k in range(int(scene.count)):
    if low[k] < 1e-3:
      continue
    apart = np.hypot(*(scene.center - scene.center[k])[:, [0, 2]].T)
    cost = np.where(np.abs(top - low[k]) < 1e-3, apart, np.inf)
    cost[int(scene.count) :] = np.inf
    result[k] = int(np.argmin(cost))
  return result
