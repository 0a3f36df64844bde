"""A folder or zip of photographs, with or without captions."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from vbanana_jax.data import (
  captions,
  folders,
  labeled,
  photo_folder,
  photos,
  prepare,
  selection,
)
from vbanana_jax.data.prepare_pictures import Limits
from vbanana_jax.datasets import kinds
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths


class ImageFolder(labeled.DataSet):
  """Photographs by their names' endings; captions as `captions.Captions`.

  Where nothing describes any picture, all are kept without one. A zip is read
  in place.

  Args:
    path: folder or zip.
    caption: of pictures that nothing else describes.
    allow_unmatched: take what matches where many captions and pictures do not.
    chosen: which pictures are meant.
    max_bytes: of a file, before it is opened.

  Raises:
    UserError: captions cannot be read or do not match the pictures, or there
      are label maps or several splits and `chosen` does not say which.
  """

  def __init__(
    self,
    path: str | os.PathLike,
    *,
    caption: str | None = None,
    allow_unmatched: bool = False,
    chosen: selection.Selection = selection.TAKE_PHOTOGRAPHS,
    max_bytes: int = photos.MAX_BYTES,
  ):
    path = paths.to_path(path)
    self.name, self.source = path.stem, path.name
    self._max_bytes = max_bytes
    self._listing = folders.list_members(path)
    try:
      self._read(path, caption, allow_unmatched, chosen)
    except BaseException:
      self.close()
      raise

  def _read(self, path, caption, allow_unmatched, chosen) -> None:
    listing = self._listing
    members = {m.name: m for m in listing.members if not _is_hidden(m.name)}
    pictures = [
      m for m in members.values() if _suffix(m.name) in photos.SUFFIXES
    ]
    wanted = chosen.choose(pictures, str(path))
    self._members = {member.name: member for member in wanted}
    self.ids = tuple(self._members)
    texts = captions.Captions(members, caption, self.ids)
    chosen.check_splits(texts.splits, str(path))
    notes = [*texts.check_matches(allow_unmatched), texts.describe()]
    if len(pictures) > len(wanted):
      notes.append(f'{len(pictures) - len(wanted)} pictures are not chosen')
    self.notes = tuple(notes)
    self.skipped = tuple(_find_skipped(listing))
    self._texts, self._is_wordless = texts, texts.is_empty

  def load(self, index: int) -> labeled.LabeledPicture:
    name = self.ids[index]
    caption = self._texts[name]
    if caption is None and not self._is_wordless:
      raise UserError(
        'no caption: give a metadata.csv, a name.txt, a class folder or '
        '--caption'
      )
    # What a zip declares may be false; one byte over the cap tells.
    encoded = self._members[name].read(self._max_bytes + 1)
    words = (caption,) if caption else ()
    return labeled.LabeledPicture(name, name, encoded, captions=words)

  def close(self) -> None:
    self._listing.__exit__()


def _find_skipped(listing: folders.Listing) -> Iterator[tuple[str, str]]:
  yield from listing.refused
  for member in listing.members:
    if _is_hidden(member.name):
      yield member.name, "a system's own file"
    elif _suffix(member.name) not in photos.SUFFIXES:
      if not captions.is_caption_file(member.name):
        yield member.name, 'not a picture suffix'


def _suffix(name: str) -> str:
  return pathlib.PurePosixPath(name).suffix.lower()


def _is_hidden(name: str) -> bool:
  return any(map(photo_folder.is_hidden, name.split('/')))


def open_image_folder(
  path: paths.Path,
  *,
  caption: str | None,
  include: tuple[str, ...],
  exclude: tuple[str, ...],
  all: bool,
  allow_unmatched: bool,
) -> ImageFolder:
  """The data set of the command line's flags."""
  return ImageFolder(
    path,
    caption=caption,
    allow_unmatched=allow_unmatched,
    chosen=selection.Selection(include, exclude, all),
  )


def prepare_images(
  path: str | os.PathLike,
  out: str | os.PathLike,
  *,
  limits: Limits | None = None,
  **options: Any,
) -> dict[str, Any]:
  """Writes a folder or zip of photographs as records; returns the manifest.

  Args:
    path: as of `ImageFolder`.
    out: folder to make.
    limits: what is left out; by default any number may be bad.
    **options: of `ImageFolder`.

  Raises:
    UserError: as of `ImageFolder` and `prepare.prepare_dataset`.
  """
  limits = limits or Limits(most_bad=KIND.most_bad)
  images = ImageFolder(path, max_bytes=limits.max_bytes, **options)
  with contextlib.closing(images):
    return prepare.prepare_dataset(
      images, out, inputs=[path], options=options, limits=limits
    )


KIND = kinds.Kind(
  about='photographs: class folders, name.txt, metadata.csv or .jsonl',
  example='vbanana prepare image_folder photos.zip --out data/photos',
  open=open_image_folder,
  path='the folder or zip',
  most_bad='100 percent',
  takes_license=True,
  flags=(
    kinds.Flag(
      '--caption', 'of pictures that neither folder nor file describes'
    ),
    kinds.Flag(
      '--include',
      'take only these, as in --include train; may be given again',
      repeats=True,
    ),
    kinds.Flag(
      '--exclude',
      "leave these out, as in --exclude '*_mask.png'; may be given again",
      repeats=True,
    ),
    kinds.Flag(
      '--all',
      'take what looks like label maps, and splits side by side, too',
      is_switch=True,
    ),
    kinds.Flag(
      '--allow-unmatched',
      'go on where many captions name no picture or pictures have none',
      is_switch=True,
    ),
  ),
)
