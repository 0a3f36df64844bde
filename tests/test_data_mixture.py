"""A mixture's schedule: exact shares, even spread, pure arithmetic."""

import collections
import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from vbanana_jax.data import mixture
from vbanana_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class NamedTask:
  name: str
  vision: ClassVar[bool] = True


@dataclasses.dataclass(frozen=True)
class EmptySource:
  name: str
  endless: ClassVar[bool] = True

  def __len__(self):
    return 10


def build(weights, source_names=None):
  source_names = source_names or ['s'] * len(weights)
  sources = {name: EmptySource(name) for name in source_names}
  return mixture.Mixture(
    [
      mixture.Entry(NamedTask(f't{k}'), sources[name], weight)
      for k, (weight, name) in enumerate(zip(weights, source_names))
    ]
  )


@pytest.mark.parametrize(
  ('weights', 'counts'),
  [
    ([2, 4, 6], (1, 2, 3)),
    ([0.5, 0.25, 0.25], (2, 1, 1)),
    ([0.1, 0.2, 0.7], (1, 2, 7)),
    ([1 / 3, 2 / 3], (1, 2)),
    ([1], (1,)),
  ],
)
def test_integer_weights(weights, counts):
  assert mixture.integer_weights(weights) == counts


def test_shares_are_exact_and_even():
  counts = (1, 2, 3, 7, 11)
  schedule = mixture.even_schedule(counts)
  assert len(schedule) == sum(counts)
  for entry, n in enumerate(counts):
    so_far = np.cumsum(np.array(schedule) == entry)
    due = n * np.arange(1, len(schedule) + 1) / len(schedule)
    assert so_far[-1] == n
    assert np.abs(so_far - due).max() < 2


def test_rows_of_a_source_are_each_used_once_in_order():
  mixed = build([3, 1, 2], ['a', 'b', 'a'])
  rows = collections.defaultdict(list)
  for index in range(5 * len(mixed.schedule)):
    place = mixed.locate(index)
    rows[mixed.entries[place.entry].source.name].append(place.row)
  assert rows['a'] == list(range(25)) and rows['b'] == list(range(5))


def test_place_is_the_same_from_any_start():
  mixed = build([5, 3, 1])
  far = 10**15
  assert mixed.locate(far).row == far  # one source: each index takes one row
  assert mixed.locate(far) == build([5, 3, 1]).locate(far)


def test_one_task_from_two_sources_is_one_task():
  task = NamedTask('generate')
  mixed = mixture.Mixture(
    [
      mixture.Entry(task, EmptySource('photos'), 1),
      mixture.Entry(NamedTask('depth'), EmptySource('scenes'), 2),
      mixture.Entry(task, EmptySource('scenes'), 1),
    ]
  )
  assert [t.name for t in mixed.tasks] == ['generate', 'depth']
  tasks = [mixed.task_of(index) for index in range(4)]
  assert sorted(tasks) == [0, 0, 1, 1]


def test_zero_weight_leaves_a_task_out():
  assert [t.name for t in build([1, 0, 1]).tasks] == ['t0', 't2']


@pytest.mark.parametrize(
  ('weights', 'message'),
  [
    ([], 'empty'),
    ([0, 0], 'empty'),
    ([1, -1], "weight of 't1' is -1"),
    ([float('nan')], 'finite'),
    ([1, 1e-9], 'no cycle'),
    ([1, 1e6], 'no cycle'),
  ],
)
def test_bad_weights(weights, message):
  with pytest.raises(UserError, match=message):
    build(weights)
