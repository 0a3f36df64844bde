"""Cameras of Hypersim, some of which are tilted and shifted.

A scene's matrix takes (u, v, 1), both from -1 to 1, v upwards, to a ray of the
camera (x right, y up, z backwards). Where it is not diagonal the picture is
that of a pinhole camera whose plane is not at right angles to the camera's
axis. Every such picture is also that of an upright pinhole camera in the same
place which is turned: its matrix and turn are an RQ decomposition. Depth and
normals are taken in that camera's frame, so that they mean what they do
everywhere else.
"""

import csv
import io
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import files
from vbanana_jax.datasets import depth_set
from vbanana_jax.errors import UserError

_UP = np.diag((1.0, -1.0, -1.0))  # y up and z backwards, to down and forwards
_MOST_SKEW = 1e-3  # of fx: above, four numbers do not tell the camera
_KEYS = tuple(f'M_cam_from_uv_{i}{j}' for i in range(3) for j in range(3))
_SIZE_KEYS = ('settings_output_img_width', 'settings_output_img_height')


class SceneCamera(NamedTuple):
  """The pinhole camera of a scene's pictures.

  Attributes:
    matrix: 3 x 3, to pixels (first center at 0.5) from rays with x right, y
      down and z forwards.
    turn: 3 x 3, to its frame from the camera's own, both of those axes.
  """

  matrix: Float[np.ndarray, '3 3']
  turn: Float[np.ndarray, '3 3']

  @property
  def intrinsics(self) -> labels.Intrinsics | None:
    """None where the pixels are skewed."""
    if abs(self.matrix[0, 1]) > _MOST_SKEW * self.matrix[0, 0]:
      return None
    k = self.matrix
    return labels.Intrinsics(*map(float, (k[0, 0], k[1, 1], k[0, 2], k[1, 2])))

  def make_rays(self, height: int, width: int) -> Float[np.ndarray, 'h w 3']:
    """Rays through all pixels, in its frame, with z 1."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([x, y, np.ones_like(x)], -1)
    return pixels @ np.linalg.inv(self.matrix).T

  def to_depth(
    self, distance_m: Float[np.ndarray, 'h w']
  ) -> Float[np.ndarray, 'h w']:
    """z-depth of distances from the camera's center."""
    rays = self.make_rays(*distance_m.shape)
    return distance_m / np.linalg.norm(rays, axis=-1)

  def to_normals(
    self, stored: Float[np.ndarray, 'h w 3']
  ) -> Float[np.ndarray, 'h w 3']:
    """Unit normals in its frame, x right, y up, z to the viewer.

    Stored ones are of the camera's own frame, with these axes. Those that face
    away from the viewer are reversed, as a surface is seen from its front. Zero
    where there is none.
    """
    length = np.linalg.norm(stored, axis=-1, keepdims=True)
    known = np.isfinite(length) & (length > 0)
    unit = np.where(known, stored, 0.0) / np.where(known, length, 1.0)
    turned = unit @ (_UP @ self.turn @ _UP).T
    to_viewer = -self.make_rays(*stored.shape[:2]) @ _UP
    away = (turned * to_viewer).sum(-1, keepdims=True) < 0
    return np.where(away, -turned, turned).astype(np.float32)


def make_camera(
  cam_from_uv: Float[np.ndarray, '3 3'], width: int, height: int
) -> SceneCamera:
  """The camera of a scene's matrix, for pictures of a size."""
  uv_from_pixel = np.array(
    [[2 / width, 0, -1], [0, -2 / height, 1], [0, 0, 1.0]]
  )
  matrix, turn = _decompose(np.linalg.inv(_UP @ cam_from_uv @ uv_from_pixel))
  return SceneCamera(matrix / matrix[2, 2], turn)


def _decompose(matrix):
  """An upper triangle with a positive diagonal, times a rotation (RQ)."""
  if np.linalg.det(matrix) < 0:
    matrix = -matrix  # Rays have no length, and so no sign.
  q, r = np.linalg.qr(matrix[::-1].T)
  upper, turn = r.T[::-1, ::-1], q.T[::-1]
  signs = np.sign(np.diag(upper))
  return upper * signs, signs[:, None] * turn


def load_cameras(path: pathlib.Path) -> dict[str, SceneCamera]:
  """Cameras by scene, of `metadata_camera_parameters.csv`.

  Raises:
    UserError: names the scene or column that is wrong.
  """
  found = {}
  for row in load_rows(path, ('scene_name', *_KEYS, *_SIZE_KEYS)):
    place = f'{path}, {row["scene_name"]}'
    numbers = depth_set.parse_numbers((row[key] for key in _KEYS), place, 9)
    size = depth_set.parse_numbers((row[key] for key in _SIZE_KEYS), place, 2)
    try:
      camera = make_camera(np.reshape(numbers, (3, 3)), *size)
    except (np.linalg.LinAlgError, ZeroDivisionError) as error:
      raise UserError(f'{place}: the matrix cannot be inverted') from error
    found[row['scene_name']] = camera
  return found


def load_rows(path: pathlib.Path, keys) -> list[Mapping[str, str]]:
  """Rows of a CSV file that has all of these columns."""
  text = files.load_bytes(path).decode('utf-8', 'replace')
  reader = csv.DictReader(io.StringIO(text))
  rows = list(reader)
  missing = [key for key in keys if key not in (reader.fieldnames or ())]
  if missing or any(row[key] is None for row in rows for key in keys):
    named = ', '.join(missing) or 'columns in some row'
    raise UserError(f'{path}: lacks {named}')
  return rows
