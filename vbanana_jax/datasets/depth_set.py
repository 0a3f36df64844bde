"""What the data sets of photographs with depth share."""

import io
import math
import pathlib
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from vbanana_jax import labels, resizing
from vbanana_jax.benchmark.readers import files
from vbanana_jax.data import normals_from_depth, photos, windows
from vbanana_jax.datasets import kinds, photo_files, photo_set
from vbanana_jax.errors import UserError

DERIVED = 'normals are derived from depth and intrinsics, not measured'
FLAG = kinds.Flag(
  '--derive-normals',
  'planes fitted to the depth, where the set has no normals',
  False,
  is_switch=True,
)
STEP = kinds.Flag('--step', 'take every n-th frame', 1, range=(1, 10**9))
# A camera whose picture is wider or higher than this angle is none of a photo.
_FIELD_DEGREES = (3.0, 170.0)
_SAME_ASPECT = 0.01


class DepthSet(photo_set.PhotoSet):
  """A `PhotoSet` whose pictures have depth.

  A kind calls `_finish` with what it read, in stored pixels.

  Attributes:
    derive_normals: whether pictures without normals get derived ones.
    radius: of the windows they are fitted to; 1 suits rendered depth, None is
      by the size of the picture.
    median_m: the median depth of each picture must lie within; a wrong unit
      does not.
    any_size: whether depth may be smaller or larger than its photograph.
  """

  radius: ClassVar[int | None] = None
  median_m: ClassVar[tuple[float, float]] = (0.05, 500.0)
  any_size: ClassVar[bool] = False

  def __init__(self, root, *, derive_normals: bool = False):
    super().__init__(root)
    self.derive_normals = derive_normals
    if derive_normals:
      self.notes.append(DERIVED)

  def _finish(
    self,
    photo: photo_files.PhotoFile,
    depth_m: Float[np.ndarray, 'h w'],
    place: object,
    camera: labels.Intrinsics | None = None,
    normals: Float[np.ndarray, 'h w 3'] | None = None,
    *,
    camera_file: object = None,
  ) -> dict[str, Any]:
    """Fields of `LabeledPicture`.

    Args:
      photo: the photograph.
      depth_m: z-depth; NaN or 0 is not known, inf the sky.
      place: the file of the depth, for errors.
      camera: of the photograph's pixels.
      normals: of the set itself.
      camera_file: where the camera stands, for errors.

    Raises:
      UserError: another size than the photograph, negative depth, a median
        that another unit would explain, or a camera of another picture.
    """
    shape = photo.frame.height, photo.frame.width
    if photo.frame.turn is not None:
      raise UserError(
        f'{photo.path}: its EXIF data turn it, and depth does not turn: save '
        'it upright'
      )
    depth_m = self._check_depth(depth_m, place)
    if self.any_size and _have_one_aspect(depth_m.shape, shape):
      sized = resizing.resize_nearest(depth_m, shape)
    else:
      sized = photo.fit(depth_m, place)
    found: dict[str, Any] = {'depth_m': sized}
    if camera is not None:
      check_camera(camera, shape, camera_file or place)
      found['intrinsics'] = camera
    if normals is not None:
      found['normals'] = photo.fit(normals, place)
    elif self.derive_normals:
      found['normals'] = self._derive_normals(depth_m, camera, shape, place)
    return found

  def _derive_normals(self, depth_m, camera, shape, place) -> np.ndarray:
    """In the depth's own pixels, whose neighbors were measured apart."""
    if camera is None:
      raise UserError(
        f'{place}: --derive-normals needs the intrinsics of every picture, and '
        'here are none'
      )
    whole = windows.Window(0, 0, shape[1], shape[0])
    camera = windows.see_intrinsics(camera, whole, depth_m.shape)
    normals = normals_from_depth.derive_normals(depth_m, camera, self.radius)
    # To .03 degrees, which takes half as much room in a record.
    rounded = normals.astype(np.float16).astype(np.float32)
    return resizing.resize_nearest(rounded, shape)

  def _check_depth(self, depth_m, place) -> np.ndarray:
    with np.errstate(over='ignore'):
      depth_m = np.asarray(depth_m, np.float32)
    if (depth_m < 0).any():
      raise UserError(f'{place}: negative depth: it is not meters of a camera')
    depth_m = np.where(depth_m > 0, depth_m, np.float32(np.nan))
    known = depth_m[np.isfinite(depth_m)]
    if not known.size:
      raise UserError(f'{place}: depth is known at no pixel')
    median, (low, high) = float(np.median(known)), self.median_m
    if not low <= median <= high:
      raise UserError(
        f'{place}: median depth {median:.4g} m, expected {low:g} to {high:g}: '
        'is the unit of the file another one?'
      )
    return depth_m


