"""Benchmarks, RefCOCO and ReasonSeg as sets to train on."""

import io
import pathlib

import numpy as np
import pytest
import test_readers_reasonseg as reason
import test_readers_refcoco as refs
from byte_files import assert_kind_refuses, make_jpeg, open_kind, write
from painted import PROTOCOLS, write_benchmark
from PIL import Image

from vbanana_jax import labels
from vbanana_jax.benchmark import readers
from vbanana_jax.data import photos
from vbanana_jax.datasets import benchmarks

VOID = labels.VOID


@pytest.mark.parametrize('task', PROTOCOLS)
def test_every_reader_is_a_source(task, tmp_path):
  protocol = write_benchmark(task, tmp_path)
  reader = protocol.open(tmp_path)
  dataset = open_kind('benchmark', tmp_path, protocol=protocol.name)
  assert (dataset.name, dataset.license) == (reader.name, reader.license)
  assert len(dataset.ids) == len(dataset.files) == len(reader.items)
  for k, item in enumerate(reader.items):
    picture, truth = dataset.load(k), reader.load_truth(item)
    assert picture.file == item.image
    assert picture.encoded == (tmp_path / item.image).read_bytes()
    rgb = photos.open_photo(picture.encoded)
    np.testing.assert_array_equal(rgb, reader.load_image(item))
    _COMPARE[task](dataset, picture, item, truth)


def compare_depth(dataset, picture, item, truth):
  depth_m = truth['depth_m']
  assert dataset.classes is None and picture.depth_m.dtype == np.float32
  np.testing.assert_array_equal(np.isnan(picture.depth_m), depth_m == 0)
  np.testing.assert_array_equal(np.nan_to_num(picture.depth_m), depth_m)


def compare_normals(dataset, picture, item, truth):
  length = np.linalg.norm(picture.normals, axis=-1)
  is_known = truth['normals'].any(-1)
  np.testing.assert_allclose(length, is_known, atol=1e-6)
  np.testing.assert_allclose(picture.normals, truth['normals'], atol=0.02)


def compare_semantic(dataset, picture, item, truth):
  names = dataset.classes.names
  assert len(names) == 19 and dataset.classes.areas == tuple(range(19))
  expected = np.where(truth['semantic'] == 255, VOID, truth['semantic'])
  np.testing.assert_array_equal(picture.semantic, expected)
  assert (picture.semantic == names.index('car')).any()


def compare_referring(dataset, picture, item, truth):
  (phrase,) = picture.phrases
  assert phrase.text == item.phrase
  np.testing.assert_array_equal(phrase.mask, truth['mask'])


def compare_instance(dataset, picture, item, truth):
  masks = truth['masks'][0]
  assert [dataset.classes.names[k] for k in picture.instance_class] == (
    [item.phrase] * len(masks)
  )
  (phrase,) = picture.phrases
  assert phrase.text == item.phrase and dataset.classes.areas == ()
  np.testing.assert_array_equal(phrase.mask, picture.instance > 0)
  for k in range(1, len(masks) + 1):
    assert any((mask == (picture.instance == k)).all() for mask in masks)


_COMPARE = {
  'depth': compare_depth,
  'normals': compare_normals,
  'semantic': compare_semantic,
  'referring': compare_referring,
  'instance': compare_instance,
}


class _Container:
  """A reader of photographs inside a container, with a hole in its depth."""

  task, name, license, source = 'depth', 'container', 'none', ''

  def __init__(self, root, image=''):
    self.root = root
    self.items = (readers.Item('0001', image),)

  def load_image(self, item):
    return np.arange(36, dtype=np.uint8).reshape(3, 4, 3)

  def load_truth(self, item):
    depth_m = np.ones((3, 4), np.float32)
    depth_m[0, 0] = 0
    return {'depth_m': depth_m}


def make_photo(size, orientation=1):
  exif = Image.Exif()
  exif[0x0112] = orientation
  file = io.BytesIO()
  Image.new('RGB', size).save(file, 'PNG', exif=exif)
  return file.getvalue()


@pytest.mark.parametrize(
  'encoded, comes_as_it_is',
  [
    (None, False),
    (make_photo((4, 3)), True),
    (make_photo((8, 3)), False),  # the reader crops it
    (make_photo((4, 3), 3), False),  # the reader does not turn it
  ],
)
def test_a_photo_that_its_reader_changes_is_written_as_png(
  encoded, comes_as_it_is, tmp_path
):
  if encoded:
    write(tmp_path, {'a.png': encoded})
  reader = _Container(tmp_path, 'a.png' if encoded else '')
  dataset = benchmarks.BenchmarkSet(reader)
  picture = dataset.load(0)
  assert picture.id == '0001' and dataset.ids == ['0001']
  assert np.isnan(picture.depth_m).sum() == 1
  if comes_as_it_is:
    assert picture.encoded == encoded
    return
  assert picture.encoded.startswith(b'\x89PNG')
  np.testing.assert_array_equal(
    photos.open_photo(picture.encoded), reader.load_image(None)
  )


