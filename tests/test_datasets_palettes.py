"""VOC, ADE20K, Cityscapes from bytes: classes, objects, what is not known."""

import numpy as np
import pytest
from byte_files import (
  assert_kind_refuses,
  make_jpeg,
  make_png,
  open_kind,
  write,
)

from vbanana_jax import labels
from vbanana_jax.datasets import instance_maps

VOID = labels.VOID
PHOTO = make_jpeg(np.full((3, 6, 3), 90))
# Two dogs and a cow, with borders between them.
CLASSES = [[0, 255, 12, 12, 255, 10], [0, 255, 12, 12, 255, 10], [0] * 6]
OBJECTS = [[0, 255, 1, 2, 255, 3], [0, 255, 1, 2, 255, 3], [0] * 6]
PALETTE = [(k % 7 * 30, k % 5 * 50, k) for k in range(256)]


def write_voc(root, classes=CLASSES, objects=OBJECTS, **files):
  found = {
    'JPEGImages/2007_1.jpg': PHOTO,
    'SegmentationClass/2007_1.png': make_png(classes, palette=PALETTE),
    'SegmentationObject/2007_1.png': make_png(objects, palette=PALETTE),
    'ImageSets/Segmentation/train.txt': '2007_1\n',
    'ImageSets/Segmentation/val.txt': '2007_2\n',
  }
  write(root, {**found, **files})
  return root


def test_voc_classes_and_objects(tmp_path):
  dataset = open_kind('voc', write_voc(tmp_path))
  assert list(dataset.ids) == ['2007_1'] and len(dataset.classes.names) == 21
  # The background is a class, and nobody asks for it.
  assert dataset.classes.areas == dataset.classes.things == tuple(range(1, 21))
  assert dataset.classes.synonyms[1] == ('aeroplane',)
  picture = dataset.load(0)
  assert picture.encoded == PHOTO
  border = [[0, VOID, 12, 12, VOID, 10]]
  np.testing.assert_array_equal(picture.semantic, border * 2 + [[0] * 6])
  border = [[0, VOID, 1, 2, VOID, 3]]
  np.testing.assert_array_equal(picture.instance, border * 2 + [[0] * 6])
  assert picture.instance_class == (12, 12, 10)


def test_voc_of_another_table_in_colors(tmp_path):
  colors = np.array([(0, 0, 0), (9, 9, 9), (1, 0, 0), (0, 1, 0)])
  root = write_voc(
    tmp_path / 'VOC2012',
    **{
      'labelmap.txt': '# label:rgb:parts:actions\nbackground:0,0,0::\n'
      'cup:9,9,9::\n',
      'SegmentationClass/2007_1.png': make_png(colors[[[0, 1, 1]] * 3]),
      'SegmentationObject/2007_1.png': make_png(colors[[[0, 2, 3]] * 3]),
      'JPEGImages/2007_1.jpg': make_jpeg(np.zeros((3, 3, 3))),
    },
  )
  dataset = open_kind('voc', root.parent)
  assert dataset.classes.names == ('background', 'cup')
  picture = dataset.load(0)
  np.testing.assert_array_equal(picture.semantic, [[0, 1, 1]] * 3)
  assert picture.instance_class == (1, 1)
  assert len(np.unique(picture.instance[:, 1:])) == 2


def test_voc_without_objects(tmp_path):
  root = write_voc(tmp_path)
  for path in (root / 'SegmentationObject').iterdir():
    path.unlink()
  (root / 'SegmentationObject').rmdir()
  dataset = open_kind('voc', root)
  assert dataset.load(0).instance is None and dataset.classes.things == ()
  assert 'no objects' in dataset.notes[-1]


