"""Folders of photographs and label pictures, and tables of their classes."""

import numpy as np
import pytest
from byte_files import (
  assert_kind_refuses,
  assert_refused,
  make_jpeg,
  make_png,
  open_kind,
  write,
)
from PIL import Image

from vbanana_jax import cli, labels
from vbanana_jax.data import array_records
from vbanana_jax.datasets import KINDS, class_files, class_tables

VOID = labels.VOID
PHOTO = make_jpeg(np.full((2, 4, 3), 90))
IDS = [[0, 0, 1, 1], [0, 255, 2, 2]]
CLASSES = 'sky\nroad\ntraffic_sign\n'


def write_set(root, labels=None, **files):
  labels = make_png(IDS) if labels is None else labels
  found = {
    'images/b.jpg': PHOTO,
    'images/a.jpg': PHOTO,
    'labels/a.png': labels,
    'labels/b.png': make_png([[2] * 4] * 2),
    'classes.txt': CLASSES,
  }
  write(root, {**found, **files})
  return root


def test_ids_names_and_files_as_they_came(tmp_path):
  dataset = open_kind('label_folders', write_set(tmp_path))
  assert list(dataset.ids) == ['a', 'b']
  assert list(dataset.files) == ['images/a.jpg', 'images/b.jpg']
  assert dataset.classes.names == ('sky', 'road', 'traffic sign')
  assert dataset.classes.areas == (0, 1, 2) and dataset.classes.things == ()
  picture = dataset.load(0)
  assert picture.encoded == PHOTO and picture.id == 'a'
  np.testing.assert_array_equal(
    picture.semantic, [[0, 0, 1, 1], [0, VOID, 2, 2]]
  )
  assert picture.instance is None and picture.depth_m is None
  assert dataset.notes == []


def test_colors_by_the_table_and_palettes(tmp_path):
  colors = {(0, 0, 0): 0, (128, 64, 0): 1, (0, 0, 192): 2}
  rgb = [[(0, 0, 0), (128, 64, 0), (0, 0, 192), (0, 0, 192)]] * 2
  table = '0 0 0 Void\n128 64 0 road\n0 0 192 sky\n'
  root = write_set(tmp_path, make_png(rgb), **{'classes.txt': table})
  palette = make_png([[1, 2, 0, 0]] * 2, palette=[(9, 9, 9), *colors][1:])
  write(root, {'labels/b.png': palette})
  dataset = open_kind('label_folders', root)
  assert dataset.classes.names == ('road', 'sky')
  assert dataset.notes == ['ignored: Void']
  np.testing.assert_array_equal(dataset.load(0).semantic, [[VOID, 0, 1, 1]] * 2)
  np.testing.assert_array_equal(
    dataset.load(1).semantic, [[0, 1, VOID, VOID]] * 2
  )


def test_backgrounds_are_classes_that_nobody_asks_for(tmp_path):
  root = write_set(tmp_path, **{'classes.txt': 'null\nroad\nsky\n'})
  dataset = open_kind('label_folders', root, ignore=('sky',))
  assert dataset.classes.names == ('null', 'road')
  assert dataset.classes.areas == (1,)
  assert dataset.notes == ['ignored: sky', 'never asked for: null']
  np.testing.assert_array_equal(
    dataset.load(0).semantic, [[0, 0, 1, 1], [0, VOID, VOID, VOID]]
  )


@pytest.mark.parametrize(
  'place',
  ['train/images/{}.jpg train/labels/{}.png', 'images/train/{}.jpg '
   'labels/train/{}.png', 'images/{}.jpg labels/{}.png'],
)  # fmt: skip
def test_every_place_of_a_split(place, tmp_path):
  photo, truth = place.split()
  write(
    tmp_path,
    {
      photo.format('a'): PHOTO,
      truth.format('a'): make_png(IDS),
      photo.replace('train', 'val').format('b'): PHOTO,
      truth.replace('train', 'val').format('b'): make_png(IDS),
      'train.txt': 'a\n',
      'classes.txt': CLASSES,
    },
  )
  dataset = open_kind('label_folders', tmp_path, split='train')
  assert list(dataset.ids) == ['a']
  dataset.load(0)


def test_other_folders_and_endings(tmp_path):
  write(
    tmp_path,
    {
      'rgb/x/1.jpg': PHOTO,
      'rgb/2.jpg': PHOTO,
      'gt/x/1_L.png': make_png(IDS),
      'gt/2_L.png': make_png(IDS),
      'table.csv': 'r,g,b,name\n1,2,3,road\n4,5,6,sky\n7,8,9,car\n',
    },
  )
  flags = {'images': 'rgb', 'labels': 'gt', 'classes': 'table.csv'}
  assert_kind_refuses(
    'label_folders', tmp_path, '2 of 2', '--label-suffix _L', **flags
  )
  dataset = open_kind('label_folders', tmp_path, label_suffix='_L', **flags)
  assert list(dataset.ids) == ['2', 'x-1']


