"""Folders and zips become shards; links, bombs and kills do no harm."""

import io
import json
import os
import stat
import sys
import zipfile

import numpy as np
import prepared
import pytest
from PIL import Image
from prepared import captions_of

from vbanana_jax.data import (
  array_records,
  folders,
  prepare_pictures,
  record_source,
)
from vbanana_jax.errors import UserError


def picture(value, size=(10, 6), form='PNG'):
  file = io.BytesIO()
  Image.new('RGB', size, (value, 2 * value, 7)).save(file, format=form)
  return file.getvalue()


@pytest.fixture
def pictures(tmp_path):
  root = tmp_path / 'pets'
  files = {
    'tabby_cat/a.png': picture(1),
    'tabby_cat/b.jpg': picture(60, form='JPEG'),
    'dog/c.webp': picture(3, form='WEBP'),
    'dog/d.png': picture(4),
    'dog/d.txt': b'a dog\n on grass',
    'more/e.png': picture(5),
    'more/metadata.jsonl': b'{"file_name": "e.png", "text": "five"}\n',
    'loose.png': picture(6),
    'cut.png': picture(7)[:40],
    'notes.md': b'no picture',
  }
  for name, content in files.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
  return root


def test_folder_to_rows(pictures, tmp_path):
  out = tmp_path / 'out'
  manifest = prepared.prepare_images(pictures, out)
  assert manifest['count'] == 5 and manifest['name'] == 'pets'
  assert manifest == array_records.check_shards(out)
  assert captions_of(out) == [
    'dog', 'a dog on grass', 'five', 'tabby cat', 'tabby cat',
  ]  # fmt: skip
  row = record_source.RecordSource(out, 8)[1]
  assert row['rgb'].shape == (8, 8, 3) and row['rgb'].dtype == np.float32
  np.testing.assert_allclose(row['rgb'][0, 0] * 255, (4, 8, 7), atol=1e-4)
  skipped = {entry['file']: entry['reason'] for entry in manifest['skipped']}
  assert set(skipped) == {'cut.png', 'loose.png', 'notes.md'}
  assert 'no caption' in skipped['loose.png']
  # Nothing is left but the shards and their manifest.
  names = sorted(path.name for path in out.iterdir())
  assert names == ['manifest.json', 'shard-00000.array_record']
  assert sorted(p.name for p in tmp_path.iterdir()) == ['out', 'pets']


def test_zip_and_folder_agree(pictures, tmp_path):
  archive = tmp_path / 'pets.zip'
  with zipfile.ZipFile(archive, 'w') as file:
    for path in sorted(pictures.rglob('*.*')):
      file.write(path, path.relative_to(pictures))
  prepared.prepare_images(pictures, tmp_path / 'a', caption='a thing')
  prepared.prepare_images(archive, tmp_path / 'b', caption='a thing')
  one = record_source.RecordSource(tmp_path / 'a', 4)
  other = record_source.RecordSource(tmp_path / 'b', 4)
  assert len(one) == len(other) == 6
  assert captions_of(tmp_path / 'a') == captions_of(tmp_path / 'b')
  for row in range(6):
    np.testing.assert_array_equal(one[row]['rgb'], other[row]['rgb'])


def test_dangerous_members_are_refused(tmp_path):
  archive = tmp_path / 'bad.zip'
  link = zipfile.ZipInfo('cat/link.png')
  link.external_attr = (stat.S_IFLNK | 0o777) << 16
  with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as file:
    file.writestr('cat/good.png', picture(9))
    file.writestr('../cat/up.png', picture(1))
    file.writestr('/cat/root.png', picture(1))
    file.writestr('C:/cat/drive.png', picture(1))
    file.writestr(link, '/etc/passwd')
    file.writestr('cat/bytes.png', b'\0' * 100_000)
    file.writestr('cat/pixels.png', picture(1, size=(300, 300)))
  manifest = prepared.prepare_images(
    archive, tmp_path / 'out', max_bytes=50_000, max_pixels=10_000
  )
  assert manifest['count'] == 1
  reasons = {entry['file']: entry['reason'] for entry in manifest['skipped']}
  assert reasons['../cat/up.png'] == 'a name that climbs with ..'
  assert reasons['/cat/root.png'] == 'an absolute name'
  assert reasons['C:/cat/drive.png'] == 'an absolute name'
  assert reasons['cat/link.png'].startswith('a link, which is not followed')
  assert '50000' in reasons['cat/bytes.png']
  assert '300 x 300' in reasons['cat/pixels.png']


