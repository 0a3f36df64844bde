"""Memory of a training: the peaks at a size, and whether steps leak.

  python -m perf.memory [--size base] [--before ../older/checkout] \
    [--output perf/results/memory.json]

Each run is a process of its own that this one watches. The peaks are those of
a few steps with a checkpoint among them, of the host and, where the backend
counts it, of its first device; with `--before`, also of the code in another
folder. Leaks are looked for in a thousand steps of the smoke model,
with one checkpoint and with ten: what the process holds at the end, against a
fifth of the way.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from perf import timing
from vbanana_jax.runtime import logs

ROOT = pathlib.Path(__file__).parents[1]
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


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--size', default='base', help='a key of models.SIZES')
  parser.add_argument('--batch-size', type=int, default=8)
  parser.add_argument(
    '--steps', type=int, default=1000, help='of the smoke one'
  )
  parser.add_argument('--before', type=pathlib.Path, help='another checkout')
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()

  sources = {'now': ROOT, **({'before': args.before} if args.before else {})}
  peak = {
    name: measure_peak(source, args.size, args.batch_size)
    for name, source in sources.items()
  }
  print(f'{args.size}, batches of {args.batch_size}: {peak}')
  flat = {
    'one_checkpoint': measure_growth(args.steps, '100 percent'),
    'ten_checkpoints': measure_growth(args.steps, '10 percent'),
  }
  print(f'smoke, {args.steps} steps: {flat}')
  result = {
    'ratios': {
      f'{name.replace("_", " ")}: growth in {run["steps"]} steps': run['growth']
      for name, run in flat.items()
    },
    'peak': {'size': args.size, 'batch_size': args.batch_size, **peak},
    'growth': flat,
  }
  print(timing.save('memory', result, output=args.output))


def measure_peak(source: pathlib.Path, size: str, batch_size: int) -> dict:
  """Most MB of four steps and two checkpoints, of the host and a device."""
  _, peak, device_peak = watch(
    source,
    '--config=quickstart:pretrain',
    f'--config.model.size={size}',
    f'--config.batch_size={batch_size}',
    '--config.length=4 steps',
    '--config.save_every=2 steps',
    '--config.log_every=1 steps',
    '--config.data.short_text_length=0',
  )
  return {
    'peak_mb': round(peak),
    'device_peak_mb': None if device_peak is None else round(device_peak),
  }


def measure_growth(steps: int, save_every: str) -> dict:
  """Resident set of the smoke model in two stretches of a run, in MB.

  Returns:
    `early_mb` and `late_mb`, medians of the steps from 20 to 40 and from 80 to
    100 percent; `growth`, their ratio less one; and the peak.
  """
  samples, peak, _ = watch(
    ROOT,
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
    'growth': round(float(late / early - 1), 4),
    'peak_mb': round(peak),
  }


def watch(
  source: pathlib.Path, *args: str
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
      cwd=source,
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
      sys.exit(f'{source}: training ended with code {code}')
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
  main()