def test_labels_turn_as_exif_turns_the_photograph(tmp_path):
  root = write_set(tmp_path)
  exif = Image.Exif()
  exif[0x0112] = 6  # a quarter turn, clockwise
  Image.new('RGB', (4, 2)).save(root / 'images/a.jpg', exif=exif)
  semantic = open_kind('label_folders', root).load(0).semantic
  np.testing.assert_array_equal(semantic, [[0, 0], [VOID, 0], [2, 1], [2, 1]])
  # Painted over the upright photograph, they are as they should be.
  write(root, {'labels/a.png': make_png([[0, 1], [0, 1], [1, 1], [2, 2]])})
  semantic = open_kind('label_folders', root).load(0).semantic
  np.testing.assert_array_equal(semantic, [[0, 1], [0, 1], [1, 1], [2, 2]])


@pytest.mark.parametrize(
  'encoded, words',
  [
    (make_png([[0] * 3] * 2), ('a.png', '3 x 2', '4 x 2', 'resized')),
    (make_png([[0, 7, 9, 0]] * 2), ('a.png', 'value 7', 'classes.txt')),
    (make_png(np.zeros((2, 4, 3))), ('a.png', 'in color', '--classes')),
    (PHOTO, ('a.png', 'not a PNG')),
    (make_png(IDS)[:-9], ('a.png', 'damaged')),
    (b'', ('a.png', 'empty')),
  ],
)
def test_wrong_labels_are_named(encoded, words, tmp_path):
  root = write_set(tmp_path, encoded)
  assert_kind_refuses('label_folders', root, *words, item=0)


def test_a_color_that_the_table_lacks(tmp_path):
  table = {'classes.txt': '0 0 0 road\n1 1 1 sky\n'}
  root = write_set(tmp_path, make_png(np.full((2, 4, 3), 2)), **table)
  words = ('a.png', '(2, 2, 2)', '100.00%', 'classes.txt', 'JPEG')
  assert_kind_refuses('label_folders', root, *words, item=0)


@pytest.mark.parametrize(
  'files, flags, words',
  [
    ({}, {'split': 'val'}, ('--split val', 'val/images', 'val.txt')),
    ({'train.txt': '../../a\n'}, {'split': 'train'}, ('train.txt', '../../a')),
    ({}, {'classes': 'no.txt'}, ('--classes no.txt',)),
    ({}, {'ignore': ('tree',)}, ('--ignore tree', 'sky, road')),
    ({}, {'images': 'photos'}, ('photos/', '--images')),
    ({'images/a.png': PHOTO}, {}, ('a.jpg and images/a.png', 'ending')),
    ({'classes.txt': '\n'}, {}, ('classes.txt', 'no class')),
    ({'classes.txt': 'void\nignore\n'}, {}, ('classes.txt', 'no class')),
  ],
)
def test_wrong_folders_are_named(files, flags, words, tmp_path):
  root = write_set(tmp_path, **files)
  assert_kind_refuses('label_folders', root, *words, **flags)


def test_a_folder_without_a_table_says_how_to_write_one(tmp_path):
  root = write_set(tmp_path)
  (root / 'classes.txt').unlink()
  assert_kind_refuses('label_folders', root, 'classes.txt with a name a line')


def test_what_has_no_partner_is_counted(tmp_path):
  more = {f'images/{k}.jpg': PHOTO for k in 'c'}
  more['labels/d.png'] = make_png(IDS)
  dataset = open_kind('label_folders', write_set(tmp_path, **more))
  assert list(dataset.ids) == ['a', 'b']
  assert dataset.notes == [
    '1 pictures have no label picture',
    '1 label pictures are unused',
  ]


NAMES = [(0, 'sky', None), (1, 'traffic sign', None)]
COLORS = [(0, 'sky', (1, 2, 3)), (1, 'traffic sign', (4, 5, 6))]


