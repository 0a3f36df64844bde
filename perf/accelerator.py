"""All that is to be measured where an accelerator is at hand, in pieces.

  python -m perf.accelerator [NAMES ...] [--list] [--quick] [--folder DIR]

A piece is a process that is ended after --minutes, with all that it started; it
writes FOLDER/NAME.json. Pieces that are done are not run again, so that several
sittings make a whole. --quick runs the same code in shapes that a CPU can do.
"""

import argparse
import os
import pathlib
import signal
import sys

from perf import run
from perf.__main__ import run_all

_LARGE = '--image-size 256 --patch 16'
# By name: a measurement, and its options there.
PIECES = {
  'ceiling': 'ceiling',
  'mfu_768': 'mfu --width 768',
  'mfu_1024': 'mfu --width 1024',
  'twin_768': f'train_step --widths 768 --batch-size 128 {_LARGE}',
  'twin_1024': f'train_step --widths 1024 --batch-size 64 {_LARGE}',
  'attention': 'attention',
  'sampler': f'sampler --width 768 --batch 64 --rate-steps 0 10 50 {_LARGE}',
  'eval_step': 'eval_step',
  'data_pipeline': 'data_pipeline --workers 4 8 16',
  'checkpoints': 'checkpoints',
  'start_up': 'start_up',
  'memory': 'memory',
}
# What computes in one process, so that it can be tested on the device. There
# float32 has to be float32, or tolerances mean nothing.
_DEVICE_TESTS = ('models', 'optim', 'diffusion', 'codecs', 'metrics', 'scenes')
_TEST_SETTINGS = {
  'VBANANA_TEST_PLATFORMS': '',
  'JAX_DEFAULT_MATMUL_PRECISION': 'highest',
}


def build_commands(
  names: list[str], folder: pathlib.Path, *, quick: bool
) -> dict[str, list[str]]:
  """The words behind `python` of each piece that is not done."""
  commands = {}
  for name in names:
    output = folder / f'{name}.json'
    if output.exists():
      continue
    measurement, *options = PIECES[name].split()
    options = ['--quick'] if quick else options
    commands[name] = [
      '-m', f'perf.{measurement}', *options, '--output', str(output)
    ]  # fmt: skip
  return commands


def build_test_command() -> list[str]:
  """pytest of the files that compute on the device."""
  files = [
    str(path)
    for name in _DEVICE_TESTS
    for path in sorted((run.ROOT / 'tests').glob(f'test_{name}*.py'))
  ]
  return ['-m', 'pytest', '-q', *files]


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('names', nargs='*', help='all that are not done if none')
  parser.add_argument('--list', action='store_true', help='and what is done')
  parser.add_argument('--quick', action='store_true', help='small')
  parser.add_argument('--tests', action='store_true', help='tests instead')
  parser.add_argument('--folder', type=pathlib.Path, help='of the JSON files')
  parser.add_argument('--minutes', type=float, default=8.0, help='of one piece')
  args = parser.parse_args()
  unknown = set(args.names) - set(PIECES)
  if unknown:
    parser.error(f'{" ".join(unknown)}: choose of {" ".join(PIECES)}')
  folder = args.folder or run.OTHER_RESULTS / (
    'accelerator_quick' if args.quick else 'accelerator'
  )
  folder = folder.absolute()
  if args.list:
    for name, words in PIECES.items():
      done = 'done' if (folder / f'{name}.json').exists() else ''
      print(f'{name:14} {done:5} perf.{words}')
    return
  # JAX and PyTorch share the memory of one device.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  if args.tests:
    os.environ.update(_TEST_SETTINGS)
    commands = {'tests': build_test_command()}
  else:
    names = args.names or list(PIECES)
    commands = build_commands(names, folder, quick=args.quick)
  failed = run_all(commands, args.minutes)
  print(f'JSON: {folder}')
  if failed:
    sys.exit('\n'.join(f'failed: {x}: {wrong}' for x, wrong in failed.items()))


if __name__ == '__main__':
  main()
