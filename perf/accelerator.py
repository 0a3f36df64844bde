"""All that is to be measured where an accelerator is at hand.

  python -m perf.accelerator [NAMES ...] [--list] [--quick] [--folder DIR]

Each measurement is a process that is ended after --minutes, with all that it
started, and writes FOLDER/NAME.json. What is done is not run again, so that
several sittings make a whole. --quick runs the same code in shapes that a CPU
can do.
"""

import argparse
import os
import pathlib

from perf import run
from perf.__main__ import run_all

_LARGE = '--image-size 256 --patch 16 --minutes 6'
_BATCHES = '--batch-sizes 32 64 128 256 512'
# By name: a measurement, and its options there.
SUITE = {
  'ceiling': 'ceiling',
  'steps_768': f'train_step --widths 768 {_BATCHES} --no-twins {_LARGE}',
  'steps_1024': f'train_step --widths 1024 {_BATCHES} --no-twins {_LARGE}',
  'twin_768': f'train_step --widths 768 --batch-sizes 128 {_LARGE}',
  'twin_1024': f'train_step --widths 1024 --batch-sizes 64 {_LARGE}',
  'sampler': (
    'sampler --width 768 --batch 64 --image-size 256 --patch 16 '
    '--rate-steps 0 10 50'
  ),
  'eval_step': 'eval_step',
  'data_pipeline': 'data_pipeline --workers 4 8 16',
  'start_up': 'start_up',
}


def build_commands(
  names: list[str], folder: pathlib.Path, *, quick: bool
) -> dict[str, list[str]]:
  """The words behind `python` of each measurement that is not done."""
  commands = {}
  for name in names:
    output = folder / f'{name}.json'
    if not output.exists():
      measurement, *options = SUITE[name].split()
      options = ['--quick'] if quick else options
      words = ['-m', f'perf.{measurement}', *options, '--output', str(output)]
      commands[name] = words
  return commands


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('names', nargs='*', help='all that are not done if none')
  parser.add_argument('--list', action='store_true', help='and what is done')
  parser.add_argument('--quick', action='store_true', help='small')
  parser.add_argument('--folder', type=pathlib.Path, help='of the JSON files')
  parser.add_argument('--minutes', type=float, default=8.0, help='each, most')
  args = parser.parse_args()
  if unknown := set(args.names) - set(SUITE):
    parser.error(f'{" ".join(unknown)}: choose of {" ".join(SUITE)}')
  folder = args.folder or run.OTHER_RESULTS / (
    'accelerator_quick' if args.quick else 'accelerator'
  )
  commands = build_commands(
    args.names or list(SUITE), folder.absolute(), quick=args.quick
  )
  if args.list:
    for name, words in SUITE.items():
      print(f'{name:14} {"" if name in commands else "done":5} perf.{words}')
    return
  # JAX and PyTorch share the memory of one device.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  run_all(commands, args.minutes)


if __name__ == '__main__':
  main()
