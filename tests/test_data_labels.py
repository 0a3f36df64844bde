"""What is asked of every label before it is written, whatever it came from."""

import dataclasses
import json

import numpy as np
import pytest
from byte_files import assert_refused, make_jpeg

from vbanana_jax import labels
from vbanana_jax.data import (
  array_records,
  augment,
  label_checks,
  labeled,
  manifest_classes,
  photos,
  prepare,
  prepare_dry_run,
  prepare_sheet,
  record_source,
  texts,
)
from vbanana_jax.data.prepare_pictures import Limits
from vbanana_jax.errors import DiskFullError, UserError
from vbanana_jax.runtime import paths

H, W = 4, 6
CLASSES = labels.Classes(('sky', 'car', 'road'), (0, 1, 2), (1,))


def make_photo(level=0):
  rng = np.random.default_rng(level)
  return make_jpeg(rng.integers(0, 255, (H, W, 3)))


def make_picture(**changes):
  ones = np.ones((H, W), bool)
  normals = np.zeros((H, W, 3), np.float32)
  normals[..., 2] = 1
  fields = {
    'id': 'a',
    'file': 'a.jpg',
    'encoded': make_photo(),
    'depth_m': np.full((H, W), 2, np.float32),
    'normals': normals,
    'semantic': np.ones((H, W), np.int32),
    'instance': np.ones((H, W), np.int32),
    'instance_class': (1,),
    'phrases': (labels.Phrase('it', ones), labels.Phrase('no', ~ones)),
    'captions': ('a car',),
    'intrinsics': labels.Intrinsics(5, 5, 3, 2),
    'edit': labeled.EditedPicture('rain', make_photo(1)),
  }
  return labeled.LabeledPicture(**{**fields, **changes})


class Pictures(labeled.DataSet):
  """A data set of what it is given; errors are raised when they are loaded."""

  name = 'pictures'

  def __init__(self, pictures, classes=CLASSES):
    self.pictures = pictures
    self.ids = [f'id{k}' for k in range(len(pictures))]
    self.classes = classes

  def load(self, index):
    picture = self.pictures[index]
    if isinstance(picture, Exception):
      raise picture
    return dataclasses.replace(picture, id=self.ids[index])


def full(value, dtype=np.int32, shape=(H, W)):
  return np.full(shape, value, dtype)


def phrases(text='it', mask=None):
  mask = np.ones((H, W), bool) if mask is None else mask
  return (labels.Phrase(text, mask),)


def with_one(value, at=(0, 0)):
  depth_m = full(2, np.float32)
  depth_m[at] = value
  return depth_m


def tilted(*normal):
  return np.broadcast_to(np.array(normal, np.float32), (H, W, 3))


BAD = [
  ({'depth_m': full(2, np.float32, (W, H))}, 'turned on its side'),
  ({'depth_m': full(2, np.float32, (2 * H, 2 * W))}, '12 x 8'),
  ({'depth_m': full(2, np.int32)}, 'meters are floats'),
  ({'depth_m': with_one(0)}, 'depth_m: 0 m'),
  ({'depth_m': with_one(-1)}, 'depth_m: -1 m'),
  ({'depth_m': with_one(-np.inf)}, 'depth_m: -inf m'),
  ({'depth_m': full(np.nan, np.float32)}, 'not known at any pixel'),
  ({'depth_m': full(np.inf, np.float32)}, 'not known at any pixel'),
  ({'depth_m': full(2000, np.float32)}, 'median 2000 m'),
  ({'depth_m': full(0.002, np.float32)}, 'check the scale'),
  ({'normals': tilted(0, 0, 1)[:-1]}, 'normals: 6 x 3'),
  ({'normals': full(1.0, np.float32)}, 'normals: 6 x 4 pixels'),
  ({'normals': tilted(0, 0, -1)}, 'face away'),
  ({'normals': tilted(0.6, -0.8, 0) * 2}, 'no unit length'),
  ({'normals': tilted(0, 0, 255)}, 'check the encoding'),
  ({'normals': tilted(np.nan, 0, 1)}, 'NaN'),
  ({'normals': tilted(0, 0, 0)}, 'not known at any pixel'),
  ({'semantic': full(3)}, 'id 3, and there are 3'),
  ({'semantic': full(-2)}, 'id -2'),
  ({'semantic': full(255, np.uint8)}, 'id 255'),
  ({'semantic': full(1, np.float32)}, 'ids are integers'),
  ({'semantic': full(labels.VOID)}, 'not known at any pixel'),
  ({'semantic': full(1)[:, 1:]}, 'semantic: 5 x 4 pixels'),
  ({'instance': full(2)}, 'id 2, and 1 objects have a class'),
  ({'instance': full(-3)}, 'id -3'),
  ({'instance': full(1)[1:]}, 'instance: 6 x 3'),
  ({'instance_class': (3,)}, 'instance_class: id 3'),
  ({'instance_class': (-1,)}, 'instance_class: id -1'),
  ({'phrases': phrases(mask=np.ones((H, W - 1), bool))}, '5 x 4'),
  ({'phrases': phrases(mask=full(1))}, 'masks are bool'),
  ({'phrases': phrases(' ')}, 'no phrase'),
  ({'captions': ('a', '')}, 'captions'),
  ({'captions': (3,)}, 'captions'),
  ({'intrinsics': labels.Intrinsics(5, 5, 900, 2)}, 'far outside'),
  ({'intrinsics': labels.Intrinsics(5, -5, 3, 2)}, 'no pinhole camera'),
  ({'intrinsics': labels.Intrinsics(5, 5, np.nan, 2)}, 'no pinhole camera'),
  (
    {'edit': labeled.EditedPicture('', make_photo())}, 'no instruction'
  ),
  ({'edit': labeled.EditedPicture('x', b'')}, 'edit'),
  (
    {'edit': labeled.EditedPicture('x', make_jpeg(np.zeros((W, H, 3))))},
    'turned on its side',
  ),
  ({'encoded': b''}, 'not a JPEG'),
  ({'encoded': make_photo()[:60]}, 'damaged picture'),
]  # fmt: skip