def test_a_damaged_member_is_left_out(tmp_path):
  archive = tmp_path / 'bad.zip'
  with zipfile.ZipFile(archive, 'w') as file:
    file.writestr('cat/a.png', picture(9))
    file.writestr('cat/b.png', picture(10))
  content = archive.read_bytes()
  archive.write_bytes(content.replace(picture(9), picture(9)[:-1] + b'?'))
  manifest = prepared.prepare_images(archive, tmp_path / 'out')
  assert manifest['count'] == 1
  assert 'CRC' in manifest['skipped'][0]['reason']


def change_header(content, name, offset, value):
  """A zip's bytes with 16 bits of one member's central header changed."""
  start = content.rindex(name) - 46
  assert content[start : start + 4] == b'PK\1\2'
  at = start + offset
  return content[:at] + value.to_bytes(2, 'little') + content[at + 2 :]


def make_zip(path, files, compression=zipfile.ZIP_STORED):
  with zipfile.ZipFile(path, 'w', compression) as file:
    for name, content in files.items():
      file.writestr(name, content)
  return path.read_bytes()


ENCRYPTED, UTF8, METHOD = (8, 1), (8, 0x800), (10, 77)  # (offset, value)


@pytest.mark.parametrize('change', [ENCRYPTED, METHOD])
def test_a_member_that_cannot_be_opened_is_left_out(change, tmp_path):
  archive = tmp_path / 'odd.zip'
  content = make_zip(
    archive, {'cat/a.png': picture(9), 'cat/b.png': picture(10)}
  )
  archive.write_bytes(change_header(content, b'cat/a.png', *change))
  manifest = prepared.prepare_images(archive, tmp_path / 'out')
  assert manifest['count'] == 1
  (skipped,) = manifest['skipped']
  assert skipped['file'] == 'cat/a.png'
  assert 'name the folder' in skipped['reason']
  # With nothing else in it, that is what the one line says.
  archive.write_bytes(
    change_header(
      make_zip(archive, {'cat/a.png': picture(9)}), b'cat/a.png', *change
    )
  )
  assert_refused(tmp_path, archive, 'cat/a.png', 'name the folder')


def assert_refused(tmp_path, archive, *says):
  """One line that says it all, and nothing beside the archive."""
  with pytest.raises(UserError) as caught:
    prepared.prepare_images(archive, tmp_path / 'new')
  message = str(caught.value)
  assert '\n' not in message
  for words in (archive.name, *says):
    assert words in message
  left = {path.name for path in tmp_path.iterdir()}
  assert left <= {archive.name, 'out'}


