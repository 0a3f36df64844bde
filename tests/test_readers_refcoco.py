"""RefCOCOg from bytes; and pickles, honest and hostile."""

import json
import os
import pickle

import numpy as np
import pytest
from byte_files import make_jpeg, write

from vbanana_jax.benchmark import readers
from vbanana_jax.benchmark.readers import refcoco, unpickle
from vbanana_jax.errors import UserError

REFS, INSTANCES = 'refcocog/refs(umd).p', 'refcocog/instances.json'
PHOTO = 'images/mscoco/images/train2014/COCO_train2014_000000000007.jpg'


def make_ref(ref_id, ann_id, split, *sentences):
  return {
    'ref_id': ref_id,
    'ann_id': ann_id,
    'image_id': 7,
    'category_id': 18,
    'split': split,
    'file_name': 'COCO_train2014_000000000007_0.jpg',
    'sent_ids': list(range(len(sentences))),
    'sentences': [
      {'sent': text, 'raw': text, 'tokens': text.split(), 'sent_id': i}
      for i, text in enumerate(sentences)
    ],
  }


RECORDS = [
  make_ref(40, 1, 'val', 'the left dog', ' a dog that sits '),
  make_ref(41, 2, 'train', 'a bone'),
  make_ref(42, 3, 'val', 'a crowd of dogs'),
]
ANNOTATIONS = [
  # Two polygons that share column 2.
  {
    'id': 1,
    'image_id': 7,
    'segmentation': [[0, 0, 3, 0, 3, 2, 0, 2], [2, 0, 4, 0, 4, 2, 2, 2]],
  },
  {'id': 2, 'image_id': 7, 'segmentation': []},
  {
    'id': 3,
    'image_id': 7,
    'segmentation': {'size': [3, 6], 'counts': [15, 3]},
  },
]
IMAGES = [
  {'id': 7, 'file_name': PHOTO.rsplit('/', 1)[1], 'height': 3, 'width': 6}
]


def write_folder(root, records=RECORDS, annotations=ANNOTATIONS, images=IMAGES):
  table = {'images': images, 'annotations': annotations, 'categories': []}
  files = {
    REFS: pickle.dumps(records, protocol=2),
    INSTANCES: json.dumps(table),
    PHOTO: make_jpeg(np.full((3, 6, 3), 90)),
  }
  write(root, files)
  return root


def show(mask):
  return [''.join('.#'[value] for value in row) for row in mask.astype(int)]


def test_one_item_a_sentence(tmp_path):
  reader = readers.READERS['refcocog'](write_folder(tmp_path), 'val')
  assert isinstance(reader, readers.Reader) and reader.task == 'referring'
  assert [(item.id, item.phrase) for item in reader.items] == [
    ('40-0', 'the left dog'),
    ('40-1', 'a dog that sits'),
    ('42-0', 'a crowd of dogs'),
  ]
  assert {item.image for item in reader.items} == {PHOTO}
  assert reader.load_image(reader.items[0]).shape == (3, 6, 3)
  assert len(refcoco.RefCocoG(tmp_path, 'train').items) == 1


def test_masks_are_unions(tmp_path):
  reader = refcoco.RefCocoG(write_folder(tmp_path), 'val')
  one, same, runs = (reader.load_truth(item) for item in reader.items)
  assert show(one['mask']) == ['####..', '####..', '......']
  np.testing.assert_array_equal(one['mask'], same['mask'])
  assert show(runs['mask']) == ['.....#'] * 3
  assert one['mask'].dtype == bool and not one['ignore'].any()


def test_every_form_of_an_annotation(tmp_path):
  segments = [
    [{'size': [3, 6], 'counts': [0, 3, 15]}, {'size': [3, 6], 'counts': '?3'}],
    [],
  ]
  annotations = [
    {**ANNOTATIONS[i], 'segmentation': segment}
    for i, segment in zip((0, 2), segments)
  ]
  root = write_folder(tmp_path, annotations=[*annotations, ANNOTATIONS[1]])
  reader = refcoco.RefCocoG(root, 'val')
  masks = [reader.load_truth(item)['mask'] for item in reader.items]
  assert show(masks[0]) == ['#....#'] * 3
  assert not masks[2].any()


def test_a_pickle_written_byte_by_byte(tmp_path):
  # Python 2, protocol 2: [{'ref_id': 300, 'sent': 'caf\xc3\xa9', 'ok': True}].
  body = b'\x80\x02]q\x01}q\x02(U\x06ref_idq\x03M\x2c\x01U\x04sentq\x04'
  body += b'U\x05caf\xc3\xa9q\x05U\x02okq\x06\x88ua.'
  path = tmp_path / 'refs.p'
  path.write_bytes(body)
  expected = [{'ref_id': 300, 'sent': 'café', 'ok': True}]
  assert unpickle.load_plain_pickle(path) == expected
  # Not UTF-8: read as Latin-1, all of it.
  path.write_bytes(body.replace(b'\x05caf\xc3\xa9', b'\x04caf\xe9'))
  assert unpickle.load_plain_pickle(path) == expected
  # Protocol 0 is text.
  path.write_bytes(b"(lp1\n(dp2\nS'ref_id'\np3\nI300\nsS'z'\nF2.5\nsa.")
  assert unpickle.load_plain_pickle(path) == [{'ref_id': 300, 'z': 2.5}]


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(protocol, tmp_path):
  shared = ['same', 'list']
  data = [
    None, True, False, 0, -1, 255, 2**70, 2.5, 'text', 'žluť', (), (1,), (1, 2),
    (1, 2, 3), (1, 2, 3, 4), {'a': [shared, shared]}, [list(range(3000))],
  ]  # fmt: skip
  path = tmp_path / 'plain.p'
  path.write_bytes(pickle.dumps(data, protocol))
  assert unpickle.load_plain_pickle(path) == data