@pytest.mark.parametrize('changes, words', BAD)
def test_a_wrong_label_is_one_line(changes, words, tmp_path):
  good = make_picture()
  label_checks.check_picture(good, (H, W), CLASSES)
  dataset = Pictures([good, make_picture(**changes)])
  manifest = prepare.prepare_dataset(
    dataset, tmp_path / 'out', limits=Limits(most_bad='1 records')
  )
  assert manifest['count'] == manifest['bad'] == 1
  (entry,) = manifest['skipped']
  assert words in entry['reason'] and '\n' not in entry['reason']


def test_ids_without_a_table_are_refused():
  for changes in (
    {'instance': None, 'instance_class': ()},
    {'semantic': None},
  ):
    assert_refused(
      lambda c=changes: label_checks.check_picture(
        make_picture(**c), (H, W), None
      ),
      'the set has no classes',
    )
  numbered = make_picture(semantic=None, instance_class=())
  label_checks.check_picture(numbered, (H, W), None)


@pytest.mark.parametrize(
  'change, words',
  [
    ({'names': ('sky', 'sky', 'road')}, 'named twice'),
    ({'names': ('sky', '', 'road')}, 'is no name'),
    ({'synonyms': {0: ('Car',)}}, 'named twice'),
    ({'areas': (3,)}, 'id 3'),
    ({'things': (-1,)}, 'id -1'),
  ],
)
def test_a_table_that_cannot_be_asked_for_is_refused(change, words, tmp_path):
  classes = dataclasses.replace(CLASSES, **change)
  dataset = Pictures([make_picture()], classes)
  assert_refused(
    lambda: prepare.prepare_dataset(dataset, tmp_path / 'out'), words
  )
  assert not any(tmp_path.iterdir())


def test_tables_come_back():
  classes = dataclasses.replace(CLASSES, synonyms={1: ('auto', 'Wagen')})
  text = json.dumps(manifest_classes.to_fields(classes))
  assert manifest_classes.from_fields(json.loads(text)) == classes


def test_too_many_bad_pictures_refuse_all_and_leave_nothing(tmp_path):
  bad = UserError('a.png: nothing')
  dataset = Pictures([make_picture(), *2 * [bad], *7 * [make_picture()]])
  out = tmp_path / 'new' / 'out'
  call = lambda share: prepare.prepare_dataset(  # noqa: E731
    dataset, out, limits=Limits(most_bad=share, shard_bytes=1)
  )
  assert_refused(lambda: call('10 percent'), '2 of the first 3', '--most-bad')
  assert not any(out.parent.iterdir())
  assert_refused(lambda: call('half'), '--most-bad', "'half'")
  manifest = call('20 percent')
  assert manifest['count'] == 8 and manifest['bad'] == 2
  assert len(manifest['shards']) == 8


def test_two_pictures_of_one_id_are_refused(tmp_path):
  dataset = Pictures(2 * [make_picture()])
  dataset.ids = ['a', 'a']
  assert_refused(
    lambda: prepare.prepare_dataset(dataset, tmp_path / 'out'), 'called a'
  )


