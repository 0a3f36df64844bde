"""Runs measurements one after the other, each in a process of its own.

  python -m perf [NAMES ...] [--list] [--quick] [--minutes 60]

Without names, all that need nothing to be told. They write perf/results; with
--quick runs/perf, since rough numbers replace nothing. One that fails is
named at the end, and the rest goes on.
"""

import argparse
import contextlib
import importlib
import inspect
import os
import signal
import subprocess
import sys
import time

from perf import run, timing


def find_measurements() -> dict[str, tuple[str, list[str]]]:
  """By name, what each is about and the options that it cannot do without."""
  found = {}
  for path in sorted((run.ROOT / 'perf').glob('[a-z]*.py')):
    if 'run.run_main(' not in path.read_text():
      continue
    module = importlib.import_module(f'perf.{path.stem}')
    parameters = inspect.signature(module.measure).parameters.values()
    needs = [p.name for p in parameters if p.default is p.empty]
    found[path.stem] = module.__doc__.partition('\n')[0], needs
  return found


def run_apart(words: list[str], minutes: float) -> str:
  """Runs `python WORDS`, ends all that it started; '' or what went wrong."""
  process = subprocess.Popen(
    [sys.executable, *words], cwd=run.ROOT, start_new_session=True
  )
  try:
    code = process.wait(60 * minutes)
    return f'exit code {code}' if code else ''
  except subprocess.TimeoutExpired:
    return f'stopped after {minutes:g} minutes'
  finally:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_all(commands: dict[str, list[str]], minutes: float) -> None:
  """Runs commands by name; exits with what failed, and how, at the end."""
  # A signal ends what runs too, as Ctrl-C does.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  failed = []
  for number, (name, words) in enumerate(commands.items(), 1):
    timing.say(f'{number} of {len(commands)}: {name}')
    began = time.perf_counter()
    if wrong := run_apart(words, minutes):
      failed.append(f'failed: {name}: {wrong}')
    timing.say(f'  {wrong or "ok"}, {time.perf_counter() - began:.0f} s')
  if failed:
    sys.exit('\n'.join(failed))


def main() -> None:
  parser = argparse.ArgumentParser(
    prog='python -m perf',
    description=__doc__,
    formatter_class=argparse.RawTextHelpFormatter,
  )
  parser.add_argument('names', nargs='*', help='all that run alone if none')
  parser.add_argument('--list', action='store_true', help='names, and no run')
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--minutes', type=float, default=60.0, help='each, most')
  args = parser.parse_args()
  found = find_measurements()
  if args.list:
    for name, (about, needs) in found.items():
      wants = f' (needs {" ".join(f"--{x}" for x in needs)})' if needs else ''
      print(f'{name:18} {about}{wants}')
    return
  for name in args.names:
    if name not in found:
      parser.error(f'{name!r}: choose of {" ".join(found)}')
    if found[name][1]:
      parser.error(f'{name} wants arguments: python -m perf.{name} --help')
  names = args.names or [
    name for name, (_, needs) in found.items() if not needs
  ]
  run_all(
    {name: ['-m', f'perf.{name}', *['--quick'] * args.quick] for name in names},
    args.minutes,
  )


if __name__ == '__main__':
  main()
