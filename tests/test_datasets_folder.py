"""A folder of one's own, written byte by byte; and all that can be wrong."""

import json

import numpy as np
import pytest
from byte_files import (
  assert_refused,
  make_jpeg,
  make_npy,
  make_png,
  make_tiff,
  write,
)

from vbanana_jax import cli, labels
from vbanana_jax.data import prepare, record_source
from vbanana_jax.data.prepare_pictures import Limits
from vbanana_jax.datasets import folder
from vbanana_jax.errors import UserError

H, W = 6, 8
ALL_MAY_BE_BAD = Limits(most_bad='100 percent')
CLASSES = [
  {'id': 3, 'name': 'sky', 'color': [0, 0, 255]},
  {'id': 5, 'name': 'car', 'thing': True, 'synonyms': ['auto']},
  {'id': 9, 'name': 'ground', 'area': False},
]
NORMALS = {'x': 'right', 'y': 'up', 'z': 'viewer'}


def photo(level=90):
  rng = np.random.default_rng(level)
  return make_jpeg(rng.integers(0, 255, (H, W, 3)))


def ramp(low=1000, step=10):
  return low + step * np.arange(H * W).reshape(H, W)


def facing():
  """A PNG of normals that point up to the right, to the viewer."""
  normal = np.array([1, 2, 4]) / 21**0.5
  levels = np.rint((normal + 1) / 2 * 255)
  return make_png(np.broadcast_to(levels, (H, W, 3)))


