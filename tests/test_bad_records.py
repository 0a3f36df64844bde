"""Records that go bad are replaced the same way everywhere, up to a budget."""

import errno
import io
import itertools
import json
import os
import shutil

import numpy as np
import prepared
import pytest
from PIL import Image

from vbanana_jax import cli, keys
from vbanana_jax import config as config_lib
from vbanana_jax.data import (
  array_records,
  bad_records,
  build,
  labeled,
  mixture,
  prepare_pictures,
  prepare_shards,
  record_source,
  stream,
)
from vbanana_jax.data import records as records_lib
from vbanana_jax.datasets import image_folder
from vbanana_jax.errors import UserError
from vbanana_jax.tasks.generate import Generate
from vbanana_jax.training import resume

ROWS, SHARDS, SIZE = 12, 3, 8
MAX_TEXT = 32


def picture(level, form='PNG'):
  file = io.BytesIO()
  Image.new('RGB', (SIZE, SIZE), (level, level, level)).save(file, format=form)
  return file.getvalue()


def make_folder(root, records):
  """Records in shards of equal length, as `prepare` leaves them."""
  root.mkdir()
  shards = []
  for number, group in enumerate(np.array_split(np.arange(ROWS), SHARDS)):
    path = root / f'shard-{number:05d}.array_record'
    sha256 = array_records.write_shard(path, [records[k] for k in group])
    shards.append(
      {
        'file': path.name,
        'count': len(group),
        'bytes': path.stat().st_size,
        'sha256': sha256,
      }
    )
  manifest = {
    'schema_version': records_lib.SCHEMA_VERSION,
    'name': 'pets',
    'count': ROWS,
    'labels': {'captions': ROWS},
    'classes': None,
    'notes': [],
    'license': '',
    'source': 'photographs of pets',
    'shards': shards,
    'skipped': [],
  }
  (root / array_records.MANIFEST).write_text(json.dumps(manifest))
  return root


def make_records(changed=None):
  """Grey pictures, row k of level k, with some photographs changed."""
  photos = {
    k: {'encoded': picture(k), 'captions': (f'number {k}',)}
    for k in range(ROWS)
  }
  for k, fields in (changed or {}).items():
    photos[k].update(fields)
  return [
    records_lib.pack_picture(
      labeled.LabeledPicture(id=str(k), file=f'{k}.png', **fields), (SIZE, SIZE)
    )
    for k, fields in photos.items()
  ]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  return make_folder(tmp_path_factory.mktemp('photos') / 'pets', make_records())


@pytest.fixture
def pets(whole, tmp_path):
  return shutil.copytree(whole, tmp_path / 'pets')


def shard_of(root, row):
  return root / f'shard-{row * SHARDS // ROWS:05d}.array_record'


def flip(root, *rows):
  """Changes one bit of each row's picture."""
  for row in rows:
    path = shard_of(root, row)
    content = bytearray(path.read_bytes())
    content[content.index(picture(row)) + 60] ^= 4
    path.write_bytes(content)


def build_source(root, workdir, allowed, **options):
  known = {'seed': 5, 'max_text': MAX_TEXT}
  return bad_records.ReplacingSource(
    record_source.RecordSource(root, SIZE),
    name='pets',
    allowed=allowed,
    log=bad_records.BadRecordLog(workdir, options.pop('process_index', 0)),
    **{**known, **options},
  )


def level_of(example):
  return round(float(example['rgb'][0, 0, 0]) * 255)


def expect_stand_in(row, bad, seed=5):
  """The replacement as the module's docstring states it."""
  rng = keys.make_rng(seed, 'replacement', 'pets', row)
  draws = (int(rng.integers(ROWS)) for _ in itertools.count())
  return next(draw for draw in draws if draw not in bad)


def check_levels(source, bad):
  found = [level_of(source[k]) for k in range(ROWS)]
  assert found == [
    expect_stand_in(k, bad) if k in bad else k for k in range(ROWS)
  ]