class Hostile:
  def __init__(self, call, *arguments):
    self.reduced = call, arguments

  def __reduce__(self):
    return self.reduced


def hostile_pickles(witness):
  touch = f'open({str(witness)!r}, "w").close()'
  yield 'exec', pickle.dumps(Hostile(exec, touch), 2)
  yield 'eval, protocol 0', pickle.dumps([Hostile(eval, touch)], 0)
  yield 'protocol 4', pickle.dumps({'a': Hostile(os.system, 'true')}, 4)
  yield 'a class', pickle.dumps(Hostile, 2)
  yield 'a set', pickle.dumps({1, 2}, 4)
  yield 'INST', f"(S'{touch}'\ni__builtin__\nexec\n.".encode()
  yield 'OBJ', b'(cos\nsystem\nU\x04trueo.'
  yield 'BUILD', b'}}b.'
  yield 'NEWOBJ', b'\x80\x02cbuiltins\nobject\n)\x81.'
  yield 'EXT1', b'\x80\x02\x82\x01.'
  yield 'PERSID', b'Pelsewhere\n.'
  yield 'BINPERSID', b'U\x01xQ.'
  yield 'REDUCE of text', b'U\x04true)R.'
  yield 'far store', b'U\x01ar\xff\xff\xff\x7f.'
  yield 'far store, text', b'U\x01ap99999999999\n.'
  yield 'unknown entry', b'h\x07.'
  yield 'nothing on the stack', b'a.'
  yield 'a list as a key', b'}]K\x01s.'
  yield 'truncated', pickle.dumps(RECORDS, 2)[:-40]
  yield 'too long a text', b'X\xff\xff\xff\x7fa.'
  yield 'no end', b'K\x01'
  yield 'not a pickle', b'\x89PNG\r\n'
  yield 'empty', b''


def test_hostile_and_damaged_pickles_do_nothing(tmp_path):
  witness, path = tmp_path / 'witness', tmp_path / 'refs.p'
  for name, content in hostile_pickles(witness):
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
      unpickle.load_plain_pickle(path)
    message = str(error.value)
    assert message.startswith(f'{path}: ') and '\n' not in message, name
    assert not witness.exists(), name


def test_the_refused_global_is_named(tmp_path):
  path = tmp_path / 'refs.p'
  path.write_bytes(pickle.dumps(Hostile(os.system, 'true'), 2))
  with pytest.raises(UserError, match=r'refs\.p: refused.*GLOBAL posix system'):
    unpickle.load_plain_pickle(path)


def change(records, **fields):
  return [{**records[0], **fields}, *records[1:]]


@pytest.mark.parametrize(
  'place, folder',
  [
    (REFS, {'records': {'val': 1}}),
    (REFS, {'records': 7}),
    (REFS, {'records': change(RECORDS, sentences=None)}),
    (REFS, {'records': change(RECORDS, sentences=[{'raw': 'x'}])}),
    (REFS, {'records': change(RECORDS, ann_id='x')}),
    (INSTANCES, {'records': change(RECORDS, ann_id=99)}),
    (INSTANCES, {'annotations': change(ANNOTATIONS, image_id=8)}),
    (INSTANCES, {'annotations': [{'id': 1}, *ANNOTATIONS[1:]]}),
    (INSTANCES, {'annotations': [*ANNOTATIONS, ANNOTATIONS[0] | {'x': 1}]}),
    (INSTANCES, {'images': [*IMAGES, IMAGES[0] | {'height': 9}]}),
    (INSTANCES, {'annotations': 5}),
    (INSTANCES, {'images': change(IMAGES, height=None)}),
    (INSTANCES, {'images': change(IMAGES, file_name='../../secret.jpg')}),
    (
      PHOTO[:-5] + '8',
      {'images': change(IMAGES, file_name='COCO_train2014_000000000008.jpg')},
    ),
  ],
)
def test_inconsistent_tables_are_named(place, folder, tmp_path):
  root = write_folder(tmp_path, **folder)
  with pytest.raises(UserError) as error:
    refcoco.RefCocoG(root, 'val')
  message = str(error.value)
  assert message.startswith(f'{root / place}') and '\n' not in message


@pytest.mark.parametrize(
  'segmentation',
  [[[0, 0, 1]], [[0, 0, 1, 1, 1e12, 2]], ['xyz'], [None], 5,
   {'size': [6, 3], 'counts': [18]}, {'size': [3, 6], 'counts': 'Q'}],
)  # fmt: skip
def test_damaged_annotations_are_named(segmentation, tmp_path):
  annotations = change(ANNOTATIONS, segmentation=segmentation)
  reader = refcoco.RefCocoG(
    write_folder(tmp_path, annotations=annotations), 'val'
  )
  with pytest.raises(UserError, match=r'instances\.json: annotation 1: not'):
    reader.load_truth(reader.items[0])


def test_a_photograph_of_another_size(tmp_path):
  root = write_folder(tmp_path)
  (root / PHOTO).write_bytes(make_jpeg(np.zeros((6, 3, 3))))
  reader = refcoco.RefCocoG(root, 'val')
  with pytest.raises(UserError, match='3 x 6 pixels, expected 6 x 3'):
    reader.load_image(reader.items[0])


def test_missing_parts_are_named(tmp_path):
  with pytest.raises(UserError, match=r'refs\(umd\)\.p.*lichengunc/refer'):
    refcoco.RefCocoG(tmp_path, 'val')
  root = write_folder(tmp_path)
  (root / INSTANCES).write_text('{"images": [')
  with pytest.raises(UserError, match=r'instances\.json: not valid JSON'):
    refcoco.RefCocoG(root, 'val')
