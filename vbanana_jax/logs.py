"""What a run writes down: progress bar, metrics.jsonl, run.json."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import tqdm

from vbanana_jax.errors import UserError

PACKAGES = (
  'vbanana-jax',
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'grain',
  'numpy',
)


def get_versions() -> dict[str, str]:
  """Python, platform, device and package versions."""
  versions = {
    'python': platform.python_version(),
    'platform': f'{platform.system()} {platform.machine()}',
    'device': f'{jax.device_count()} x {jax.devices()[0].device_kind}',
    'cores': str(os.cpu_count()),
  }
  for package in PACKAGES:
    try:
      versions[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      versions[package] = 'not installed'
  return versions


def get_git_state() -> dict[str, str]:
  """Commit of the source tree and whether it was changed since."""

  def git(*words: str) -> str:
    done = subprocess.run(
      ['git', '-C', str(pathlib.Path(__file__).parent), *words],
      capture_output=True,
      text=True,
    )
    return done.stdout.strip() if done.returncode == 0 else ''

  return {
    'commit': git('rev-parse', 'HEAD') or 'unknown',
    'changed': 'yes' if git('status', '--porcelain') else 'no',
  }


def save_json(path: pathlib.Path, content: Any) -> None:
  """Writes JSON beside `path` and renames it there."""
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(path.name + '.part')
  temporary.write_text(json.dumps(content, indent=2, sort_keys=False) + '\n')
  temporary.replace(path)


def load_json(path: pathlib.Path) -> Any:
  """Reads JSON; a broken file is a UserError that names it."""
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise UserError(f'{path} cannot be read as JSON: {error}') from error


def save_run(workdir: pathlib.Path, config: dict[str, Any]) -> None:
  """Writes run.json: everything that a reader needs to repeat the run."""
  save_json(
    workdir / 'run.json',
    {
      'config': config,
      'command': sys.argv,
      'git': get_git_state(),
      'versions': get_versions(),
    },
  )


class MetricsLog:
  """Appends one JSON object a line to metrics.jsonl.

  On resume, lines past the step that training starts from are dropped: they
  are about to be written again.
  """

  def __init__(self, workdir: pathlib.Path, *, start_step: int):
    self.path = workdir / 'metrics.jsonl'
    kept = [row for row in load_metrics(self.path) if row['step'] <= start_step]
    self.seconds = kept[-1]['seconds'] if kept else 0.0
    self.waited = kept[-1]['waited'] if kept else 0.0
    self.cpu_seconds = kept[-1]['cpu_seconds'] if kept else 0.0
    text = ''.join(json.dumps(row) + '\n' for row in kept)
    temporary = self.path.with_name(self.path.name + '.part')
    temporary.write_text(text)
    temporary.replace(self.path)

  def write(self, row: dict[str, Any]) -> None:
    """Appends one line and closes the file."""
    with self.path.open('a') as file:
      file.write(json.dumps(row) + '\n')


def load_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
  """All whole lines; a line cut short by a kill is left out."""
  if not path.exists():
    return []
  text = path.read_text()
  return [
    json.loads(line)
    for line in text[: text.rfind('\n') + 1].split('\n')
    if line
  ]


def make_bar(total: int, initial: int, name: str) -> tqdm.tqdm:
  """Progress bar on stderr; plain sparse lines where there is no terminal."""
  return tqdm.tqdm(
    total=total,
    initial=initial,
    desc=name,
    unit='step',
    dynamic_ncols=True,
    mininterval=0.5 if sys.stderr.isatty() else 20.0,
  )


class Meter:
  """Averages between log lines, and the time spent waiting for data.

  `seconds`, `cpu_seconds` (of all threads) and `waited` add up over resumes;
  compilation is kept apart.

  Args:
    log: where lines go.
    task_names: in the order of the metrics' `task_loss`.
    batch_size: examples a step.
  """

  def __init__(
    self,
    log: MetricsLog,
    task_names: list[str],
    *,
    batch_size: int,
  ):
    self._log = log
    self._tasks = task_names
    self._batch_size = batch_size
    self._compile_seconds = 0.0
    self._start()

  def _start(self) -> None:
    self._rows: list[dict[str, jax.Array]] = []
    self._since, self._cpu_since = time.perf_counter(), time.process_time()
    self._waited = 0.0

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Its time counts as waiting for data."""
    began = time.perf_counter()
    yield
    self._waited += time.perf_counter() - began

  @contextlib.contextmanager
  def compiling(self) -> Iterator[None]:
    """Its time counts as compilation, and not as training."""
    began, cpu_began = time.perf_counter(), time.process_time()
    yield
    seconds = time.perf_counter() - began
    self._compile_seconds += seconds
    self._since += seconds
    self._cpu_since += time.process_time() - cpu_began

  def add(self, metrics: dict[str, jax.Array]) -> None:
    """Remembers a step's metrics without fetching them."""
    self._rows.append(metrics)

  def write(self, step: int) -> str:
    """One line of metrics.jsonl; returns what a progress bar says."""
    rows = jax.device_get(self._rows)
    seconds = time.perf_counter() - self._since
    self._log.seconds += seconds
    self._log.cpu_seconds += time.process_time() - self._cpu_since
    self._log.waited += self._waited
    mean = {
      key: float(np.mean([row[key] for row in rows]))
      for key in ('loss', 'gradient_norm')
    }
    sums = sum(row['task_loss'] for row in rows)
    counts = sum(row['task_count'] for row in rows)
    rate = len(rows) * self._batch_size / seconds
    self._log.write(
      {
        'step': step,
        **mean,
        **{
          f'loss/{name}': float(total / count)
          for name, total, count in zip(self._tasks, sums, counts)
          if count
        },
        'images_per_second': rate,
        'seconds': self._log.seconds,
        'cpu_seconds': self._log.cpu_seconds,
        'waited': self._log.waited,
        'compile_seconds': self._compile_seconds,
      }
    )
    self._start()
    return f'loss {mean["loss"]:.4f}, {rate:.1f} images/s'
