"""A folder of one's own: photographs, labels, and `dataset.json`."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from vbanana_jax import labels
from vbanana_jax.data import image_formats, photo_folder
from vbanana_jax.datasets import (
  folder_fields,
  folder_labels,
  folder_lines,
  folder_splits,
  kinds,
  photo_files,
  photo_set,
)
from vbanana_jax.errors import UserError

_NAMED = 3


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
      self.root, fields.patterns['images'], image_formats.SUFFIXES
    )
    if not pictures:
      raise UserError(
        f'{self.root / fields.patterns["images"].folder}: no photograph there'
      )
    self._maps = {
      key: _list_files(self.root, fields.patterns[key], suffixes)
      for key, suffixes in folder_labels.SUFFIXES.items()
    }
    self._lines = folder_lines.load(self.root, pictures)
    self._cameras = folder_lines.load_cameras(
      self.root, fields.intrinsics, pictures
    )
    self._meanings = folder_labels.Meanings(fields)
    self._meanings.check(key for key, found in self._maps.items() if found)
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
    return found | self._meanings.load(paths, photo, camera)

  def _find_camera(self, stem, photo) -> labels.Intrinsics | None:
    found = self._cameras(stem)
    if found is None:
      return None
    folder_labels.refuse_turned(photo, photo.path)
    return folder_lines.fit_camera(
      found, (photo.frame.height, photo.frame.width), photo.path
    )

  def _find_strangers(self, pictures) -> Iterator[tuple[str, str]]:
    """Files of labels that belong to no photograph."""
    for key, names in self._maps.items():
      strangers = [name for stem, name in names.items() if stem not in pictures]
      if names and len(strangers) == len(names):
        shown = ', '.join(strangers[:_NAMED])
        raise UserError(
          f'{self.root}: no photograph has the name of any of {len(names)} '
          f'files in {self._fields.patterns[key].folder}/ ({shown}), as '
          f'{next(iter(pictures.values()))}: say what their names have more '
          f'with "{key}": {{"suffix": "_depth"}} in {folder_fields.NAME}'
        )
      yield from ((name, 'no photograph of this name') for name in strangers)


def _list_files(
  root: pathlib.Path,
  pattern: folder_fields.FilePattern,
  suffixes: tuple[str, ...],
) -> Mapping[str, str]:
  """Names inside `root` of files of a pattern, by stems without its suffix."""
  found: dict[str, str] = {}
  folder = root / pattern.folder
  for path in sorted(folder.rglob('*')):
    inside = path.relative_to(folder)
    if any(map(photo_folder.is_hidden, inside.parts)) or path.is_symlink():
      continue
    if path.suffix.lower() not in suffixes or not path.is_file():
      continue
    stem = inside.with_suffix('').as_posix()
    if not stem.endswith(pattern.suffix):
      continue
    stem = stem.removesuffix(pattern.suffix)
    name = path.relative_to(root).as_posix()
    if stem in found:
      raise UserError(
        f'{root}: {found[stem]} and {name} have one name: keep one of them'
      )
    found[stem] = name
  return found


KIND = kinds.Kind(
  about='a folder of your own: images, depth, normals, labels, captions, ...',
  example='vbanana prepare folder office --split train --out data/office',
  open=LabeledFolder,
  takes_license=True,
  flags=(
    kinds.Flag('--split', f'one of those in {folder_fields.NAME}, or all', ''),
  ),
)
