"""A labeled record gives back what it was made of, to the last bit."""

import json
import struct
import zlib

import numpy as np
import pytest
from byte_files import assert_refused, make_jpeg

from vbanana_jax import labels
from vbanana_jax.data import labeled, record_arrays, records

H, W = 5, 7


def make_picture(**changes):
  """A picture with every label that there is."""
  rng = np.random.default_rng(0)
  normals = rng.standard_normal((H, W, 3)).astype(np.float32)
  normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
  normals[0] = 0
  depth_m = rng.uniform(0.5, 80, (H, W)).astype(np.float32)
  depth_m[0, :3] = np.nan, np.inf, 1e-30
  left = np.zeros((H, W), bool)
  left[:, :3] = True
  fields = {
    'id': 'a',
    'file': 'images/ä.jpg',
    'encoded': make_jpeg(rng.integers(0, 255, (H, W, 3))),
    'depth_m': depth_m,
    'normals': normals,
    'semantic': rng.integers(-1, 200, (H, W)),
    'instance': rng.integers(-1, 3, (H, W)),
    'instance_class': (4, 9),
    'phrases': (
      labels.Phrase('the left one', left),
      labels.Phrase('nothing', np.zeros((H, W), bool)),
      labels.Phrase('this side', left.copy()),
    ),
    'captions': ('one thing', 'zwei Dinge — über'),
    'intrinsics': labels.Intrinsics(5.0, 5.5, 3.5, 2.25),
    'edit': labeled.EditedPicture('remove it', b'edited'),
  }
  return labeled.LabeledPicture(**{**fields, **changes})


def assert_equal(one, other):
  for key, value in vars(one).items():
    found = getattr(other, key)
    if isinstance(value, np.ndarray):
      np.testing.assert_array_equal(found, value, err_msg=key)
    elif key == 'phrases':
      assert [p.text for p in found] == [p.text for p in value]
      for p, q in zip(found, value):
        np.testing.assert_array_equal(p.mask, q.mask)
    else:
      assert found == value, key


def repack(**changes):
  return records.unpack_picture(
    records.pack_picture(make_picture(**changes), (H, W))
  )


def read_header(record):
  (length,) = struct.unpack_from('<I', record)
  return json.loads(record[4 : 4 + length]), record[4 + length :]


def find_part(record, key):
  header, _ = read_header(record)
  return next(part for part in header['parts'] if part['key'] == key)


def test_everything_comes_back():
  picture = make_picture()
  found = repack()
  assert_equal(picture, found)
  assert found.depth_m.dtype == found.normals.dtype == np.float32
  assert found.semantic.dtype.kind == found.instance.dtype.kind == 'i'


def test_questions_are_told_without_unpacking(monkeypatch):
  record = records.pack_picture(make_picture(), (H, W))
  monkeypatch.setattr(record_arrays, 'inflate', None)
  found = records.read_questions(record)
  assert found.id == 'a' and found.instance_class == (4, 9)
  assert found.phrases == ('the left one', 'nothing', 'this side')
  assert found.labels == {
    'depth_m', 'normals', 'semantic', 'instance', 'phrases', 'edit',
  }  # fmt: skip


def test_a_photograph_alone_has_no_labels():
  picture = labeled.LabeledPicture('b', 'b.png', b'photo')
  record = records.pack_picture(picture, (2, 3))
  assert_equal(picture, records.unpack_picture(record))
  assert picture.known == set()
  # The photograph's own bytes stand in the record as they came.
  assert record.endswith(b'photo')


@pytest.mark.parametrize('steps', records.STEPS_PER_METER)
def test_depth_of_integers_is_kept_as_integers(steps):
  rng = np.random.default_rng(1)
  counts = rng.integers(1, 65535, (H, W))
  depth_m = (counts / steps).astype(np.float32)
  depth_m[1] = np.nan
  depth_m[2] = np.inf
  record = records.pack_picture(make_picture(depth_m=depth_m), (H, W))
  part = find_part(record, 'depth_m')
  assert part['dtype'] == '<u2' and part['steps_per_meter'] == steps
  np.testing.assert_array_equal(records.unpack_picture(record).depth_m, depth_m)


@pytest.mark.parametrize(
  'value', [0.0, 1e-4, 65.535, 65.536, 700.0, np.pi, 1e30, 655.35]
)
def test_depth_is_never_rounded(value):
  depth_m = np.full((H, W), value, np.float32)
  depth_m[0, 0] = np.nan
  np.testing.assert_array_equal(repack(depth_m=depth_m).depth_m, depth_m)


@pytest.mark.parametrize(
  'most, dtype',
  [(254, '<u1'), (255, '<u2'), (65534, '<u2'), (65535, '<i4')],
)
def test_ids_take_as_many_bytes_as_they_need(most, dtype):
  semantic = np.arange(H * W, dtype=np.int64).reshape(H, W)
  semantic[0, :2] = labels.VOID, most
  record = records.pack_picture(make_picture(semantic=semantic), (H, W))
  part = find_part(record, 'semantic')
  assert part['dtype'] == dtype
  np.testing.assert_array_equal(
    records.unpack_picture(record).semantic, semantic
  )


