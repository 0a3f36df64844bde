"""Memory of a training: the peak at a size, and whether steps leak.

  python -m perf.memory [--size base] [--steps 1000]

Each run is a process of its own that this one watches. The peak is that of a
few steps with a checkpoint among them, of the host. Growth is looked for in
many steps of the smoke network, with one checkpoint and with ten: what the
process holds in the last fifth of the run, against the second.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from perf import run
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import logs

_MB = 1e6


def measure(
  size: str = 'base', batch_size: int = 8, steps: int = 1000
) -> dict[str, Any]:
  """Peak of a few steps, and growth over many.

  Args:
    size: of the network whose peak is taken, a key of `models.SIZES`.
    batch_size: of it.
    steps: of the smoke network, whose growth is looked for.
  """
  _, peak = watch(
    'quickstart:pretrain',
    f'model.size={size}',
    f'batch_size={batch_size}',
    'length=4 steps',
    'save_every=2 steps',
    'log_every=1 steps',
  )
  return {
    'tables': {
      'peak': {f'{size}, batches of {batch_size}': {'host_mb': round(peak)}},
      'growth': {
        'one checkpoint': measure_growth(steps, '100 percent'),
        'ten checkpoints': measure_growth(steps, '10 percent'),
      },
    }
  }


def measure_growth(steps: int, save_every: str) -> dict[str, Any]:
  """Medians of what the smoke network's training holds in two stretches.

  Returns:
    `early_mb` and `late_mb`, of the steps from 20 to 40 and from 80 to 100
    percent; and `growth_share`, their ratio less one.
  """
  samples, _ = watch(
    'quickstart:pretrain,smoke',
    f'length={steps} steps',
    f'save_every={save_every}',
    'log_every=10 steps',
  )
  at, resident = np.array(samples).T
  early = np.median(resident[(at >= 0.2 * steps) & (at < 0.4 * steps)])
  late = np.median(resident[at >= 0.8 * steps])
  return {
    'steps': steps,
    'early_mb': round(float(early), 1),
    'late_mb': round(float(late), 1),
    'growth_share': round(float(late / early - 1), 4),
  }


def watch(config: str, *changes: str) -> tuple[list[tuple[int, float]], float]:
  """Trains in a process of its own.

  Returns:
    (step, MB held) ten times a second; and the most MB it ever held.
  """
  samples = []
  with tempfile.TemporaryDirectory() as workdir:
    words = ['train', f'--config={config}', f'--workdir={workdir}']
    words += [f'--config.{change}' for change in changes]
    words.append('--config.data.short_text_length=0')
    process = subprocess.Popen(
      [sys.executable, '-m', 'vbanana_jax', *words],
      cwd=run.ROOT,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
      rows = logs.load_metrics(pathlib.Path(workdir, 'metrics.jsonl'))
      samples.append((rows[-1]['step'] if rows else 0, read_mb(process.pid)))
      time.sleep(0.1)
  if code := os.waitstatus_to_exitcode(ended[1]):
    raise UserError(f'training {config} ended with code {code}')
  return [row for row in samples if row[1]], ended[2].ru_maxrss * 1024 / _MB


def read_mb(pid: int) -> float:
  """MB that a process holds now; 0 where it has just ended."""
  try:
    pages = pathlib.Path(f'/proc/{pid}/statm').read_text().split()[1]
  except (OSError, IndexError):
    return 0.0
  return int(pages) * os.sysconf('SC_PAGESIZE') / _MB


if __name__ == '__main__':
  run.run_main(measure, quick={'size': 'nano', 'steps': 100})