def load_log(workdir, name='bad_records.jsonl'):
  lines = (workdir / name).read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_a_flipped_bit_costs_one_record(pets, tmp_path, capsys):
  flip(pets, 6)
  workdir = tmp_path / 'run'
  source = build_source(pets, workdir, '1 records')
  assert len(source) == ROWS and not workdir.exists()
  check_levels(source, {6})
  check_levels(source, {6})  # the next epoch finds nothing new
  (row,) = load_log(workdir)
  assert row['source'] == 'pets' and row['record'] == 6
  assert f'{shard_of(pets, 6)} record 2: cannot be read' in row['reason']
  (said,) = capsys.readouterr().err.splitlines()
  assert said.endswith(
    f'] bad record replaced (1 of at most 1): {row["reason"]}'
  )


def test_a_hiccup_of_the_storage_is_no_bad_record(pets, tmp_path, monkeypatch):
  monkeypatch.setattr(bad_records, '_PAUSES', (0, 0))
  read, failures = array_records.read_bytes, [2]

  def fail_at_first(records, index):
    try:
      if failures[0]:
        failures[0] -= 1
        raise OSError(errno.ESTALE, 'Stale file handle')
      return read(records, index)
    except OSError as error:
      raise UserError('cannot be read') from error

  monkeypatch.setattr(array_records, 'read_bytes', fail_at_first)
  source = build_source(pets, tmp_path, '1 records')
  assert level_of(source[3]) == 3
  assert not list(tmp_path.glob('bad_records*'))
  failures[0] = 3
  assert level_of(source[3]) == expect_stand_in(3, {3})
  assert 'cannot be read' in load_log(tmp_path)[0]['reason']


def test_a_bad_picture_is_read_once(pets, tmp_path, monkeypatch):
  pauses = []
  monkeypatch.setattr(bad_records.time, 'sleep', pauses.append)
  flip(pets, 3)
  assert level_of(build_source(pets, tmp_path, '1 records')[3]) != 3
  truncated = OSError('image file is truncated')  # what Pillow raises
  gone = FileNotFoundError(errno.ENOENT, 'gone')
  for cause in (truncated, gone, ValueError()):
    assert not bad_records._is_of_storage(cause)
  assert not pauses


def test_another_seed_draws_another_stand_in(pets):
  flip(pets, 6)
  levels = {
    level_of(build_source(pets, None, '1', seed=s)[6]) for s in range(5)
  }
  assert levels == {expect_stand_in(6, {6}, seed=s) for s in range(5)}
  assert len(levels) > 1


@pytest.mark.parametrize(
  'changed, reason',
  [
    ({'encoded': picture(2, 'JPEG')[:-40]}, '2.png: damaged picture'),
    ({'encoded': b'no picture'}, '2.png: not a JPEG'),
    ({'captions': ('1 ' * 40,)}, 'its caption has 40 tokens, config.model.max'),
    ({'captions': (7,)}, 'not a labeled record'),
  ],
  ids=['cut', 'text', 'long caption', 'no caption'],
)
def test_a_record_that_was_written_bad(changed, reason, tmp_path):
  root = make_folder(tmp_path / 'pets', make_records({2: changed}))
  check_levels(build_source(root, tmp_path, '1 records'), {2})
  (row,) = load_log(tmp_path)
  assert reason in row['reason'] and 'record 2: ' in row['reason']


def test_bytes_that_are_no_record(tmp_path):
  records = make_records()
  records[0], records[5], records[9] = b'', b'\xff\xff\xff\xff{}', b'\2\0\0\0{}'
  root = make_folder(tmp_path / 'pets', records)
  check_levels(build_source(root, tmp_path, '3 records'), {0, 5, 9})
  with pytest.raises(IndexError):
    record_source.RecordSource(root, SIZE)[ROWS]


