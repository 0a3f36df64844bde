"""From the start of a process to the first step of training, and what it was.

  python -m perf.start_up [--sizes smoke nano] [--rounds 2]

Each run is a process of its own, `vbanana train` of the quickstart's tuning for
one step: first with an empty cache of compiled programs, then with what that
run left there. A process is timed from the outside, from before it is started;
what it does in between it says itself.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from perf import run, timing
from vbanana_jax.errors import UserError

CONFIGS = {'smoke': 'quickstart:tune,smoke', 'nano': 'quickstart:tune'}
# Where the time of a start goes, in order: the name, and up to which line.
PHASES = (
  ('imports', 'building mixture'),
  ('data', 'making or restoring weights'),
  ('weights', 'first batch'),
  ('first batch', 'compiling'),
  ('compilation', 'step 1 of'),
  ('first step', 'saved'),
)
_CODE = """
import sys, time
from vbanana_jax import cli
from vbanana_jax.runtime import logs, processes
def say(line): print(time.time(), line, flush=True)
processes.say = say
write = logs.Meter.write
def tell(meter, step):
  text = write(meter, step)
  say('saved')
  return text
logs.Meter.write = tell
sys.exit(cli.main(sys.argv[1:]))
"""


def measure(
  sizes: tuple[str, ...] = tuple(CONFIGS), rounds: int = 2
) -> dict[str, Any]:
  """Seconds of each phase with a cold cache, and medians with a warm one.

  Args:
    sizes: `smoke`, the smoke test's network and pictures, or `nano`, the
      quickstart's.
    rounds: starts with a warm cache.
  """
  seconds = {}
  for size in sizes:
    with tempfile.TemporaryDirectory() as cache:
      cold = start(size, cache)
      warm = [start(size, cache) for _ in range(rounds)]
    medians = {n: statistics.median(one[n] for one in warm) for n in cold}
    for name, found in (('cold', cold), ('warm', medians)):
      seconds[f'{size}, {name} cache'] = {
        phase: timing.shorten(value) for phase, value in found.items()
      }
  return {'tables': {'seconds': seconds}}


def start(size: str, cache: str) -> dict[str, float]:
  """Seconds of each phase of one start, and `whole`, their sum."""
  with tempfile.TemporaryDirectory() as workdir:
    began = time.time()
    done = subprocess.run(
      [
        sys.executable, '-c', _CODE, 'train', f'--config={CONFIGS[size]}',
        f'--workdir={workdir}', '--config.length=1 steps',
        '--config.log_every=1 steps', '--config.save_every=1 steps',
        '--config.eval.every=',
      ],
      env={**os.environ, 'JAX_COMPILATION_CACHE_DIR': cache},
      stdout=subprocess.PIPE,
      text=True,
    )  # fmt: skip
  if done.returncode:
    raise UserError(f'training {size} ended with code {done.returncode}')
  return split_phases(began, done.stdout)


def split_phases(began: float, text: str) -> dict[str, float]:
  """Seconds between the lines that end each phase.

  Args:
    began: when the process was started, as `time.time` says.
    text: lines of a time and what was said then.
  """
  said = [line.partition(' ') for line in text.splitlines()]
  seconds, before = {}, began
  for name, words in PHASES:
    times = [float(at) for at, _, line in said if line.startswith(words)]
    if not times:
      raise ValueError(f'no line {words!r} among {text!r}')
    seconds[name], before = times[0] - before, times[0]
  return {**seconds, 'whole': before - began}


if __name__ == '__main__':
  run.run_main(measure, quick={'sizes': ('smoke',), 'rounds': 1})
