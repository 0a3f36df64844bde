"""COCO from bytes: instances, panoptic segments, captions, and their damage."""

import json

import numpy as np
import pytest
from byte_files import (
  assert_kind_refuses,
  make_jpeg,
  make_png,
  open_kind,
  write,
)
from PIL import Image

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import rle
from vbanana_jax.datasets import coco_tables

VOID = labels.VOID
PHOTO = make_jpeg(np.full((3, 6, 3), 90))
IMAGES = [
  {'id': 7, 'file_name': '000000000007.jpg', 'height': 3, 'width': 6},
  {'id': 9, 'file_name': '000000000009.jpg', 'height': 3, 'width': 6},
]
CATEGORIES = [{'id': 18, 'name': 'dog'}, {'id': 1, 'name': 'person'}]
ANNOTATIONS = [
  {
    'id': 1, 'image_id': 7, 'category_id': 18, 'iscrowd': 0,
    'segmentation': [[0, 0, 2, 0, 2, 3, 0, 3]], 'bbox': [0, 0, 2, 3],
  },
  {  # two people, smaller than the dog, over one of its columns
    'id': 2, 'image_id': 7, 'category_id': 1, 'iscrowd': 0,
    'segmentation': [[1, 0, 2, 0, 2, 2, 1, 2]],
  },
  {  # column 5 is a crowd
    'id': 3, 'image_id': 7, 'category_id': 1, 'iscrowd': 1,
    'segmentation': {'size': [3, 6], 'counts': [15, 3]},
  },
  {  # column 4 is to be ignored
    'id': 4, 'image_id': 7, 'category_id': 1, 'ignore': 1,
    'segmentation': {'size': [3, 6], 'counts': [12, 3, 3]},
  },
]  # fmt: skip
CAPTIONS = [
  {'id': 1, 'image_id': 7, 'caption': ' A dog\nand people. '},
  {'id': 2, 'image_id': 7, 'caption': 'People and a dog.'},
  {'id': 3, 'image_id': 9, 'caption': '  '},
]


def write_coco(root, **tables):
  """Photographs 7 and 9 of val2017, and tables by their kind."""
  write(root, {f'val2017/00000000000{k}.jpg': PHOTO for k in (7, 9)})
  for kind, table in tables.items():
    path = f'annotations/{kind}_val2017.json'
    write(root, {path: table if isinstance(table, str) else json.dumps(table)})
  return root


def make_instances(annotations=ANNOTATIONS, images=IMAGES, cats=CATEGORIES):
  return {'images': images, 'annotations': annotations, 'categories': cats}


def change(entries, number, **fields):
  changed = {**entries[number], **fields}
  kept = {key: value for key, value in changed.items() if value is not None}
  return [*entries[:number], kept, *entries[number + 1 :]]


def test_instances_crowds_and_what_is_ignored(tmp_path):
  root = write_coco(tmp_path, instances=make_instances())
  dataset = open_kind('coco', root, split='val2017')
  assert list(dataset.ids) == ['000000000007', '000000000009']
  assert dataset.files[0] == 'val2017/000000000007.jpg'
  assert dataset.classes.names == ('person', 'dog', 'background')
  assert dataset.classes.areas == dataset.classes.things == (0, 1)
  picture = dataset.load(0)
  assert picture.encoded == PHOTO and picture.captions == ()
  row = [1, 0, 2, 2, VOID, 0]
  np.testing.assert_array_equal(picture.semantic, [row, row, [1, 1, *row[2:]]])
  row = [1, 2, 0, 0, VOID, VOID]
  np.testing.assert_array_equal(picture.instance, [row, row, [1, 1, *row[2:]]])
  assert picture.instance_class == (1, 0)
  # No annotation means that there is nothing.
  empty = dataset.load(1)
  assert (empty.semantic == 2).all() and (empty.instance == 0).all()


def test_compressed_masks_and_names_of_ones_own(tmp_path):
  mask = np.zeros((3, 6), bool)
  mask[1:, 2:4] = True
  annotations = change(ANNOTATIONS, 0, segmentation=rle.encode_rle(mask))[:1]
  table = make_instances(annotations, cats=[{'id': 18, 'name': 'big_dog'}])
  write(
    tmp_path,
    {
      'train/_annotations.coco.json': json.dumps(table),
      'train/000000000007.jpg': PHOTO,
      'train/000000000009.jpg': PHOTO,
    },
  )
  flags = {'instances': 'train/_annotations.coco.json', 'images': 'train'}
  dataset = open_kind('coco', tmp_path, **flags)
  assert dataset.classes.names == ('big dog', 'background')
  np.testing.assert_array_equal(dataset.load(0).instance, mask)
  assert_kind_refuses(
    'coco', tmp_path, '--images', instances=flags['instances']
  )


