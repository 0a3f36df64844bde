"""ReasonSeg from bytes: order of painting, encodings, labels, damage."""

import io
import json

import numpy as np
import pytest
from byte_files import make_jpeg, write
from PIL import Image

from vbanana_jax.benchmark import readers
from vbanana_jax.benchmark.readers import reasonseg
from vbanana_jax.errors import UserError


def make_shape(label, *points):
  return {'label': label, 'points': [list(point) for point in points]}


def make_box(label, x0, y0, x1, y1):
  return make_shape(label, (x0, y0), (x1, y0), (x1, y1), (x0, y1))


def make_json(*shapes, text=('what holds the soup', 'never asked')):
  return json.dumps(
    {'shapes': list(shapes), 'text': list(text), 'is_sentence': False}
  )


def write_folder(root, annotation, height=5, width=8):
  photo = make_jpeg(np.zeros((height, width, 3)))
  write(root, {'val/bowl 1.jpg': photo, 'val/bowl 1.json': annotation})
  return root


def load(root):
  reader = reasonseg.ReasonSeg(root, 'val')
  truth = reader.load_truth(reader.items[0])
  letters = np.where(truth['mask'], '#', np.where(truth['ignore'], 'i', '.'))
  return [''.join(row) for row in letters]


def test_the_first_text_is_asked(tmp_path):
  root = write_folder(tmp_path, make_json(make_box('target', 1, 1, 3, 2)))
  reader = readers.READERS['reasonseg'](root, 'val')
  assert isinstance(reader, readers.Reader) and reader.task == 'referring'
  (item,) = reader.items
  assert (item.id, item.phrase) == ('bowl_1', 'what holds the soup')
  assert reader.load_image(item).shape == (5, 8, 3)
  assert load(root) == ['........', '.###....', '.###....', *['........'] * 2]


def test_small_shapes_are_painted_over_large_ones(tmp_path):
  large = make_box('soup', 0, 0, 6, 4)
  hole = make_box('Ignore this', 1, 1, 4, 3)
  core = make_box('target', 2, 2, 3, 2)
  flag = make_box('FLAG', 0, 0, 7, 4)
  expected = ['#######.', '#iiii##.', '#i##i##.', '#iiii##.', '#######.']
  for shapes in ((large, hole, core, flag), (flag, core, large, hole)):
    assert load(write_folder(tmp_path, make_json(*shapes))) == expected


def test_of_equal_shapes_the_first_lies_on_top(tmp_path):
  target, ignored = (
    make_box(label, 1, 1, 2, 2) for label in ('target', 'ignore')
  )
  assert load(write_folder(tmp_path, make_json(target, ignored)))[1][1] == '#'
  assert load(write_folder(tmp_path, make_json(ignored, target)))[1][1] == 'i'


def test_windows_encoding(tmp_path):
  text = 'it\u2019s a caf\u00e9'  # a curly apostrophe: byte 0x92
  annotation = f'{{"shapes": [], "text": ["{text}"]}}'
  for encoding in ('utf-8', 'cp1252'):
    root = write_folder(tmp_path, annotation.encode(encoding))
    reader = reasonseg.ReasonSeg(root, 'val')
    assert reader.items[0].phrase == text


def test_points_belong_to_the_upright_photograph(tmp_path):
  root = write_folder(tmp_path, make_json(make_box('target', 0, 0, 1, 6)))
  turned = Image.new('RGB', (8, 5))
  exif = Image.Exif()
  exif[0x0112] = 6  # orientation: turn by 90 degrees
  file = io.BytesIO()
  turned.save(file, 'JPEG', exif=exif)
  (root / 'val/bowl 1.jpg').write_bytes(file.getvalue())
  assert load(root) == ['##...'] * 7 + ['.....']


@pytest.mark.parametrize(
  'annotation',
  [
    '{"shapes": [], "text": []}',
    '{"shapes": [], "text": [5]}',
    '{"shapes": [{}], "text": ["a"]}',
    '{"shapes": 5, "text": ["a"]}',
    '{"text": ["a"]}',
    '[]',
    '{"shapes": [',
    b'{"text": ["\x81"]}',  # in neither encoding
    '[' * 100_000,
  ],
)
def test_damaged_annotations_are_named(annotation, tmp_path):
  root = write_folder(tmp_path, annotation)
  with pytest.raises(UserError) as error:
    reasonseg.ReasonSeg(root, 'val')
  message = str(error.value)
  assert message.startswith(f'{root / "val/bowl 1.json"}: not an annotation')
  assert '\n' not in message


@pytest.mark.parametrize(
  'points', [[], [[1]], [[1, 2, 3]], 5, [None], [['a', 'b']], [[1e300, 0]]]
)
def test_damaged_points_are_named(points, tmp_path):
  shape = {'label': 'target', 'points': points}
  with pytest.raises(UserError, match=r'bowl 1\.json: not a polygon'):
    load(write_folder(tmp_path, make_json(shape)))


def test_missing_parts_are_named(tmp_path):
  with pytest.raises(UserError, match=r'no val/\*\.jpg.*LISA'):
    reasonseg.ReasonSeg(tmp_path, 'val')
  root = write_folder(tmp_path, make_json())
  (root / 'val/spoon.jpg').write_bytes(make_jpeg(np.zeros((2, 2, 3))))
  with pytest.raises(UserError, match=r'spoon\.json: no such file'):
    reasonseg.ReasonSeg(root, 'val')
  (root / 'val/spoon.jpg').unlink()
  (root / 'val/bowl 1.jpg').write_bytes(b'\xff\xd8\xff\xe0 cut off')
  reader = reasonseg.ReasonSeg(root, 'val')
  with pytest.raises(UserError, match=r'bowl 1\.jpg: '):
    reader.load_truth(reader.items[0])
