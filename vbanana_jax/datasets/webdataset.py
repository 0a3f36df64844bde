"""WebDataset: tar archives whose files of one key are one example."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from vbanana_jax import labels
from vbanana_jax.data import image_formats, labeled, photos
from vbanana_jax.data.folders import Member
from vbanana_jax.datasets import (
  folder_fields,
  folder_labels,
  folder_lines,
  kinds,
  photo_files,
  tar_files,
)
from vbanana_jax.errors import UserError

# Endings without their last one -> section of `dataset.json`.
_SECTIONS = {
  'depth': 'depth',
  'normal': 'normals',
  'normals': 'normals',
  'seg': 'labels',
  'semantic': 'labels',
  'label': 'labels',
  'labels': 'labels',
  'instance': 'instances',
  'instances': 'instances',
}
_TEXTS = ('txt', 'caption')
_WORDS = ('captions', 'caption', 'text')  # keys of a .json


class WebDataset(labeled.DataSet):
  """Examples of one tar, or of all in a folder; nothing is unpacked.

  `KEY.jpg` (or another photograph) is the picture, `KEY.txt` a caption a line,
  `KEY.json` may have captions and intrinsics, `KEY.cls` the name or number of
  a class, which becomes the caption. `KEY.depth.png`, `.normals.png`,
  `.labels.png` and `.instances.png` (or .npy) are labels, whose meaning stands
  in `dataset.json` as for `folder`.

  Args:
    path: of the tar or folder.
    meaning: file in place of `dataset.json` beside the tars.

  Raises:
    UserError: no tar, a damaged one, or labels without a meaning.
  """

  def __init__(self, path, *, meaning: str = ''):
    path = pathlib.Path(path)
    archives = tar_files.find_archives(path)
    root = path if path.is_dir() else path.parent
    fields = folder_fields.load(
      root, pathlib.Path(meaning) if meaning else None
    )
    self.name = fields.name if root == path else path.stem
    self.license, self.source = fields.license, fields.source
    self.classes = fields.table and fields.table.classes
    self._fields = fields
    self.also_read = [fields.place]
    self._examples: dict[str, Mapping[str, Member]] = {}
    self._photos: dict[str, Member] = {}
    skipped: list[tuple[str, str]] = []
    for archive in archives:
      members, refused = tar_files.list_members(archive)
      skipped += refused
      for key, parts in tar_files.group_by_key(members):
        self._take(f'{archive.stem}/{key}', parts, skipped)
    self.ids = tuple(self._photos)
    self.skipped = tuple(skipped)
    self._meanings = folder_labels.Meanings(fields)
    self._meanings.check(
      section
      for name in self.ids
      for section in _find_labels(self._examples[name])
    )

  def _take(self, name: str, parts: Mapping[str, Member], skipped) -> None:
    pictures = [
      ending for ending in parts if f'.{ending}' in image_formats.SUFFIXES
    ]
    if len(pictures) != 1:
      what = 'no photograph' if not pictures else 'several photographs'
      skipped.append((name, f'{what} of this key'))
      return
    self._photos[name] = parts[pictures[0]]
    self._examples[name] = parts

  def load(self, index: int) -> labeled.LabeledPicture:
    name = self.ids[index]
    parts, member = self._examples[name], self._photos[name]
    encoded = _read(member, photos.MAX_BYTES)
    frame = photos.read_frame(encoded, member.place)
    photo = photo_files.PhotoFile(
      pathlib.PurePosixPath(member.place), encoded, frame
    )
    notes = _read_json(parts['json']) if 'json' in parts else {}
    camera = self._find_camera(notes, photo)
    found: dict[str, Any] = self._meanings.load(
      _find_labels(parts), photo, camera
    )
    if camera is not None:
      found['intrinsics'] = camera
    return labeled.LabeledPicture(
      id=name,
      file=member.place,
      encoded=encoded,
      captions=tuple(_find_captions(parts, notes)),
      **found,
    )

  def _find_camera(self, notes, photo) -> labels.Intrinsics | None:
    said = notes.get('intrinsics', self._fields.intrinsics)
    if said is None:
      return None
    if not isinstance(said, dict):
      raise UserError(f'{photo.path}: intrinsics are no object')
    folder_fields.check_camera(said, photo.path)
    folder_labels.refuse_turned(photo, photo.path)
    size = photo.frame.height, photo.frame.width
    return folder_lines.fit_camera(said, size, photo.path)


def _find_labels(parts: Mapping[str, Member]) -> dict[str, Member]:
  """Files of labels by their section."""
  found = {}
  for ending, member in parts.items():
    section = _SECTIONS.get(ending.rpartition('.')[0])
    if section and member.suffix.lower() in folder_labels.SUFFIXES[section]:
      found[section] = member
  return found


def _find_captions(parts: Mapping[str, Member], notes) -> list[str]:
  texts: list[str] = []
  for ending in _TEXTS:
    if ending in parts:
      texts += _read_text(parts[ending]).splitlines()
  for key in _WORDS:
    value = notes.get(key, [])
    values = [value] if isinstance(value, str) else value
    if isinstance(values, list):
      texts += [text for text in values if isinstance(text, str)]
  if not any(text.strip() for text in texts) and 'cls' in parts:
    name = _read_text(parts['cls']).strip().replace('_', ' ')
    texts = [] if name.isdecimal() else [name]
  cleaned = (' '.join(text.split()) for text in texts)
  return list(dict.fromkeys(filter(None, cleaned)))


def _read(member: Member, most: int) -> bytes:
  if member.size > most:
    raise UserError(
      f'{member.place}: {member.size} bytes, at most {most} taken'
    )
  return member.read_bytes()


def _read_text(member: Member) -> str:
  try:
    return _read(member, 2**20).decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise UserError(f'{member.place}: not UTF-8 text ({error})') from error


def _read_json(member: Member) -> Mapping[str, Any]:
  try:
    found = json.loads(_read_text(member))
  except (ValueError, RecursionError) as error:
    raise UserError(f'{member.place}: not valid JSON ({error})') from error
  if not isinstance(found, dict):
    raise UserError(f'{member.place}: not a JSON object')
  return found


KIND = kinds.Kind(
  about='WebDataset: *.tar of KEY.jpg, KEY.txt, KEY.json, KEY.depth.png, ...',
  example='vbanana prepare webdataset shards --out data/shards',
  open=WebDataset,
  path='the tar, or the folder of tars',
  takes_license=True,
  flags=(
    kinds.Flag(
      '--meaning', 'a dataset.json, where none lies beside the tars', ''
    ),
  ),
)
