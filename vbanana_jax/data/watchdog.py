"""A line on what is being read, whenever the next batch is slow to come."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from vbanana_jax.data import sources
from vbanana_jax.runtime import processes

PATIENCE = 60.0  # seconds until the first line, and between lines
_CHECKS = 10  # looks at the clock while patience lasts


class Watchdog:
  """Tells what the reading threads do while a batch is waited for.

  Args:
    patience: seconds of waiting until a line says so, and again.
  """

  def __init__(self, patience: float = PATIENCE):
    self._patience = patience
    self._since: float | None = None  # a batch is waited for
    self._examples: dict[int, tuple[float, str]] = {}  # by thread
    self._rows: dict[int, tuple[sources.Source, int]] = {}

  def watch(self, batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches; lines are written while the next one is not there."""
    end = threading.Event()
    thread = threading.Thread(target=self._run, args=(end,), daemon=True)
    thread.start()
    try:
      while True:
        self._since = time.monotonic()
        try:
          batch = next(batches)
        except StopIteration:
          return
        finally:
          self._since = None
        yield batch
    finally:
      end.set()
      thread.join()

  @contextlib.contextmanager
  def making(self, example: int, source: str) -> Iterator[None]:
    """Its thread makes an example of a source."""
    thread = threading.get_ident()
    what = f'example {example} of source {source!r}'
    self._examples[thread] = time.monotonic(), what
    try:
      yield
    finally:
      del self._examples[thread]

  def track(self, source: sources.Source) -> sources.Source:
    """The source, which now says which row a thread reads of it."""
    return _Tracked(source, self._rows)

  def describe(self) -> str:
    """What every thread is at, the slowest first."""
    now = time.monotonic()
    lines = [
      f'{what}{self._describe_row(thread)}, for {now - since:.0f} s'
      for thread, (since, what) in sorted(
        self._examples.copy().items(), key=lambda item: item[1][0]
      )
    ]
    return '; '.join(lines) or 'no example is being read'

  def _describe_row(self, thread: int) -> str:
    source, row = self._rows.get(thread, (None, 0))
    if source is None:
      return ''
    locate = getattr(source, 'locate', None)
    return f', {locate(row) if locate else f"row {row}"}'

  def _run(self, end: threading.Event) -> None:
    told = 0.0
    while not end.wait(self._patience / _CHECKS):
      since, now = self._since, time.monotonic()
      if since is not None and now - max(since, told) >= self._patience:
        told = now
        processes.log(
          f'waiting for data for {now - since:.0f} s: {self.describe()}'
        )


class _Tracked:
  """A source that writes down what each thread reads."""

  def __init__(
    self,
    source: sources.Source,
    rows: dict[int, tuple[sources.Source, int]],
  ):
    self.name = source.name
    self.endless = source.endless
    self._source = source
    self._rows = rows
    if hasattr(source, 'draw'):
      self.draw = self._draw

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> sources.Example:
    with self._reading(index):
      return self._source[index]

  def _draw(self, index: int, rng: np.random.Generator) -> sources.Example:
    with self._reading(index):
      return self._source.draw(index, rng)

  @contextlib.contextmanager
  def _reading(self, index: int) -> Iterator[None]:
    thread = threading.get_ident()
    self._rows[thread] = self._source, int(index)
    try:
      yield
    finally:
      del self._rows[thread]