def make_photo(
  rgb_u8: UInt8[np.ndarray, 'h w 3'], place: pathlib.Path
) -> photo_files.PhotoFile:
  """A PNG of colors that a container holds, or of colors that were mapped."""
  file = io.BytesIO()
  Image.fromarray(rgb_u8).save(file, 'PNG')
  encoded = file.getvalue()
  return photo_files.PhotoFile(
    place, encoded, photos.read_frame(encoded, str(place))
  )


def _have_one_aspect(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
  return abs(one[1] * other[0] / (one[0] * other[1]) - 1) <= _SAME_ASPECT


def check_camera(
  camera: labels.Intrinsics, shape: tuple[int, int], place: object
) -> None:
  """Refuses intrinsics that cannot be of a photograph of this size."""
  for size, focal, middle, axis in (
    (shape[1], camera.fx, camera.cx, 'x'),
    (shape[0], camera.fy, camera.cy, 'y'),
  ):
    if not (math.isfinite(focal) and focal > 0 and math.isfinite(middle)):
      raise UserError(f'{place}: intrinsics {tuple(camera)} are no camera')
    degrees = 2 * math.degrees(math.atan(0.5 * size / focal))
    low, high = _FIELD_DEGREES
    if not (low < degrees < high and 0 < middle < size):
      raise UserError(
        f'{place}: f{axis} {focal:g} and c{axis} {middle:g} do not belong to '
        f'{size} pixels ({degrees:.0f} degrees): are the intrinsics of another '
        'size?'
      )


def count_from_centers(
  fx: float, fy: float, cx: float, cy: float
) -> labels.Intrinsics:
  """Intrinsics of files that call the first pixel's center (0, 0)."""
  return labels.Intrinsics(fx, fy, cx + 0.5, cy + 0.5)


def load_numbers(path, *counts: int) -> list[float]:
  """All numbers of a text file, with spaces, commas or lines between them.

  Raises:
    UserError: another count than one of `counts`, or what is no number.
  """
  words = ' '.join(files.load_lines(path)).replace(',', ' ').split()
  return parse_numbers(words, path, *counts)


def parse_numbers(words: Iterable, place: object, *counts: int) -> list[float]:
  """Finite numbers, as many as one of `counts`."""
  try:
    numbers = [float(word) for word in words]
  except (ValueError, TypeError) as error:
    raise UserError(f'{place}: not a number in it ({error})') from error
  if len(numbers) not in counts or not all(map(math.isfinite, numbers)):
    wanted = ' or '.join(map(str, counts))
    raise UserError(f'{place}: {len(numbers)} numbers, expected {wanted}')
  return numbers


def read_matrix(numbers: list[float]) -> tuple[float, float, float, float]:
  """fx, fy, cx and cy of 4 numbers, or of a matrix of 9, 12 or 16."""
  if len(numbers) == 4:
    return tuple(numbers)
  step = 4 if len(numbers) in (12, 16) else 3
  return numbers[0], numbers[step + 1], numbers[2], numbers[step + 2]
