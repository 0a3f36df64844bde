"""What the data sets of photographs in folders share."""

import abc
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base
from vbanana_jax.data.labeled import DataSet, LabeledPicture
from vbanana_jax.datasets import photo_files
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths


class Entry(NamedTuple):
  """A photograph of a set.

  Attributes:
    id: unique in the set.
    image: path of its file inside the folder, with forward slashes.
    found: what the kind knows of its labels before they are read.
  """

  id: str
  image: str
  found: Any = None


class PhotoSet(DataSet):
  """A `DataSet` of photographs that are files of one folder.

  A kind fills the class variables, calls `_set_entries` and writes
  `_load_labels`.

  Attributes:
    name, license, source: as of `DataSet`.
    root: the folder.
    classes: as of `DataSet`.
    notes, ids: likewise.
    files: of each id, the path of its photograph in the folder.
  """

  name: ClassVar[str]
  license: ClassVar[str]
  source: ClassVar[str]

  def __init__(self, root: str | paths.Path):
    self.root = paths.to_path(root)
    if self.root.is_file():
      raise UserError(
        f'{self.root}: a file, and this kind reads a folder: unpack an archive '
        f'(tar -xf {self.root.name}, unzip {self.root.name}) and name the '
        'folder; the kind webdataset reads *.tar in place'
      )
    if not self.root.is_dir():
      raise UserError(f'{self.root}: no such folder')
    self.classes: labels.Classes | None = None
    self.notes: list[str] = []
    self.entries: tuple[Entry, ...] = ()
    self.ids: list[str] = []
    self.files: list[str] = []

  def load(self, index: int) -> LabeledPicture:
    entry = self.entries[index]
    photo = self._load_photo(entry)
    return LabeledPicture(
      id=entry.id,
      file=entry.image,
      encoded=photo.encoded,
      **self._load_labels(entry, photo),
    )

  def _load_photo(self, entry: Entry) -> photo_files.PhotoFile:
    """The photograph as it came; a kind without files makes one."""
    return photo_files.load_photo(self.root / entry.image)

  @abc.abstractmethod
  def _load_labels(
    self, entry: Entry, photo: photo_files.PhotoFile
  ) -> dict[str, Any]:
    """Fields of `LabeledPicture`, upright; threads may call this at once."""

  def _set_entries(self, entries: Iterable[Entry], place: object) -> None:
    """Takes the set's photographs; none, or an id twice, is refused."""
    self.entries = tuple(entries)
    self.ids = [entry.id for entry in self.entries]
    self.files = [entry.image for entry in self.entries]
    seen = set()
    for each in self.ids:
      if each in seen:
        raise UserError(f'{place}: two pictures are called {each}')
      seen.add(each)
    if not self.entries:
      raise UserError(f'{place}: lists no picture: is the folder complete?')

  def _require(self, names: Iterable[str]) -> None:
    """Refuses a folder where some of its listed files do not exist."""
    names = list(names)
    absent = [name for name in names if not (self.root / name).is_file()]
    if absent:
      raise UserError(
        f'{self.root / absent[0]}: no such file ({len(absent)} of the '
        f'{len(names)} listed are missing)'
      )

  def _find_split(self, split: str, known: Sequence[str], flag='split') -> str:
    if split not in known:
      raise UserError(
        f'--{flag}: {self.name} has no {split!r}: choose of {", ".join(known)}'
      )
    return split


def check_layout(
  root: pathlib.Path, layout: Sequence[str], name: str, source: str
) -> None:
  """Refuses a folder that lacks a path or glob of a layout."""
  missing = base.find_missing(root, layout, '')
  if missing:
    raise UserError(
      f'{root}: not a whole {name} folder, there is no {", ".join(missing)}: '
      f'get it from {source}'
    )
