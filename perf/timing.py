"""Times taken side by side.

Other work on the machine slows whatever runs at the moment. So rivals take
turns, round by round in one process, and what is reported is the ratio within
a round: its median, least and most. Seconds are kept too, but they compare
nothing across machines or days.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

# Wall and CPU seconds, one of each a round.
Times = dict[str, list[float]]


def interleave(
  functions: dict[str, Callable[[], Any]],
  rounds: int,
  *,
  warm_up: int = 1,
  in_a_row: int = 1,
  most_s: float = float('inf'),
) -> dict[str, Times]:
  """Seconds that each function takes, all of them once a round.

  Every other round goes backwards, so that nobody always follows the same
  rival. Arrays that a function returns are waited for; what it starts on a
  device in any other way it has to wait for itself.

  Args:
    functions: by name; each takes nothing.
    rounds: at least 1.
    warm_up: rounds before them that do not count.
    in_a_row: calls that count in a turn, as a training's steps follow each
      other; if more than 1, one goes before them that does not count, since
      it finds the memory as the rivals left it.
    most_s: seconds after which no round begins, but for the first that counts.

  Returns:
    by name `wall` and `cpu`, lists of one number a round; `cpu` is of all
    threads of this process.
  """
  times: dict[str, Times] = {
    name: {'wall': [], 'cpu': []} for name in functions
  }
  started = time.perf_counter()
  for attempt in range(-warm_up, rounds):
    if attempt > 0 and time.perf_counter() - started > most_s:
      say(f'{attempt} of {rounds} rounds: {most_s / 60:.1f} minutes are over')
      break
    names = list(functions)
    for name in names[::-1] if attempt % 2 else names:
      if in_a_row > 1:
        jax.block_until_ready(functions[name]())
      wall, cpu = time.perf_counter(), time.process_time()
      for _ in range(in_a_row):
        jax.block_until_ready(functions[name]())
      wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
      if attempt >= 0:
        times[name]['wall'].append(wall / in_a_row)
        times[name]['cpu'].append(cpu / in_a_row)
  return times


def summarize(values: Sequence[float], digits: int = 4) -> dict[str, float]:
  """Median, least and most, to so many significant digits."""
  found = {
    'median': statistics.median(values),
    'min': min(values),
    'max': max(values),
  }
  return {name: shorten(value, digits) for name, value in found.items()}


def summarize_rates(both: Times, images: int) -> dict[str, Any]:
  """`images_per_s` and `cpu_ms_per_image` of turns of so many images."""
  return {
    'images_per_s': summarize([images / s for s in both['wall']]),
    'cpu_ms_per_image': summarize([1e3 * s / images for s in both['cpu']]),
  }


def compare(
  times: dict[str, Times], slow: str, fast: str, clock: str = 'wall'
) -> dict[str, float]:
  """How many times longer `slow` took than `fast`, within each round."""
  pairs = zip(times[slow][clock], times[fast][clock], strict=True)
  return summarize([a / b for a, b in pairs])


def shorten(value: float, digits: int = 4) -> float:
  """A number to so many significant digits."""
  return float(f'{value:.{digits}g}')


def count_cores() -> int:
  """Cores that this process may use; XLA takes all of them."""
  return len(os.sched_getaffinity(0))


def say(text: str) -> None:
  """A line about how far a measurement has got, apart from its results."""
  print(f'[{time.strftime("%H:%M:%S")}] {text}', file=sys.stderr, flush=True)