@pytest.mark.parametrize(
  'name, text, rows',
  [
    ('a.txt', '# ids\nsky\ntraffic_sign\n', NAMES),
    ('a.txt', '0 sky\n1: traffic sign\n', NAMES),
    ('a.txt', '0\tsky\n1,traffic sign\n', NAMES),
    ('a.txt', '1 2 3\t\tsky\n4 5 6 traffic_sign\n', COLORS),
    ('a.txt', '# label:rgb\nsky:1,2,3::\ntraffic_sign:4,5,6:x:y\n', COLORS),
    ('a.json', '["sky", "traffic_sign"]', NAMES),
    ('a.json', '{"sky": 0, "traffic sign": 1}', NAMES),
    ('a.json', '{"0": "sky", "1": "traffic sign"}', NAMES),
    ('a.json', '{"sky": [1, 2, 3], "traffic sign": [4, 5, 6]}', COLORS),
    (
      'a.json',
      '{"classes": [{"name": "sky", "id": 0, "color": [1, 2, 3]}, '
      '{"name": "traffic sign", "color": [4, 5, 6]}]}',
      COLORS,
    ),
    ('a.csv', 'name,id\nsky,0\ntraffic sign,1\n', NAMES),
    ('a.csv', 'name, r,g,b\nsky,1,2,3\ntraffic sign,4,5,6\n', COLORS),
    ('a.tsv', 'ID\tName\n0\tsky\n1\ttraffic sign\n', NAMES),
  ],
)
def test_every_form_of_a_table(name, text, rows, tmp_path):
  write(tmp_path, {name: text})
  found = class_files.load_rows(tmp_path / name)
  assert [row[:3] for row in found] == rows


@pytest.mark.parametrize(
  'name, text, words',
  [
    ('a.json', '["sky", 7]', ('a.json: entry 1', 'list of names')),
    ('a.json', '{"sky": true}', ('a.json: entry sky',)),
    ('a.json', '{"sky": [1, 2]}', ('a.json: entry sky', 'three')),
    ('a.json', '{"sky": [1, 2, 256]}', ('a.json: entry sky', 'three')),
    ('a.json', '{"sky": 70000}', ('a.json: entry sky', '70000')),
    ('a.json', '5', ('a.json',)),
    ('a.json', '[{"id": 1}]', ('a.json: entry 0',)),
    ('a.json', '{', ('a.json', 'JSON')),
    ('a.csv', 'class,id\nsky,0\n', ('a.csv', '"name"')),
    ('a.csv', 'name,id\nsky,x\n', ('a.csv: line 2',)),
    ('a.csv', 'name,r,g,b\nsky,1,2\n', ('a.csv: line 2',)),
    ('a.txt', '300 0 0 sky\n1 1 1 road\n', ('a.txt', 'sky')),
    ('a.txt', '', ('a.txt', 'no class')),
  ],
)
def test_wrong_tables_are_named(name, text, words, tmp_path):
  write(tmp_path, {name: text})
  assert_refused(lambda: class_files.load_rows(tmp_path / name), *words)


def test_rows_of_one_name_are_one_class_and_of_one_value_an_error():
  rows = [
    class_tables.Row(0, 'car'),
    class_tables.Row(1, 'truck', None, ('lorry', 'van')),
    class_tables.Row(2, 'car'),
    class_tables.Row(3, 'van'),
  ]
  table = class_tables.make_table(rows, 'here', things=(0, 1))
  assert table.classes.names == ('car', 'truck', 'van')
  assert table.values == {0: 0, 1: 1, 2: 0, 3: 2}
  assert table.classes.things == (0, 1)
  # "van" is another class here.
  assert table.classes.synonyms == {1: ('lorry',)}
  rows.append(class_tables.Row(3, 'bus'))
  assert_refused(
    lambda: class_tables.make_table(rows, 'here'), "here: value 3 is both 'van'"
  )


def test_kinds_say_what_they_are_in_a_line():
  for name, kind in KINDS.items():
    assert '\n' not in kind.about and len(kind.about) < 80, name
    assert kind.example.startswith(f'vbanana prepare {name}'), name


def test_the_license_is_given_where_the_folder_has_none(tmp_path, capsys):
  root, out = write_set(tmp_path / 'in'), tmp_path / 'out'
  words = ['prepare', 'label_folders', str(root), '--license', 'CC BY 4.0']
  assert cli.main([*words, '--dry-run', str(tmp_path / 'look.png')]) == 0
  assert 'license: CC BY 4.0\n' in capsys.readouterr().out
  exclude = tmp_path / 'exclude.txt'
  exclude.write_text('a\n')
  assert (
    cli.main([*words, '--exclude-ids', str(exclude), '--out', str(out)]) == 0
  )
  assert f'{out}: license: CC BY 4.0\n' in capsys.readouterr().out
  assert array_records.load_manifest(out)['license'] == 'CC BY 4.0'
  # Other terms are another set of records.
  words[-1] = 'MIT'
  assert (
    cli.main([*words, '--exclude-ids', str(exclude), '--out', str(out)]) == 2
  )
  assert 'holds something else already' in capsys.readouterr().err


def test_kinds_without_a_license_take_one():
  for kind in KINDS.values():
    terms = getattr(kind.open, 'license', None)
    assert terms is None or kind.takes_license == (not terms), kind.about