def test_phrases_of_one_mask_share_it():
  record = records.pack_picture(make_picture(), (H, W))
  header, _ = read_header(record)
  assert header['phrases'] == [
    ['the left one', 0], ['nothing', 1], ['this side', 0],
  ]  # fmt: skip


def test_labels_that_are_not_asked_for_are_not_read():
  record = records.pack_picture(make_picture(), (H, W))
  assert make_picture().known == set(labeled.LABELS)
  found = records.unpack_picture(record, {'semantic'})
  assert found.semantic is not None and found.captions
  assert found.depth_m is found.normals is found.instance is found.edit is None
  assert not found.phrases and not found.instance_class


def test_floats_that_do_not_shrink_are_kept_as_they_are():
  smooth = np.zeros((64, 64, 3), np.float32)
  smooth[..., 2] = 1
  noise = np.random.default_rng(3).normal(size=smooth.shape)
  sizes = []
  for normals in (smooth, noise.astype(np.float32)):
    picture = labeled.LabeledPicture('a', 'a', b'', normals=normals)
    record = records.pack_picture(picture, (64, 64))
    sizes.append(len(record))
    found = records.unpack_picture(record).normals
    np.testing.assert_array_equal(found, normals)
    assert find_part(record, 'normals').get('deflated', True) == (
      normals is smooth
    )
  assert sizes[0] < 1000 and sizes[1] < smooth.nbytes + 200


@pytest.mark.parametrize('dtype', ['<u1', '<u2', '<i4', '<f4'])
def test_arrays_come_back_bit_by_bit(dtype):
  rng = np.random.default_rng(2)
  raw = rng.integers(0, 256, (4, 6, 3, np.dtype(dtype).itemsize), np.uint8)
  array = raw.view(dtype)[..., 0]
  for differences in (True, False):
    packed = record_arrays.pack_array(array, differences=differences)
    found = record_arrays.unpack_array(
      packed, dtype, array.shape, differences=differences
    )
    assert found.dtype == np.dtype(dtype)
    assert found.tobytes() == array.tobytes()  # NaN of any kind, too


def rewrite(record, change):
  header, rest = read_header(record)
  change(header)
  text = json.dumps(header).encode()
  return struct.pack('<I', len(text)) + text + rest


def set_part(key, **fields):
  def change(header):
    part = next(part for part in header['parts'] if part['key'] == key)
    part.update(fields)

  return change


@pytest.mark.parametrize(
  'change',
  [
    lambda h: h.pop('parts'),
    lambda h: h.pop('height'),
    lambda h: h.pop('id'),
    lambda h: h.update(height=H + 1),
    lambda h: h.update(height=0),
    lambda h: h.update(height=10**9),
    lambda h: h.update(height='tall'),
    lambda h: h.update(captions=[1]),
    lambda h: h.update(id=1),
    lambda h: h.update(intrinsics=[1, 2]),
    lambda h: h.update(phrases=[['one', 9]]),
    lambda h: h.update(parts=h['parts'][1:]),
    lambda h: h.update(parts=h['parts'][:-1]),
    lambda h: h.pop('instance_class'),
    lambda h: h.pop('instruction'),
    set_part('rgb', bytes=-4),
    set_part('rgb', bytes=10**9),
    set_part('depth_m', dtype='<u1'),
    set_part('depth_m', dtype='object'),
    set_part('semantic', dtype='<f4'),
    set_part('normals', dtype='<u2'),
    set_part('normals', bytes=4),
    set_part('normals', deflated=False, bytes=5),
    set_part('masks', count=0),
    set_part('masks', count=10**9),
    set_part('masks', count=3),
  ],
)
def test_a_record_that_is_none_is_one_line(change):
  record = records.pack_picture(make_picture(), (H, W))
  damaged = rewrite(record, change)
  assert_refused(lambda: records.unpack_picture(damaged), 'labeled record')


@pytest.mark.parametrize('steps', [0, -5, float('inf'), 'many', None])
def test_steps_of_depth_that_are_none(steps):
  depth_m = np.ones((H, W), np.float32)
  record = records.pack_picture(make_picture(depth_m=depth_m), (H, W))
  damaged = rewrite(record, set_part('depth_m', steps_per_meter=steps))
  assert_refused(lambda: records.unpack_picture(damaged), 'labeled record')


def test_other_bytes_are_one_line():
  record = records.pack_picture(make_picture(), (H, W))
  for damaged in (b'', record[:3], record[:40], record[:-1], record + b'.'):
    assert_refused(lambda d=damaged: records.unpack_picture(d), 'record')
    assert_refused(lambda d=damaged: records.read_questions(d), 'record')
  damaged = rewrite(record, lambda header: header.update(phrases=[3]))
  assert_refused(lambda: records.read_questions(damaged), 'labeled record')


def test_a_label_grows_no_larger_than_its_size():
  bomb = zlib.compress(bytes(10_000_000))
  for call in (
    lambda: record_arrays.unpack_array(bomb, '<u1', (H, W)),
    lambda: record_arrays.unpack_masks(bomb, (1, H, W)),
    lambda: record_arrays.inflate(bomb, 9_999_999),
    lambda: record_arrays.inflate(bomb, 10_000_001),
    lambda: record_arrays.inflate(b'no', 2),
    lambda: record_arrays.inflate(bomb + b'.', 10_000_000),
  ):
    assert_refused(call, 'label')
