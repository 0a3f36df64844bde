"""What a run writes down: progress bar, lines by step, JSON.

Of several processes the first one alone writes.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tqdm

from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths, processes
from vbanana_jax.runtime.writers import Writer

# What `training.step` finds of the steps alone that `log_every` divides.
_NORMS = ('parameter_norm', 'update_norm')


def save_json(path: paths.Path, content: Any) -> None:
  """Writes JSON that readers see whole or not at all."""
  if not processes.is_first():
    return
  paths.write_whole(path, (json.dumps(content, indent=2) + '\n').encode())


def to_number(value: float | None) -> float | None:
  """What JSON can hold of a number: null where it is not finite."""
  return None if value is None or not np.isfinite(value) else float(value)


def load_json(path: paths.Path) -> Any:
  """Reads JSON; a broken file is a UserError that names it."""
  try:
    return json.loads(path.read_text())
  except FileNotFoundError as error:
    raise UserError(
      f'{path}: no such file: bring it back from a copy, or mend the path'
    ) from error
  except (OSError, ValueError) as error:
    raise UserError(f'{path} cannot be read as JSON: {error}') from error


class StepLog:
  """Appends one JSON object with a 'step' a line to a file.

  On resume, lines past the step that training starts from are dropped: they
  are about to be written again.

  Args:
    path: metrics.jsonl or scores.jsonl of a workdir.
    start_step: number of finished updates.
    writers: who shows the numbers of every line elsewhere, too.

  Attributes:
    last: the last line that was there already, or {}.
  """

  def __init__(
    self,
    path: paths.Path,
    *,
    start_step: int,
    writers: Sequence[Writer] = (),
  ):
    self.path = path
    self._writers = writers
    kept = [row for row in load_metrics(path) if row['step'] <= start_step]
    self.last: dict[str, Any] = kept[-1] if kept else {}
    if processes.is_first() and path.exists():
      lines = ''.join(json.dumps(row) + '\n' for row in kept)
      paths.write_whole(path, lines.encode())

  def write(
    self, row: dict[str, Any], pictures: Mapping[str, np.ndarray] | None = None
  ) -> None:
    """Appends one line and closes the file.

    Args:
      row: with a 'step'. Writers get its numbers, named for the file.
      pictures: uint8 `[h, w, 3]` for the writers, by name.
    """
    if not processes.is_first():
      return
    paths.append_line(self.path, json.dumps(row))
    numbers = {
      f'{self.path.stem}/{key}': value
      for key, value in row.items()
      if key != 'step' and value is not None
    }
    shown = {f'{self.path.stem}/{k}': v for k, v in (pictures or {}).items()}
    for writer in self._writers:
      writer.write(row['step'], numbers, shown)


def load_metrics(path: paths.Path) -> list[dict[str, Any]]:
  """All whole lines; a line cut short by a kill is left out.

  Raises:
    UserError: a whole line is not a JSON object with a 'step'.
  """
  if not path.exists():
    return []
  rows = []
  for number, line in enumerate(path.read_text().split('\n')[:-1], 1):
    if not line:
      continue
    try:
      row = json.loads(line)
      int(row['step'])
    except (ValueError, TypeError, KeyError) as error:
      raise UserError(
        f'{path}, line {number}: not an object with a step; remove the line'
      ) from error
    rows.append(row)
  return rows


def make_bar(total: int, initial: int, name: str) -> tqdm.tqdm:
  """Progress bar on stderr; plain sparse lines where there is no terminal."""
  return tqdm.tqdm(
    total=total,
    initial=initial,
    desc=name,
    unit='step',
    dynamic_ncols=True,
    mininterval=0.5 if sys.stderr.isatty() else 20.0,
    disable=not processes.is_first(),
  )


class Meter:
  """Averages between log lines, and where the time went.

  `seconds`, `cpu_seconds` (of all threads) and `waited` add up over resumes,
  and so does compilation, which is kept apart. Scoring counts as time, but
  does not slow down the images a second.

  Args:
    log: where lines go.
    task_names: in the order of the metrics' `task_loss`.
    batch_size: examples a step.
    learning_rates: what a line says of them, from the number of its step.
    peak: FLOPs a second that all devices can do, if known: MFU is the share
      of it that `StepFlops.useful` takes.
  """

  def __init__(
    self,
    log: StepLog,
    task_names: list[str],
    *,
    batch_size: int,
    learning_rates: Callable[[int], dict[str, float]] = lambda step: {},
    peak: float | None = None,
  ):
    self._log = log
    self._learning_rates = learning_rates
    self._peak = peak
    self._tasks = task_names
    self._batch_size = batch_size
    self._seconds = log.last.get('seconds', 0.0)
    self._cpu_seconds = log.last.get('cpu_seconds', 0.0)
    self._waited = log.last.get('waited', 0.0)
    self._compile_seconds = log.last.get('compile_seconds', 0.0)
    self.start()

  def start(self) -> None:
    """Counts from now on."""
    self._rows: list[dict[str, jax.Array]] = []
    self._flops = 0.0
    self._since, self._cpu_since = time.perf_counter(), time.process_time()
    self._scored = 0.0

  @property
  def seconds(self) -> float:
    """Of the whole run up to now, without compilation."""
    return self._seconds + time.perf_counter() - self._since

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Its time counts as waiting for data."""
    began = time.perf_counter()
    yield
    self._waited += time.perf_counter() - began

  @contextlib.contextmanager
  def scoring(self, state: Any) -> Iterator[None]:
    """Its time counts, but not in the images a second.

    Args:
      state: what the step under way makes; its own time is no scoring.
    """
    jax.block_until_ready(state)
    began = time.perf_counter()
    yield
    self._scored += time.perf_counter() - began

  @contextlib.contextmanager
  def compiling(self) -> Iterator[None]:
    """Its time counts as compilation, and not as training."""
    processes.log('compiling')
    began, cpu_began = time.perf_counter(), time.process_time()
    yield
    seconds = time.perf_counter() - began
    self._compile_seconds += seconds
    self._since += seconds
    self._cpu_since += time.process_time() - cpu_began

  def add(self, metrics: dict[str, jax.Array], flops: float) -> None:
    """Remembers a step's metrics without fetching them, and its FLOPs.

    Args:
      metrics: of the step.
      flops: `StepFlops.useful` of it.
    """
    self._rows.append(metrics)
    self._flops += flops

  def write(self, step: int) -> str:
    """One line of metrics.jsonl; returns what a progress bar says."""
    rows = jax.device_get(self._rows)
    before, self._seconds = self._seconds, self.seconds
    self._cpu_seconds += time.process_time() - self._cpu_since
    mean = {
      key: float(np.mean([row[key] for row in rows]))
      for key in ('loss', 'gradient_norm')
    }
    norms = {}
    for key in _NORMS:
      found = [row[key] for row in rows if np.isfinite(row[key])]
      norms[key] = float(found[-1]) if found else None
    sums = sum(row['task_loss'] for row in rows)
    counts = sum(row['task_count'] for row in rows)
    trained = self._seconds - before - self._scored
    rate = len(rows) * self._batch_size / trained
    work = self._flops / trained / 1e12  # of all devices
    mfu = {'mfu': work * 1e12 / self._peak} if self._peak else {}
    learning_rates = self._learning_rates(step)
    self._log.write(
      {
        'step': step,
        **mean,
        **norms,
        **{
          f'loss/{name}': float(total / count)
          for name, total, count in zip(self._tasks, sums, counts)
          if count
        },
        **learning_rates,
        'images_per_second': rate,
        'tflops_per_s': work,
        **mfu,
        'seconds': self._seconds,
        'cpu_seconds': self._cpu_seconds,
        'waited': self._waited,
        'compile_seconds': self._compile_seconds,
      }
    )
    self.start()
    parts = [f'loss {mean["loss"]:.4f}']
    parts += [f'lr {value:.2g}' for value in [*learning_rates.values()][:1]]
    parts += [f'{rate:.1f} images/s', f'{work:.3g} TFLOP/s']
    parts += [f'MFU {value:.1%}' for value in mfu.values()]
    return ', '.join(parts)
