"""What language may say about a scene: names, order, depth and support.

Comparisons have three values: True, False, and None where a viewer could
not tell. Order is that of the picture, as in CLEVR (Johnson et al., 2017,
arXiv:1612.06890): left and right across the image, front and behind in depth.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from vbanana_jax.scenes import camera
from vbanana_jax.scenes.levels import (
  COLORS,
  MATERIALS,
  MAX_OBJECTS,
  OBJECTS,
  SIZES,
)
from vbanana_jax.scenes.world import Scene, supporters

SIDE_MARGIN = 0.12  # half image heights: 4 pixels of 64
DEPTH_MARGIN_M = 0.3
_COLORS = tuple(COLORS)


class Facts(NamedTuple):
  """Facts about the objects of one scene, indexed by slot."""

  slots: list[int]  # those that can be spoken of
  color: list[str]
  class_name: list[str]
  size: list[str]
  material: list[str]
  across: list[float]  # right of the image's middle, half image heights
  depth_m: list[float]  # of the center
  front_m: list[float]  # depth of the nearest point, about
  carrier: list[int]  # slot that it stands on, -1 for the floor


def make_facts(
  scene: Scene, visible: Bool[np.ndarray, 'k'] | None = None
) -> Facts:
  """Facts about the `visible` objects of a scene, about all if None."""
  count = int(scene.count)
  x, _, depth_m = camera.to_camera(scene, scene.center[:count]).T
  focal = 1.0 / math.tan(0.5 * float(scene.camera[3]))
  radius = np.maximum(
    scene.half_extent[:count, 0], scene.half_extent[:count, 2]
  )
  slots = range(count)
  if visible is not None:
    seen = visible.tolist()
    slots = (k for k in slots if seen[k])
  return Facts(
    list(slots),
    [_COLORS[i] for i in scene.color[:count].tolist()],
    [OBJECTS[i] for i in scene.class_id[:count].tolist()],
    [SIZES[i] for i in scene.size[:count].tolist()],
    [MATERIALS[i] for i in scene.material[:count].tolist()],
    (focal * x / depth_m).tolist(),
    depth_m.tolist(),
    (depth_m - radius).tolist(),
    supporters(scene)[:count].tolist(),
  )


def visible_slots(
  instance: np.ndarray, least_share: float = 12 / 64**2
) -> Bool[np.ndarray, 'k']:
  """Which slots cover at least `least_share` of an instance map.

  Args:
    instance: int [h w], 0 for no object and k + 1 for slot k.
    least_share: objects that cover less of it are not spoken of.
  """
  pixels = np.bincount(instance.ravel(), minlength=MAX_OBJECTS + 1)
  return pixels[1:] >= least_share * instance.size


def is_left(facts: Facts, a: int, b: int) -> bool | None:
  """Whether `a` is clearly left of `b`; False if clearly right."""
  return _compare(facts.across[b] - facts.across[a], SIDE_MARGIN)


def is_nearer(facts: Facts, a: int, b: int) -> bool | None:
  """Whether `a` is clearly nearer than `b`: by its center and its front."""
  gap = facts.depth_m[b] - facts.depth_m[a]
  if gap * (facts.front_m[b] - facts.front_m[a]) < 0.0:
    return None
  return _compare(gap, DEPTH_MARGIN_M)


def is_on(facts: Facts, a: int, b: int) -> bool:
  """Whether `a` stands on `b`."""
  return facts.carrier[a] == b


def is_in_left_half(facts: Facts, slot: int) -> bool | None:
  """Whether the center lies clearly in the left half of the image."""
  return _compare(-facts.across[slot], SIDE_MARGIN)


def _compare(gap: float, margin: float) -> bool | None:
  return gap > 0.0 if abs(gap) >= margin else None
