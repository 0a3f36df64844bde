"""COCO and sets in its format: instances, panoptic segments, captions."""

import pathlib
from typing import Any, ClassVar, NamedTuple

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, coco_format, files
from vbanana_jax.datasets import (
  coco_tables,
  instance_maps,
  kinds,
  photo_set,
)
from vbanana_jax.errors import UserError


class Coco(photo_set.PhotoSet):
  """Photographs with the labels that COCO's tables have for them.

  `annotations/instances_SPLIT.json`, `panoptic_SPLIT.json` with a folder of
  PNGs of the same name, and `captions_SPLIT.json`, as far as they are there;
  photographs in `SPLIT/`. Panoptic segments are taken before instances. Pixels
  of no instance are a background that is never asked for; those of no panoptic
  segment are not known. A crowd has a class, and its objects are not known. Of
  instances that overlap the smaller is on top.

  Source: Lin et al., "Microsoft COCO", ECCV 2014; Kirillov et al., "Panoptic
  Segmentation", CVPR 2019; cocodataset.org (format-data).
  """

  name: ClassVar[str] = 'COCO'
  license: ClassVar[str] = (
    'annotations CC BY 4.0; photographs under the terms of Flickr, each its own'
  )
  source: ClassVar[str] = 'https://cocodataset.org'

  def __init__(
    self, root, *, split='train2017', images='', instances='', panoptic='',
    captions='',
  ):  # fmt: skip
    super().__init__(root)
    self._places = _Places(self.root, split, images)
    given = {
      'instances': instances, 'panoptic': panoptic, 'captions': captions
    }  # fmt: skip
    self._paths = self._places.find_tables(given)
    table_of = 'panoptic' if 'panoptic' in self._paths else 'instances'
    self._labeled = {}
    photos: dict[int | str, coco_tables.Photo] = {}
    if table_of in self._paths:
      table = coco_tables.load_segments(
        self._paths[table_of], is_panoptic=table_of == 'panoptic'
      )
      photos |= table.photos
      self._labeled = table.entries
      self._categories = coco_tables.make_categories(
        table, self._paths[table_of], has_areas=table_of == 'panoptic'
      )
      self.classes = self._categories.classes
    self._captions = {}
    if 'captions' in self._paths:
      table = coco_tables.load_captions(self._paths['captions'])
      coco_tables.check_same(photos, table.photos, self._paths['captions'])
      photos |= table.photos
      self._captions = table.entries
    self._is_panoptic = table_of == 'panoptic'
    if self._is_panoptic and 'instances' in self._paths:
      self.notes.append('panoptic segments are taken, instances are not')
    self._set_photos(photos)

  def _set_photos(self, photos) -> None:
    folder = self._places.find_photos(photos)
    entries, unlabeled = [], 0
    for number, photo in sorted(photos.items(), key=lambda pair: pair[1].file):
      # In a table of instances no entry means that there is none.
      is_labeled = number in self._labeled or (
        not self._is_panoptic and 'instances' in self._paths
      )
      if not is_labeled and number not in self._captions:
        unlabeled += 1
        continue
      stem = photo.file.rpartition('.')[0] or photo.file
      image = f'{folder}/{photo.file}' if folder != '.' else photo.file
      found = _Found(number, photo, is_labeled)
      entries.append(
        photo_set.Entry(base.make_id(*stem.split('/')), image, found)
      )
    if unlabeled:
      self.notes.append(f'{unlabeled} pictures have no labels: left out')
    self._require(entry.image for entry in entries)
    self._set_entries(entries, ', '.join(map(str, self._paths.values())))

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    number, listed, is_labeled = entry.found
    found: dict[str, Any] = {'captions': self._captions.get(number, ())}
    if not is_labeled:
      return found
    path = self._paths['panoptic' if self._is_panoptic else 'instances']
    place = f'{path}: image {number}'
    # Before anything is painted: a table may ask for any size.
    photo.check_size((listed.height, listed.width), place)
    read = self._load_panoptic if self._is_panoptic else self._load_instances
    painted = read(number, listed)
    for key in ('semantic', 'instance'):
      painted[key] = photo.fit(painted[key], place)
    return found | painted

  def _load_instances(self, number, listed) -> dict[str, Any]:
    segments = []
    for annotation in self._labeled.get(number, ()):
      name = f'{self._paths["instances"]}: annotation {annotation.id}'
      mask = coco_format.draw_segmentation(
        annotation.segmentation, listed.height, listed.width, name=name
      )
      segments.append(
        instance_maps.Segment(
          mask,
          self._categories.find(annotation.category, name),
          annotation.is_crowd,
          annotation.is_ignored,
        )
      )
    shape = (listed.height, listed.width)
    return instance_maps.paint(segments, shape, self._categories.background)

  def _load_panoptic(self, number, listed) -> dict[str, Any]:
    entry = self._labeled[number]
    table = self._paths['panoptic']
    path = self._places.find_png(table, entry.file)
    rgb_u8 = files.load_png_rgb(path, 8).astype(np.int32)
    keys = rgb_u8 @ np.array([1, 256, 65536], np.int32)
    base.check_shapes(keys.shape, (listed.height, listed.width), path)
    found, place = np.unique(keys, return_inverse=True)
    kind = np.full(len(found), labels.VOID, np.int32)
    objects = np.zeros(len(found), np.int32)
    class_of = {}
    listed_keys = {segment.id: segment for segment in entry.segments}
    for k, key in enumerate(found.tolist()):
      if key == 0:  # of no segment
        objects[k] = labels.VOID
        continue
      segment = listed_keys.pop(key, None)
      if segment is None:
        raise UserError(
          f'{path}: segment {key} is not in segments_info of {table.name}: '
          'get both from the same place'
        )
      name = f'{table}: image {number}, segment {key}'
      kind[k] = self._categories.find(segment.category, name)
      if kind[k] not in self.classes.things:
        continue
      objects[k] = labels.VOID if segment.is_crowd else key
      if not segment.is_crowd:
        class_of[key] = int(kind[k])
    if listed_keys:
      raise UserError(
        f'{path}: shows nothing of segment {min(listed_keys)}, which '
        f'segments_info of {table.name} lists: get both from the same place'
      )
    place = place.reshape(keys.shape)
    return {
      'semantic': kind[place],
      **instance_maps.number(objects[place], class_of),
    }


