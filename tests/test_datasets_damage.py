"""Tables and files changed at random: one line, or pictures that are whole."""

import copy
import json
import zlib

import numpy as np
import pytest
import test_datasets_coco as coco
import test_datasets_label_folders as folders
import test_datasets_palettes as palettes
import test_readers_reasonseg as reason
import test_readers_refcoco as refs
from byte_files import make_jpeg, open_kind, write

from vbanana_jax.errors import UserError

TRIES = 40
ODD = [
  None, True, -1, 0, 10**12, 1e308, float('nan'), '', 'x', '../x', '/x', [],
  {}, [[]], [1, 2], {'a': 1}, '7', 7, 1.5, [None], ['x'], 10**400,
]  # fmt: skip
CLASSES = (
  ['a', 'b', 'c'],
  {'a': 0, 'b': 1, 'c': 2},
  {'0': 'a', '1': 'b', '2': 'c'},
  [{'name': 'a', 'id': 0}, {'name': 'b', 'id': 1}, {'name': 'c'}],
  {'a': [0, 0, 0], 'b': [1, 1, 1]},
)


def list_places(value, place=()):
  """Paths of keys to all that a JSON value holds."""
  if place:
    yield place
  entries = value.items() if isinstance(value, dict) else enumerate(value)
  for key, each in entries:
    if isinstance(each, dict | list):
      yield from list_places(each, (*place, key))
    else:
      yield (*place, key)


def change_table(table, rng):
  """A copy in which one value is another one, or gone."""
  table = copy.deepcopy(table)
  places = list(list_places(table))
  *outer, last = places[rng.integers(len(places))]
  inside = table
  for key in outer:
    inside = inside[key]
  if rng.random() < 0.2:
    del inside[last]
  else:
    inside[last] = ODD[rng.integers(len(ODD))]
  return table


def change_bytes(content: bytes, rng) -> bytes:
  changed = bytearray(content)
  for _ in range(rng.integers(1, 6)):
    place = int(rng.integers(len(changed) + 1))
    length = int(rng.integers(20))
    changed[place : place + length] = rng.bytes(int(rng.integers(9)))
  return bytes(changed)


def read(kind, root, **flags) -> bool:
  """Whether all pictures can be read; what cannot is refused in one line."""
  try:
    dataset = open_kind(kind, root, **flags)
    for k in range(len(dataset.ids)):
      picture = dataset.load(k)
      for label in (picture.semantic, picture.instance):
        assert label is None or label.min() >= -1
    return True
  except UserError as error:
    assert '\n' not in str(error)
    return False


TABLES = {
  'panoptic': (
    coco.write_panoptic, 'annotations/panoptic_val2017.json',
    [coco.PANOPTIC], ('coco', {'split': 'val2017'}),
  ),
  'instances': (
    coco.write_coco, 'annotations/instances_val2017.json',
    [coco.make_instances()], ('coco', {'split': 'val2017'}),
  ),
  'captions': (
    coco.write_coco, 'annotations/captions_val2017.json',
    [{'images': coco.IMAGES, 'annotations': coco.CAPTIONS}],
    ('coco', {'split': 'val2017'}),
  ),
  'refcoco': (
    refs.write_folder, refs.INSTANCES,
    [{'images': refs.IMAGES, 'annotations': refs.ANNOTATIONS}],
    ('refcoco', {'annotations': 'refcocog', 'split': 'val'}),
  ),
  'reasonseg': (
    lambda root: write(root, {'val/a.jpg': make_jpeg(np.zeros((5, 8, 3)))}),
    'val/a.json', [json.loads(
      reason.make_json(reason.make_box('target', 1, 1, 3, 2))
    )], ('reasonseg', {'split': 'val'}),
  ),
  'classes': (
    folders.write_set, 'classes.json', CLASSES,
    ('label_folders', {'classes': 'classes.json'}),
  ),
}  # fmt: skip


@pytest.mark.parametrize('name', TABLES)
def test_tables_with_odd_values(name, tmp_path):
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  write_set, place, tables, (kind, flags) = TABLES[name]
  write_set(tmp_path)
  write(tmp_path, {place: json.dumps(tables[0])})
  assert read(kind, tmp_path, **flags)
  sound = 0
  for k in range(TRIES):
    table = change_table(tables[k % len(tables)], rng)
    write(tmp_path, {place: json.dumps(table)})
    sound += read(kind, tmp_path, **flags)
  assert sound < TRIES


@pytest.mark.parametrize(
  'kind, write_set',
  [
    ('voc', palettes.write_voc),
    ('ade20k', palettes.write_ade),
    ('cityscapes', palettes.write_city),
    ('label_folders', folders.write_set),
  ],
)
def test_files_with_damaged_bytes(kind, write_set, tmp_path):
  rng = np.random.default_rng(zlib.crc32(kind.encode()))
  write_set(tmp_path)
  assert read(kind, tmp_path)
  files = sorted(path for path in tmp_path.rglob('*') if path.is_file())
  sound = 0
  for k in range(TRIES):
    path = files[k % len(files)]
    content = path.read_bytes()
    path.write_bytes(change_bytes(content, rng))
    sound += read(kind, tmp_path)
    path.write_bytes(content)
  assert sound < TRIES
