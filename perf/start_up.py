"""From the start of a process to the first step of training, and what it was.

  python -m perf.start_up [--sizes smoke nano] \
    [--output perf/results/start_up.json]

Each run is a process of its own, `vbanana train` of the quickstart's tuning for
one step: first with an empty cache of compiled programs, then with what that
run left there. A process is timed from the outside, from before it is started;
what it does in between it says itself.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from perf import timing

SIZES = ('smoke', 'nano')
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


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--sizes', nargs='+', default=SIZES, choices=SIZES)
  parser.add_argument('--rounds', type=int, default=2, help='with a warm cache')
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  if args.quick:
    args.sizes, args.rounds = SIZES[:1], 1
  result = measure(sizes=args.sizes, rounds=args.rounds)
  print(timing.save('start_up', result, output=args.output))


def measure(*, sizes=SIZES, rounds: int = 2) -> dict[str, Any]:
  """Starts with a cold and with a warm cache.

  Args:
    sizes: `smoke`, the smoke test's network and pictures, or `nano`, the
      quickstart's.
    rounds: starts with a warm cache.

  Returns:
    `ratios`: of each size, a cold start over a warm one; and by size seconds
    of each phase, `cold` and `warm`.
  """
  found = {}
  for size in sizes:
    with tempfile.TemporaryDirectory() as cache:
      cold = start(size, cache)
      warm = [start(size, cache) for _ in range(rounds)]
    found[size] = {
      'cold': {name: timing.shorten(value) for name, value in cold.items()},
      'warm': {
        name: timing.summarize([run[name] for run in warm]) for name in cold
      },
    }
  return {
    'ratios': {
      f'{size}: cold start over warm': timing.shorten(
        cell['cold']['whole'] / cell['warm']['whole']['median']
      )
      for size, cell in found.items()
    },
    'sizes': found,
  }


def start(size: str, cache: str) -> dict[str, float]:
  """Seconds of each phase of one start, and `whole`, their sum."""
  config = 'quickstart:tune,smoke' if size == 'smoke' else 'quickstart:tune'
  with tempfile.TemporaryDirectory() as workdir:
    began = time.time()
    done = subprocess.run(
      [
        sys.executable,
        '-c',
        _CODE,
        'train',
        f'--config={config}',
        f'--workdir={workdir}',
        '--config.length=1 steps',
        '--config.log_every=1 steps',
        '--config.save_every=1 steps',
        '--config.eval.every=',
      ],
      env={**os.environ, 'JAX_COMPILATION_CACHE_DIR': cache},
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      text=True,
    )
  if done.returncode:
    sys.exit(f'{config}: training ended with code {done.returncode}')
  return split_phases(began, done.stdout)


def split_phases(began: float, text: str) -> dict[str, float]:
  """Seconds between the lines that end each phase.

  Args:
    began: when the process was started, as `time.time` says.
    text: lines of a time and what was said then.
  """
  said = [line.partition(' ') for line in text.splitlines()]
  ends = {}
  for name, words in PHASES:
    times = [float(at) for at, _, line in said if line.startswith(words)]
    if not times:
      raise ValueError(f'no line {words!r} among {json.dumps(text)}')
    ends[name] = times[0]
  seconds, before = {}, began
  for name, at in ends.items():
    seconds[name] = at - before
    before = at
  return {**seconds, 'whole': before - began}


if __name__ == '__main__':
  main()
