"""The pinhole camera: square pixels, principal point in the middle.

Its frame has x right, y up and z forward, so z is the depth; pixel (i, j) of
an image covers [j, j + 1] x [i, i + 1] of the plane that `project` maps to.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vbanana_jax.scenes.world import Scene


def make_axes(camera: Float[Array, '*s 4']) -> Float[Array, '*s 3 3']:
  """World coordinates of the camera's axes: rows right, up, forward.

  Args:
    camera: height (m), pitch, roll, vertical field of view (rad); looking up
      and rolling anticlockwise are positive.
  """
  xp = jnp if isinstance(camera, jax.Array) else np
  pitch, roll = camera[..., 1], camera[..., 2]
  sin, cos = xp.sin(pitch), xp.cos(pitch)
  sin_roll, cos_roll = xp.sin(roll), xp.cos(roll)
  right = (cos_roll, sin_roll * cos, -sin_roll * sin)
  up = (-sin_roll, cos_roll * cos, -cos_roll * sin)
  forward = (xp.zeros_like(sin), sin, cos)
  return xp.stack([xp.stack(axis, -1) for axis in (right, up, forward)], -2)


def intrinsics(
  scene: Scene, height: int, width: int
) -> Float[np.ndarray, '3 3']:
  """Pinhole matrix in pixels, for coordinates x right, y DOWN, z forward."""
  focal = 0.5 * height / np.tan(0.5 * scene.camera[3])
  return np.array(
    [[focal, 0, 0.5 * width], [0, focal, 0.5 * height], [0, 0, 1]], np.float32
  )


def to_camera(
  scene: Scene, points: Float[np.ndarray, 'n 3']
) -> Float[np.ndarray, 'n 3']:
  """World points (m) in the camera frame: x right, y up, z depth (m)."""
  position = np.array([0.0, scene.camera[0], 0.0], np.float32)
  return (points - position) @ make_axes(scene.camera).T


def project(
  scene: Scene, points: Float[np.ndarray, 'n 3'], height: int, width: int
) -> tuple[Float[np.ndarray, 'n 2'], Float[np.ndarray, 'n']]:
  """Pixel coordinates (x right, y down) and z-depth (m) of world points.

  Points behind the camera have a negative depth and meaningless pixels.
  """
  x, y, depth_m = to_camera(scene, points).T
  focal = intrinsics(scene, height, width)[0, 0]
  xy = np.stack(
    [0.5 * width + focal * x / depth_m, 0.5 * height - focal * y / depth_m], -1
  )
  return xy, depth_m
