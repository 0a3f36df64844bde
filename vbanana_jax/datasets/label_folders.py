"""Photographs in one folder, pictures of class labels in another, as CamVid."""

import collections
import posixpath
from typing import Any, ClassVar

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.data import image_formats, photo_folder
from vbanana_jax.datasets import (
  class_files,
  class_tables,
  kinds,
  label_pictures,
  photo_set,
)
from vbanana_jax.errors import UserError

_TABLES = (
  'classes.txt', 'classes.json', 'classes.csv', 'labels.json', 'labels.txt',
  'class_names.txt', 'class_dict.csv', 'label_colors.txt', 'labelmap.txt',
)  # fmt: skip
_PLACES = ('{split}/{part}', '{part}/{split}', '{part}')
_SHOWN = 3
_TRIED = 50  # pictures, for the ending of their labels


class LabelFolders(photo_set.PhotoSet):
  """One class a pixel: `images/NAME.jpg` and `labels/NAME.png`.

  With a split the folders are looked for as SPLIT/images, images/SPLIT, and
  images with the names of SPLIT.txt, in this order. Label pictures are PNG:
  numbers, a palette, or colors of the table of classes.
  """

  name: ClassVar[str] = 'label folders'
  license: ClassVar[str] = ''
  source: ClassVar[str] = ''

  def __init__(
    self, root, *, split='', images='images', labels='labels',
    label_suffix='', classes='', ignore=(),
  ):  # fmt: skip
    super().__init__(root)
    self.name = self.root.resolve().name + (f' {split}' if split else '')
    rows, place = self._load_table(classes)
    self._table = class_tables.make_table(rows, place, ignore=ignore)
    self.classes = self._table.classes
    self.notes += self._table.describe()
    photos, truths, listed = self._find_folders(split, images, labels)
    pictures = self._list_files(photos, image_formats.SUFFIXES)
    found = self._list_files(truths, ('.png',))
    wanted = listed and {_cut(name) for name in listed}
    pairs = []
    for stem in sorted(pictures.keys() if wanted is None else wanted):
      truth = found.get(stem + label_suffix)
      if truth is None or stem not in pictures:
        continue
      pairs.append(
        photo_set.Entry(base.make_id(*stem.split('/')), pictures[stem], truth)
      )
    self._check_pairs(pairs, pictures, found, wanted, (photos, truths))
    self._set_entries(pairs, self.root / photos)

  def _load_table(self, classes: str):
    path = class_files.find_table(self.root, _TABLES, classes)
    if path is None:
      raise UserError(
        f'{self.root}: no table of classes: write classes.txt with a name a '
        'line, in the order of the labels, or "r g b name" for colors'
      )
    return class_files.load_rows(path), str(path)

  def _find_folders(self, split, images, labels):
    """Folders of photographs and labels, and the names of the split if any."""
    listed = self.root / f'{split}.txt'
    for place in _PLACES if split else _PLACES[-1:]:
      photos, truths = (
        posixpath.normpath(place.format(split=split, part=part))
        for part in (images, labels)
      )
      both = all((self.root / each).is_dir() for each in (photos, truths))
      if (both and '{split}' in place) or (both and not split):
        return photos, truths, None
      if both and listed.is_file():
        names = files.load_lines(listed)
        return photos, truths, [base.check_name(x, listed) for x in names]
    if not split:
      found = sorted(x.parent.name for x in self.root.glob(f'*/{images}'))
      remedy = f'choose of --split {", ".join(found)}' if found else (
        'name them with --images and --labels'
      )  # fmt: skip
      raise UserError(f'{self.root}: no {images}/ and {labels}/: {remedy}')
    raise UserError(
      f'--split {split}: none of {split}/{images}, {images}/{split} and '
      f'{split}.txt is in {self.root}, with its labels'
    )

  def _list_files(self, folder: str, suffixes) -> dict[str, str]:
    """Paths by what is left of them without the folder and the suffix."""
    found: dict[str, str] = {}
    for path in sorted((self.root / folder).rglob('*')):
      name = path.relative_to(self.root).as_posix()
      if path.suffix.lower() not in suffixes or photo_folder.is_hidden(
        path.name
      ):
        continue
      stem = _cut(path.relative_to(self.root / folder).as_posix())
      if stem in found:
        raise UserError(
          f'{self.root}: {found[stem]} and {name} differ in their ending '
          'alone: which has the labels? Move the other away'
        )
      found[stem] = name
    return found

  def _check_pairs(self, pairs, pictures, found, wanted, folders) -> None:
    """Says what is left without a partner; refuses if that is most."""
    expected = len(pictures) if wanted is None else len(wanted)
    alone = expected - len(pairs)
    photos, truths = folders
    if alone > expected // 2:
      endings = collections.Counter(
        truth[len(stem) :]
        for stem in sorted(pictures)[:_TRIED]
        for truth in found
        if truth.startswith(stem) and truth != stem
      )
      likely = [ending for ending, n in endings.most_common(1) if n > 1]
      remedy = (
        f'--label-suffix {likely[0]}' if likely else
        f'as in {", ".join(list(found)[:_SHOWN]) or "nothing"}'
      )  # fmt: skip
      raise UserError(
        f'{self.root}: {alone} of {expected} pictures of {photos}/ have no '
        f'label picture of their name in {truths}/: {remedy}'
      )
    if alone:
      self.notes.append(f'{alone} pictures have no label picture')
    if wanted is None and len(found) > len(pairs):
      self.notes.append(f'{len(found) - len(pairs)} label pictures are unused')

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    path = self.root / entry.found
    semantic = label_pictures.load_semantic(path, self._table)
    return {'semantic': photo.fit(semantic, path)}


def _cut(name: str) -> str:
  stem, ending = posixpath.splitext(name)
  return stem if ending.lower() in image_formats.SUFFIXES else name


KIND = kinds.Kind(
  about='images/ and labels/ of one class a pixel, as CamVid, and your own',
  example='vbanana prepare label_folders camvid --split train '
  '--out data/camvid',
  open=LabelFolders,
  takes_license=True,
  flags=(
    kinds.Flag('--split', 'folder or list of names to take', ''),
    kinds.Flag('--images', 'folder of the photographs', 'images'),
    kinds.Flag('--labels', 'folder of the label pictures', 'labels'),
    kinds.Flag('--label-suffix', 'what their names have more, as in _L', ''),
    *class_files.FLAGS,
  ),
)
