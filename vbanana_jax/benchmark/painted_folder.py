"""What a folder of painted pictures says of itself, in painted.json.

A picture does not show which weights painted it, or how. The manifest does, so
that pictures of two runs are never mixed and scores can name their painter.
Folders of other generators have none.
"""

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Iterable
from typing import Any

from vbanana_jax.benchmark.protocols import Protocol
from vbanana_jax.benchmark.questions import name_painted
from vbanana_jax.benchmark.readers import Item
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import files, paths

NAME = 'painted.json'
_SAVED_EVERY_S = 20.0  # what is painted since is painted anew after a kill
_MOST_SHOWN = 60  # characters of a setting


@dataclasses.dataclass
class Manifest:
  """Pictures of one folder, all painted in one way.

  Attributes:
    settings: what every picture depends on, by name; plain JSON.
    about: what else is to be known: run, versions, date.
    pictures: SHA-256 of each file, by its name.
  """

  settings: dict[str, Any]
  about: dict[str, Any]
  pictures: dict[str, str] = dataclasses.field(default_factory=dict)

  def find_changed(self, folder: paths.Path, names: Iterable[str]) -> list[str]:
    """Those of the listed pictures that are there, with other bytes."""
    return [
      name
      for name in names
      if name in self.pictures
      and (folder / name).is_file()
      and hash_picture((folder / name).read_bytes()) != self.pictures[name]
    ]


def load_manifest(folder: paths.Path) -> Manifest | None:
  """The manifest of a folder; None where there is none.

  Raises:
    UserError: one that cannot be read.
  """
  path = folder / NAME
  if not path.is_file():
    return None
  try:
    manifest = Manifest(**json.loads(path.read_text(encoding='utf-8')))
    if not all(isinstance(x, dict) for x in vars(manifest).values()):
      raise ValueError('settings, about and pictures are not objects')
    return manifest
  except (OSError, ValueError, TypeError) as error:
    raise UserError(
      f'{path}: not a manifest of painted pictures ({error}): remove it to '
      "score them as another generator's, or paint them anew"
    ) from error


def find_painted(
  items: tuple[Item, ...], folder: pathlib.Path, passes: int
) -> dict[str, list[pathlib.Path]]:
  """The pictures of every example that has all its passes, by id.

  Raises:
    UserError: no folder, no picture of any example, or two of one.
  """
  if not folder.is_dir():
    raise UserError(f'--predictions {folder}: no such folder')
  pictures: dict[str, pathlib.Path] = {}
  for path in sorted(folder.iterdir()):
    if path.suffix.lower() in photos.SUFFIXES:
      if path.stem in pictures:
        raise UserError(f'{path}: {pictures[path.stem].name} answers the same')
      pictures[path.stem] = path
  found = {}
  for item in items:
    names = [name_painted(item, k) for k in range(passes)]
    if all(name in pictures for name in names):
      found[item.id] = [pictures[name] for name in names]
  if not found:
    wanted = name_painted(items[0], passes - 1)
    there = 'no picture lies there'
    if pictures:
      named = min(pictures.values()).name
      there = f'its {len(pictures)} pictures have other names, as {named}'
    raise UserError(
      f'{folder}: answers no example in all of {passes} passes: {there}: a '
      f'picture is called {wanted}.png and so on; vbanana prompts lists them'
    )
  return found


def check_painted_for(
  protocol: Protocol,
  manifest: Manifest,
  folder: pathlib.Path,
) -> None:
  """Refuses pictures that answer the questions of another protocol."""
  for key in ('protocol', 'split'):
    wanted = {'protocol': protocol.name, 'split': protocol.split}[key]
    painted = manifest.settings.get(key)
    if painted != wanted:
      raise UserError(
        f'{folder} was painted for the {key} {painted} and not for {wanted} '
        f'(see {NAME} in it): name that one, or other pictures'
      )


def describe_painted(
  manifest: Manifest,
  folder: paths.Path,
  names: list[str],
) -> tuple[dict[str, Any], dict[str, int]]:
  """What a folder says of its painter, and its pictures that it does not."""
  changed = manifest.find_changed(folder, names)
  unlisted = [name for name in names if name not in manifest.pictures]
  painted = {
    **manifest.about,
    'settings': manifest.settings,
    'other_pictures': [*changed, *unlisted],
  }
  return painted, {
    'with other bytes than painted.json lists': len(changed),
    'that painted.json does not list': len(unlisted),
  }


class Painting:
  """A folder that pictures are painted into: what is there, what is new.

  Args:
    folder: of the pictures.
    manifest: of what is about to be painted, without pictures.
    names: of all pictures that it is to have.
    overwrite: whether everything is painted anew.

  Attributes:
    folder: as given.
    missing: names that are to be painted.
    spoiled: those of them that are there, but not as they were painted.

  Raises:
    UserError: the folder cannot be written, or holds pictures of these names
      that were painted in another way, or by nobody knows whom.
  """

  def __init__(
    self,
    folder: paths.Path,
    manifest: Manifest,
    names: list[str],
    *,
    overwrite: bool = False,
  ):
    files.check_folder(folder)
    self.folder, self._manifest = folder, manifest
    there = [name for name in names if (folder / name).exists()]
    before = None if overwrite else load_manifest(folder)
    if overwrite:
      there = []
    elif before is None and there:
      raise UserError(
        f'{folder} holds {there[0]} already and no {NAME} that says who '
        'painted it: choose another --out, or --overwrite'
      )
    elif before is not None:
      _check_same(folder, before.settings, manifest.settings)
      manifest.pictures = before.pictures
    changed = manifest.find_changed(folder, there)
    for name in changed:
      del manifest.pictures[name]
    sound = manifest.pictures.keys() & set(there)
    self.missing = [name for name in names if name not in sound]
    self.spoiled = [name for name in there if name not in sound]
    self._write_list()

  def write(self, name: str, encoded: bytes) -> str:
    """Writes one picture, from any thread; its digest, for `note`."""
    files.write_atomic(self.folder / name, encoded)
    return hash_picture(encoded)

  def note(self, name: str, digest: str) -> None:
    """Lists a picture that is written; saves the list now and then."""
    self._manifest.pictures[name] = digest
    if time.monotonic() - self._saved > _SAVED_EVERY_S:
      self.save()

  def save(self) -> None:
    """Writes the manifest.

    Raises:
      UserError: another process paints the folder in another way.
    """
    now = load_manifest(self.folder)
    if now is not None:
      _check_same(self.folder, now.settings, self._manifest.settings)
    self._write_list()

  def _write_list(self) -> None:
    text = json.dumps(dataclasses.asdict(self._manifest), indent=1)
    files.write_atomic(self.folder / NAME, (text + '\n').encode())
    self._saved = time.monotonic()


def hash_picture(encoded: bytes) -> str:
  """SHA-256 of a file's bytes."""
  return hashlib.sha256(encoded).hexdigest()


def _check_same(
  folder: paths.Path, there: dict[str, Any], here: dict[str, Any]
) -> None:
  names = [
    name
    for name in dict.fromkeys((*there, *here))
    if there.get(name) != here.get(name)
  ]
  if names:
    text = '; '.join(
      f'{name} {_show(there.get(name))} there and {_show(here.get(name))} here'
      for name in names
    )
    raise UserError(
      f'{folder} holds pictures that were painted in another way ({text}): '
      'choose another --out, or --overwrite to paint them anew'
    )


def _show(value: Any) -> str:
  text = str(value)
  return text if len(text) <= _MOST_SHOWN else f'{text[: _MOST_SHOWN - 3]}...'
