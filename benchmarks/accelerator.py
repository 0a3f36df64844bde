"""All that is to be measured where an accelerator is at hand, in pieces.

  python -m benchmarks.accelerator --list
  python -m benchmarks.accelerator [--piece NAME] [--tiny]

A piece takes less than eight minutes and writes FOLDER/NAME.json. Without
--piece the pieces that are not done are run, one process each; one that is not
finished in its time (the tests, the trainings) goes on when it is run again.
--tiny runs the same code in shapes that a CPU can do, to a temporary folder.
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks import accelerator_steps, accelerator_training, timing
from benchmarks.accelerator_steps import Room

_PIECE_MINUTES = 8
_MOST_CALLS = 12  # of one piece that is never finished


@dataclasses.dataclass(frozen=True)
class Piece:
  """One process's work.

  Attributes:
    run: gets the room and returns a result; with `unfinished` in it, the piece
      wants to be run again.
    about: one line.
  """

  run: Callable[[Room], dict[str, Any]]
  about: str


def list_pieces() -> dict[str, Piece]:
  """All pieces by name, in the order in which they are run."""
  steps, training = accelerator_steps, accelerator_training
  pieces = {
    'ceiling': Piece(steps.measure_ceiling, 'matrix products of this device'),
  }
  for width in steps.WIDTHS:
    pieces[f'step_{width}'] = Piece(
      lambda room, width=width: steps.measure_step(room, width),
      f'share of the peak of the train step, width {width}, 256x256 px',
    )
  for width in steps.WIDTHS:
    pieces[f'twin_{width}'] = Piece(
      lambda room, width=width: steps.measure_twin(room, width),
      f'against the same network in PyTorch, width {width}',
    )
  pieces |= {
    'sampling': Piece(steps.measure_sampling, 'pictures a second, by steps'),
    'rate': Piece(training.measure_rate, 'images a second of the reference'),
    'pretrain': Piece(training.pretrain, 'reference training, first phase'),
    'tune': Piece(training.tune, 'reference training, second phase'),
    'scores': Piece(training.score, 'scores of the reference training'),
    'tests': Piece(training.run_tests, 'the whole test suite'),
  }
  return pieces


def read_state(folder: pathlib.Path, name: str) -> str:
  """'done', 'unfinished' or 'to do'."""
  path = folder / f'{name}.json'
  if not path.exists():
    return 'to do'
  return (
    'unfinished' if 'unfinished' in json.loads(path.read_text()) else 'done'
  )


def run_piece(name: str, room: Room) -> None:
  """One piece in this process."""
  began = time.perf_counter()
  result = list_pieces()[name].run(room)
  result['seconds'] = round(time.perf_counter() - began, 1)
  timing.save(
    name,
    result,
    f'python -m benchmarks.accelerator --piece {name}' + ' --tiny' * room.tiny,
    room.folder / f'{name}.json',
  )
  for label, ratio in result.get('ratios', {}).items():
    print(f'{name:12} {label:52} {timing.format_ratio(ratio)}')


def run_all(room: Room, minutes: float) -> list[str]:
  """Every piece that is not done, until `minutes` are over; which failed."""
  end, failed = time.monotonic() + 60 * minutes, []
  for name in list_pieces():
    for _ in range(_MOST_CALLS):
      if read_state(room.folder, name) == 'done':
        break
      if time.monotonic() > end - 60 * room.minutes:
        print(f'{name} and what follows it wait for the next call')
        return failed
      timing.say(name)
      command = [sys.executable, '-m', 'benchmarks.accelerator']
      command += ['--piece', name, '--folder', str(room.folder)]
      command += ['--minutes', str(room.minutes), *['--tiny'] * room.tiny]
      try:
        code = subprocess.run(
          command, timeout=60 * (room.minutes + 1)
        ).returncode
      except subprocess.TimeoutExpired:
        code = 'too slow'
      if code != 0:
        timing.say(f'{name} failed: {code}')
        failed.append(name)
        break
  return failed


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--list', action='store_true', help='and how far each is')
  parser.add_argument('--piece', choices=list_pieces())
  parser.add_argument('--tiny', action='store_true', help='small, on a CPU too')
  parser.add_argument('--folder', type=pathlib.Path, help='of the JSON files')
  parser.add_argument(
    '--minutes', type=float, default=_PIECE_MINUTES, help='of one piece'
  )
  parser.add_argument(
    '--all-minutes', type=float, default=24 * 60, help='of all pieces'
  )
  args = parser.parse_args()
  folder = args.folder
  if folder is None:
    folder = timing.RESULTS / 'accelerator'
    if args.tiny and not args.list:
      folder = pathlib.Path(tempfile.mkdtemp())
  if args.list:
    for name, piece in list_pieces().items():
      print(f'{name:10} {read_state(folder, name):10} {piece.about}')
    return
  room = Room(folder.absolute(), tiny=args.tiny, minutes=args.minutes)
  room.folder.mkdir(parents=True, exist_ok=True)
  if args.piece:
    run_piece(args.piece, room)
    return
  failed = run_all(room, args.all_minutes)
  print(f'JSON: {room.folder}')
  if failed:
    sys.exit(f'failed: {" ".join(failed)}')


if __name__ == '__main__':
  main()
