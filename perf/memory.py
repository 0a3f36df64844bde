"""Memory of a training: the peaks at a size, and whether steps leak.

  python -m perf.memory [--size base] [--steps 1000]

Each run is a process of its own that this one watches. The peaks are those of
a few steps with a checkpoint among them, of the host and, where the backend
counts it, of its first device. Growth is looked for in a thousand steps of the
smoke network, with one checkpoint and with ten: what the process holds in the
last fifth of the run, against the second.
"""

import json
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

MB = 1e6
# Trains, and writes down what the device says of its memory.
_CODE = """
import json, pathlib, sys
import jax
from vbanana_jax import cli
path = pathlib.Path(sys.argv[1])
code = cli.main(['train', *sys.argv[2:]])
stats = jax.local_devices()[0].memory_stats() or {}
path.write_text(json.dumps(stats.get('peak_bytes_in_use')))
sys.exit(code)
"""


def measure(
  size: str = 'base', batch_size: int = 8, steps: int = 1000
) -> dict[str, Any]:
  """Peaks of a few steps, and growth over many.

  Args:
    size: of the network whose peaks are taken, a key of `models.SIZES`.
    batch_size: of it.
    steps: of the smoke network, whose growth is looked for.
  """
  return {
    'tables': {
      'peak': {
        f'{size}, batches of {batch_size}': measure_peak(size, batch_size)
      },
      'growth': {
        'one checkpoint': measure_growth(steps, '100 percent'),
        'ten checkpoints': measure_growth(steps, '10 percent'),
      },
    }
  }


def measure_peak(size: str, batch_size: int) -> dict[str, Any]:
  """Most MB of four steps and two checkpoints, of the host and a device."""
  _, peak, device_peak = watch(
    '--config=quickstart:pretrain',
    f'--config.model.size={size}',
    f'--config.batch_size={batch_size}',
    '--config.length=4 steps',
    '--config.save_every=2 steps',
    '--config.log_every=1 steps',
    '--config.data.short_text_length=0',
  )
  return {
    'host_mb': round(peak),
    'device_mb': None if device_peak is None else round(device_peak),
  }


def measure_growth(steps: int, save_every: str) -> dict:
  """Resident set of the smoke model in two stretches of a run, in MB.

  Returns:
    `early_mb` and `late_mb`, medians of the steps from 20 to 40 and from 80 to
    100 percent; and `growth_share`, their ratio less one.
  """
  samples, _, _ = watch(
    '--config=quickstart:pretrain,smoke',
    f'--config.length={steps} steps',
    f'--config.save_every={save_every}',
    '--config.log_every=10 steps',
    '--config.data.short_text_length=0',
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


def watch(
  *args: str,
) -> tuple[list[tuple[int, float]], float, float | None]:
  """Trains in a process of its own.

  Returns:
    (step, MB held) ten times a second; the most MB it ever held; and the most
    that were in use on its first device, None where the backend does not say
    (a CPU's arrays are the host's).
  """
  samples = []
  with tempfile.TemporaryDirectory() as workdir:
    metrics = pathlib.Path(workdir, 'metrics.jsonl')
    said = pathlib.Path(workdir, 'device_peak.json')
    process = subprocess.Popen(
      [sys.executable, '-c', _CODE, str(said), f'--workdir={workdir}', *args],
      cwd=run.ROOT,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
      rows = logs.load_metrics(metrics)
      step = rows[-1]['step'] if rows else 0
      samples.append((step, read_resident(process.pid)))
      time.sleep(0.1)
    code = os.waitstatus_to_exitcode(ended[1])
    if code:
      raise UserError(f'a training ended with code {code}')
    on_device = json.loads(said.read_text())
  return (
    [row for row in samples if row[1]],
    ended[2].ru_maxrss * 1024 / MB,
    on_device and on_device / MB,
  )


def read_resident(pid: int) -> float:
  """MB that a process holds now; 0 where it has just ended."""
  try:
    pages = pathlib.Path(f'/proc/{pid}/statm').read_text().split()[1]
  except (OSError, IndexError):
    return 0.0
  return int(pages) * os.sysconf('SC_PAGESIZE') / MB


if __name__ == '__main__':
  run.run_main(measure, quick={'size': 'nano', 'steps': 100})
