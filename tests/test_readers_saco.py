"""SA-Co/Gold from bytes: pairs, three annotators, crowds, damage."""

import json

import numpy as np
import pytest
from byte_files import make_jpeg, write

from vbanana_jax.benchmark import readers
from vbanana_jax.benchmark.readers import rle, saco
from vbanana_jax.errors import UserError

PHOTOS = ('1/1001/metaclip_1.jpeg', '2/metaclip_2.jpeg')


def make_file(who, subset='attributes'):
  return f'gt-annotations/gold_{subset}_merged_{who}_release_test.json'


def make_pair(number, phrase, photo=0, exhaustive=1, **fields):
  return {
    'id': number,
    'file_name': PHOTOS[photo],
    'text_input': phrase,
    'height': 4,
    'width': 6,
    'queried_category': '0',
    'is_instance_exhaustive': exhaustive,
    'is_pixel_exhaustive': 1,
    **fields,
  }


def make_segment(number, pair, rows, columns, crowd=0):
  mask = np.zeros((4, 6), bool)
  mask[rows, columns] = True
  return {
    'id': number,
    'image_id': pair,
    'segmentation': rle.encode_rle(mask),
    'bbox': [0.0, 0.0, 0.5, 0.5],
    'area': mask.mean(),
    'category_id': 1,
    'iscrowd': crowd,
  }


PAIRS = [
  make_pair(10000000, 'chili'),
  make_pair(10000001, 'the fish ball '),
  make_pair(10000002, 'chili', photo=1),
  make_pair(10000003, 'tofu', photo=1, exhaustive=0),
]
LEFT = (slice(0, 2), slice(0, 3))
RIGHT = (slice(1, 4), slice(3, 6))
SEGMENTS = {
  'a': [make_segment(1, 10000000, *LEFT), make_segment(2, 10000000, *RIGHT)],
  'b': [make_segment(1, 10000000, slice(None), slice(None), crowd=1)],
  'c': [make_segment(7, 10000002, *LEFT)],
}


def write_folder(root, subset='attributes', folder='metaclip-images', **tables):
  files = {
    f'{folder}/{photo}': make_jpeg(np.zeros((4, 6, 3))) for photo in PHOTOS
  }
  for who in 'abc':
    table = {'images': PAIRS, 'annotations': SEGMENTS[who], 'categories': []}
    table.update(tables.get(who, {}))
    files[make_file(who, subset)] = json.dumps(table)
  write(root, files)
  return root


def test_items_are_pairs(tmp_path):
  reader = readers.READERS['saco_gold'](write_folder(tmp_path), 'attributes')
  assert isinstance(reader, readers.Reader) and reader.task == 'instance'
  assert [(item.id, item.phrase) for item in reader.items] == [
    ('10000000', 'chili'),
    ('10000001', 'the fish ball'),
    ('10000002', 'chili'),
  ]
  assert [item.image for item in reader.items] == [
    f'metaclip-images/{PHOTOS[i]}' for i in (0, 0, 1)
  ]
  assert reader.load_image(reader.items[2]).shape == (4, 6, 3)


def test_masks_of_three_annotators(tmp_path):
  reader = saco.SacoGold(write_folder(tmp_path), 'attributes')
  truths = [reader.load_truth(item) for item in reader.items]
  masks, crowd = truths[0]['masks'], truths[0]['crowd']
  assert masks.shape == (3, 2, 4, 6) and masks.dtype == bool
  expected = np.zeros((3, 2, 4, 6), bool)
  expected[(0, 0, *LEFT)] = expected[(0, 1, *RIGHT)] = expected[1, 0] = True
  np.testing.assert_array_equal(masks, expected)
  np.testing.assert_array_equal(crowd, [[0, 0], [1, 0], [0, 0]])
  assert truths[1]['masks'].shape == (3, 0, 4, 6)
  assert truths[1]['crowd'].shape == (3, 0)
  np.testing.assert_array_equal(
    truths[2]['masks'].sum(axis=(1, 2, 3)), [0, 0, 6]
  )


def test_all_annotators_must_call_a_pair_exhaustive(tmp_path):
  for who in 'abc':
    pairs = [{**PAIRS[0], 'is_instance_exhaustive': 0}, *PAIRS[1:]]
    root = write_folder(tmp_path, **{who: {'images': pairs}})
    reader = saco.SacoGold(root, 'attributes')
    assert [item.id for item in reader.items] == ['10000001', '10000002']


def test_the_order_of_the_other_files_does_not_matter(tmp_path):
  root = write_folder(tmp_path, b={'images': PAIRS[::-1]})
  reader = saco.SacoGold(root, 'attributes')
  assert [item.id[-1] for item in reader.items] == ['0', '1', '2']
  assert reader.load_truth(reader.items[0])['crowd'].tolist()[1] == [
    True,
    False,
  ]


@pytest.mark.parametrize(
  'split, subset, folder',
  [
    ('sa1b_nps', 'sa1b', 'sa1b-images'),
    ('metaclip_nps', 'metaclip', 'metaclip-images'),
    ('fg_sports_equipment', 'fg_sports_equipment', 'metaclip-images'),
  ],
)
def test_folders_of_subsets(split, subset, folder, tmp_path):
  root = write_folder(tmp_path, subset, folder)
  assert len(saco.SacoGold(root, split).items) == 3
  with pytest.raises(UserError, match=r'gold_crowded_merged_a.*: no such'):
    saco.SacoGold(root, 'crowded')


@pytest.mark.parametrize(
  'who, table, complaint',
  [
    ('b', {'images': PAIRS[:3]}, 'pair 10000003 is missing'),
    ('c', {'images': [make_pair(10000000, 'tea'), *PAIRS[1:]]}, 'different'),
    ('a', {'images': [{'id': 1}]}, "KeyError('file_name')"),
    ('a', {'images': [make_pair(1, 'x', file_name='/x')]}, 'not a path'),
    ('a', {'images': [make_pair(1, 'x', height='tall')]}, 'not annotations'),
    ('b', {'images': None}, 'not annotations'),
    ('c', {'annotations': [{'image_id': 10000000}]}, 'segmentation'),
    ('c', {'annotations': [make_segment(1, 5, 0, 0)]}, 'pair 5, which it'),
  ],
)
def test_inconsistent_files_are_named(who, table, complaint, tmp_path):
  root = write_folder(tmp_path, **{who: table})
  with pytest.raises(UserError) as error:
    saco.SacoGold(root, 'attributes')
  message = str(error.value)
  assert message.startswith(f'{root / make_file(who)}: ')
  assert complaint in message and '\n' not in message


def test_damaged_masks_are_named(tmp_path):
  segment = make_segment(1, 10000000, *LEFT)
  segment['segmentation']['size'] = [6, 4]
  root = write_folder(tmp_path, b={'annotations': [segment]})
  reader = saco.SacoGold(root, 'attributes')
  with pytest.raises(
    UserError, match=r'merged_b_.*: pair 10000000: not a COCO'
  ):
    reader.load_truth(reader.items[0])


def test_photographs_are_checked(tmp_path):
  root = write_folder(tmp_path)
  photo = root / 'metaclip-images' / PHOTOS[0]
  photo.write_bytes(make_jpeg(np.zeros((8, 12, 3))))
  reader = saco.SacoGold(root, 'attributes')
  with pytest.raises(UserError, match='12 x 8 pixels, expected 6 x 4'):
    reader.load_image(reader.items[0])
  photo.unlink()
  with pytest.raises(UserError, match=r'metaclip_1\.jpeg: no such file'):
    saco.SacoGold(root, 'attributes')