def test_a_disk_without_room_is_told_at_the_start(tmp_path, monkeypatch):
  monkeypatch.setattr(paths, 'get_free_bytes', lambda folder: 10_000)
  dataset = Pictures(40 * [make_picture()])
  with pytest.raises(DiskFullError, match=r'about \d+ bytes of records, 10000'):
    prepare.prepare_dataset(dataset, tmp_path / 'out')
  assert not any(tmp_path.iterdir())


def test_a_mistake_of_a_reader_is_not_hidden(tmp_path):
  dataset = Pictures([ZeroDivisionError()])
  with pytest.raises(ZeroDivisionError) as raised:
    prepare.prepare_dataset(dataset, tmp_path / 'out')
  assert 'id0 of pictures' in raised.value.__notes__[0]


def test_input_that_changed_is_prepared_anew(tmp_path):
  dataset, out = Pictures([make_picture()]), tmp_path / 'in' / 'out'
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in' / 'a.txt').write_text('one')

  def write():
    return prepare.prepare_dataset(dataset, out, inputs=[tmp_path / 'in'])

  first = write()
  assert write() == first  # its own folder inside of the input counts for none
  (tmp_path / 'in' / 'a.txt').write_text('other')
  assert_refused(write, 'something else already')


def test_every_reading_of_a_record_has_the_asked_size(tmp_path):
  prepare.prepare_dataset(Pictures([make_picture()]), tmp_path / 'out')
  source = record_source.RecordSource(tmp_path / 'out', (3, 5))
  row = source[0]
  for key in ('depth_m', 'semantic', 'instance', 'normals', 'rgb'):
    assert row[key].shape[:2] == (3, 5), key
  assert row['rgb'].dtype == np.float32
  assert source.labels == {
    *labeled.LABELS, 'rgb', 'classes', 'instance_class'
  }  # fmt: skip
  same = source.draw(0, np.random.default_rng(0))
  np.testing.assert_array_equal(same['rgb'], row['rgb'])
  with pytest.raises(IndexError):
    source[1]


def test_a_large_photograph_alone_is_decoded_small(tmp_path, monkeypatch):
  y, x = np.mgrid[:480, :640]
  waves = np.stack([np.sin(x / 40) * np.cos(y / k) for k in (30, 50, 70)], -1)
  large = make_jpeg(128 + 90 * waves)
  alone = labeled.LabeledPicture('a', 'a', large, captions=('waves',))
  measured = dataclasses.replace(alone, depth_m=np.ones((480, 640), np.float32))
  shapes, readings = [], []
  open_photo = photos.open_photo
  monkeypatch.setattr(
    photos,
    'open_photo',
    lambda *args, **options: spy(open_photo(*args, **options)),
  )

  def spy(rgb_u8):
    shapes.append(rgb_u8.shape[:2])
    return rgb_u8

  varied = augment.Settings(crop_scale=(0.25, 1.0))
  for name, picture in (('alone', alone), ('measured', measured)):
    out = tmp_path / name
    prepare.prepare_dataset(Pictures([picture], None), out)
    source = record_source.RecordSource(out, 32, varied)
    shapes.clear()
    readings.append(source[0]['rgb'])
    source.draw(0, np.random.default_rng(0))
    if name == 'alone':  # 64 pixels are enough, and 128 of half of a side
      assert shapes == [(120, 160), (240, 320)]
    else:
      assert shapes == 2 * [(480, 640)]
  assert np.abs(readings[0] - readings[1]).max() < 0.02


def test_labels_that_no_task_needs_are_not_read(tmp_path):
  prepare.prepare_dataset(Pictures([make_picture()]), tmp_path / 'out')
  source = record_source.RecordSource(
    tmp_path / 'out', 4, needs={'semantic', 'rgb'}
  )
  assert source.labels >= set(labeled.LABELS)  # it could give all
  assert set(source[0]) == {
    'index', 'rgb', 'classes', 'semantic', 'captions', 'intrinsics'
  }  # fmt: skip


def test_the_window_is_moved_to_what_a_phrase_means(tmp_path):
  wide, mask = make_jpeg(np.zeros((8, 32, 3))), np.zeros((8, 32), bool)
  mask[:, :4] = True
  picture = labeled.LabeledPicture(
    'a', 'a.jpg', wide, phrases=(labels.Phrase('the edge', mask),)
  )
  prepare.prepare_dataset(Pictures([picture], None), tmp_path / 'out')
  (phrase,) = record_source.RecordSource(tmp_path / 'out', 8)[0]['phrases']
  assert phrase.mask.any()


def test_phrases_that_are_drawn_together_do_not_overlap():
  masks = np.zeros((3, H, W), bool)
  masks[0, :, :3] = masks[1, :, 2:] = masks[2, :, 4:] = True
  found = texts.PhraseList(
    labels.Phrase(name, mask) for name, mask in zip('abc', masks)
  )
  rng = np.random.default_rng(0)
  drawn = {
    ''.join(sorted(p.text for p in found.draw(rng, 3))) for _ in range(99)
  }
  assert drawn == {'a', 'b', 'c', 'ac'}
  assert all(len(found.draw(rng, 1)) == 1 for _ in range(9))


