"""Paths on a disk and in a bucket."""

import os
import pathlib
import threading

import pytest
from bucket import Bucket

from vbanana_jax import cli
from vbanana_jax.errors import DiskFullError, UserError
from vbanana_jax.runtime import files, paths

ODD = 'n[1] *?#%41 -~ä{x}'  # on a disk
SAFE = 'n %41 -~ä{x}'  # in a bucket


@pytest.mark.parametrize(
  'name', [
    '', 'a\0b', 's3://b/x', 'gs:/b/x', 'file:///x', 'gs://', 'gs:///x',
    'gs://b/x', 'gs://Upper/x', 'gs://bucket/../x', 'gs://bucket/n[1]',
    'gs://bucket/a?', 'gs://bucket/a#1', 'gs://bucket/*', '~nobody-here/x',
  ]
)  # fmt: skip
def test_what_is_no_path_is_refused(name, bucket):
  with pytest.raises(UserError, match=r'\w{3,}'):
    paths.to_path(name)


def test_what_is_a_path(bucket, monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  assert paths.to_path('~/x') == tmp_path / 'x'
  assert paths.to_path('./~/x') == pathlib.Path('./~/x')
  assert paths.to_path(paths.to_path('./~')) == pathlib.Path('~')
  assert paths.to_path('c:/x/') == pathlib.Path('c:/x')
  assert str(paths.to_path('gs://bucket/x/') / 'y') == 'gs://bucket/x/y'
  assert str(paths.to_path('gs://bucket/x').absolute()) == 'gs://bucket/x'


def test_a_bucket_without_its_package_is_refused(monkeypatch):
  def find(name):
    raise ImportError('Please install gcsfs')

  monkeypatch.setattr('fsspec.get_filesystem_class', find)
  with pytest.raises(UserError, match=r"pip install 'vbanana-jax\[gcs\]'"):
    paths.to_path('gs://bucket/x')


@pytest.fixture(params=['disk', 'bucket'])
def folder(request, tmp_path, bucket):
  if request.param == 'bucket':
    return paths.to_path(f'gs://bucket/{SAFE}')
  return tmp_path / ODD


def test_files_are_written_whole_and_added_to(folder):
  path = folder / 'deep' / 'metrics.jsonl'
  paths.write_whole(path, b'old')
  paths.write_whole(path, b'one\ncut sho')
  paths.append_line(path, 'two')
  paths.append_line(folder / 'new.jsonl', 'ä')
  assert path.read_bytes() == b'one\ntwo\n'
  assert path.stat().st_size == 8
  assert (folder / 'new.jsonl').read_bytes() == 'ä\n'.encode()
  paths.check_writable(folder / 'not there')
  assert sorted(x.name for x in folder.iterdir()) == ['deep', 'new.jsonl']
  assert paths.get_free_bytes(folder) > 0


def test_a_search_takes_the_folder_as_it_is(folder):
  folder = paths.to_epath(folder)
  for name in ('a/x.txt', 'a/y.txt', 'b/c/x.txt', 'x.txt'):
    paths.write_whole(folder / name, b'')

  def find(pattern):
    return sorted(str(p.relative_to(folder)) for p in folder.glob(pattern))

  assert find('*.txt') == ['x.txt']
  assert find('*/x.txt') == ['a/x.txt']
  assert find('a/[xy].txt') == ['a/x.txt', 'a/y.txt']
  assert find('**/x.txt') == ['a/x.txt', 'b/c/x.txt', 'x.txt']
  assert find('a') == ['a']
  assert find('z') == find('z/*') == find('x.txt/*') == []
  assert len(list(folder.rglob('*.txt'))) == 4


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / 'x'
  paths.write_whole(path, b'old')

  def fail(*args):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'replace', fail)
  with pytest.raises(OSError, match='No space'):
    paths.write_whole(path, b'new')
  assert [p.name for p in tmp_path.iterdir()] == ['x']
  assert path.read_bytes() == b'old'


def test_files_that_belong_together_are_written_or_none(tmp_path, monkeypatch):
  old = tmp_path / 'answer.json'
  old.write_text('{}')
  full = {tmp_path / 'answer.png': b'x' * 9, old: b'no room for this'}
  builtin = open

  def open_full(path, mode):
    if mode == 'xb' and any(tmp_path.glob('*.part')):
      raise OSError(28, 'No space left on device')
    return builtin(path, mode)

  monkeypatch.setattr(paths, 'open', open_full, raising=False)
  with pytest.raises(DiskFullError, match=r'answer\.json.*: make room and run'):
    files.write_together(full)
  assert [p.name for p in tmp_path.iterdir()] == ['answer.json']
  assert old.read_text() == '{}'
  monkeypatch.undo()
  assert files.write_together(full) == list(full)
  assert old.read_bytes() == b'no room for this'


def test_one_of_many_makes_an_object(bucket):
  path, made = paths.to_path('gs://bucket/x'), []

  def make(k):
    if paths.create_new(path, b'%d' % k):
      made.append(b'%d' % k)

  threads = [threading.Thread(target=make, args=[k]) for k in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert made == [path.read_bytes()]


def test_a_bucket_that_refuses_is_one_line(bucket, monkeypatch, capsys):
  monkeypatch.setattr(Bucket, 'refusal', 'Anonymous caller, code 401\nmore')
  path = paths.to_path('gs://bucket/x')
  with pytest.raises(OSError, match='401'):
    paths.write_whole(path, b'')
  assert cli.main(['report', '--workdir', 'gs://bucket/x']) == 2
  said = capsys.readouterr().err
  assert said == (
    'vbanana: gs://bucket/x cannot be reached: Anonymous caller, code 401\n'
  )


def test_a_flag_with_no_path_is_refused(capsys):
  with pytest.raises(SystemExit) as stop:
    cli.main(['report', '--workdir', 's3://b/x'])
  assert stop.value.code == 2
  assert 'argument --workdir: s3://b/x: neither' in capsys.readouterr().err