@pytest.mark.parametrize(
  'files, flags, words',
  [
    ({'classes': [[21] * 6] * 3}, {}, ('2007_1.png: value 21', '21 classes')),
    ({'objects': [[7] * 6] * 3}, {}, ('Object/2007_1.png: object 7', 'backg')),
    ({'objects': [[0] * 5] * 3}, {}, ('5 x 3', 'resized')),
    ({}, {'split': 'trainval'}, ('--split trainval', 'train, val')),
    ({}, {'split': 'val'}, ('2007_2.jpg', 'no such file', '1 of the 1')),
    (
      {'ImageSets/Segmentation/train.txt': '../../../etc/passwd\n'},
      {},
      ('train.txt', 'not a path inside'),
    ),
    (
      {'ImageSets/Segmentation/train.txt': '2007_1\n2007_1\n'},
      {},
      ('train.txt', 'two pictures are called 2007_1'),
    ),
  ],
)
def test_wrong_voc_folders_are_named(files, flags, words, tmp_path):
  root = write_voc(tmp_path, **files)
  assert_kind_refuses('voc', root, *words, item=0, **flags)


INFO = (
  'Idx\tRatio\tTrain\tVal\tName\n'
  '1\t0.15\t11664\t1172\twall\n'
  '2 \t0.10\t6046\t612\tbuilding, edifice\n'
  '3\t0.08\t8265\t796\tscreen door, screen\n'
  '4\t0.08\t8265\t796\ttelevision, tv set\n'
  '5\t0.01\t1\t1\tblind, screen \n'
)
THINGS = 'Idx\tObject Names\t\t#Inst.\t#Pix.\n1\ttv set   \t2189\t49.06\n'


def write_ade(root, **files):
  name = 'training/ADE_train_00000001'
  objects = np.zeros((3, 6, 3))
  objects[:, 3:, 0] = 1
  objects[:, 3:5, 1] = 7
  objects[:, 5, 1] = 3
  found = {
    'objectInfo150.txt': INFO,
    f'images/{name}.jpg': PHOTO,
    f'annotations/{name}.png': make_png([[0, 1, 2, 4, 4, 4]] * 3),
    'instanceInfo100_train.txt': THINGS,
    f'annotations_instance/{name}.png': make_png(objects),
  }
  write(root, {**found, **files})
  return root


def test_ade20k_classes_and_objects(tmp_path):
  dataset = open_kind('ade20k', write_ade(tmp_path))
  names = ('wall', 'building', 'screen door', 'television', 'blind')
  assert dataset.classes.names == names
  # What two classes are called means neither.
  assert dataset.classes.synonyms == {1: ('edifice',), 3: ('tv set',)}
  assert dataset.classes.things == (3,)
  picture = dataset.load(0)
  assert picture.id == 'ADE_train_00000001'
  np.testing.assert_array_equal(picture.semantic, [[VOID, 0, 1, 3, 3, 3]] * 3)
  np.testing.assert_array_equal(picture.instance, [[0, 0, 0, 2, 2, 1]] * 3)
  assert picture.instance_class == (3, 3)


@pytest.mark.parametrize(
  'files, flags, words',
  [
    ({}, {'split': 'val'}, ('validation', 'sceneparsing')),
    ({}, {'split': 'test'}, ("'test'", 'train, val')),
    ({'objectInfo150.txt': 'Idx\n1 wall\n'}, {}, ("'1 wall'", 'Idx, Ratio')),
    ({'instanceInfo100_train.txt': 'Idx\n1\tsofa\t3\n'}, {}, ('sofa',)),
    (
      {'annotations/training/ADE_train_00000001.png': make_png([[6] * 6] * 3)},
      {},
      ('value 6', 'objectInfo150.txt'),
    ),
    (
      {
        'annotations_instance/training/ADE_train_00000001.png': make_png(
          np.full((3, 6, 3), 2)
        )
      },
      {},
      ('class 2', 'instanceInfo100_train.txt'),
    ),
    ({'images/training/b.jpg': PHOTO}, {}, ('training/b.png', '1 of the 2')),
  ],
)
def test_wrong_ade20k_folders_are_named(files, flags, words, tmp_path):
  root = write_ade(tmp_path, **files)
  assert_kind_refuses('ade20k', root, *words, item=0, **flags)


