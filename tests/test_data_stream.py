"""Batches are a function of the step, whoever reads them and from where."""

import itertools
import subprocess
import sys
import threading

import numpy as np
import pytest

from vbanana_jax.data import mixture, stream, texts
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import processes
from vbanana_jax.tasks.depth import Depth
from vbanana_jax.tasks.generate import Generate

SIZE = 8


class FakeSource:
  """Pictures whose level tells the row."""

  def __init__(self, name, rows=None, bad_row=None):
    self.name = name
    self.bad_row = bad_row
    self.endless = rows is None
    self.rows = rows or 1000

  def __len__(self):
    return self.rows

  def __getitem__(self, index):
    if index == self.bad_row:
      raise UserError('an unlucky picture')
    return {
      'index': index,
      'rgb': np.full((SIZE, SIZE, 3), index / 100, np.float32),
      'depth_m': np.full((SIZE, SIZE), 1 + index, np.float32),
      'captions': texts.CaptionList([f'number {index}']),
    }


def build(pictures=None, bad_row=None, start_step=0, end_step=999, **options):
  known = {'batch_size': 4, 'seed': 3, 'max_text': 64}
  mixed = mixture.Mixture(
    [
      mixture.Entry(
        Generate(empty_share=0.0), FakeSource('photos', pictures), 1
      ),
      mixture.Entry(Depth(), FakeSource('scenes', None, bad_row), 3),
    ]
  )
  settings = stream.StreamSettings(**{**known, **options})
  return stream.build_stream(
    mixed, settings, start_step=start_step, end_step=end_step
  )


def take(iterator, n):
  batches = list(itertools.islice(iterator, n))
  iterator.close()
  return batches


def assert_equal_batches(one, other):
  assert one.keys() == other.keys()
  for key in one:
    np.testing.assert_array_equal(one[key], other[key])


def test_batch_fields():
  (batch,) = take(build(), 1)
  shapes = {key: (leaf.shape, str(leaf.dtype)) for key, leaf in batch.items()}
  assert shapes == {
    'tokens': ((4, 64), 'int32'),
    'source': ((4, SIZE, SIZE, 3), 'float32'),
    'has_source': ((4,), 'bool'),
    'target': ((4, SIZE, SIZE, 3), 'float32'),
    'weight_px': ((4, SIZE, SIZE), 'float32'),
    'task': ((4,), 'int32'),
    'noise_scale': ((4,), 'float32'),
    'one_pass_share': ((4,), 'float32'),
    'index': ((4,), 'int64'),
  }
  np.testing.assert_array_equal(batch['index'], range(4))
  is_depth = batch['task'] == 1
  assert is_depth.sum() == 3
  np.testing.assert_array_equal(batch['has_source'], is_depth)
  np.testing.assert_array_equal(batch['one_pass_share'], 0.5 * is_depth)
  np.testing.assert_array_equal(batch['noise_scale'], 4.0)


def test_any_step_can_be_the_first():
  whole = take(build(), 5)
  for start in (1, 4):
    resumed = take(build(start_step=start), 5 - start)
    for one, other in zip(whole[start:], resumed, strict=True):
      assert_equal_batches(one, other)


@pytest.mark.parametrize(
  'options', [{}, {'text_length': 12}, {'short_text_length': 6}]
)
@pytest.mark.parametrize('shares', [[[0, 1], [2, 3]], [[1], [0, 3], [2]]])
def test_processes_share_the_global_batch(shares, options):
  whole = take(build(start_step=3, **options), 9)
  parts = [take(build(start_step=3, rows=s, **options), 9) for s in shares]
  for step, batch in enumerate(whole):
    for rows, part in zip(shares, parts):
      own = {key: leaf[rows] for key, leaf in batch.items()}
      assert_equal_batches(own, part[step])


def test_only_lengths_make_a_process_read_what_others_train_on():
  # What cannot be read is row 3 of the first batch.
  take(build(bad_row=2, rows=[0, 1, 2]), 3)
  with pytest.raises(UserError, match='unlucky'):
    take(build(bad_row=2, rows=[0, 1, 2], text_length=12), 3)