def cut(path):
  os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
  'harm, reason', [(cut, 'prepared with'), (os.unlink, 'shard missing')]
)
def test_a_shard_cut_or_gone_is_told_at_the_start(
  harm, reason, pets, tmp_path, capsys
):
  harm(shard_of(pets, 5))
  with pytest.raises(UserError, match=f'shard-00001.*{reason}') as caught:
    build_source(pets, tmp_path, '3 records')
  assert 'hold 4 records and config.data.bad_records allows 3' in str(
    caught.value
  )
  assert '\n' not in str(caught.value)
  source = build_source(pets, tmp_path, '4 records')
  assert 'others stand in for its 4 records' in capsys.readouterr().err
  check_levels(source, {4, 5, 6, 7})
  assert {row['record'] for row in load_log(tmp_path)} == {4, 5, 6, 7}


@pytest.mark.parametrize('harm', [cut, os.unlink])
def test_a_shard_cut_or_gone_while_training(harm, pets, tmp_path):
  source = build_source(pets, tmp_path, '4 records')
  level_of(source[0])
  harm(shard_of(pets, 5))
  check_levels(source, {4, 5, 6, 7})
  assert len(load_log(tmp_path)) == 4


def test_an_open_shard_cut_short(tmp_path):
  rng = np.random.default_rng(0)
  noise = Image.fromarray(rng.integers(0, 256, (99, 99, 3), np.uint8))
  file = io.BytesIO()
  noise.save(file, format='PNG')  # 30 kB each: half of a shard is not one block
  root = make_folder(
    tmp_path / 'pets',
    make_records({k: {'encoded': file.getvalue()} for k in range(ROWS)}),
  )
  source = build_source(root, tmp_path, '3 records')
  assert source[0]['index'] == 0
  cut(shard_of(root, 0))
  found = [source[k]['index'] for k in range(4)]
  assert found[0] == 0 and found[3] == expect_stand_in(
    3, {row['record'] for row in load_log(tmp_path)}
  )


def test_the_budget_is_spent(pets, tmp_path, capsys):
  flip(pets, 1, 6, 9)
  source = build_source(pets, tmp_path, '2 records')
  source[1], source[6], source[6]
  with pytest.raises(UserError, match='3 bad records') as caught:
    source[9]
  message = str(caught.value)
  assert '\n' not in message
  for words in (
    "in 'pets', config.data.bad_records allows 2 of 12",
    'bad_records.jsonl lists them',
    'allow more: the same command goes on',
  ):
    assert words in message
  assert [row['record'] for row in load_log(tmp_path)] == [1, 6, 9]
  assert len(capsys.readouterr().err.splitlines()) == 2  # those replaced


def test_a_resumed_run_goes_on_counting(pets, tmp_path):
  flip(pets, 1, 6, 9)
  build_source(pets, tmp_path, '2 records')[1]
  with (tmp_path / 'bad_records.jsonl').open('a') as file:
    file.write('{"source": "pe')  # cut short by a kill
  resumed = build_source(pets, tmp_path, '2 records')
  resumed[1], resumed[6]
  assert [row['record'] for row in load_log(tmp_path)] == [1, 6]
  with pytest.raises(UserError, match='3 bad records'):
    resumed[9]
  # It does not begin again before somebody has looked at it.
  with pytest.raises(UserError, match=r'3 bad records.*allows 2'):
    build_source(pets, tmp_path, '2 records')
  check_levels(build_source(pets, tmp_path, '3 records'), {1, 6, 9})


def test_processes_count_together_where_they_see_each_other(pets, tmp_path):
  flip(pets, 1, 6, 9)
  one, other = (
    build_source(pets, tmp_path, '2 records', process_index=p) for p in (0, 1)
  )
  one[1], other[1], other[6]
  assert [row['record'] for row in load_log(tmp_path)] == [1]
  found = load_log(tmp_path, 'bad_records.1.jsonl')
  assert [row['record'] for row in found] == [6]
  with pytest.raises(UserError, match='3 bad records'):
    one[9]


def test_a_spoilt_log_is_named(pets, tmp_path):
  (tmp_path / 'bad_records.jsonl').write_text('nonsense\n')
  with pytest.raises(UserError, match=r'bad_records\.jsonl, line 1'):
    build_source(pets, tmp_path, '2 records')


