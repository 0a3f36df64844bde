"""Runs measurements one after the other, each in a process of its own.

  python -m perf [NAMES ...] [--accelerator] [--list] [--quick] [--folder DIR]

Each is ended after --minutes with all that it started; one that fails is named
at the end, and the rest goes on. They write perf/results, with --quick
runs/perf, since rough numbers replace nothing. With --folder they write there,
and what is there already is not run again: several sittings make a whole.
--accelerator is what is to be measured where one is at hand.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from perf import run, timing

_SIDE = '--image-size 256 --patch 16'
_LARGE = f'{_SIDE} --minutes 6'
_BATCHES = '--batch-sizes 32 64 128 256 512'
# By name: a measurement, and its options there.
ACCELERATOR = {
  'ceiling': 'ceiling',
  'steps_768': f'train_step --widths 768 {_BATCHES} --no-twins {_LARGE}',
  'steps_1024': f'train_step --widths 1024 {_BATCHES} --no-twins {_LARGE}',
  'twin_768': f'train_step --widths 768 --batch-sizes 128 {_LARGE}',
  'twin_1024': f'train_step --widths 1024 --batch-sizes 64 {_LARGE}',
  'sampler': f'sampler --width 768 --batch 64 --rate-steps 0 10 50 {_SIDE}',
  'eval_step': 'eval_step',
  'data_pipeline': 'data_pipeline --workers 4 8 16',
  'start_up': 'start_up',
}


def find_measurements() -> dict[str, str]:
  """Every file of this folder with a `measure`, by the name of its result."""
  paths = sorted((run.ROOT / 'perf').glob('[a-z]*.py'))
  texts = {path.stem: path.read_text() for path in paths}
  return {name: name for name in texts if 'run.run_main(' in texts[name]}


def build_commands(
  suite: dict[str, str], folder: pathlib.Path | None, *, quick: bool
) -> dict[str, list[str]]:
  """The words behind `python` of each measurement that is not done."""
  commands = {}
  for name, words in suite.items():
    module, *options = words.split()
    output = folder and folder.absolute() / f'{name}.json'
    if output and output.exists():
      continue
    options = ['--quick'] if quick else options
    options += ['--output', str(output)] if output else []
    commands[name] = ['-m', f'perf.{module}', *options]
  return commands


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
  parser.add_argument('names', nargs='*', help='all if none')
  parser.add_argument('--accelerator', action='store_true', help='that suite')
  parser.add_argument('--list', action='store_true', help='names, and no run')
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--folder', type=pathlib.Path, help='of the JSON files')
  parser.add_argument('--minutes', type=float, default=60.0, help='each, most')
  args = parser.parse_args()
  suite = ACCELERATOR if args.accelerator else find_measurements()
  if unknown := set(args.names) - set(suite):
    parser.error(f'{" ".join(unknown)}: choose of {" ".join(suite)}')
  chosen = {name: suite[name] for name in args.names or suite}
  if args.list:
    for name, words in chosen.items():
      print(f'{name:14} python -m perf.{words}')
    return
  if args.accelerator:
    # JAX and PyTorch share the memory of one device.
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
    suffix = '_quick' if args.quick else ''
    args.folder = args.folder or run.OTHER_RESULTS / f'accelerator{suffix}'
  commands = build_commands(chosen, args.folder, quick=args.quick)
  run_all(commands, args.minutes)


if __name__ == '__main__':
  main()
