"""A folder of one's own: photographs, labels, and `dataset.json`."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vbanana_jax import labels
from vbanana_jax.data import image_formats, photo_folder
from vbanana_jax.datasets import (
  folder_fields,
  folder_lines,
  folder_splits,
  instance_maps,
  kinds,
  label_pictures,
  map_files,
  photo_files,
  photo_set,
)
from vbanana_jax.errors import UserError

_NAMED = 3
_SUFFIXES = {
  'depth': map_files.SUFFIXES,
  'normals': ('.png', '.npy'),
  'labels': ('.png',),
  'instances': map_files.SUFFIXES,
}


class LabeledFolder(photo_set.PhotoSet):
  """Photographs in images/, and what depth/, normals/, labels/ and so on say.

  A label is that of the photograph with its name, whatever their endings. What
  the values mean stands in `dataset.json`; docs/labeled_data.md has all of it.

  Args:
    root: the folder.
    split: one of those in `dataset.json`, or 'all'.

  Raises:
    UserError: a field that is missing or not understood, an unknown split, or
      labels none of which belongs to a photograph.
  """

  name = ''
  license = ''
  source = ''

  def __init__(self, root, *, split: str = ''):
    super().__init__(root)
    fields = folder_fields.load(self.root)
    self._fields = fields
    self.name = fields.name + (f' {split}' if split else '')
    self.license, self.source = fields.license, fields.source
    pictures = _list_files(
      self.root, fields.places['images'], image_formats.SUFFIXES
    )
    if not pictures:
      raise UserError(
        f'{self.root / fields.places["images"].folder}: no photograph there'
      )
    self._maps = {
      key: _list_files(self.root, fields.places[key], suffixes)
      for key, suffixes in _SUFFIXES.items()
    }
    self._lines = folder_lines.load(self.root, pictures)
    self._cameras = folder_lines.load_cameras(
      self.root, fields.intrinsics, pictures
    )
    self._check_meanings()
    self.skipped = tuple(self._find_strangers(pictures))
    chosen = folder_splits.choose(fields, list(pictures), split)
    self._set_entries(
      (photo_set.Entry(stem, pictures[stem]) for stem in chosen), self.root
    )
    if fields.table is not None:
      self.classes = fields.table.classes
      self.notes += fields.table.describe()
    self.notes += self._lines.notes
    for key, found in self._maps.items():
      missing = [stem for stem in chosen if stem not in found] if found else []
      if missing:
        self.notes.append(
          f'{len(missing)} of {len(chosen)} pictures have none in {key}/'
        )

  def _load_labels(
    self, entry: photo_set.Entry, photo: photo_files.PhotoFile
  ) -> dict[str, Any]:
    found: dict[str, Any] = dict(self._lines.find(entry.id, photo))
    camera = self._find_camera(entry.id, photo)
    if camera is not None:
      found['intrinsics'] = camera
    paths = {
      key: self.root / names[entry.id]
      for key, names in self._maps.items()
      if entry.id in names
    }
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
    _refuse_turned(photo, path)
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

  def _find_camera(self, stem, photo) -> labels.Intrinsics | None:
    found = self._cameras(stem)
    if found is None:
      return None
    _refuse_turned(photo, photo.path)
    return folder_lines.fit_camera(
      found, (photo.frame.height, photo.frame.width), photo.path
    )

  def _check_meanings(self) -> None:
    """Refuses labels whose values nothing says the meaning of."""
    fields, example = self._fields, {
      'depth': '"depth": {"unit": "mm", "invalid": 0}',
      'normals': '"normals": {"x": "right", "y": "up", "z": "viewer"}',
      'labels': '"classes": ["sky", "road"]',
    }  # fmt: skip
    said = {
      'depth': fields.depth, 'normals': fields.normals, 'labels': fields.table
    }  # fmt: skip
    for key, meaning in said.items():
      if self._maps[key] and meaning is None:
        raise UserError(
          f'{fields.place}: does not say what {fields.places[key].folder}/ '
          f'holds: write {example[key]}'
        )
    if self._maps['instances'] and fields.table is not None:
      if not fields.table.classes.things:
        raise UserError(
          f'{fields.place}: no class has "thing": true, and instances/ holds '
          'objects: say of which classes objects are told apart'
        )

  def _find_strangers(self, pictures) -> Iterator[tuple[str, str]]:
    """Files of labels that belong to no photograph."""
    for key, names in self._maps.items():
      strangers = [name for stem, name in names.items() if stem not in pictures]
      if names and len(strangers) == len(names):
        shown = ', '.join(strangers[:_NAMED])
        raise UserError(
          f'{self.root}: no photograph has the name of any of {len(names)} '
          f'files in {self._fields.places[key].folder}/ ({shown}), as '
          f'{next(iter(pictures.values()))}: say what their names have more '
          f'with "{key}": {{"suffix": "_depth"}} in {folder_fields.NAME}'
        )
      yield from ((name, 'no photograph of this name') for name in strangers)


def _list_files(
  root: pathlib.Path, place: folder_fields.Place, suffixes: tuple[str, ...]
) -> Mapping[str, str]:
  """Names inside `root` by stems inside the place, without its suffix."""
  found: dict[str, str] = {}
  folder = root / place.folder
  for path in sorted(folder.rglob('*')):
    inside = path.relative_to(folder)
    if any(map(photo_folder.is_hidden, inside.parts)) or path.is_symlink():
      continue
    if path.suffix.lower() not in suffixes or not path.is_file():
      continue
    stem = inside.with_suffix('').as_posix()
    if not stem.endswith(place.suffix):
      continue
    stem = stem.removesuffix(place.suffix)
    name = path.relative_to(root).as_posix()
    if stem in found:
      raise UserError(
        f'{root}: {found[stem]} and {name} have one name: keep one of them'
      )
    found[stem] = name
  return found


def _find_most(kinds_seen: np.ndarray) -> int:
  """The class of most pixels that have one."""
  known = kinds_seen[kinds_seen != labels.VOID]
  return int(np.bincount(known).argmax()) if known.size else labels.VOID


def _measure_rays(camera: labels.Intrinsics, shape) -> np.ndarray:
  """Meters along each pixel's ray for a meter along the axis."""
  y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
  steps = (x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy
  return np.sqrt(1 + steps[0] ** 2 + steps[1] ** 2).astype(np.float32)


def _refuse_turned(photo: photo_files.PhotoFile, path) -> None:
  if photo.frame.turn is not None:
    raise UserError(
      f'{path}: {photo.path.name} is turned by its EXIF data, and normals and '
      'intrinsics are not: save it upright'
    )


KIND = kinds.Kind(
  about='a folder of your own: images, depth, normals, labels, captions, ...',
  example='vbanana prepare folder office --split train --out data/office',
  open=LabeledFolder,
  flags=(
    kinds.Flag('--split', f'one of those in {folder_fields.NAME}, or all', ''),
  ),
)
