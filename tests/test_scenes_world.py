"""Sampled scenes: a pure function of the index, valid, within the level."""

import itertools

import jax
import numpy as np
import pytest

from vbanana_jax.scenes import camera, world

LEVELS = list(world.LEVELS.values())


def _scenes(level, number=60, seed=0, **kwargs):
  return [world.sample_scene(level, seed, i, **kwargs) for i in range(number)]


def _equal(a, b):
  return all(np.array_equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize('level', LEVELS, ids=lambda x: x.name)
def test_a_scene_is_a_function_of_seed_and_index(level):
  first, again = (world.sample_scene(level, 3, 7) for _ in range(2))
  assert _equal(first, again)
  assert not _equal(first, world.sample_scene(level, 3, 8))
  assert not _equal(first, world.sample_scene(level, 4, 7))


@pytest.mark.parametrize('level', LEVELS, ids=lambda x: x.name)
def test_scenes_stay_within_their_level(level):
  for scene in _scenes(level):
    n = int(scene.count)
    assert 0 <= n <= level.max_objects
    assert (scene.class_id[n:] == -1).all()
    kinds = [world.OBJECTS[k] for k in scene.class_id[:n]]
    assert set(kinds) <= set(level.classes)
    names = list(world.COLORS)
    assert {names[c] for c in scene.color[:n]} <= set(level.colors)
    expected = world.HALF_EXTENT_M[scene.class_id[:n], scene.size[:n]]
    np.testing.assert_array_equal(scene.half_extent[:n], expected)
    if level.outdoor_share == 0:
      assert not scene.outdoor
    lit = (scene.lights[:, 3:6] > 0).any(1)
    assert 1 <= lit.sum() <= level.max_lights
    assert lit[: lit.sum()].all()


def test_quick_has_six_objects_five_classes_and_one_hard_light():
  quick = world.LEVELS['quick']
  assert quick.max_objects == 6
  assert quick.semantic_classes == (
    'floor',
    'wall',
    'sphere',
    'box',
    'cylinder',
  )
  assert quick.max_lights == 1
  assert all(s.lights[0, 6] == 0 for s in _scenes(quick, 10))


@pytest.mark.parametrize('level', LEVELS, ids=lambda x: x.name)
def test_count_can_be_fixed(level):
  for count in (0, 1, level.max_objects):
    assert world.sample_scene(level, 1, 2, count=count).count == count
  with pytest.raises(ValueError, match='count'):
    world.sample_scene(level, 1, 2, count=level.max_objects + 1)


@pytest.mark.parametrize('level', LEVELS, ids=lambda x: x.name)
def test_counts_and_classes_are_spread_evenly(level):
  scenes = _scenes(level, 300, seed=5)
  counts = np.bincount([s.count for s in scenes])
  assert len(counts) == level.max_objects + 1
  assert counts.min() > 0.4 * 300 / len(counts)
  kinds = np.concatenate([s.class_id[: s.count] for s in scenes])
  share = np.bincount(kinds) / len(kinds) * len(level.classes)
  assert share.min() > 0.7 and share.max() < 1.4


def _outline(scene, slot):
  """Points of an object's surface, from its widest horizontal section."""
  angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
  x, z = np.cos(angle), np.sin(angle)
  if world.OBJECTS[scene.class_id[slot]] in ('box', 'pyramid'):
    widest = np.maximum(abs(x), abs(z))
    x, z = x / widest, z / widest
  x = x * scene.half_extent[slot, 0]
  z = z * scene.half_extent[slot, 2]
  cos, sin = np.cos(scene.yaw[slot]), np.sin(scene.yaw[slot])
  return np.stack(
    [
      cos * x - sin * z + scene.center[slot, 0],
      sin * x + cos * z + scene.center[slot, 2],
    ],
    -1,
  )


def _holds(scene, slot, points):
  """Whether horizontal points lie within the widest section of an object."""
  x, z = (points - scene.center[slot, [0, 2]]).T
  cos, sin = np.cos(scene.yaw[slot]), np.sin(scene.yaw[slot])
  x, z = cos * x + sin * z, cos * z - sin * x
  x, z = x / scene.half_extent[slot, 0], z / scene.half_extent[slot, 2]
  if world.OBJECTS[scene.class_id[slot]] in ('box', 'pyramid'):
    return np.maximum(abs(x), abs(z)) < 1
  return x * x + z * z < 1


@pytest.mark.parametrize('level', LEVELS, ids=lambda x: x.name)
def test_objects_do_not_intersect_and_rest_on_something(level):
  stacked = 0
  for scene in _scenes(level, 60, seed=2):
    n = int(scene.count)
    low = scene.center[:n, 1] - scene.half_extent[:n, 1]
    top = scene.center[:n, 1] + scene.half_extent[:n, 1]
    carrier = world.supporters(scene)
    for k in range(n):
      if carrier[k] < 0:
        assert abs(low[k]) < 1e-5
      else:
        stacked += 1
        below = carrier[k]
        assert world.OBJECTS[scene.class_id[below]] in ('box', 'cylinder')
        assert abs(low[k] - top[below]) < 1e-5
        assert _holds(scene, below, scene.center[k : k + 1, [0, 2]]).all()
    for a, b in itertools.permutations(range(n), 2):
      if low[a] < top[b] - 1e-4 and low[b] < top[a] - 1e-4:
        assert not _holds(scene, a, _outline(scene, b)).any()
  assert stacked > 0


@pytest.mark.parametrize('level', LEVELS, ids=lambda x: x.name)
def test_centers_are_in_view_and_in_the_room(level):
  for scene in _scenes(level, 40, seed=4):
    n = int(scene.count)
    xy, depth_m = camera.project(scene, scene.center[:n], 64, 64)
    assert (depth_m > 0.5).all()
    assert ((xy > 0) & (xy < 64)).all()
    if not scene.outdoor:
      x, _, z = scene.center[:n].T
      x_low, x_high, z_low, z_high, _, yaw = scene.room
      across = np.cos(yaw) * x + np.sin(yaw) * z
      along = np.cos(yaw) * z - np.sin(yaw) * x
      assert ((across > x_low) & (across < x_high)).all()
      assert ((along > z_low) & (along < z_high)).all()


@pytest.mark.parametrize('level', LEVELS, ids=lambda x: x.name)
def test_find_place_is_free(level):
  rng = np.random.default_rng(0)
  found = 0
  for scene in _scenes(level, 20, seed=6, count=3):
    place = world.find_place(scene, level, rng, class_id=1, size=0)
    if place is None:
      continue
    found += 1
    center, _ = place
    apart = np.hypot(*(scene.center[:3] - center)[:, [0, 2]].T)
    assert (apart > 0.3).all()
    assert abs(center[1] - world.HALF_EXTENT_M[1, 0, 1]) < 1e-6
  assert found >= 15


def test_stack_scenes_adds_a_leading_axis_and_keeps_types():
  scenes = _scenes(world.LEVELS['full'], 3)
  batch = world.stack_scenes(scenes)
  for one, many in zip(scenes[1], batch):
    assert many.shape == (3, *one.shape) and many.dtype == one.dtype
    np.testing.assert_array_equal(many[1], one)
  assert len(jax.tree.leaves(batch)) == len(world.Scene._fields)


def test_camera_axes_are_a_right_handed_view():
  right, up, forward = camera.make_axes(np.array([1.5, -0.3, 0.2, 0.9]))
  axes = np.stack([right, up, forward])
  np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
  # With x right, y up and z FORWARD the frame is left-handed, as the world's.
  np.testing.assert_allclose(np.cross(right, up), forward, atol=1e-12)
  assert forward[1] < 0  # a negative pitch looks down


def test_project_agrees_with_intrinsics():
  scene = world.sample_scene(world.LEVELS['full'], 0, 1)
  points = np.random.default_rng(0).uniform([-2, 0, 3], [2, 2, 8], (20, 3))
  xy, depth_m = camera.project(scene, points, 48, 80)
  local = camera.to_camera(scene, points) * [1, -1, 1]
  image = local @ camera.intrinsics(scene, 48, 80).T
  np.testing.assert_allclose(xy, image[:, :2] / image[:, 2:], rtol=1e-4)
  np.testing.assert_allclose(depth_m, local[:, 2], rtol=1e-6)