class _Found(NamedTuple):
  number: int | str
  photo: coco_tables.Photo
  is_labeled: bool


class _Places(NamedTuple):
  """Where the files of a set lie."""

  root: pathlib.Path
  split: str
  images: str

  def find_tables(self, given: dict[str, str]) -> dict[str, pathlib.Path]:
    """The tables that a person named, or else those that are there."""
    if any(given.values()):
      return {
        kind: self._find_given(kind, text)
        for kind, text in given.items()
        if text
      }
    found = {
      kind: self.root / f'annotations/{kind}_{self.split}.json'
      for kind in given
    }
    found = {kind: path for kind, path in found.items() if path.is_file()}
    if not found:
      known = sorted(
        {
          path.stem.partition('_')[2]
          for kind in given
          for path in self.root.glob(f'annotations/{kind}_*.json')
        }
      )
      remedy = f'choose of --split {", ".join(known)}' if known else (
        'name the tables with --instances, --panoptic or --captions'
      )  # fmt: skip
      raise UserError(
        f'{self.root}: no annotations/instances_{self.split}.json, nor '
        f'panoptic or captions: {remedy}'
      )
    return found

  def _find_given(self, kind: str, text: str) -> pathlib.Path:
    for path in (self.root / text, pathlib.Path(text)):
      if path.is_file():
        return path
    raise UserError(f'--{kind} {text}: no such file, nor in {self.root}')

  def find_photos(self, photos) -> str:
    """The folder of the photographs, from the root."""
    names = [self.images] if self.images else [
      self.split, f'images/{self.split}', 'images', '.'
    ]  # fmt: skip
    first = next(iter(photos.values())).file if photos else ''
    for name in names:
      if (self.root / name / first).is_file():
        return name
    raise UserError(
      f'{self.root}: no {first} in {", ".join(names)}: name the folder of the '
      'photographs with --images'
    )

  def find_png(self, table: pathlib.Path, name: str) -> pathlib.Path:
    """A panoptic PNG, in the folder that is called as its table."""
    folders = (table.with_suffix(''), self.root / table.stem)
    found = (each / name for each in folders if (each / name).is_file())
    return next(found, folders[0] / name)


KIND = kinds.Kind(
  about='COCO and its format: instances, panoptic segments, captions',
  example='vbanana prepare coco coco --split train2017 --exclude-ids '
  'val_ids.txt --out data/coco',
  open=Coco,
  flags=(
    kinds.Flag('--split', 'as in the names of its tables', 'train2017'),
    kinds.Flag('--images', 'folder of the photographs; SPLIT if there', ''),
    kinds.Flag('--instances', 'a table of instances by another name', ''),
    kinds.Flag('--panoptic', 'likewise of panoptic segments', ''),
    kinds.Flag('--captions', 'likewise of captions', ''),
  ),
)
