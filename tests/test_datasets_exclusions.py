"""Pictures that are kept out of training, however they are spelled."""

import json
import pickle
import types

import numpy as np
import pytest
from byte_files import assert_refused, make_jpeg, make_png, write

from vbanana_jax import cli
from vbanana_jax.data import kinds
from vbanana_jax.datasets import exclusions

FILES = [
  'train2017/000000123456.jpg',
  'train2017/000000000007.jpg',
  'train2014/COCO_train2014_000000000042.jpg',
  'a/0001.png',
  'b/0001.png',
  'b/Name.JPG',
]


def make_set(files=FILES, ids=None):
  return types.SimpleNamespace(
    name='set',
    license='',
    source='',
    classes=None,
    notes=['as it was'],
    skipped=[('other.txt', 'no picture')],
    also_read=[],
    exclusions=(),
    files=files,
    ids=ids or [f'id{k}' for k in range(len(files))],
    load=lambda k: files[k],
  )


def make_list(*names):
  return exclusions.ExclusionList('some.txt', names)


@pytest.mark.parametrize(
  'name, row',
  [
    ('COCO_train2014_000000123456.jpg', 0),
    ('COCO_val2014_000000123456', 0),
    ('images/mscoco/images/train2014/COCO_train2014_000000123456.jpg', 0),
    ('COCO_train2014_000000123456_3.jpg', 0),
    ('000000123456.jpg', 0),
    ('000000123456', 0),
    ('123456', 0),
    ('123456.png', 0),
    ('val2017\\000000000007.jpg', 1),
    ('42', 2),
    ('000000000042.jpg', 2),
    ('a/0001.png', 3),
    ('set/b/0001.png', 4),
    ('id4', 4),
    ('name.jpg', 5),
    ('NAME', 5),
    ('34567', None),
    ('1234567', None),
    ('train2017', None),
  ],
)
def test_every_spelling(name, row):
  kept = exclusions.exclude(make_set(), [make_list(name)])
  gone = {f'id{k}' for k in range(6)} - set(kept.ids)
  assert gone == ({f'id{row}'} if row is not None else set())


def test_what_is_left_and_what_is_said_of_it():
  lists = [make_list('42', '7', '8'), make_list('000000000007.jpg', 'id0')]
  kept = exclusions.exclude(make_set(), lists)
  assert kept.ids == ['id3', 'id4', 'id5'] and kept.files == FILES[3:]
  assert [kept.load(k) for k in range(3)] == FILES[3:]
  assert kept.notes == [
    'as it was',
    'some.txt: 2 pictures left out by its 3 names',
    'some.txt: 1 pictures left out by its 2 names',
  ]
  first, second = json.loads(json.dumps(kept.exclusions))
  assert first['name'] == 'some.txt' and first['pictures'] == 3
  assert (first['left_out'], second['left_out']) == (2, 1)
  assert first['sha256'] == lists[0].sha256 != second['sha256']


def test_without_lists_the_set_is_the_set_itself():
  dataset = make_set()
  assert exclusions.exclude(dataset, []) is dataset


def test_several_records_of_one_photograph_go_together():
  dataset = make_set(['x/1.jpg', 'x/1.jpg', 'x/2.jpg'], ['1-a', '1-b', '2'])
  kept = exclusions.exclude(dataset, [make_list('000001.jpg')])
  assert kept.ids == ['2']


def test_nothing_left_and_doubtful_names_are_refused():
  everything = make_list(*(f'id{k}' for k in range(6)))
  assert_refused(
    lambda: exclusions.exclude(make_set(), [everything]), 'some.txt', 'nothing'
  )
  assert_refused(
    lambda: exclusions.exclude(make_set(), [make_list('0001')]),
    'some.txt: 0001',
    'a/0001.png and b/0001.png',
  )


@pytest.mark.parametrize(
  'name, text, names',
  [
    ('a.txt', '# val\n7\n\n000000000042.jpg\n', ('7', '000000000042.jpg')),
    ('a.json', '[7, "x.jpg"]', ('7', 'x.jpg')),
    (
      'a.json',
      '{"images": [{"id": 1, "file_name": "7.jpg"}], "annotations": []}',
      ('7.jpg',),
    ),
  ],
)
def test_every_form_of_a_list(name, text, names, tmp_path):
  write(tmp_path, {name: text})
  found = exclusions.load_list(tmp_path / name)
  assert (found.name, found.pictures) == (name, names)


