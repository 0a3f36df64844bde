"""Where objects may stand: in view, on the floor or on each other, apart.

Plain Python floats: a scene has a dozen objects, and numpy would cost ten
times as much on them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from vbanana_jax.scenes.levels import HALF_EXTENT_M, OBJECTS, Level

T = TypeVar('T')
_GAP_M = 0.03  # between the footprints of two objects
_TRIES = 24
_BOXY = tuple(OBJECTS.index(name) for name in ('box', 'pyramid'))
_FLAT_TOPPED = tuple(OBJECTS.index(name) for name in ('box', 'cylinder'))
_HALF_EXTENT_M = HALF_EXTENT_M.tolist()


class Draws:
  """Single uniform draws, taken from the generator a block at a time."""

  def __init__(self, rng: np.random.Generator):
    self._rng = rng
    self._block = iter(())

  def uniform(self) -> float:
    for value in self._block:
      return value
    self._block = iter(self._rng.random(128).tolist())
    return next(self._block)

  def between(self, low: float, high: float) -> float:
    return low + (high - low) * self.uniform()

  def below(self, n: int) -> int:
    return int(n * self.uniform())

  def chance(self, share: float) -> bool:
    return self.uniform() < share

  def one_of(self, choices: Sequence[T]) -> T:
    return choices[int(len(choices) * self.uniform())]


class Placed(NamedTuple):
  """An object with what the placement of further objects needs of it."""

  class_id: int
  size: int
  center: tuple[float, float, float]  # m
  yaw: float  # rad
  half: Sequence[float]  # half extents, m
  radius: float  # of the footprint, m
  seen: tuple[float, float, float, float]  # x, y, half width, half height
  loaded: bool  # stands on another object


class Stage:
  """The space that the camera sees; image units are half image heights."""

  def __init__(
    self,
    level: Level,
    room: tuple[float, ...] | None,
    camera: tuple[float, ...],
  ):
    self.level = level
    self._room = room
    self.height, pitch, roll, fov = camera
    self._sin, self._cos = math.sin(pitch), math.cos(pitch)
    self._sin_roll, self._cos_roll = math.sin(roll), math.cos(roll)
    self.focal = 1.0 / math.tan(0.5 * fov)

  def contains(self, x: float, z: float, radius: float) -> bool:
    """Whether a footprint lies within the walls."""
    if self._room is None:
      return True
    x_low, x_high, z_low, z_high, _, yaw = self._room
    cos, sin = math.cos(yaw), math.sin(yaw)
    across, along = cos * x + sin * z, cos * z - sin * x
    return (
      x_low + radius < across < x_high - radius
      and z_low + radius < along < z_high - radius
    )

  def look(
    self, x: float, y: float, z: float, radius: float, half_height: float
  ) -> tuple[float, float, float, float]:
    """Apparent center and half extents of an upright bounding cylinder."""
    up = self._cos * (y - self.height) - self._sin * z
    depth = max(self._sin * (y - self.height) + self._cos * z, 0.1)
    scale = self.focal / depth
    across = scale * (self._cos_roll * x + self._sin_roll * up)
    up = scale * (self._cos_roll * up - self._sin_roll * x)
    tilted = half_height * self._cos + radius * abs(self._sin)
    return across, up, scale * radius, scale * tilted

  def describe(
    self,
    class_id: int,
    size: int,
    center: tuple[float, float, float],
    yaw: float,
    half: Sequence[float],
  ) -> Placed:
    """Completes an object that is already placed."""
    radius = _footprint(class_id, half)
    seen = self.look(*center, radius, half[1])
    loaded = center[1] > half[1] + 1e-3
    return Placed(class_id, size, center, yaw, half, radius, seen, loaded)


def place_object(
  stage: Stage,
  others: list[Placed],
  class_id: int,
  size: int,
  draw: Draws,
  *,
  stack: bool = True,
) -> Placed | None:
  """A place for one more object among `others`, or None after some tries."""
  level = stage.level
  half = _HALF_EXTENT_M[class_id][size]
  radius = _footprint(class_id, half)
  yaw = draw.between(0.0, 2.0 * math.pi)
  support = None
  if stack and draw.chance(level.stacked_share):
    support = _find_support(others, radius, draw)
  for _ in range(_TRIES):
    if support is None:
      z = draw.between(*level.distance_m)
      x = 0.9 * draw.between(-1.0, 1.0) * z / stage.focal
      y = half[1]
      if not stage.contains(x, z, radius + _GAP_M):
        continue
    else:
      reach = 0.3 * min(support.half[0], support.half[2])
      x = support.center[0] + reach * draw.between(-1.0, 1.0)
      z = support.center[2] + reach * draw.between(-1.0, 1.0)
      y = support.center[1] + support.half[1] + half[1]
    seen = stage.look(x, y, z, radius, half[1])
    if _in_view(level, seen) and _apart(
      x, z, radius, seen, others, support, level.separation
    ):
      loaded = support is not None
      return Placed(class_id, size, (x, y, z), yaw, half, radius, seen, loaded)
  return None


def _footprint(class_id: int, half: Sequence[float]) -> float:
  """Radius (m) of the circle that holds the object at every yaw."""
  if class_id in _BOXY:
    return math.hypot(half[0], half[2])
  return max(half[0], half[2])


def _find_support(
  others: list[Placed], radius: float, draw: Draws
) -> Placed | None:
  """Something with a free flat top, wide enough to carry `radius`."""
  able = [
    base
    for base in others
    if base.class_id in _FLAT_TOPPED
    and not base.loaded
    and radius <= min(base.half[0], base.half[2])
    and not any(one.loaded and _on(one, base) for one in others)
  ]
  return draw.one_of(able) if able else None


def _on(one: Placed, base: Placed) -> bool:
  x, _, z = (a - b for a, b in zip(one.center, base.center))
  return math.hypot(x, z) < base.radius


def _in_view(level: Level, seen: tuple[float, float, float, float]) -> bool:
  x, y, half_width, half_height = seen
  low, high = level.apparent_height
  return (
    low <= half_height <= high
    and abs(x) + 0.6 * half_width < 1.0
    and abs(y) + 0.9 * half_height < 1.0
  )


def _apart(
  x: float,
  z: float,
  radius: float,
  seen: tuple[float, float, float, float],
  others: list[Placed],
  support: Placed | None,
  separation: float,
) -> bool:
  for one in others:
    if one is support:
      continue
    reach = radius + one.radius + _GAP_M
    if math.hypot(x - one.center[0], z - one.center[2]) < reach:
      return False
    if abs(seen[0] - one.seen[0]) < separation * (
      seen[2] + one.seen[2]
    ) and abs(seen[1] - one.seen[1]) < separation * (seen[3] + one.seen[3]):
      return False
  return True
