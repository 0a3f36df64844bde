"""Pictures that are no photographs: label maps, masks and depth maps."""

import collections
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vbanana_jax.data import image_formats, photos
from vbanana_jax.data.folders import Member
from vbanana_jax.errors import UserError

# What data sets call folders and files of labels; some join it to a split.
_WORDS = {
  'ann', 'anno', 'annos', 'annot', 'annotation', 'annotations', 'depth',
  'depths', 'disparity', 'groundtruth', 'gt', 'instance', 'instances', 'label',
  'labeled', 'labelled', 'labels', 'mask', 'masks', 'matte', 'normal',
  'normals', 'panoptic', 'parsing', 'seg', 'segm', 'segmentation',
  'segmentations', 'semantic', 'semantics', 'stuffthingmaps', 'trimap',
  'trimaps',
}  # fmt: skip
_JOINED = ('annot', 'annotations', 'labels', 'masks')
# At the end of a file's name, beside a word above or of the photograph's.
_TAILS = {'color', 'colour', 'fine', 'coarse', 'ids', 'id', 'train', 'l'}
_PHOTO_TAILS = {'leftimg8bit', 'rgb', 'image', 'img', 'sat', 'im', 'photo'}
_TOKEN = re.compile(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^A-Za-z\d_\-. ]+')
_FEW_LEVELS = 32
_FLAT = 0.8  # of neighbors, that are equal; photographs have less than half
_LOSSLESS = ('PNG', 'TIFF', 'BMP', 'DIB', 'GIF')
_SAMPLES = 5
_PAIRED = 0.9


class Looks(NamedTuple):
  """What the pixels of a picture say of it.

  Attributes:
    is_map: stored as photographs hardly are: 16-bit grey, or a palette or grey
      of few levels.
    is_flat: most neighbors are equal, as in a drawing.
  """

  is_map: bool
  is_flat: bool


class _Group(NamedTuple):
  """Pictures of one folder whose names end alike."""

  folder: str
  tail: str
  suffix: str


def find_label_maps(members: Sequence[Member]) -> dict[str, list[Member]]:
  """Pictures that are probably labels, by the pattern that tells them apart.

  Of every folder and ending of names a few are looked at. Counted as labels
  are 16-bit grey, and palettes and grey of few levels; drawings in color
  whose name says labels or that stand beside a photograph of their name; and
  all others whose name says labels and that do stand beside one.
  """
  groups = collections.defaultdict(list)
  for member in members:
    groups[_get_group(member.name)].append(member)
  looks = {group: _look_at(found) for group, found in groups.items()}
  named = {group: _names_labels(group) for group in groups}
  photographs = {
    _get_photo_stem(member.name)
    for group, found in groups.items()
    if not (named[group] or looks[group].is_map or looks[group].is_flat)
    for member in found
  }
  patterns = collections.defaultdict(list)
  for group, found in groups.items():
    paired = [_get_photo_stem(m.name) in photographs for m in found]
    is_paired = sum(paired) >= _PAIRED * len(found)
    if looks[group].is_map or (
      (named[group] or is_paired)
      if looks[group].is_flat
      else (named[group] and is_paired)
    ):
      patterns[_get_pattern(group, groups)].extend(found)
  return dict(patterns)


def look(encoded: bytes) -> Looks | None:
  """What the pixels say; None where one level only, or damage, says nothing."""
  try:
    with image_formats.open_image(encoded) as image:
      if image.format not in _LOSSLESS:
        return Looks(False, False)
      if image.mode.startswith(('I', 'F')):
        return Looks(True, False)
      if image.width * image.height > photos.MAX_PIXELS:
        return None
      is_single = image.mode in ('1', 'P', 'L')
      pixels = np.asarray(image if is_single else image.convert('RGB'))
  except Exception:  # Pillow's readers raise nearly every kind; told later
    return None
  levels = np.atleast_3d(pixels).astype(np.uint32) @ np.array(
    [1, 256, 65536][: np.atleast_3d(pixels).shape[-1]], np.uint32
  )
  count = len(np.unique(levels))
  if count < 2:
    return None
  is_flat = float((levels[:, 1:] == levels[:, :-1]).mean()) >= _FLAT
  return Looks(is_single and count <= _FEW_LEVELS, is_flat)


def _look_at(members: Sequence[Member]) -> Looks:
  """What most of a few members are."""
  found = []
  for at in np.unique(np.linspace(0, len(members) - 1, _SAMPLES).astype(int)):
    try:
      seen = look(members[at].read(photos.MAX_BYTES))
    except UserError:  # told when all are read
      continue
    if seen == Looks(False, False):  # one photograph tells the folder
      return seen
    if seen is not None:
      found.append(seen)
  if not found:
    return Looks(False, False)
  return Looks(
    *(sum(values) > len(found) / 2 for values in zip(*found, strict=True))
  )


def _get_group(name: str) -> _Group:
  folder, file = posixpath.split(name)
  stem, suffix = posixpath.splitext(file)
  is_labels = stem.lower() in _WORDS  # of a folder for each scene
  tail = stem if is_labels else stem[len(_cut_tail(stem)) :]
  return _Group(folder, tail, suffix.lower())


def _get_photo_stem(name: str) -> str:
  """What a photograph and its labels have in common, in lower case."""
  stem = posixpath.splitext(posixpath.basename(name))[0]
  return _cut_tail(stem, _PHOTO_TAILS).lower()


def _cut_tail(stem: str, more: set[str] = frozenset()) -> str:
  """A stem without the words of labels at its end."""
  kept = stem
  for match in reversed(list(re.finditer(r'[_\-. ]', stem))):
    tail = kept[match.end() :]
    words = [word.lower() for word in _TOKEN.findall(tail)]
    if not tail or not (
      tail.lower() in more or all(w in _WORDS | _TAILS for w in words)
    ):
      break
    kept = kept[: match.start()]
  return kept


def _names_labels(group: _Group) -> bool:
  parts = [*group.folder.split('/'), group.tail]
  return any(_is_label_name(part) for part in parts)


def _is_label_name(name: str) -> bool:
  words = [word.lower() for word in _TOKEN.findall(name)]
  return any(word in _WORDS or word.endswith(_JOINED) for word in words)


def _get_pattern(group: _Group, groups: Sequence[_Group]) -> str:
  """A pattern of `selection` that takes these pictures and no photographs."""
  for part in group.folder.split('/'):
    if _is_label_name(part):
      return part
  if group.tail:
    return f'*{group.tail}{group.suffix}'
  siblings = list(_find_siblings(group, groups))
  if siblings and all(other.suffix != group.suffix for other in siblings):
    return f'{group.folder}/*{group.suffix}'.removeprefix('/')
  return group.folder or '*'


def _find_siblings(group, groups) -> Iterator[_Group]:
  return (
    other for other in groups if other.folder == group.folder and other != group
  )