def test_nothing_readable_is_left(pets, tmp_path):
  flip(pets, *range(ROWS))
  with pytest.raises(UserError, match='100 records drawn in its place'):
    build_source(pets, tmp_path, '100 percent')[0]


def take_batches(
  root, workdir, allowed='2 records', process_index=0, start_step=0, **options
):
  known = {'batch_size': 4, 'seed': 5, 'max_text': MAX_TEXT}
  source = build_source(root, workdir, allowed, process_index=process_index)
  mixed = mixture.Mixture([mixture.Entry(Generate(), source, 1)])
  settings = stream.StreamSettings(**{**known, **options})
  return list(
    stream.build_stream(mixed, settings, start_step=start_step, end_step=9)
  )


def test_batches_do_not_depend_on_resumes_processes_or_threads(pets, tmp_path):
  flip(pets, 3, 7)
  batches = take_batches(pets, tmp_path / 'a')
  assert {row['record'] for row in load_log(tmp_path / 'a')} == {3, 7}
  resumed = take_batches(pets, tmp_path / 'a', start_step=4)
  threads = take_batches(pets, tmp_path / 'b', threads=8)
  parts = [
    take_batches(pets, tmp_path / 'c', process_index=p, rows=rows)
    for p, rows in enumerate([(0, 1), (2, 3)])
  ]
  joined = [
    {key: np.concatenate([one[key], other[key]]) for key in one}
    for one, other in zip(*parts)
  ]
  for begin, others in ((4, resumed), (0, threads), (0, joined)):
    for batch, other in zip(batches[begin:], others, strict=True):
      for key in batch:
        np.testing.assert_array_equal(batch[key], other[key])
  listed = {
    row['record']
    for path in (tmp_path / 'c').iterdir()
    for row in load_log(path.parent, path.name)
  }
  assert listed == {3, 7}


def test_a_spent_budget_ends_the_stream_of_batches(pets, tmp_path):
  flip(pets, 3, 7)
  with pytest.raises(UserError, match="source 'pets': 2 bad records"):
    take_batches(pets, tmp_path, '1 records')


@pytest.mark.parametrize(
  'text, count',
  [
    ('0', 0),
    ('0 records', 0),
    ('1_000 records', 1000),
    ('0.1 percent', 1),
    ('0.099 percent', 0),
    ('100 percent', 1000),
  ],
)
def test_what_is_allowed(text, count):
  assert bad_records.to_count(text, 1000) == count


@pytest.mark.parametrize(
  'text', ['', 'some', '-1', '1.5 records', '101 percent', '2 steps', 'nan']
)
def test_what_is_no_budget(text):
  with pytest.raises(UserError, match=r'config\.data\.bad_records'):
    bad_records.to_count(text, 1000)


def test_a_config_builds_it(pets, tmp_path):
  flip(pets, 6)
  config = config_lib.load_config('quickstart:pretrain,smoke').to_dict()
  config['sources']['mine'] = {'kind': 'records', 'path': str(pets)}
  config['mixture']['generate@mine'] = 1.0
  workdir = tmp_path / 'run'
  (source,) = (
    entry.source
    for entry in build.build_mixture(config, workdir, process_index=2).entries
    if entry.source.name == 'mine'
  )
  with pytest.raises(UserError, match='allows 0 of 12'):  # 0.1 percent
    source[6]
  assert len(load_log(workdir, 'bad_records.2.jsonl')) == 1
  config['data']['bad_records'] = '1 records'
  build.build_mixture(config, workdir)


def test_a_resumed_run_may_allow_more(tmp_path):
  (tmp_path / 'checkpoints' / '3').mkdir(parents=True)
  config = config_lib.load_config('quickstart:pretrain,smoke').to_dict()
  (tmp_path / 'run.json').write_text(json.dumps({'config': config}))
  config['data']['bad_records'] = '9 records'
  resume.check_same_config(tmp_path, config)
  config['sources']['scenes']['level'] = 'full'
  with pytest.raises(UserError, match=r'scenes\.level was quick, is full'):
    resume.check_same_config(tmp_path, config)