def test_masks_turn_with_the_photograph(tmp_path):
  root = write_coco(tmp_path, instances=make_instances())
  exif = Image.Exif()
  exif[0x0112] = 8  # a quarter turn, counterclockwise
  Image.new('RGB', (6, 3)).save(root / 'val2017/000000000007.jpg', exif=exif)
  picture = open_kind('coco', root, split='val2017').load(0)
  assert picture.instance.shape == picture.semantic.shape == (6, 3)
  np.testing.assert_array_equal(
    picture.instance[::-1, 2], [1, 1, 0, 0, VOID, VOID]
  )


PANOPTIC = {
  'images': IMAGES,
  'annotations': [
    {
      'image_id': 7,
      'file_name': '000000000007.png',
      'segments_info': [
        {'id': 1 + 2 * 256 + 3 * 65536, 'category_id': 1, 'iscrowd': 0},
        {'id': 255, 'category_id': 1, 'iscrowd': 1},
        {'id': 256, 'category_id': 200},
        {'id': 4, 'category_id': 1, 'iscrowd': 0},
      ],
    }
  ],
  'categories': [
    {'id': 1, 'name': 'person', 'isthing': 1},
    {'id': 199, 'name': 'wall-brick', 'isthing': 0},
    {'id': 200, 'name': 'wall-other-merged', 'isthing': 0},
  ],
}
SEGMENTS = [
  [(1, 2, 3), (255, 0, 0), (0, 1, 0), (0, 1, 0), (0, 0, 0), (4, 0, 0)]
]
PNG = 'annotations/panoptic_val2017/000000000007.png'


def write_panoptic(root, table=PANOPTIC, pixels=SEGMENTS * 3, **more):
  write_coco(root, panoptic=table, **more)
  write(root, {PNG: make_png(pixels)})
  return root


def test_panoptic_segments_before_instances_and_captions_with_them(tmp_path):
  root = write_panoptic(
    tmp_path,
    instances=make_instances(),
    captions={'images': IMAGES, 'annotations': CAPTIONS},
  )
  dataset = open_kind('coco', root, split='val2017')
  assert dataset.classes.names == ('person', 'brick wall', 'wall')
  assert dataset.classes.things == (0,)
  # 9 has neither segments nor a caption that says anything.
  assert list(dataset.ids) == ['000000000007']
  assert dataset.notes == [
    'panoptic segments are taken, instances are not',
    '1 pictures have no labels: left out',
  ]
  picture = dataset.load(0)
  row = [0, 0, 2, 2, VOID, 0]
  np.testing.assert_array_equal(picture.semantic, [row] * 3)
  row = [2, VOID, 0, 0, VOID, 1]
  np.testing.assert_array_equal(picture.instance, [row] * 3)
  assert picture.instance_class == (0, 0)
  assert picture.captions == ('A dog and people.', 'People and a dog.')


def test_captions_alone(tmp_path):
  table = {'images': IMAGES, 'annotations': CAPTIONS}
  root = write_coco(tmp_path, captions=table)
  dataset = open_kind('coco', root, split='val2017')
  assert dataset.classes is None and len(dataset.ids) == 1
  picture = dataset.load(0)
  assert len(picture.captions) == 2 and picture.semantic is None


