"""Which task and which source row a global example index stands for."""

import bisect
import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

from vbanana_jax.data import sources
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import base
from vbanana_jax.tasks.prompt_styles import FULL, PromptStyle

_LONGEST_CYCLE = 10_000


@dataclasses.dataclass(frozen=True)
class Entry:
  """One line of a mixture: a task asked about a source, at a weight.

  Attributes:
    task: what is asked.
    source: about whose rows.
    weight: how often, beside the other entries.
    style: how, where the examples do not say.
  """

  task: base.Task
  source: sources.Source
  weight: float
  style: PromptStyle = FULL


@dataclasses.dataclass(frozen=True)
class Origin:
  """Where an example comes from: an entry, and a running row of its source."""

  entry: int
  row: int


class Mixture:
  """A stateless, evenly interleaved mixture of (task, source, weight).

  The schedule is a cycle of entries in which every entry has exactly its
  share of places, spread as evenly as integers allow. Entries of the same
  source share its rows, so that no picture is used for two tasks and each
  is read once. `locate(i)` is arithmetic: any step can be the first one.

  Raises:
    UserError: no entry is left, a weight is negative or not finite, or the
      weights have no short common cycle.
  """

  def __init__(self, entries: Sequence[Entry]):
    for entry in entries:
      if not (math.isfinite(entry.weight) and entry.weight >= 0):
        raise UserError(
          f'mixture weight of {entry.task.name!r} is {entry.weight}; '
          'it must be a finite number of at least 0'
        )
    self.entries = tuple(entry for entry in entries if entry.weight > 0)
    if not self.entries:
      raise UserError('the mixture is empty; give a task a weight above 0')
    counts = integer_weights([entry.weight for entry in self.entries])
    self.tasks = tuple(dict.fromkeys(e.task for e in self.entries))
    self._task_of_entry = [self.tasks.index(e.task) for e in self.entries]
    self.schedule = even_schedule(counts)
    self._places = [
      [t for t, e in enumerate(self.schedule) if self._same_source(e, k)]
      for k in range(len(self.entries))
    ]

  def _same_source(self, one: int, other: int) -> bool:
    return self.entries[one].source is self.entries[other].source

  def locate(self, index: int) -> Origin:
    """Entry and source row of global example `index`."""
    cycle, offset = divmod(index, len(self.schedule))
    entry = self.schedule[offset]
    places = self._places[entry]
    row = cycle * len(places) + bisect.bisect_left(places, offset)
    return Origin(entry, row)

  def task_of(self, index: int) -> int:
    """Position in `tasks` of the task of global example `index`."""
    return self._task_of_entry[self.schedule[index % len(self.schedule)]]


def integer_weights(weights: Sequence[float]) -> tuple[int, ...]:
  """Smallest integers in the proportion of `weights` (to three decimals)."""
  fractions = [Fraction(w).limit_denominator(1000) for w in weights]
  scale = math.lcm(*(f.denominator for f in fractions))
  counts = [int(f * scale) for f in fractions]
  divisor = math.gcd(*counts)
  if 0 in counts or sum(counts) // divisor > _LONGEST_CYCLE:
    raise UserError(
      f'mixture weights {list(weights)} have no cycle of at most '
      f'{_LONGEST_CYCLE} examples; use small integers or two decimals'
    )
  return tuple(count // divisor for count in counts)


def even_schedule(counts: Sequence[int]) -> tuple[int, ...]:
  """One cycle in which entry k has `counts[k]` places, evenly spread.

  Place j of an entry with n places is due at (j + 1/2) / n of the cycle;
  entries are ordered by due time.
  """
  due = [
    (Fraction(2 * j + 1, 2 * n), k)
    for k, n in enumerate(counts)
    for j in range(n)
  ]
  return tuple(k for _, k in sorted(due))
