"""Asks of every label whether it can be of its photograph.

A wrong unit, a wrong frame or a mask of another picture would train without an
error and teach nonsense.
"""

from typing import Any

import numpy as np

from vbanana_jax import labels
from vbanana_jax.data import labeled, photos, records
from vbanana_jax.errors import UserError

# Meters within which the median of a picture's depth lies, whatever it shows.
MEDIAN_M = (0.01, 1000.0)
LENGTHS = (0.9, 1.1)  # of unit normals that went through 8 bits
FACING_AWAY = -0.1  # mean z of a picture's normals, where z is to the viewer
_INTEGERS = 'iu'


def check_picture(
  picture: labeled.LabeledPicture,
  shape: tuple[int, int],
  classes: labels.Classes | None,
) -> None:
  """Checks all labels of one picture.

  Args:
    picture: with or without each label.
    shape: height and width of its upright photograph.
    classes: of its set.

  Raises:
    UserError: names the label and what is wrong, in one line.
  """
  if picture.depth_m is not None:
    _check_depth(picture.depth_m, shape)
  if picture.normals is not None:
    _check_normals(picture.normals, shape)
  if picture.semantic is not None:
    _check_semantic(picture.semantic, shape, classes)
  if picture.instance is not None:
    _check_instance(picture.instance, picture.instance_class, shape, classes)
  _check_phrases(picture.phrases, shape)
  if not all(isinstance(c, str) and c.strip() for c in picture.captions):
    raise UserError('captions: one of them is empty or no text')
  if picture.intrinsics is not None:
    _check_intrinsics(picture.intrinsics, shape)
  if picture.edit is not None:
    _check_edit(picture.edit, shape)


def _check_shape(key: str, array: Any, expected: tuple[int, ...]) -> None:
  shape = np.shape(array)
  if shape != expected:
    found = ' x '.join(map(str, (*shape[1::-1], *shape[2:])))
    wanted = ' x '.join(map(str, (*expected[1::-1], *expected[2:])))
    turned = shape[1::-1] == expected[:2] != shape[:2]
    hint = ', turned on its side' * turned
    raise UserError(f'{key}: {found} pixels{hint}, its photograph has {wanted}')


def _check_depth(depth_m, shape) -> None:
  _check_shape('depth_m', depth_m, shape)
  if depth_m.dtype.kind != 'f':
    raise UserError(f'depth_m: {depth_m.dtype}, and meters are floats')
  if (depth_m <= 0).any():
    worst = float(np.nanmin(depth_m))
    raise UserError(
      f'depth_m: {worst:g} m, and all depth is above 0: say which value means '
      'that it is not known'
    )
  known = depth_m[np.isfinite(depth_m)]
  if not known.size:
    raise UserError('depth_m: not known at any pixel')
  median = float(np.median(known))
  if not MEDIAN_M[0] <= median <= MEDIAN_M[1]:
    raise UserError(
      f'depth_m: median {median:.4g} m, expected {MEDIAN_M[0]:g} to '
      f'{MEDIAN_M[1]:g}: check the scale'
    )


def _check_normals(normals, shape) -> None:
  _check_shape('normals', normals, (*shape, 3))
  if not np.isfinite(normals).all():
    raise UserError('normals: NaN or infinite; what is not known is zero')
  length = np.linalg.norm(normals, axis=-1)
  known = length > 0
  if not known.any():
    raise UserError('normals: not known at any pixel')
  wrong = known & ((length < LENGTHS[0]) | (length > LENGTHS[1]))
  if wrong.any():
    raise UserError(
      f'normals: {wrong.sum()} of {known.sum()} have no unit length (median '
      f'{np.median(length[known]):.3g}): check the encoding'
    )
  mean_z = float(normals[known][:, 2].mean(dtype=np.float64))
  if mean_z < FACING_AWAY:
    raise UserError(
      f'normals: they face away from the viewer (mean z {mean_z:.2f}): check '
      'the frame'
    )


def _check_ids(key: str, ids, shape, most: int, what: str) -> None:
  _check_shape(key, ids, shape)
  if ids.dtype.kind not in _INTEGERS:
    raise UserError(f'{key}: {ids.dtype}, and ids are integers')
  low, high = int(ids.min()), int(ids.max())
  if low < labels.VOID or high > most:
    wrong = high if high > most else low
    raise UserError(f'{key}: id {wrong}, and {what}')
  if high == labels.VOID:
    raise UserError(f'{key}: not known at any pixel')


def _check_semantic(semantic, shape, classes) -> None:
  if classes is None:
    raise UserError('semantic: class ids, and the set has no classes')
  count = len(classes.names)
  _check_ids('semantic', semantic, shape, count - 1, f'there are {count}')


def _check_instance(instance, instance_class, shape, classes) -> None:
  if classes is None:
    if instance_class:
      raise UserError('instance_class: ids, and the set has no classes')
    most, what = np.iinfo(np.int32).max, 'that is too large'
  else:
    most = len(instance_class)
    what = f'{most} objects have a class'
  _check_ids('instance', instance, shape, most, what)
  for number in instance_class:
    if not 0 <= number < len(classes.names):
      raise UserError(
        f'instance_class: id {number}, and there are {len(classes.names)}'
      )


def _check_phrases(phrases, shape) -> None:
  for text, mask in phrases:
    if not isinstance(text, str) or not text.strip():
      raise UserError(f'phrases: {text!r} is no phrase')
    _check_shape(f'phrases: {text!r}', mask, shape)
    if mask.dtype != bool:
      raise UserError(f'phrases: {text!r}: {mask.dtype}, and masks are bool')
  if len(phrases) * shape[0] * shape[1] > records.MOST_MASK_PIXELS:
    raise UserError(
      f'phrases: {len(phrases)} masks are too many for one record'
    )


def _check_intrinsics(camera: labels.Intrinsics, shape) -> None:
  height, width = shape
  if not np.isfinite(camera).all() or min(camera.fx, camera.fy) <= 0:
    raise UserError(f'intrinsics: {tuple(camera)} are no pinhole camera')
  if not (-width < camera.cx < 2 * width and -height < camera.cy < 2 * height):
    raise UserError(
      f'intrinsics: center ({camera.cx:g}, {camera.cy:g}) far outside of '
      f'{width} x {height} pixels: check the size that they are of'
    )


def _check_edit(edit: labeled.EditedPicture, shape) -> None:
  if not edit.instruction.strip():
    raise UserError('edit: no instruction')
  after = photos.open_photo(edit.encoded, name='edit')
  _check_shape('edit', after[..., 0], shape)