@pytest.mark.parametrize(
  'name, text',
  [
    ('a.txt', '\n'),
    ('a.json', '{"ids": [1]}'),
    ('a.json', '[1.5]'),
    ('a.json', '[true]'),
    ('a.json', '[null]'),
    ('a.json', '{"images": [{"id": 1}]}'),
    ('a.json', '[]'),
    ('a.json', '['),
    ('a.txt', b'\xff\xfe'),
  ],
)
def test_wrong_lists_are_named(name, text, tmp_path):
  write(tmp_path, {name: text})
  assert_refused(lambda: exclusions.load_list(tmp_path / name), name)


def write_refcocog(root):
  photos = {7: 'val', 42: 'train', 123456: 'test'}
  names = {k: f'COCO_train2014_{k:012d}.jpg' for k in photos}
  refs = [
    {'ref_id': k, 'ann_id': k, 'split': split, 'sentences': [{'sent': 'a'}]}
    for k, split in photos.items()
  ]
  table = {
    'images': [
      {'id': k, 'file_name': name, 'height': 2, 'width': 2}
      for k, name in names.items()
    ],
    'annotations': [
      {'id': k, 'image_id': k, 'segmentation': []} for k in photos
    ],
  }
  photo = make_jpeg(np.zeros((2, 2, 3)))
  write(
    root,
    {
      'refcocog/refs(umd).p': pickle.dumps(refs, 2),
      'refcocog/instances.json': json.dumps(table),
      **{f'images/mscoco/images/train2014/{n}': photo for n in names.values()},
    },
  )


@pytest.mark.parametrize(
  'name, label, gone',
  [
    ('refcocog_umd_val_referring', 'refcocog_umd_val_referring_v1', 1),
    (
      'refcocog_umd_val_referring:test',
      'refcocog_umd_val_referring_v1_test',
      0,
    ),
    ('refcocog:train', 'refcocog:train', 2),
  ],
)
def test_a_benchmark_is_kept_out_of_coco(name, label, gone, tmp_path):
  write_refcocog(tmp_path)
  listed = exclusions.list_benchmark(f'{name}={tmp_path}')
  assert listed.name == label
  kept = exclusions.exclude(make_set(), [listed])
  assert set(make_set().ids) - set(kept.ids) == {f'id{gone}'}


@pytest.mark.parametrize(
  'text, words',
  [
    ('refcocog_umd_val_referring', ('PROTOCOL=FOLDER',)),
    ('=x', ('PROTOCOL=FOLDER',)),
    ('refcocog=x', ('refcocog:SPLIT', 'val, test, train')),
    ('refcocog:dev=x', ('refcocog:SPLIT', 'val, test, train')),
    ('nyu=x', ("no protocol 'nyu'",)),
    ('refcocog:val=missing', ('missing', 'not a whole RefCOCOg folder')),
  ],
)
def test_wrong_benchmarks_are_named(text, words):
  assert_refused(lambda: exclusions.list_benchmark(text), *words)


def write_folders(root):
  names = [
    'COCO_train2014_000000000007', 'COCO_train2014_000000000042', '000000000009'
  ]  # fmt: skip
  for name in names:
    photo = make_jpeg(np.full((8, 8, 3), 90))
    write(root, {f'images/{name}.jpg': photo})
    write(root, {f'labels/{name}.png': make_png(np.zeros((8, 8)))})
  write(root, {'classes.txt': 'road\nsky\n'})


def test_what_was_left_out_is_in_the_manifest_and_in_run_json(tmp_path, capsys):
  write_folders(tmp_path / 'set')
  write_refcocog(tmp_path / 'refer')
  write(tmp_path, {'val.json': '[9, 10]'})
  out = tmp_path / 'out'
  command = ['prepare', 'label_folders', str(tmp_path / 'set'), '--out',
             str(out), '--exclude-ids', str(tmp_path / 'val.json')]  # fmt: skip
  benchmark = f'refcocog_umd_val_referring={tmp_path / "refer"}'
  assert cli.main([*command, '--exclude-benchmark', benchmark]) == 0
  said = capsys.readouterr().out
  assert 'val.json: 1 pictures left out by its 2 names' in said
  manifest = json.loads((out / 'manifest.json').read_text())
  assert manifest['count'] == 1
  assert [each['left_out'] for each in manifest['exclusions']] == [1, 1]
  settings = {'kind': 'records', 'path': str(out)}
  assert kinds.describe_source(settings)['exclusions'] == manifest['exclusions']
  # By other lists it is another set, which is not written over this one.
  assert cli.main(command) == 2
  assert str(out) in capsys.readouterr().err