@pytest.mark.parametrize(
  'compression', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_damaged_compression_of_captions_is_one_line(compression, tmp_path):
  archive = tmp_path / 'odd.zip'
  line = b'{"file_name": "a.png", "text": "a cat"}\n' * 9
  files = {'a.png': picture(1), 'metadata.jsonl': line}
  content = make_zip(archive, files, compression)
  with zipfile.ZipFile(archive) as file:
    info = file.getinfo('metadata.jsonl')
  start = info.header_offset + 30 + len(info.filename)
  end = start + info.compress_size
  for cut in (start, start + 4, end - 8):
    damaged = content[:cut] + b'\xff' * (end - cut) + content[end:]
    archive.write_bytes(damaged)
    assert_refused(tmp_path, archive, 'metadata.jsonl', 'name the folder')


def test_texts_and_names_that_are_not_utf8_are_one_line(tmp_path):
  archive = tmp_path / 'odd.zip'
  files = {'a.png': picture(1), 'metadata.jsonl': b'\xff'}
  content = make_zip(archive, files)
  assert_refused(tmp_path, archive, 'metadata.jsonl', 'UTF-8')
  content = content.replace(b'a.png', b'\xff.png')
  archive.write_bytes(change_header(content, b'\xff.png', *UTF8))
  assert_refused(tmp_path, archive, 'name the folder')


def test_a_zip_cut_short_is_one_line(tmp_path):
  archive = tmp_path / 'odd.zip'
  content = make_zip(archive, {'cat/a.png': picture(1)})
  for length in (len(content) // 2, len(content) - 30, len(content) - 1):
    archive.write_bytes(content[:length])
    assert_refused(tmp_path, archive, 'whole zip', 'name the folder')


def test_names_with_a_dot_are_the_same_in_zips_and_metadata(tmp_path):
  archive = tmp_path / 'dots.zip'
  lines = [
    '{"file_name": "./a.png", "text": "half an emoji \\ud83d"}',
    '{"file_name": "x/../b.png", "text": "first\u2028second"}',
  ]
  files = {
    './cat/a.png': picture(1),
    'cat/b.png': picture(2),
    './c.png': picture(3),
    'cat/metadata.jsonl': '\n'.join(lines),
  }
  make_zip(archive, files)
  prepared.prepare_images(archive, tmp_path / 'out', caption='other')
  assert captions_of(tmp_path / 'out') == [
    'other', 'half an emoji ?', 'first second',
  ]  # fmt: skip


@pytest.mark.parametrize('name', ['../a.png', 'x/../../a.png', '/a.png'])
def test_captions_reach_no_further_than_their_folder(name, tmp_path):
  archive = tmp_path / 'climb.zip'
  line = json.dumps({'file_name': name, 'text': 'a cat'})
  make_zip(archive, {'dog/a.png': picture(1), 'dog/metadata.jsonl': line})
  assert_refused(tmp_path, archive, 'dog/metadata.jsonl line 1', 'a.png')


@pytest.mark.skipif(sys.platform != 'linux', reason='names must be Unicode')
def test_any_name_of_a_file_can_be_written_down(tmp_path):
  (tmp_path / 'cat').mkdir()
  path = os.fsencode(tmp_path) + b'/cat/caf\xe9.png'
  with open(path, 'wb') as file:
    file.write(picture(1))
  manifest = prepared.prepare_images(
    tmp_path / 'cat', tmp_path / 'out', caption='a cat'
  )
  assert manifest['count'] == 1
  assert captions_of(tmp_path / 'out') == ['a cat']


def test_links_in_folders_are_not_followed(pictures, tmp_path):
  secret = tmp_path / 'secret'
  secret.mkdir()
  (secret / 'x.png').write_bytes(picture(1))
  (pictures / 'dog' / 'x.png').symlink_to(secret / 'x.png')
  (pictures / 'linked').symlink_to(secret)
  listing = folders.list_members(pictures)
  assert {name for name, _ in listing.refused} == {'dog/x.png', 'linked'}
  assert not any('x.png' in member.name for member in listing.members)


def test_stopped_and_started_again(pictures, tmp_path, monkeypatch):
  out = tmp_path / 'out'
  whole = prepared.prepare_images(pictures, out, shard_bytes=1)
  assert len(whole['shards']) == 5  # one picture each
  assert prepared.prepare_images(pictures, out, shard_bytes=1) == whole
  with pytest.raises(UserError, match='something else already'):
    prepared.prepare_images(pictures, out, shard_bytes=2)

  again = tmp_path / 'again'
  make_record = prepare_pictures.make_record
  made = []

  def interrupted(dataset, index, limits):
    if index == 4:
      raise KeyboardInterrupt
    return make_record(dataset, index, limits)

  monkeypatch.setattr(prepare_pictures, 'make_record', interrupted)
  with pytest.raises(KeyboardInterrupt):
    prepared.prepare_images(pictures, again, shard_bytes=1)
  assert not again.exists()

  def counted(dataset, index, limits):
    made.append(index)
    return make_record(dataset, index, limits)

  monkeypatch.setattr(prepare_pictures, 'make_record', counted)
  resumed = prepared.prepare_images(pictures, again, shard_bytes=1)
  # Three shards of one picture each were whole; the fourth one was begun.
  assert sorted(made) == [3, 4, 5, 6]
  assert resumed['count'] == whole['count']
  assert captions_of(again) == captions_of(out)


def test_damage_is_found(pictures, tmp_path):
  out = tmp_path / 'out'
  prepared.prepare_images(pictures, out)
  shard = out / 'shard-00000.array_record'
  content = bytearray(shard.read_bytes())
  content[-1] ^= 1
  shard.write_bytes(content)
  with pytest.raises(UserError, match=r'shard-00000.* damaged'):
    array_records.check_shards(out)
  shard.unlink()
  with pytest.raises(UserError, match='missing'):
    array_records.check_shards(out)


def test_clear_errors(tmp_path):
  with pytest.raises(UserError, match='no such folder'):
    prepared.prepare_images(tmp_path / 'none', tmp_path / 'out')
  (tmp_path / 'file.txt').write_text('hello')
  with pytest.raises(UserError, match='neither a folder nor a whole zip'):
    prepared.prepare_images(tmp_path / 'file.txt', tmp_path / 'out')
  (tmp_path / 'empty').mkdir()
  with pytest.raises(UserError, match='no picture to prepare'):
    prepared.prepare_images(tmp_path / 'empty', tmp_path / 'out')
  with pytest.raises(UserError, match='vbanana prepare KIND'):
    record_source.RecordSource(tmp_path / 'empty', 8)
  (tmp_path / 'empty' / 'manifest.json').write_text(
    json.dumps({'schema_version': 99})
  )
  with pytest.raises(UserError, match='schema 99'):
    record_source.RecordSource(tmp_path / 'empty', 8)