def test_captions_are_drawn_alike():
  captions = texts.CaptionList(('a', 'b'))
  rng = np.random.default_rng(0)
  assert {captions.draw(rng) for _ in range(20)} == {'a', 'b'}
  assert texts.CaptionList().draw(rng) == ''


def test_long_captions_are_dropped_and_counted(tmp_path):
  picture = make_picture(captions=('short', 'long ' * 50))
  manifest = prepare.prepare_dataset(
    Pictures([picture]), tmp_path / 'out', limits=Limits(max_text=9)
  )
  assert '1 captions are too long' in manifest['notes'][0]
  row = record_source.RecordSource(tmp_path / 'out', 4)[0]
  assert row['captions'] == ('short',)


def test_a_sheet_shows_every_label(tmp_path):
  dataset = Pictures([make_picture(), UserError('x: broken'), make_picture()])
  sheet = prepare_dry_run.make_sheet(dataset, Limits())
  assert sheet.picture_u8.dtype == np.uint8
  plain = Pictures([labeled.LabeledPicture('a', 'a', make_photo())])
  alone = prepare_dry_run.make_sheet(plain, Limits()).picture_u8
  assert alone.shape[1] == 640 and sheet.picture_u8.shape[1] > 6 * 320
  said = '\n'.join(sheet.lines)
  assert 'bad: id1: x: broken' in said and 'depth_m: 2 of 2' in said
  assert_refused(
    lambda: prepare_dry_run.make_sheet(Pictures([UserError('no')]), Limits()),
    'no picture to prepare',
  )


def test_a_dry_run_says_whether_the_set_would_be_refused():
  broken = UserError('x: broken')
  for bad, allowed, words in (
    (1, '5 percent', ''),
    (2, '5 percent', 'allows 1 of 20'),
    (15, '5 percent', '15 of 20'),
    (15, '80 percent', ''),
  ):
    dataset = Pictures([broken] * bad + [make_picture()] * (20 - bad))
    sheet = prepare_dry_run.make_sheet(dataset, Limits(most_bad=allowed))
    assert words in sheet.refusal and bool(sheet.refusal) == bool(words)
    assert sum('broken' in line for line in sheet.lines) == min(bad, 8)
  lacking = [make_picture(), make_picture(depth_m=None)]
  sheet = prepare_dry_run.make_sheet(
    Pictures(lacking), Limits(require=('depth_m',))
  )
  assert not sheet.refusal
  assert 'left out: a.jpg: it has no depth_m' in sheet.lines


def test_a_dry_run_looks_at_more_pictures_than_it_draws():
  pictures = [make_picture()] * 300
  for place in (40, 150, 290):
    pictures[place : place + 10] = [UserError('x: broken')] * 10
  sheet = prepare_dry_run.make_sheet(Pictures(pictures), Limits())
  assert f'300 pictures, {prepare_dry_run.LOOKED} looked at' in sheet.lines
  assert '7 of 64 pictures' in sheet.refusal
  few = prepare_dry_run.make_sheet(Pictures([make_picture()] * 8), Limits())
  assert sheet.picture_u8.shape == few.picture_u8.shape


def test_a_class_has_one_color_in_a_sheet():
  shown = []
  for other in (0, 2):
    semantic = full(1)
    semantic[:, W // 2 :] = other
    shown.append(
      labeled.LabeledPicture('a', 'a', make_photo(), semantic=semantic)
    )
  colors = prepare_sheet.choose_colors(shown)
  assert len(set(colors.values())) == 3
  rows = np.split(prepare_sheet.draw_sheet(shown, CLASSES), 2)
  painted = [set(map(tuple, row.reshape(-1, 3).tolist())) for row in rows]
  for k, where in ((0, [True, False]), (1, [True, True]), (2, [False, True])):
    assert [colors[k] in row for row in painted] == where


@pytest.mark.parametrize(
  'change',
  [
    {'labels': None}, {'shards': [{}]}, {'classes': {'names': 3}},
    {'shards': [{'file': '../x', 'count': 1, 'bytes': 1, 'sha256': ''}]},
    {'name': None},
  ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_one_line(change, tmp_path):
  prepare.prepare_dataset(Pictures([make_picture()]), tmp_path / 'out')
  path = tmp_path / 'out' / array_records.MANIFEST
  path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
  assert_refused(
    lambda: record_source.RecordSource(tmp_path / 'out', 8), 'manifest.json'
  )