@pytest.mark.parametrize(
  'table, words',
  [
    (make_instances(change(ANNOTATIONS, 0, image_id=8)), ('image 8', 'whole')),
    (make_instances(change(ANNOTATIONS, 0, image_id=None)),
     ('annotations[0]', "'image_id'")),
    (make_instances(change(ANNOTATIONS, 1, segmentation=None)),
     ('annotations[1]', "'segmentation'")),
    (make_instances(change(ANNOTATIONS, 0, category_id=5)),
     ('annotation 1', 'category_id 5')),
    (make_instances(images=change(IMAGES, 0, file_name='../7.jpg')),
     ("'../7.jpg'", 'inside')),
    (make_instances(images=change(IMAGES, 0, height=None)),
     ('images[0]', "'height'")),
    (make_instances(images=change(IMAGES, 0, height=4)),
     ('image 7: 6 x 4', 'resized')),
    (make_instances(images=change(IMAGES, 0, height=10**12)),
     ('image 7: 6 x 1000000000000', 'resized')),
    (make_instances(change(ANNOTATIONS, 0, category_id=[18])),
     ('annotations[0]', '[18] is no id')),
    (make_instances(change(ANNOTATIONS, 0, segmentation=[[10**400] * 6])),
     ('annotation 1', 'polygon')),
    (make_instances(images=[*IMAGES, {**IMAGES[0], 'width': 9}]),
     ('image 7', 'twice')),
    (make_instances(change(ANNOTATIONS, 0, segmentation=[[0, 0, 1]])),
     ('annotation 1', 'polygon')),
    (make_instances(change(ANNOTATIONS, 0, segmentation=[['a']])),
     ('annotation 1', 'polygon')),
    (make_instances(change(ANNOTATIONS, 2, segmentation={
      'size': [3, 6], 'counts': [15, 30]})), ('annotation 3', '45 pixels')),
    (make_instances(cats=[]), ('categories is empty',)),
    (make_instances(cats=[{'id': 1}]), ('categories[0]', "'name'")),
    (make_instances(cats=[*CATEGORIES, {'id': 1, 'name': 'cat'}]),
     ('two categories', '1')),
    ({'images': IMAGES}, ("no list 'annotations'",)),
    ([], ('holds a list',)),
    ('{"images": [', ('not valid JSON',)),
  ],
)  # fmt: skip
def test_wrong_tables_are_named(table, words, tmp_path):
  root = write_coco(tmp_path, instances=table)
  assert_kind_refuses(
    'coco', root, 'instances_val2017.json', *words, item=0, split='val2017'
  )


def test_a_photograph_of_another_size_than_its_table_says(tmp_path):
  root = write_coco(tmp_path, instances=make_instances())
  write(root, {'val2017/000000000007.jpg': make_jpeg(np.zeros((6, 12, 3)))})
  words = ('image 7: 6 x 3 pixels', '12 x 6', 'resized')
  assert_kind_refuses('coco', root, *words, item=0, split='val2017')


@pytest.mark.parametrize(
  'pixels, segments, words',
  [
    (SEGMENTS * 2, None, ('000000000007.png', '6 x 2')),
    ([[(9, 0, 0)] * 6] * 3, None, ('segment 9', 'segments_info')),
    (SEGMENTS * 3, {'id': 77, 'category_id': 1}, ('shows nothing', '77')),
    (SEGMENTS * 3, {'id': 4, 'category_id': 2}, ('segment 4', 'category_id 2')),
    (SEGMENTS * 3, {'category_id': 1}, ('annotations[0]', "'id'")),
  ],
)
def test_wrong_segments_are_named(pixels, segments, words, tmp_path):
  table = json.loads(json.dumps(PANOPTIC))
  if segments:
    listed = table['annotations'][0]['segments_info']
    listed[:] = [x for x in listed if x['id'] != segments.get('id')]
    listed.append(segments)
  root = write_panoptic(tmp_path, table, pixels)
  assert_kind_refuses('coco', root, *words, item=0, split='val2017')


def test_panoptic_classes_must_say_what_is_a_thing(tmp_path):
  table = {**PANOPTIC, 'categories': CATEGORIES}
  words = ('panoptic_val2017.json', 'categories[0]', "'isthing'")
  root = write_panoptic(tmp_path, table)
  assert_kind_refuses('coco', root, *words, split='val2017')


def test_missing_parts_are_named(tmp_path):
  root = write_coco(tmp_path, instances=make_instances())
  words = ('instances_train2017.json', '--split val2017')
  assert_kind_refuses('coco', root, *words)
  assert_kind_refuses('coco', root, '--captions x.json', captions='x.json')
  (root / 'val2017/000000000009.jpg').unlink()
  words = ('000000000009.jpg', '1 of the 2')
  assert_kind_refuses('coco', root, *words, split='val2017')


def test_tables_of_different_sets(tmp_path):
  other = change(IMAGES, 0, file_name='other.jpg')
  root = write_coco(
    tmp_path,
    instances=make_instances(),
    captions={'images': other, 'annotations': CAPTIONS},
  )
  words = ('captions_val2017.json', 'image 7', 'other.jpg')
  assert_kind_refuses('coco', root, *words, split='val2017')


def test_outlines_are_kept_small():
  entry = {'segmentation': [[0.5, 1, 2, 3, 4, 5]], 'bbox': [1]}
  packed = coco_tables._pack_polygons(entry)['segmentation'][0]
  assert list(packed) == [0.5, 1, 2, 3, 4, 5] and packed.itemsize == 8
