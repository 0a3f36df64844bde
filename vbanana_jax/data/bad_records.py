"""Records that went bad after they were prepared: replaced, listed, counted.

In place of record i of a source, records are drawn with
`keys.make_rng(seed, 'replacement', source, i)` until one can be read. That is
a function of the seed, of i and of what is on disk alone, so neither a resume
nor the number of processes or threads changes what is trained on.
"""

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from vbanana_jax import families, keys
from vbanana_jax.data import fitting_words, sources
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths, processes

# Where nearly every second record is bad, this many draws find a good one.
_DRAWS = 100

# Seconds between the attempts at a record that the storage did not give.
_PAUSES = (0.5, 2.0)


class BadRecordError(UserError):
  """A record that cannot be read; the message says which and why."""


class FiniteSource(sources.Source, Protocol):
  """A source on disk, whose rows may raise `BadRecordError`.

  Attributes:
    lost: of each file known to be damaged without reading it, what is wrong
      with it and how many records that costs.
  """

  lost: tuple[tuple[str, int], ...]

  def locate(self, index: int) -> str:
    """File and record of a row, for errors."""
    ...


class BadRecordLog:
  """Bad records of a run, as lines of `bad_records.jsonl` in its workdir.

  A line is {"source", "record", "reason"}. Further processes write
  `bad_records.1.jsonl` and so on, so that no two write one file; all that can
  be seen are read.

  Args:
    folder: the workdir; None keeps no list.
    process_index: this process's number.
  """

  def __init__(self, folder: paths.Path | None, process_index: int = 0):
    self._folder = folder
    number = f'.{process_index}' if process_index else ''
    self.path = folder and folder / f'bad_records{number}.jsonl'

  def load(self, source: str) -> set[int]:
    """Records of a source that any process wrote down.

    Raises:
      UserError: names a line that cannot be understood.
    """
    found = set()
    paths = self._folder.glob('bad_records*.jsonl') if self._folder else ()
    for path in sorted(paths):
      # What follows the last line break was cut short by a kill.
      lines = path.read_text(encoding='utf-8').split('\n')[:-1]
      for number, line in enumerate(lines, 1):
        try:
          row = json.loads(line)
          if row['source'] == source:
            found.add(int(row['record']))
        except (ValueError, TypeError, KeyError) as error:
          raise UserError(
            f'{path}, line {number}: not a bad record; remove the line'
          ) from error
    return found

  def write(self, source: str, record: int, reason: str) -> None:
    """Appends a line; not for two threads at once.

    Raises:
      UserError: the file cannot be written.
    """
    if not self.path:
      return
    row = {'source': source, 'record': record, 'reason': reason}
    try:
      paths.append_line(self.path, json.dumps(row))
    except OSError as error:
      raise UserError(
        f'{self.path}: a bad record cannot be written down ({error}): {reason}'
      ) from error