def test_a_benchmark_needs_its_protocol(tmp_path):
  words = ('--protocol', 'nyuv2_depth')
  assert_kind_refuses('benchmark', tmp_path, *words)
  words = ("no protocol 'x'", 'nyuv2_depth')
  assert_kind_refuses('benchmark', tmp_path, *words, protocol='x')
  write_benchmark('semantic', tmp_path)
  flags = {'protocol': 'cityscapes_semantic', 'split': 'test'}
  assert_kind_refuses('benchmark', tmp_path, 'val, train', **flags)


def write_refcoco(root, folder, who):
  refs.write_folder(root)
  names = {refs.REFS: f'{folder}/refs({who}).p'}
  names[refs.INSTANCES] = f'{folder}/instances.json'
  for old, new in names.items():
    (root / new).parent.mkdir(exist_ok=True)
    (root / old).rename(root / new)


@pytest.mark.parametrize(
  'folder, who, splits',
  [
    ('refcoco', 'unc', ('testA', 'testB')),
    ('refcoco+', 'unc', ('testA', 'testB')),
    ('refcocog', 'umd', ('test',)),
  ],
)
def test_sentences_are_phrases_of_their_photograph(
  folder, who, splits, tmp_path
):
  write_refcoco(tmp_path, folder, who)
  dataset = open_kind('refcoco', tmp_path, annotations=folder, split='val')
  assert dataset.ids == ['COCO_train2014_000000000007']
  assert dataset.files == [refs.PHOTO]
  picture = dataset.load(0)
  assert picture.encoded == (tmp_path / refs.PHOTO).read_bytes()
  texts = ['the left dog', 'a dog that sits', 'a crowd of dogs']
  assert [phrase.text for phrase in picture.phrases] == texts
  assert [phrase.mask.sum() for phrase in picture.phrases] == [8, 8, 3]
  train = open_kind('refcoco', tmp_path, annotations=folder)
  assert [phrase.text for phrase in train.load(0).phrases] == ['a bone']
  for split in splits:
    flags = {'annotations': folder, 'split': split}
    assert_kind_refuses('refcoco', tmp_path, 'lists no examples', **flags)
  flags = {'annotations': folder, 'split': 'dev'}
  assert_kind_refuses('refcoco', tmp_path, 'dev', splits[0], **flags)


@pytest.mark.parametrize(
  'segmentation, words',
  [
    ({'size': [3, 6], 'counts': [15, 9]}, ('annotation 1', '24 pixels')),
    ([[0, 0, 1]], ('annotation 1', 'polygon')),
  ],
)
def test_wrong_masks_of_refcoco_are_named(segmentation, words, tmp_path):
  changed = refs.change(refs.ANNOTATIONS, segmentation=segmentation)
  refs.write_folder(tmp_path, annotations=changed)
  flags = {'annotations': 'refcocog', 'split': 'val'}
  assert_kind_refuses('refcoco', tmp_path, *words, item=0, **flags)


def write_reason(root, **annotations):
  photo = make_jpeg(np.zeros((5, 8, 3)))
  for name, annotation in annotations.items():
    files = {f'train/{name}.jpg': photo, f'train/{name}.json': annotation}
    write(root, files)


def test_every_question_of_reasonseg_and_none_with_doubtful_pixels(tmp_path):
  box = reason.make_box('target', 1, 1, 3, 2)
  texts = ('what holds the soup', 'a bowl', 'what holds the soup', ' ')
  write_reason(
    tmp_path,
    a=reason.make_json(box, text=texts),
    b=reason.make_json(box, reason.make_box('ignore', 4, 4, 5, 5)),
  )
  dataset = open_kind('reasonseg', tmp_path)
  assert list(dataset.ids) == ['a']
  assert dataset.notes == ['1 pictures have regions to ignore: left out']
  first, second = dataset.load(0).phrases
  assert (first.text, second.text) == ('what holds the soup', 'a bowl')
  assert first.mask.sum() == 6 and (first.mask == second.mask).all()


@pytest.mark.parametrize(
  'annotation, words',
  [
    (reason.make_json(text=()), ('a.json', "'text'")),
    ('{"text": ["a"]}', ('a.json', "'shapes'")),
    (reason.make_json({'label': 'target', 'points': [['x']]}), ('a.json',)),
  ],
)
def test_wrong_reasonseg_files_are_named(annotation, words, tmp_path):
  write_reason(tmp_path, a=annotation)
  assert_kind_refuses('reasonseg', tmp_path, *words, item=0)


def test_refcoco_photographs_are_where_its_readers_look():
  parts = pathlib.PurePosixPath(refs.PHOTO).parts
  for name in ('refcoco', 'refcoco_plus', 'refcocog'):
    assert '/'.join(parts[:-1]) in readers.READERS[name].layout
