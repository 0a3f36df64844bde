"""Normals derived from depth: closed forms, and the scenes' exact ones."""

import numpy as np
import pytest

from vbanana_jax import labels
from vbanana_jax.data import normals_from_depth, sources

CAMERA = labels.Intrinsics(50.0, 40.0, 18.0, 11.5)
SHAPE = (24, 32)


def _rays(camera=CAMERA, shape=SHAPE):
  """x right, y up, z to the viewer: so z is -1."""
  x, y = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
  x, y = (x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy
  return np.stack([x, y, np.full(shape, -1.0)], -1)


def _unit(*vector):
  return np.array(vector) / np.linalg.norm(vector)


def _depth_of_plane(normal, distance):
  """z-depth where rays meet the plane n . P = -distance."""
  return -distance / (_rays() @ normal)


def _angles(one, other):
  return np.degrees(
    2
    * np.arctan2(
      np.linalg.norm(one - other, axis=-1), np.linalg.norm(one + other, axis=-1)
    )
  )


@pytest.mark.parametrize('radius', [1, 2])
@pytest.mark.parametrize(
  'normal', [(0, 0, 1), (0.6, 0, 0.8), (-0.3, 0.5, 0.6), (0, 0.9, 0.3)]
)
def test_a_plane_has_its_normal_at_every_pixel(normal, radius):
  normal = _unit(*normal)
  depth_m = _depth_of_plane(normal, 2.0)
  assert (depth_m > 0).all()
  found = normals_from_depth.derive_normals(depth_m, CAMERA, radius)
  assert found.dtype == np.float32
  np.testing.assert_allclose(
    found, np.broadcast_to(normal, (*SHAPE, 3)), atol=1e-5
  )


def test_two_walls_meet_in_a_sharp_edge():
  left, right = _unit(0.5, 0, 1), _unit(-0.7, 0.1, 1)
  walls = np.stack([_depth_of_plane(left, 2.0), _depth_of_plane(right, 2.0)])
  nearest = walls.argmin(0)
  expected = np.stack([left, right])[nearest]
  found = normals_from_depth.derive_normals(walls.min(0), CAMERA, 2)
  error = _angles(found, expected)
  assert 0.2 < nearest.mean() < 0.8
  assert np.mean(error < 0.1) > 0.99


def test_a_window_does_not_reach_over_a_step_in_depth():
  near, far = _unit(0.2, 0.1, 1), _unit(-0.4, 0, 1)
  is_near = np.zeros(SHAPE, bool)
  is_near[6:18, 8:20] = True
  depth_m = np.where(
    is_near, _depth_of_plane(near, 1.5), _depth_of_plane(far, 4.0)
  )
  found = normals_from_depth.derive_normals(depth_m, CAMERA, 2)
  expected = np.where(is_near[..., None], near, far)
  np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_is_not_known_is_zero():
  depth_m = _depth_of_plane(_unit(0.1, 0.2, 1), 2.0)
  depth_m[0:4], depth_m[10, 10], depth_m[:, 28:] = np.inf, np.nan, 0.0
  found = normals_from_depth.derive_normals(depth_m, CAMERA, 2)
  known = np.isfinite(depth_m) & (depth_m > 0)
  assert (found[~known] == 0).all()
  assert np.abs(found[known] - _unit(0.1, 0.2, 1)).max() < 1e-4
  # A single measured pixel says nothing of a direction; nor does a cloud.
  alone = np.full(SHAPE, np.nan)
  alone[12, 12] = 2.0
  assert not normals_from_depth.derive_normals(alone, CAMERA).any()
  cloud = np.random.default_rng(0).uniform(1, 8, SHAPE)
  found = normals_from_depth.derive_normals(cloud, CAMERA, 2)
  assert (found == 0).all(-1).mean() > 0.9


@pytest.mark.parametrize(
  'level, size, inside, everywhere',
  [('quick', 64, 0.5, 2.0), ('full', 64, 0.6, 3.5), ('full', 160, 0.5, 1.5)],
)
def test_they_are_those_of_rendered_scenes(level, size, inside, everywhere):
  """Mean degrees; inside is where all neighbors are of the same surface."""
  source = sources.SceneSource(level, 5, size)
  errors, inner = [], []
  known, total = 0, 0
  for index in range(8):
    row = source[index]
    focal = 0.5 * size / np.tan(0.5 * float(row['scene'].camera[3]))
    camera = labels.Intrinsics(focal, focal, size / 2, size / 2)
    found = normals_from_depth.derive_normals(row['depth_m'], camera, 1)
    solid = np.isfinite(row['depth_m'])
    has = found.any(-1)
    assert not (has & ~solid).any()
    known, total = known + has.sum(), total + solid.sum()
    errors.append(_angles(found, row['normals'])[has])
    inner.append(~_find_edges(row)[has])
  error, inner = np.concatenate(errors), np.concatenate(inner)
  assert error[inner].mean() < inside and error.mean() < everywhere
  assert known / total > 0.97 and 0.05 < 1 - inner.mean() < 0.4


def _find_edges(row):
  surface = row['instance'] * 64 + row['semantic']
  edges = np.zeros(surface.shape, bool)
  edges[[0, -1]] = edges[:, [0, -1]] = True
  for y in (-1, 0, 1):
    for x in (-1, 0, 1):
      same = np.roll(surface, (y, x), (0, 1)) == surface
      normals = np.roll(row['normals'], (y, x), (0, 1))
      edges |= ~same | ((normals * row['normals']).sum(-1) < 0.9)
  return edges & np.isfinite(row['depth_m'])
