"""Writes shards of records one after the other; kept where they are whole."""

import collections
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tqdm

from vbanana_jax.data import (
  array_records,
  bad_records,
  labeled,
  prepare_pictures,
)
from vbanana_jax.data.prepare_pictures import Limits, Made
from vbanana_jax.errors import DiskFullError, UserError
from vbanana_jax.runtime import paths

_FIRST = 16  # pictures after which the room for all is estimated


class RefusedError(UserError):
  """Nothing that was written is of use."""


def write_shards(
  folder: pathlib.Path, dataset: labeled.DataSet, limits: Limits
) -> Iterator[dict[str, Any]]:
  """Journals of all shards; those that are whole already are kept.

  The pictures of a journal's shard are those from `first` to before `end`.
  """
  total, done, number = len(dataset.ids), 0, 0
  kept = _find_whole(folder)
  with tqdm.tqdm(total=total, unit='image', desc='prepare') as bar:
    watch = _Watch(folder, dataset, limits, bar)
    while done < total:
      if done in kept:
        journals = iter([kept[done]])
        bar.update(kept[done]['end'] - done)
        watch.bad += kept[done]['bad']
      else:
        stop = min((first for first in kept if first > done), default=total)
        journals = _fill_shards(
          folder, number, watch.make(range(done, stop)), limits.shard_bytes
        )
      for journal in journals:
        yield journal
        done, number = journal['end'], number + 1


class _Watch:
  """Counts what is made, and refuses all where too much is bad or large."""

  def __init__(self, folder, dataset, limits, bar):
    self.bad = 0
    self._folder, self._dataset, self._limits = folder, dataset, limits
    self._bar = bar
    total = len(dataset.ids)
    self._most_bad = bad_records.to_count(limits.most_bad, total, '--most-bad')
    self._made = self._bytes = 0

  def make(self, indexes: range) -> Iterator[Made]:
    for made in prepare_pictures.make_records(
      self._dataset, indexes, self._limits
    ):
      self._bar.update()
      self.bad += made.is_bad
      self._made += 1
      self._bytes += len(made.record or b'')
      self._check_bad(made)
      if self._made == min(_FIRST, len(indexes)):
        self._check_room(indexes.stop - made.index)
      yield made

  def _check_bad(self, made: Made) -> None:
    if made.is_bad and self.bad > self._most_bad:
      raise RefusedError(
        f'{self.bad} of the first {made.index + 1} '
        f'pictures are bad, the last one is {made.file}: {made.reason}; '
        f'--most-bad allows {self._most_bad} of {len(self._dataset.ids)}: mend '
        'them, or allow more'
      )

  def _check_room(self, left: int) -> None:
    wanted = self._bytes * (left + self._made) // self._made
    free = paths.get_free_bytes(self._folder)
    if wanted > free:
      raise DiskFullError(
        f'{self._folder.parent}: about {wanted} bytes of records, {free:.0f} '
        'bytes free: make room or choose another --out'
      )


def _find_whole(folder: pathlib.Path) -> dict[int, dict[str, Any]]:
  """Journals whose shards are as they were written, by their first picture."""
  whole = {}
  for path in sorted(folder.glob('shard-*.json')):
    journal = json.loads(path.read_text(encoding='utf-8'))
    if _is_whole(path.with_suffix('.array_record'), journal['sha256']):
      whole[journal['first']] = journal
  return whole


def _is_whole(path: pathlib.Path, sha256: str | None) -> bool:
  """Whether a shard is as it was written; None stands for no shard."""
  if sha256 is None or not path.is_file():
    return sha256 is None
  return array_records.hash_file(path) == sha256


def _fill_shards(
  folder: pathlib.Path,
  number: int,
  pictures: Iterator[Made],
  shard_bytes: int,
) -> Iterator[dict[str, Any]]:
  """Writes shard after shard, each with its journal; yields the journals."""
  group: list[Made] = []
  used = 0
  for made in pictures:
    size = len(made.record or b'')
    if used and used + size > shard_bytes:
      yield _write_shard(folder, number, group)
      group, used, number = [], 0, number + 1
    group.append(made)
    used += size
  if group:
    yield _write_shard(folder, number, group)


def _write_shard(
  folder: pathlib.Path, number: int, group: Sequence[Made]
) -> dict[str, Any]:
  path = folder / f'shard-{number:05d}.array_record'
  rows = [made.record for made in group if made.record is not None]
  digest = array_records.write_shard(path, rows) if rows else None
  known = collections.Counter(key for made in group for key in made.known)
  journal = {
    'file': path.name,
    'first': group[0].index,
    'end': group[-1].index + 1,
    'count': len(rows),
    'bytes': path.stat().st_size if rows else 0,
    'sha256': digest,
    'labels': dict(known),
    'bad': sum(made.is_bad for made in group),
    'dropped': sum(made.dropped for made in group),
    'several': [made.file for made in group if made.holds_several],
    'skipped': [
      {'file': made.file, 'reason': made.reason}
      for made in group
      if made.record is None
    ],
  }
  journal_path = path.with_suffix('.json')
  unfinished = journal_path.with_suffix('.tmp')
  unfinished.write_text(array_records.to_json(journal), encoding='utf-8')
  os.replace(unfinished, journal_path)
  return journal