class ReplacingSource:
  """A source whose bad records are replaced, up to a budget.

  A record that its storage did not give is tried three times.
  Records that the log lists already are not tried again: after mending the
  data, remove the log. Threads may share the source.

  Args:
    source: where records come from.
    name: what the run calls it; the order and the replacements depend on it.
    allowed: of `config.data.bad_records`; see `to_count`.
    seed: of the run.
    max_text: longest instruction in tokens; a record without words that fit
      is bad.
    tokenizer: of the network; the package's own if not given.
    log: of the run; sources of one name share what it lists.

  Raises:
    UserError: the files that are missing or cut short hold more records than
      are allowed, or the log lists more; from reading, when one more is found
      than is allowed.
  """

  endless = False

  def __init__(
    self,
    source: FiniteSource,
    *,
    name: str,
    allowed: str,
    seed: int,
    max_text: int,
    log: BadRecordLog,
    tokenizer: families.Tokenizer | None = None,
  ):
    self.name = name
    self.labels = source.labels
    self.locate = source.locate
    self._source = source
    self._allowed = to_count(allowed, len(source))
    self._seed = seed
    self._max_text, self._tokenizer = max_text, tokenizer
    self._log = log
    self._lock = threading.Lock()
    self._known = log.load(self.name)
    self._check_lost()
    self._check_budget('')

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> sources.Example:
    return self._find(index, lambda record: self._source[record])

  def draw(self, index: int, rng: np.random.Generator) -> sources.Example:
    """A varied reading of a row, where the source has any."""
    draw = getattr(self._source, 'draw', None)
    if draw is None:
      return self[index]
    # A record that turns out to be bad may have drawn from it already.
    return self._find(index, lambda record: draw(record, copy.deepcopy(rng)))

  def _find(
    self, index: int, read: Callable[[int], sources.Example]
  ) -> sources.Example:
    """The record `index`, or the first good one in its place."""
    for record in self._candidates(int(index)):
      if record in self._known:
        continue
      try:
        return self._read_patiently(record, read)
      except BadRecordError as error:
        self._write_down(record, str(error))
    raise UserError(
      f'{self.locate(index)} is bad, and so are {_DRAWS} records drawn in its '
      f'place; prepare {self.name!r} again'
    )

  def _candidates(self, index: int) -> Iterator[int]:
    yield index
    rng = keys.make_rng(self._seed, 'replacement', self.name, index)
    for _ in range(_DRAWS):
      yield int(rng.integers(len(self)))

  def _read_patiently(
    self, record: int, read: Callable[[int], sources.Example]
  ) -> sources.Example:
    """Tries again where not the record failed but its storage, as a network."""
    for seconds in _PAUSES:
      try:
        return self._check_words(record, read(record))
      except BadRecordError as error:
        if not _is_of_storage(error):
          raise
      time.sleep(seconds)
    return self._check_words(record, read(record))

  def _check_words(
    self, record: int, example: sources.Example
  ) -> sources.Example:
    """Leaves out words that are too long; bad is who has no others."""
    try:
      return fitting_words.keep_fitting(
        example, self._max_text, self._tokenizer
      )
    except UserError as error:
      raise BadRecordError(f'{self.locate(record)}: {error}') from error

  def _write_down(self, record: int, reason: str) -> None:
    with self._lock:
      self._known |= self._log.load(self.name)  # by other processes
      is_new = record not in self._known
      if is_new:
        self._known.add(record)
        self._log.write(self.name, record, reason)
      self._check_budget(f'the last one is {reason}; ')
      if is_new:
        processes.log(
          f'bad record replaced ({len(self._known)} of at most '
          f'{self._allowed}): {reason}'
        )

  def _check_budget(self, last: str) -> None:
    if len(self._known) <= self._allowed:
      return
    listed = f'{self._log.path} lists them; ' if self._log.path else ''
    raise UserError(
      f'{len(self._known)} bad records in {self.name!r}, '
      f'config.data.bad_records allows {self._allowed} of {len(self)}; {last}'
      f'{listed}prepare the data again and remove that list, or allow more: '
      'the same command goes on from the last checkpoint'
    )

  def _check_lost(self) -> None:
    lost = sum(count for _, count in self._source.lost)
    if lost > self._allowed:
      reason, _ = self._source.lost[0]
      raise UserError(
        f'{reason}; {len(self._source.lost)} such files hold {lost} records '
        f'and config.data.bad_records allows {self._allowed} of {len(self)}: '
        'restore the files, prepare the data again, or allow more'
      )
    for reason, count in self._source.lost:
      processes.log(f'{reason}; others stand in for its {count} records')


def _is_of_storage(error: BaseException | None) -> bool:
  """Whether the system failed to read a file that is there.

  Pillow's complaints about pictures are OSErrors without a number.
  """
  while error is not None:
    if isinstance(error, OSError) and error.errno is not None:
      return not isinstance(error, FileNotFoundError)
    error = error.__cause__
  return False


def to_count(
  allowed: str, size: int, what: str = 'config.data.bad_records'
) -> int:
  """Number of records that '20 records' or '0.1 percent' of `size` are.

  A share is rounded down; '0 records' or '0' allows none.

  Raises:
    UserError: anything else.
  """
  number, _, unit = str(allowed).strip().partition(' ')
  try:
    value = float(number)
  except ValueError:
    value = -1.0
  if unit == 'percent' and 0 <= value <= 100:
    return int(value * size / 100)
  if unit in ('records', '') and 0 <= value < float('inf') and value % 1 == 0:
    return int(value)
  raise UserError(
    f"{what} is {allowed!r}, not like '20 records' or '0.1 percent'"
  )