def half(left, right):
  values = np.full((H, W), right)
  values[:, : W // 2] = left
  return values


def make(root, files, **said):
  if said:
    files = {**files, 'dataset.json': json.dumps(said)}
  write(root, files)
  return root


def load(root, files, index=0, split='', **said):
  opened = folder.LabeledFolder(make(root, files, **said), split=split)
  return opened.load(index)


def prepare_folder(root, out, **options):
  opened = folder.LabeledFolder(root)
  return prepare.prepare_dataset(opened, out, inputs=[root], **options)


def test_everything_at_once(tmp_path):
  said = {
    'name': 'mine',
    'license': 'mine too',
    'source': 'my camera',
    'depth': {'unit': 'mm', 'invalid': [0, 1], 'sky': 65535},
    'normals': NORMALS,
    'labels': {'void': 255},
    'classes': CLASSES,
    'instances': {'class': 'labels', 'void': 200},
    'intrinsics': {
      'fx': 20, 'fy': 20, 'cx': 8, 'cy': 6, 'width': 2 * W, 'height': 2 * H,
    },
  }  # fmt: skip
  depth = ramp()
  depth[0, :3] = 0, 1, 65535
  ids = half(3, 5)
  ids[0, 0] = 255
  objects = half(0, 7)
  objects[:2, W // 2 :] = 12
  objects[5, 7] = 200
  lines = {'file_name': 'b/one.jpg', 'captions': ['a car', 'it  is\na car']}
  files = {
    'images/b/one.jpg': photo(),
    'depth/b/one.png': make_png(depth, 16),
    'normals/b/one.png': facing(),
    'labels/b/one.png': make_png(ids),
    'instances/b/one.png': make_png(objects),
    'captions.jsonl': json.dumps(lines),
    'masks/left.png': make_png(half(255, 0)),
    'phrases.jsonl': json.dumps(
      {'file_name': 'b/one.jpg', 'phrase': 'the sky', 'mask': 'masks/left.png'}
    ),
    'after.jpg': photo(3),
    'edits.jsonl': json.dumps(
      {'file_name': 'b/one.jpg', 'instruction': 'rain', 'after': 'after.jpg'}
    ),
  }
  make(tmp_path / 'in', files, **said)
  manifest = prepare_folder(tmp_path / 'in', tmp_path / 'out')
  assert manifest['count'] == 1 and not manifest['skipped']
  assert manifest['name'] == 'mine' and manifest['license'] == 'mine too'
  assert set(manifest['labels']) == {
    'depth_m', 'normals', 'semantic', 'instance', 'phrases', 'captions',
    'intrinsics', 'edit',
  }  # fmt: skip
  assert 'meters' in manifest['units']['depth_m']
  row = record_source.RecordSource(tmp_path / 'out', (H, W))[0]
  meters = depth / 1000
  meters[0, :3] = np.nan, np.nan, np.inf
  np.testing.assert_array_equal(row['depth_m'], meters.astype(np.float32))
  np.testing.assert_allclose(
    row['normals'], np.broadcast_to(np.array([1, 2, 4]) / 21**0.5, (H, W, 3)),
    atol=0.01,
  )  # fmt: skip
  wanted = half(0, 1)
  wanted[0, 0] = labels.VOID
  np.testing.assert_array_equal(row['semantic'], wanted)
  assert row['classes'].names == ('sky', 'car', 'ground')
  assert row['classes'].areas == (0, 1) and row['classes'].things == (1,)
  assert row['classes'].synonyms == {1: ('auto',)}
  wanted = half(0, 1)
  wanted[:2, W // 2 :] = 2
  wanted[5, 7] = labels.VOID
  np.testing.assert_array_equal(row['instance'], wanted)
  np.testing.assert_array_equal(row['instance_class'], [1, 1])
  assert row['captions'] == ('a car', 'it is a car')
  (phrase,) = row['phrases'].draw(np.random.default_rng(0), 3)
  assert phrase.text == 'the sky'
  np.testing.assert_array_equal(phrase.mask, half(1, 0).astype(bool))
  assert row['edit']['instruction'] == 'rain'
  assert row['intrinsics'] == (10.0, 10.0, 4.0, 3.0)


def test_photographs_alone_need_no_words(tmp_path):
  opened = folder.LabeledFolder(make(tmp_path, {'images/a.jpg': photo()}))
  assert opened.load(0).known == set()
  assert opened.name == tmp_path.name


@pytest.mark.parametrize(
  'unit, value, meters',
  [
    ('mm', 1500, 1.5), ('cm', 150, 1.5), ('m', 2, 2.0), (0.00390625, 384, 1.5),
    (0.0002, 7500, 1.5),
  ],
)  # fmt: skip
def test_units_of_depth(unit, value, meters, tmp_path):
  files = {
    'images/a.jpg': photo(),
    'depth/a.png': make_png(np.full((H, W), value), 16),
  }
  found = load(tmp_path, files, depth={'unit': unit}).depth_m
  np.testing.assert_array_equal(found, np.full((H, W), meters, np.float32))


@pytest.mark.parametrize('form', ['npy', 'tif'])
def test_depth_in_floats(form, tmp_path):
  meters = np.linspace(1, 9, H * W).reshape(H, W).astype(np.float32)
  meters[0, 0], meters[0, 1] = np.nan, 0
  encoded = (
    make_npy(meters) if form == 'npy'
    else make_tiff(meters[..., None], photometric=1)
  )  # fmt: skip
  files = {'images/a.jpg': photo(), f'depth/a.{form}': encoded}
  found = load(tmp_path, files, depth={'unit': 'm'}).depth_m
  meters[0, 1] = np.nan
  np.testing.assert_array_equal(found, meters)


def test_depth_along_the_ray_becomes_depth_along_the_axis(tmp_path):
  camera = {'fx': 4.0, 'fy': 5.0, 'cx': 3.0, 'cy': 2.0, 'first_pixel': 0.0}
  y, x = np.mgrid[:H, :W]
  rays = np.sqrt(1 + ((x - 3) / 4) ** 2 + ((y - 2) / 5) ** 2)
  files = {
    'images/a.jpg': photo(),
    'depth/a.npy': make_npy((2 * rays).astype(np.float32)),
  }
  said = {'depth': {'unit': 'm', 'along': 'ray'}, 'intrinsics': camera}
  picture = load(tmp_path, files, **said)
  np.testing.assert_allclose(picture.depth_m, 2, rtol=1e-6)
  assert picture.intrinsics == (4, 5, 3.5, 2.5)


@pytest.mark.parametrize('axis', 'xyz')
def test_frames_of_normals(axis, tmp_path):
  normal = np.array([1, 2, 4]) / 21**0.5
  place = 'xyz'.index(axis)
  stored = normal * np.where(np.arange(3) == place, -1, 1)
  said = {**NORMALS, axis: {'x': 'left', 'y': 'down', 'z': 'away'}[axis]}
  files = {
    'images/a.jpg': photo(),
    'normals/a.npy': make_npy(np.broadcast_to(stored, (H, W, 3))),
  }
  found = load(tmp_path, files, normals=said).normals
  np.testing.assert_allclose(found[2, 3], normal, atol=1e-6)


def test_normals_that_contradict_the_depth_are_refused(tmp_path):
  depth = np.repeat(np.linspace(2000, 1800, H)[:, None], W, 1)  # a floor
  normal = np.array([0, 0.8, 0.6])
  said = {'depth': {'unit': 'mm'}, 'normals': NORMALS}
  files = {'images/a.jpg': photo(), 'depth/a.png': make_png(depth, 16)}

  def load_normals(*normal):
    array = np.broadcast_to(normal, (H, W, 3))
    return load(tmp_path, {**files, 'normals/a.npy': make_npy(array)}, **said)

  assert load_normals(*normal).normals is not None
  assert_refused(lambda: load_normals(*(normal * (1, -1, 1))), 'y contradicts')


def test_gray_normals_are_not_known(tmp_path):
  levels = np.full((H, W, 3), 128)
  levels[0] = 128, 128, 255
  files = {'images/a.jpg': photo(), 'normals/a.png': make_png(levels)}
  found = load(tmp_path, files, normals=NORMALS).normals
  assert not found[1:].any() and (found[0, :, 2] > 0.99).all()


def test_classes_in_color_and_objects_by_division(tmp_path):
  colors = np.zeros((H, W, 3), int)
  colors[:, W // 2 :] = 255, 0, 0
  classes = [
    {'name': 'sky', 'color': [0, 0, 0]},
    {'name': 'car', 'color': [255, 0, 0], 'thing': True},
  ]
  objects = half(0, 1007)
  objects[0, -1] = 8
  files = {
    'images/a.jpg': photo(),
    'labels/a.png': make_png(colors),
    'instances/a.png': make_png(objects, 16),
  }
  said = {'classes': classes, 'instances': {'class': 1000}}
  picture = load(tmp_path, files, **said)
  np.testing.assert_array_equal(picture.semantic, half(0, 1))
  assert picture.instance_class == (1,)
  assert picture.instance[1, -1] == 1 and picture.instance[0, -1] == 0


COLORED = [
  {'name': 'sky', 'color': [0, 0, 255]}, {'name': 'car', 'color': [255, 0, 0]}
]  # fmt: skip


@pytest.mark.parametrize(
  'void', [[0, 0, 0], [[0, 0, 0]], [[0, 0, 0], [9, 9, 9]], [7, [0, 0, 0]]]
)
def test_void_may_be_a_color(void, tmp_path):
  painted = np.zeros((H, W, 3), int)
  painted[:, W // 2 :] = 255, 0, 0
  files = {'images/a.jpg': photo(), 'labels/a.png': make_png(painted)}
  said = {'classes': COLORED, 'labels': {'void': void}}
  picture = load(tmp_path, files, **said)
  np.testing.assert_array_equal(picture.semantic, half(labels.VOID, 1))


def test_antialiased_masks_are_named(tmp_path):
  painted = np.zeros((H, W, 3), int)
  painted[:, : W // 2] = 0, 0, 255
  painted[:, W // 2 :] = 255, 0, 0
  painted[:, W // 2, 0] = np.linspace(20, 230, H)
  files = {'images/a.jpg': photo(), 'labels/a.png': make_png(painted)}
  with pytest.raises(UserError, match='antialiased') as caught:
    load(tmp_path, files, classes=COLORED)
  assert '12.50% of the pixels in 6 such colors' in str(caught.value)


@pytest.mark.parametrize(
  'values, words',
  [
    (half(3, 4), 'name it in "labels": {"void"'),
    (np.full((H, W, 3), 77), '"color": [r, g, b]'),
  ],
)
def test_remedies_are_those_of_a_folder(values, words, tmp_path):
  files = {'images/a.jpg': photo(), 'labels/a.png': make_png(values)}
  classes = [{**each, 'color': None} for each in CLASSES]
  with pytest.raises(UserError) as caught:
    load(tmp_path, files, classes=classes)
  assert words in str(caught.value) and '--' not in str(caught.value)


def test_names_may_have_more(tmp_path):
  files = {
    'rgb/a_rgb.jpg': photo(),
    'scan/a_d.png': make_png(ramp(), 16),
    'scan/b_d.png': make_png(ramp(), 16),
    'rgb/other.txt': 'x',
  }
  said = {
    'images': {'folder': 'rgb', 'suffix': '_rgb'},
    'depth': {'folder': 'scan', 'suffix': '_d', 'unit': 'mm'},
  }
  opened = folder.LabeledFolder(make(tmp_path, files, **said))
  assert opened.ids == ['a'] and opened.load(0).depth_m is not None
  assert opened.skipped == (('scan/b_d.png', 'no photograph of this name'),)


SPLITS = {
  'val': 'val.txt', 'few': ['b/*'], 'train': {'except': ['val', 'few']}
}  # fmt: skip


@pytest.mark.parametrize(
  'split, ids',
  [
    ('val', ['a']), ('few', ['b/c', 'b/d']), ('train', ['e']),
    ('all', ['a', 'b/c', 'b/d', 'e']),
  ],
)  # fmt: skip
def test_splits(split, ids, tmp_path):
  names = ('a', 'b/c', 'b/d', 'e')
  files = {f'images/{name}.jpg': photo() for name in names}
  files['val.txt'] = 'images/a.jpg\n'
  make(tmp_path, files, splits=SPLITS)
  assert folder.LabeledFolder(tmp_path, split=split).ids == ids
  assert_refused(lambda: folder.LabeledFolder(tmp_path), 'choose of val, few')
  assert_refused(
    lambda: folder.LabeledFolder(tmp_path, split='dev'), "no 'dev'"
  )


def test_a_picture_without_a_label_is_said_and_can_be_left_out(tmp_path):
  files = {f'images/{k}.jpg': photo(k) for k in range(3)}
  files['depth/0.png'] = make_png(ramp(), 16)
  root = make(tmp_path / 'in', files, depth={'unit': 'mm'})
  manifest = prepare_folder(root, tmp_path / 'all')
  assert '2 of 3 pictures have none in depth/' in manifest['notes'][0]
  assert '--require depth_m' in manifest['notes'][1]
  source = record_source.RecordSource(tmp_path / 'all', 4)
  assert source.labels == {'rgb'} and 'depth_m' not in source[0]
  manifest = prepare_folder(
    root, tmp_path / 'some', limits=Limits(require=('depth_m',))
  )
  assert manifest['count'] == 1 and manifest['bad'] == 0
  assert manifest['skipped'][0]['reason'] == 'it has no depth_m'


MM = {'depth': {'unit': 'mm'}}
TABLE = {'classes': CLASSES}
OBJECTS = {**TABLE, 'instances': {}}
LINE = {'file_name': 'a.jpg'}


def tall(values, bits=8):
  return make_png(np.asarray(values).T, bits)


def spoiled(encoded, at=-20):
  content = bytearray(encoded)
  content[at] ^= 255
  return bytes(content)


def png_bomb():
  return make_png(np.zeros((2, 2)), 16).replace(
    b'\0\0\0\x02\0\0\0\x02', b'\0\1\0\0\0\1\0\0'
  )


# Labels of one picture -> what its line says. The picture beside it is good.
BAD = {
  'depth of another size': (MM, 'depth', make_png(ramp()[:-1], 16), '8 x 5'),
  'depth on its side': (MM, 'depth', tall(ramp(), 16), '6 x 8'),
  'depth in meters taken for millimeters': (
    MM, 'depth', make_png(np.full((H, W), 2), 16), 'median 0.002 m'),
  'depth in millimeters taken for meters': (
    {'depth': {'unit': 'm'}}, 'depth', make_png(ramp(2000), 16), '2235 m'),
  'depth that says nothing': (
    MM, 'depth', make_png(np.zeros((H, W)), 16), 'not known at any pixel'),
  'depth without a word for nothing': (
    {'depth': {'unit': 'mm', 'invalid': 7}}, 'depth',
    make_png(half(0, 2000), 16), 'above 0'),
  'depth below zero': (
    MM, 'depth', make_npy(-ramp(1000.0)), '-1.47 m'),
  'depth in color': (
    MM, 'depth', make_png(np.zeros((H, W, 3))), 'expected a PNG of labels'),
  'depth as a photograph': (MM, 'depth', photo(), 'not a PNG'),
  'depth cut short': (
    MM, 'depth', make_png(ramp(), 16)[:60], 'depth/a.png'),
  'depth that is damaged': (
    MM, 'depth', spoiled(make_png(ramp(), 16)), 'depth/a.png'),
  'depth that grows': (MM, 'depth', png_bomb(), 'depth/a.png'),
  'depth that is empty': (MM, 'depth', b'', 'depth/a.png'),
  'depth of three axes': (
    MM, 'depth', make_npy(np.ones((H, W, 2))), 'height x width'),
  'depth in a pickle': (
    MM, 'depth', make_npy(ramp()).replace(b"'<f4'", b"'|O' "), 'depth/a'),
  'normals of another size': (
    {'normals': NORMALS}, 'normals', make_png(np.full((H, W - 1, 3), 200)),
    '7 x 6'),
  'normals that face away': (
    {'normals': {**NORMALS, 'z': 'away'}}, 'normals', facing(), 'face away'),
  'normals with y and z swapped': (
    {'normals': NORMALS}, 'normals',
    make_npy(np.broadcast_to([0, 0.6, -0.8], (H, W, 3))), 'face away'),
  'normals of no unit length': (
    {'normals': NORMALS}, 'normals',
    make_npy(np.broadcast_to([0, 0, 2.0], (H, W, 3))), 'no unit length'),
  'normals that say nothing': (
    {'normals': NORMALS}, 'normals', make_png(np.full((H, W, 3), 128)),
    'not known at any pixel'),
  'normals in gray': (
    {'normals': NORMALS}, 'normals', make_png(np.zeros((H, W))), 'normals/a'),
  'normals that are none': (
    {'normals': NORMALS}, 'normals',
    make_npy(np.full((H, W, 3), np.nan)), 'not known at any pixel'),
  'a class beyond the table': (
    TABLE, 'labels', make_png(half(3, 4)), 'value 4'),
  'a color beyond the table': (
    TABLE, 'labels', make_png(np.full((H, W, 3), 77)), '(77, 77, 77)'),
  'classes of another size': (
    TABLE, 'labels', make_png(half(3, 5)[:, :-1]), '7 x 6'),
  'classes that say nothing': (
    {**TABLE, 'labels': {'void': 0}}, 'labels', make_png(np.zeros((H, W))),
    'not known at any pixel'),
  'classes as a photograph': (TABLE, 'labels', photo(), 'labels/a.png'),
  'classes after a resize': (
    TABLE, 'labels', make_png(np.linspace(3, 5, H * W).reshape(H, W)),
    'value 4'),
  'objects of another size': (
    OBJECTS, 'instances', make_png(half(1, 2)[1:]), '8 x 5'),
  'objects without classes': (
    OBJECTS, 'instances', make_png(half(1, 2)), 'without labels/'),
}  # fmt: skip


@pytest.mark.parametrize('name', BAD)
def test_a_bad_label_is_one_line_and_the_rest_is_kept(name, tmp_path, capsys):
  said, key, encoded, words = BAD[name]
  ending = 'npy' if encoded.startswith(b'\x93NUMPY') else 'png'
  files = {
    'images/a.jpg': photo(),
    'images/b.jpg': photo(2),
    f'{key}/a.{ending}': encoded,
  }
  root = make(tmp_path / 'in', files, **said)
  manifest = prepare_folder(root, tmp_path / 'out', limits=ALL_MAY_BE_BAD)
  assert manifest['count'] == 1 and manifest['bad'] == 1
  (entry,) = manifest['skipped']
  assert entry['file'] in ('a', 'images/a.jpg')
  assert words in entry['reason'] and '\n' not in entry['reason']
  # More than a share of them refuses all, and leaves nothing.
  assert_refused(
    lambda: prepare_folder(root, tmp_path / 'none'), words, '--most-bad'
  )
  assert sorted(path.name for path in tmp_path.iterdir()) == ['in', 'out']


def line(**fields):
  return json.dumps({**LINE, **fields})


# What is wrong with the whole folder -> words of the refusal.
REFUSED = {
  'no photographs': ({'labels/a.png': b''}, TABLE, 'no photograph there'),
  'two of one name': ({'images/a.png': photo()}, {}, 'have one name'),
  'depth without a unit': ({'depth/a.png': b''}, {}, 'write "depth"'),
  'normals without a frame': ({'normals/a.png': b''}, {}, '"viewer"'),
  'labels without classes': ({'labels/a.png': b''}, {}, '"classes"'),
  'objects without things': (
    {'instances/a.png': b''}, {'classes': ['sky']}, '"thing"'),
  'names that do not match': (
    {'depth/a_depth.png': b''}, MM, '"suffix"'),
  'a unit of nobody': ({}, {'depth': {'unit': 'ft'}}, "'ft'"),
  'a unit of nothing': ({}, {'depth': {'unit': 0}}, 'depth.unit is 0'),
  'an axis of nobody': (
    {}, {'normals': {**NORMALS, 'y': 'north'}}, 'normals.y'),
  'an unknown field': ({}, {'depht': {}}, "'depth'"),
  'an unknown field inside': (
    {}, {'depth': {'unit': 'm', 'scael': 1}}, 'depth.scael'),
  'a list for an object': ({}, {'depth': []}, 'depth is []'),
  'a class without a name': ({}, {'classes': [{'id': 1}]}, 'classes[0].name'),
  'a class twice': (
    {}, {'classes': [{'name': 'a', 'id': 1}, {'name': 'b', 'id': 1}]},
    'value 1'),
  'a void color and no other': (
    {}, {**{'classes': ['sky']}, 'labels': {'void': [[0, 0, 0]]}},
    'no class has one'),
  'a void of words': ({}, {**TABLE, 'labels': {'void': ['sky']}}, 'void'),
  'a color of two levels': (
    {}, {'classes': [{'name': 'a', 'color': [1, 2]}]}, 'color'),
  'a camera without a center': (
    {}, {'intrinsics': {'fx': 1, 'fy': 1}}, 'intrinsics.cx'),
  'a table that is not there': ({}, {'classes': 'gone.json'}, 'gone.json'),
  'a split of nothing': (
    {}, {'splits': {'all but': ['z']}}, 'choose of all but'),
  'a folder that climbs': (
    {}, {'depth': {'unit': 'm', 'folder': '../x'}}, 'not inside'),
  'captions that are numbers': (
    {'captions.jsonl': line(captions=[1])}, {}, 'captions.jsonl line 1'),
  'captions that are cut': (
    {'captions.jsonl': line(text='x')[:-2]}, {}, 'captions.jsonl line 1'),
  'a phrase without a mask': (
    {'phrases.jsonl': line(phrase='x')}, {}, '"mask"'),
  'a mask that climbs': (
    {'phrases.jsonl': line(phrase='x', mask='../m.png')}, {}, '../m.png'),
  'two edits': (
    {'edits.jsonl': '\n'.join(2 * [line(instruction='x', after='b')])}, {},
    'second edit'),
}  # fmt: skip


@pytest.mark.parametrize('name', REFUSED)
def test_a_folder_that_cannot_be_meant_is_refused(name, tmp_path):
  files, said, words = REFUSED[name]
  pictures = {} if name == 'no photographs' else {'images/a.jpg': photo()}
  root = make(tmp_path / 'in', {**pictures, **files}, **said)
  assert_refused(lambda: folder.LabeledFolder(root), words)


@pytest.mark.parametrize('text', ['[]', '{', '{"name": 3}', '\xff'])
def test_a_dataset_json_that_is_none(text, tmp_path):
  write(tmp_path, {'images/a.jpg': photo()})
  (tmp_path / 'dataset.json').write_bytes(text.encode('latin-1'))
  assert_refused(lambda: folder.LabeledFolder(tmp_path), 'dataset.json')


def test_masks_of_phrases_are_checked_too(tmp_path):
  files = {
    'images/a.jpg': photo(),
    'm.png': make_png(half(1, 0)[:, :-1]),
    'phrases.jsonl': line(phrase='x', mask='m.png'),
  }
  with pytest.raises(UserError, match='7 x 6'):
    load(tmp_path, files)
  (tmp_path / 'm.png').unlink()
  opened = folder.LabeledFolder(tmp_path)
  assert_refused(
    lambda: opened.load(0), 'm.png: no such file', "phrases.jsonl names it: 'x'"
  )


def test_links_are_not_followed(tmp_path):
  secret = tmp_path / 'secret.png'
  secret.write_bytes(make_png(ramp(), 16))
  root = make(tmp_path / 'in', {'images/a.jpg': photo()}, **MM)
  (root / 'depth').mkdir()
  (root / 'depth' / 'a.png').symlink_to(secret)
  assert folder.LabeledFolder(root).load(0).depth_m is None


def test_an_archive_is_not_a_folder(tmp_path):
  archive = tmp_path / 'office.zip'
  archive.write_bytes(b'PK')
  assert_refused(
    lambda: folder.LabeledFolder(archive), 'unzip office.zip', 'webdataset'
  )


def test_the_command_teaches_draws_and_prepares(tmp_path, capsys):
  files = {f'images/{k}.jpg': photo(k) for k in range(3)}
  files |= {f'labels/{k}.png': make_png(half(3, 5)) for k in range(3)}
  files |= {f'depth/{k}.png': make_png(ramp(), 16) for k in range(3)}
  root = make(tmp_path / 'in', files, **TABLE, **MM)
  sheet = tmp_path / 'sheet.png'
  assert (
    cli.main(['prepare', 'folder', str(root), '--dry-run', str(sheet)]) == 0
  )
  said = capsys.readouterr().out
  assert '3 pictures, 3 looked at' in said and 'median 1.24 m' in said
  assert 'license: not said' in said
  assert 'pixels of classes: sky 50.0%, car 50.0%' in said
  assert 'classes that were not seen: ground' in said
  assert '3 classes (sky, car, ground)' in said
  assert sorted(p.name for p in tmp_path.iterdir()) == ['in', 'sheet.png']
  command = ['prepare', 'folder', str(root), '--out', str(tmp_path / 'out')]
  assert cli.main(command) == 0
  said = capsys.readouterr().out
  assert 'labels: depth_m 3, semantic 3' in said
  assert 'license: not said' in said and '3 pictures in 1 shard, 0' in said
  assert cli.main([*command, '--verify']) == 0
  assert cli.main(['prepare', 'folder', str(root)]) == 2
  assert 'needs --out' in capsys.readouterr().err


def test_a_dry_run_of_bad_labels_is_drawn_and_refused(tmp_path, capsys):
  files = {f'images/{k}.jpg': photo(k) for k in range(8)}
  files |= {f'labels/{k}.png': make_png(half(3, 4)) for k in range(6)}
  root = make(tmp_path / 'in', files, **TABLE)
  sheet = tmp_path / 'sheet.png'
  words = ['prepare', 'folder', str(root), '--dry-run', str(sheet)]
  assert cli.main(words) == 2 and sheet.exists()
  said = capsys.readouterr()
  assert said.out.count('value 4') == 6 and '6 of 8 pictures' in said.err
  assert cli.main([*words, '--most-bad', '6 records']) == 0


def test_the_license_of_a_file_is_changed_there(tmp_path, capsys):
  root = make(tmp_path / 'in', {'images/a.jpg': photo()}, license='mine')
  words = ['prepare', 'folder', str(root), '--out', str(tmp_path / 'out')]
  assert cli.main([*words, '--license', 'MIT']) == 2
  error = capsys.readouterr().err
  assert "the license of in is 'mine' in its dataset.json" in error
  assert error.count('\n') == 1 and not (tmp_path / 'out').exists()