def test_ade20k_without_its_table_of_things(tmp_path):
  root = write_ade(tmp_path)
  (root / 'instanceInfo100_train.txt').unlink()
  assert_kind_refuses('ade20k', root, 'instanceInfo100_train', 'placeschall')


STREET = 'aachen/aachen_000000_000019'
# Road, a car, a group of cars, another car, a caravan, unlabeled.
LABEL_IDS = [[7, 26, 26, 26, 29, 0]] * 3
INSTANCE_IDS = [[7, 26001, 26, 26000, 29000, 0]] * 3


def write_city(root, label_ids=LABEL_IDS, instance_ids=INSTANCE_IDS):
  write(
    root,
    {
      f'leftImg8bit/train/{STREET}_leftImg8bit.png': make_png(
        np.zeros((3, 6, 3))
      ),
      f'gtFine/train/{STREET}_gtFine_labelIds.png': make_png(label_ids),
      f'gtFine/train/{STREET}_gtFine_instanceIds.png': make_png(
        instance_ids, bits=16
      ),
    },
  )
  return root


def test_cityscapes_objects_and_groups(tmp_path):
  dataset = open_kind('cityscapes', write_city(tmp_path))
  car = dataset.classes.names.index('car')
  assert car in dataset.classes.things and len(dataset.classes.things) == 8
  picture = dataset.load(0)
  row = [0, car, car, car, VOID, VOID]
  np.testing.assert_array_equal(picture.semantic, [row] * 3)
  np.testing.assert_array_equal(
    picture.instance, [[0, 2, VOID, 1, VOID, VOID]] * 3
  )
  assert picture.instance_class == (car, car)


def test_cityscapes_without_instances(tmp_path):
  root = write_city(tmp_path)
  next(root.glob('gtFine/*/*/*instanceIds.png')).unlink()
  dataset = open_kind('cityscapes', root)
  assert dataset.load(0).instance is None and dataset.classes.things == ()


@pytest.mark.parametrize(
  'label_ids, instance_ids, words',
  [
    ([[34] * 6] * 3, INSTANCE_IDS, ('labelIds.png', '34')),
    (LABEL_IDS, [[24001] * 6] * 3, ('object 24001', 'another class')),
    (LABEL_IDS, [[7] * 5] * 3, ('instanceIds.png: 5 x 3', 'labelIds')),
  ],
)
def test_wrong_cityscapes_files_are_named(
  label_ids, instance_ids, words, tmp_path
):
  root = write_city(tmp_path, label_ids, instance_ids)
  assert_kind_refuses('cityscapes', root, *words, item=0)


def test_numbers_of_objects_whatever_they_were():
  rng = np.random.default_rng(0)
  small = rng.integers(-1, 6, (9, 11))
  for scale in (1, 3_000_000):  # with a table of values, and sorted
    keys = np.where(small > 0, small * scale, small)
    class_of = {2 * scale: 7, 4 * scale: 9, 5 * scale: 7, 77: 1}
    found = instance_maps.number(keys, class_of)
    expected = np.select(
      [small == -1, small == 2, small == 4, small == 5], [-1, 1, 2, 3]
    )
    np.testing.assert_array_equal(found['instance'], expected)
    assert found['instance_class'] == (7, 9, 7)


def test_small_segments_lie_on_top_and_ignored_ones_above_all():
  def make(*columns):
    mask = np.zeros((2, 8), bool)
    mask[:, columns] = True
    return mask

  found = instance_maps.paint(
    [
      instance_maps.Segment(make(6, 7), 3, ignored=True),
      instance_maps.Segment(make(1, 2), 0),
      instance_maps.Segment(make(1, 2, 3, 4, 5), 1),
      instance_maps.Segment(make(5, 6, 7), 2, crowd=True),
    ],
    (2, 8),
    ground=9,
  )
  row = [9, 0, 0, 1, 1, 2, VOID, VOID]
  np.testing.assert_array_equal(found['semantic'], [row] * 2)
  row = [0, 2, 2, 1, 1, VOID, VOID, VOID]
  np.testing.assert_array_equal(found['instance'], [row] * 2)
  assert found['instance_class'] == (1, 0)
