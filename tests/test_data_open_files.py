"""Shards beyond the usual limit of open files are read like the others."""

import json
import os
import resource

import pytest

from perf import pictures
from vbanana_jax.data import array_records, open_files, record_source
from vbanana_jax.errors import UserError


@pytest.fixture
def limits(monkeypatch):
  """What the process may open; a test sets it, and reads what was set."""
  found = {'now': (1024, 4096)}
  monkeypatch.setattr(resource, 'getrlimit', lambda kind: found['now'])
  monkeypatch.setattr(
    resource, 'setrlimit', lambda kind, pair: found.update(now=pair)
  )
  return found


def test_all_data_together_have_the_hard_limit(limits):
  for name in ('photos', 'tfds'):
    open_files.allow_open_files(700, name)
  assert limits['now'] == (4096, 4096)


def test_a_system_that_says_no_is_believed(limits, monkeypatch):
  def refuse(kind, pair):
    raise ValueError

  monkeypatch.setattr(resource, 'setrlimit', refuse)
  open_files.allow_open_files(700, 'photos')
  with pytest.raises(UserError, match='may open 1024 files'):
    open_files.allow_open_files(1000, 'photos')


def test_too_many_shards_are_refused_in_one_line(limits):
  with pytest.raises(UserError, match="'photos' has 4000 shards") as error:
    open_files.allow_open_files(4000, 'photos')
  assert '\n' not in str(error.value)


def test_no_limit_at_all(limits):
  limits['now'] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
  open_files.allow_open_files(10**6, 'photos')
  limits['now'] = (1024, resource.RLIM_INFINITY)
  open_files.allow_open_files(10**6, 'photos')
  assert limits['now'][0] > 10**6


def link_shards(prepared, folder, count):
  """A prepared folder whose shards are links to the one of another."""
  manifest = array_records.load_manifest(prepared)
  (shard,) = manifest['shards']
  folder.mkdir()
  shards = [{**shard, 'file': f'shard-{k:05d}'} for k in range(count)]
  for link in shards:
    os.symlink(prepared / shard['file'], folder / link['file'])
  manifest |= {'shards': shards, 'count': count * shard['count']}
  manifest['labels'] = {'captions': manifest['count']}
  (folder / array_records.MANIFEST).write_text(json.dumps(manifest))
  return folder


def test_a_set_of_more_shards_than_the_soft_limit_is_read(tmp_path):
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  prepared = pictures.prepare_pictures(tmp_path, 2, width=8, height=8)
  folder = link_shards(prepared, tmp_path / 'many', 300)
  try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (280, hard))
    source = record_source.RecordSource(folder, 8)
    assert len(source) == 600 and not source.lost
    for row in range(0, 600, 2):
      assert source[row]['captions'] == (pictures.CAPTION,)
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