def test_verify_names_the_bad_records(pets, capsys):
  assert cli.main(f'prepare image_folder --out {pets} --verify'.split()) == 0
  flip(pets, 4, 6)
  shard_of(pets, 11).unlink()
  capsys.readouterr()
  assert cli.main(f'prepare image_folder --out {pets} --verify'.split()) == 2
  said = capsys.readouterr().err
  assert '2 of 4 records cannot be read (0, 2)' in said
  assert 'shard-00002.array_record: shard missing' in said
  assert len(said.strip().splitlines()) == 1


def test_a_damaged_manifest_is_one_line(pets):
  for text in ('{"schema_version": 1', '[]', '{}'):
    (pets / 'manifest.json').write_text(text)
    with pytest.raises(UserError, match=r'manifest\.json: damaged'):
      record_source.RecordSource(pets, SIZE)


def make_input(root):
  for name, text in (('a', 'a cat'), ('b', '1 ' * 200)):
    root.mkdir(exist_ok=True)
    (root / f'{name}.png').write_bytes(picture(ord(name)))
    (root / f'{name}.txt').write_text(text)
  return root


def test_captions_that_no_model_takes_are_left_out(tmp_path):
  root = make_input(tmp_path / 'in')
  manifest = prepared.prepare_images(root, tmp_path / 'out')
  assert manifest['count'] == 1
  (skipped,) = manifest['skipped']
  assert skipped['file'] == 'b.png'
  assert '200 tokens, at most 160' in skipped['reason']
  command = f'prepare image_folder {root} --out {tmp_path}/all --max-text 200'
  assert cli.main(command.split()) == 0
  assert len(record_source.RecordSource(tmp_path / 'all', SIZE)) == 2


def test_what_another_preparation_began_is_left_alone(tmp_path):
  digits = '0123456789abcdef'
  other = tmp_path / f'.pets.v2.{digits}.partial'
  earlier = tmp_path / f'.pets.{digits}.partial'
  for folder in (other, earlier):
    folder.mkdir()
  prepared.prepare_images(make_input(tmp_path / 'in'), tmp_path / 'pets')
  assert other.exists() and not earlier.exists()


def test_the_longest_caption_is_that_of_the_base_config():
  config = config_lib.load_config('quickstart:pretrain').to_dict()
  assert prepare_pictures.MAX_TEXT == config['model']['max_text']


def test_a_shard_damaged_before_preparation_went_on_is_made_again(tmp_path):
  images = image_folder.ImageFolder(make_input(tmp_path / 'in'))
  limits = prepare_pictures.Limits(
    max_text=999, shard_bytes=1, most_bad='100 percent'
  )

  def write():
    return list(prepare_shards.write_shards(tmp_path, images, limits))

  whole = write()
  assert [journal['count'] for journal in whole] == [1, 1]
  cut(tmp_path / whole[0]['file'])
  kept = (tmp_path / whole[1]['file']).stat().st_ino
  assert write() == whole
  found = array_records.hash_file(tmp_path / whole[0]['file'])
  assert found == whole[0]['sha256']
  assert (tmp_path / whole[1]['file']).stat().st_ino == kept


def test_a_shard_is_read_again_once_written(tmp_path, monkeypatch):
  with pytest.raises(UserError, match='cannot be written'):
    array_records.write_shard(tmp_path / 'none' / 'x.array_record', [b'a'])
  read_bytes = array_records.read_bytes
  monkeypatch.setattr(
    array_records, 'read_bytes', lambda s, k: read_bytes(s, k)[1:]
  )
  with pytest.raises(UserError, match='record 0 is not what was written'):
    array_records.write_shard(tmp_path / 'x.array_record', [b'abc'])
  assert not (tmp_path / 'x.array_record').exists()