def test_short_instructions_share_batches():
  options = {'text_length': 40, 'short_text_length': 6}
  plain, ordered = take(build(), 16), take(build(**options), 16)
  assert {batch['tokens'].shape[1] for batch in ordered} == {6, 40}
  for first in (0, 8):  # eight steps hold the same examples as without
    rows = {}
    for batch in plain[first : first + 8]:
      for k, index in enumerate(batch['index']):
        rows[index] = {key: leaf[k] for key, leaf in batch.items()}
    lengths = []
    for batch in ordered[first : first + 8]:
      length = batch['tokens'].shape[1]
      lengths.append(length)
      for k, index in enumerate(batch['index']):
        row = rows.pop(index)
        tokens = row.pop('tokens')
        assert not tokens[length:].any()
        np.testing.assert_array_equal(batch['tokens'][k], tokens[:length])
        for key, leaf in row.items():
          np.testing.assert_array_equal(batch[key][k], leaf)
    assert not rows and lengths == sorted(lengths)


def test_any_step_can_be_the_first_of_sorted_ones():
  options = {'text_length': 40, 'short_text_length': 6}
  whole = take(build(**options), 20)
  for start in (3, 8, 13):
    resumed = take(build(start_step=start, **options), 20 - start)
    for one, other in zip(whole[start:], resumed, strict=True):
      assert_equal_batches(one, other)


def test_the_last_steps_are_sorted_among_themselves():
  options = {'text_length': 40, 'short_text_length': 6}
  batches = list(build(start_step=6, end_step=11, **options))
  found = np.concatenate([batch['index'] for batch in batches])
  assert len(batches) == 5 and set(found[8:]) == set(range(32, 44))


def test_only_a_batch_with_a_long_instruction_is_padded_further():
  lengths = [b['tokens'].shape[1] for b in take(build(text_length=12), 12)]
  assert set(lengths) == {12, 64}


def test_threads_change_nothing():
  for one, other in zip(take(build(threads=1), 3), take(build(threads=8), 3)):
    assert_equal_batches(one, other)


def test_finite_sources_are_shuffled_anew_every_epoch():
  batches = take(build(pictures=6), 12)
  levels = [
    round(float(target[0, 0, 0] * 100))
    for batch in batches
    for task, target in zip(batch['task'], batch['target'])
    if task == 0
  ]
  assert sorted(levels[:6]) == sorted(levels[6:]) == list(range(6))
  assert levels[:6] != levels[6:]


def test_bad_rows_are_named():
  with pytest.raises(UserError, match="row 13 of source 'scenes': an unlucky"):
    take(build(bad_row=13), 20)


def test_works_where_nobody_parsed_absl_flags():
  # In a notebook grain would stop with UnparsedFlagAccessError.
  code = (
    'import grain; from absl import flags;'
    'from vbanana_jax.data import stream;'
    'assert not flags.FLAGS.is_parsed();'
    'stream._parse_flags_for_grain();'
    'assert flags.FLAGS.is_parsed()'
  )
  subprocess.run([sys.executable, '-c', code], check=True)


class StuckSource(FakeSource):
  """A source on a disk that answers when `free` is set."""

  free = threading.Event()

  def locate(self, index):
    return f'photos-00003 record {index}'

  def __getitem__(self, index):
    if index == 5:
      assert self.free.wait(60)
    return super().__getitem__(index)


def test_a_batch_that_does_not_come_is_named_again_and_again(monkeypatch):
  told = []

  def listen(line):
    told.append(line)
    if len(told) == 2:
      StuckSource.free.set()

  monkeypatch.setattr(processes, 'log', listen)
  mixed = mixture.Mixture([mixture.Entry(Generate(), StuckSource('photos'), 1)])
  batches = stream.build_stream(
    mixed,
    stream.StreamSettings(batch_size=4, seed=0, max_text=64, patience=0.2),
    end_step=3,
  )
  assert len(list(batches)) == 3
  assert len(told) == 2
  for line in told:
    assert line.startswith('waiting for data for ')
    assert "example 5 of source 'photos', photos-00003 record 5, for" in line
