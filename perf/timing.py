"""Times taken side by side, and what every benchmark's JSON says of itself.

Other work on the machine slows whatever runs at the moment. So rivals take
turns, round by round in one process, and what is reported is the ratio within
a round: its median, and the least and the most of it. Seconds are kept too,
but they compare nothing across machines or days.

A benchmark's result has `ratios` first, by name: numbers or summaries. They are
what `python -m perf` prints.
"""

import importlib.metadata
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

from vbanana_jax.runtime import logs
from vbanana_jax.training import provenance

RESULTS = pathlib.Path(__file__).parent / 'results'
# Of runs with arguments, which may be smaller; git leaves it out.
OTHER_RESULTS = RESULTS.parents[1] / 'runs' / 'perf'

# Wall and CPU seconds, one of each a round.
Times = dict[str, list[float]]

_CPU_INFO = pathlib.Path('/proc/cpuinfo')
# What a peer runs on; only what is installed is named.
_PEERS = ('torch', 'diffusers', 'hilbertmap')
# What changes how fast a process is, from outside.
_SETTINGS = ('XLA_FLAGS', 'GLIBC_TUNABLES')
_DOT_FLAGS = ('avx512f', 'avx512_bf16', 'amx_bf16')


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
    most_s: seconds after which no round begins, but for the first that counts;
      for slow machines.

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


def summarize_times(times: dict[str, Times]) -> dict[str, dict[str, Any]]:
  """By name `wall_ms` and `cpu_ms`: median, least and most."""
  return {
    name: {
      f'{clock}_ms': summarize([1e3 * second for second in seconds])
      for clock, seconds in both.items()
    }
    for name, both in times.items()
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


def get_load() -> float:
  """Processes that wanted a core in the last minute, on average.

  Where others leave less than a core, says so: PyTorch's threads wait for each
  other at every operation, and one that is held up holds up all.
  """
  load, cores = os.getloadavg()[0], count_cores()
  if load > max(1.0, cores / 2):
    say(f'load {load:.1f} on {cores} cores: ratios to PyTorch mean little now')
  return round(load, 2)


def describe_machine() -> dict[str, Any]:
  """Device, cores, their dot instructions, versions, and the load now.

  Returns:
    what `provenance.get_versions` says, and of peers that are installed;
    `usable_cores`; `cpu` and `cpu_flags`; `load_average` of 1, 5 and 15
    minutes, this process included; `settings` of the environment, if any.
  """
  machine: dict[str, Any] = dict(provenance.get_versions())
  for package in _PEERS:
    try:
      machine[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      continue
  machine['usable_cores'] = count_cores()
  if _CPU_INFO.exists():
    text = _CPU_INFO.read_text()
    models = [line for line in text.splitlines() if 'model name' in line]
    machine['cpu'] = models[0].split(':')[1].strip() if models else 'unknown'
    machine['cpu_flags'] = [f for f in _DOT_FLAGS if f in set(text.split())]
  machine['settings'] = {
    name: os.environ[name] for name in _SETTINGS if name in os.environ
  }
  machine['load_average'] = [round(load, 2) for load in os.getloadavg()]
  return machine


def say(text: str) -> None:
  """A line about how far a benchmark has got, apart from its results."""
  print(f'[{time.strftime("%H:%M:%S")}] {text}', file=sys.stderr, flush=True)


def print_ratios(name: str, result: dict[str, Any]) -> None:
  """A benchmark's `ratios`, one a line: the median and, if any, the spread."""
  for label, ratio in result['ratios'].items():
    print(f'{name:18} {label:52} {format_ratio(ratio)}')


def format_ratio(ratio: float | str | dict[str, float]) -> str:
  """'2.31  (2.20 to 2.45)' of a summary; a number or a word alone."""
  if isinstance(ratio, dict):
    low, high = (f'{ratio[end]:.3g}' for end in ('min', 'max'))
    return f'{ratio["median"]:.3g}  ({low} to {high})'
  return ratio if isinstance(ratio, str) else f'{ratio:.3g}'


def make_command(name: str) -> str:
  """The command of this process, without where its output goes."""
  words, skip = [f'python -m perf.{name}'], False
  for word in sys.argv[1:]:
    if not (skip or word.startswith('--output')):
      words.append(word)
    skip = word == '--output'
  return ' '.join(words)


def save(
  name: str,
  result: dict[str, Any],
  command: str | None = None,
  output: str | pathlib.Path | None = None,
) -> pathlib.Path:
  """Writes a result with the machine and the source that it is of.

  Args:
    name: of the benchmark.
    result: of its `measure`; `ratios` first.
    command: that repeats it; that of this process if not given.
    output: the file; if not given `perf/results/NAME.json`, or
      `runs/perf/NAME.json` if this process was given any arguments: only
      a whole run replaces published numbers unasked.
  """
  folder = OTHER_RESULTS if sys.argv[1:] else RESULTS
  path = pathlib.Path(output) if output else folder / f'{name}.json'
  path.parent.mkdir(parents=True, exist_ok=True)
  content = {
    'command': command or make_command(name),
    **result,
    'machine': result.get('machine') or describe_machine(),
    'git': provenance.get_git_state(),
  }
  logs.save_json(path, content)
  return path
