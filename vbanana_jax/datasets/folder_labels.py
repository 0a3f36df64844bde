"""Files of labels, read as `dataset.json` says."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base
from vbanana_jax.data.folders import Member
from vbanana_jax.datasets import (
  folder_fields,
  instance_maps,
  label_pictures,
  map_files,
  photo_files,
)
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths as paths_lib

# Endings of the files of each section.
SUFFIXES = {
  'depth': map_files.SUFFIXES,
  'normals': ('.png', '.npy'),
  'labels': ('.png',),
  'instances': map_files.SUFFIXES,
}


class Meanings:
  """From files to labels.

  Args:
    fields: what their values mean.
  """

  def __init__(self, fields: folder_fields.Fields):
    self._fields = fields

  def check(self, there: Iterable[str]) -> None:
    """Refuses labels whose values nothing says the meaning of.

    Args:
      there: sections of `dataset.json` that have files.

    Raises:
      UserError: names what is to be written.
    """
    there = set(there)
    fields, example = self._fields, {
      'depth': '"depth": {"unit": "mm", "invalid": 0}',
      'normals': '"normals": {"x": "right", "y": "up", "z": "viewer"}',
      'labels': '"classes": ["sky", "road"]',
    }  # fmt: skip
    said = {
      'depth': fields.depth, 'normals': fields.normals, 'labels': fields.table
    }  # fmt: skip
    for key, meaning in said.items():
      if key in there and meaning is None:
        raise UserError(
          f'{fields.place}: does not say what {fields.patterns[key].folder}/ '
          f'holds: write {example[key]}'
        )
    if 'instances' in there and fields.table is not None:
      if not fields.table.classes.things:
        raise UserError(
          f'{fields.place}: no class has "thing": true, and instances/ holds '
          'objects: say of which classes objects are told apart'
        )

  def load(
    self,
    paths: Mapping[str, paths_lib.Path | Member],
    photo: photo_files.PhotoFile,
    camera: labels.Intrinsics | None,
  ) -> dict[str, Any]:
    """Fields of a `LabeledPicture`.

    Args:
      paths: of files by their section.
      photo: that they belong to.
      camera: of the photograph.

    Raises:
      UserError: names the file and what is wrong with it.
    """
    found = {}
    if 'depth' in paths:
      found['depth_m'] = self._load_depth(paths['depth'], photo, camera)
    if 'normals' in paths:
      found['normals'] = self._load_normals(paths['normals'], photo)
    if 'labels' in paths:
      found['semantic'] = self._load_semantic(paths['labels'], photo)
    if 'instances' in paths:
      found |= self._load_objects(
        paths['instances'], photo, found.get('semantic')
      )
    if 'depth_m' in found and 'normals' in found:
      depth_m = found['depth_m']
      known_m = np.where(np.isfinite(depth_m), depth_m, 0)
      base.check_mirrored(found['normals'], known_m, paths['normals'])
    return found

  def _load_depth(self, path, photo, camera):
    depth = self._fields.depth
    values = photo.fit(map_files.load_values(path), path)
    # A quotient: 1000 has more exact parts than 0.001 has multiples.
    depth_m = (values / (1 / depth.meters)).astype(np.float32)
    depth_m[np.isin(values, depth.invalid) | ~np.isfinite(values)] = np.nan
    depth_m[np.isin(values, depth.sky)] = np.inf
    if depth.along_ray:
      if camera is None:
        raise UserError(
          f'{path}: depth along the ray needs intrinsics in '
          f'{folder_fields.NAME}'
        )
      depth_m /= _measure_rays(camera, depth_m.shape)
    return depth_m

  def _load_normals(self, path, photo):
    refuse_turned(photo, path)
    normals = self._fields.normals
    vectors = map_files.load_vectors(path, normals.invalid)
    vectors = photo.fit(vectors * np.float32(normals.signs), path)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    is_unit = np.abs(length - 1) < 0.1  # the rest is told when it is checked
    return np.where(is_unit, vectors / np.maximum(length, 0.5), vectors)

  def _load_semantic(self, path, photo):
    ids = label_pictures.load_semantic(path, self._fields.table, None)
    return photo.fit(ids, path)

  def _load_objects(self, path, photo, semantic):
    values = photo.fit(map_files.load_values(path).astype(np.int64), path)
    rule, table = self._fields.instances, self._fields.table
    keys = np.where(np.isin(values, rule.void), labels.VOID, values)
    if table is None:
      numbers = dict.fromkeys(np.unique(keys).tolist(), 0)
      return {**instance_maps.number(keys, numbers), 'instance_class': ()}
    class_of: dict[int, int] = {}
    for key in np.unique(keys[keys > 0]).tolist():
      if rule.divisor:
        kind = table.values.get(key // rule.divisor, labels.VOID)
      elif semantic is None:
        raise UserError(f'{path}: objects without labels/ have no class')
      else:
        kind = _find_most(semantic[keys == key])
      if kind in table.classes.things:
        class_of[key] = kind
      elif kind == labels.VOID:
        keys[keys == key] = labels.VOID
    return instance_maps.number(keys, class_of)


def refuse_turned(photo: photo_files.PhotoFile, path: object) -> None:
  """Raises UserError for a photograph that EXIF turns."""
  if photo.frame.turn is not None:
    raise UserError(
      f'{path}: {photo.path.name} is turned by its EXIF data, and normals and '
      'intrinsics are not: save it upright'
    )


def _find_most(kinds_seen: np.ndarray) -> int:
  """The class of most pixels that have one."""
  known = kinds_seen[kinds_seen != labels.VOID]
  return int(np.bincount(known).argmax()) if known.size else labels.VOID


def _measure_rays(camera: labels.Intrinsics, shape) -> np.ndarray:
  """Meters along each pixel's ray for a meter along the axis."""
  y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
  steps = (x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy
  return np.sqrt(1 + steps[0] ** 2 + steps[1] ** 2).astype(np.float32)
