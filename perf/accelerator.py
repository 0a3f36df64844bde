"""All that is to be measured where an accelerator is at hand, in pieces.

  python -m perf.accelerator --list
  python -m perf.accelerator [--piece NAME] [--tiny]

A piece is a process that is killed after eight minutes, with all that it
started; it writes FOLDER/NAME.json. Without --piece those that are not done are
run. One that is not finished in its time (the tests, the trainings) goes on
when it is run again, and one that needs another's result waits for it. --tiny
runs the same code in shapes that a CPU can do, to a temporary folder.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from perf import accelerator_steps, accelerator_training, timing
from perf.accelerator_steps import Room

_PIECE_MINUTES = 8
_MOST_CALLS = 12  # of one piece that is never finished
_STARTING_S = 15  # of a piece's time, before and after its own work


@dataclasses.dataclass(frozen=True)
class Piece:
  """One process's work.

  Attributes:
    run: gets the room and returns a result; with `unfinished` in it, the piece
      wants to be run again.
    about: one line.
    after: name of the piece that has to be done before.
  """

  run: Callable[[Room], dict[str, Any]]
  about: str
  after: str = ''


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
    'attention': Piece(steps.measure_attention, "against cuDNN's"),
    'sampling': Piece(steps.measure_sampling, 'pictures a second, by steps'),
    'rate': Piece(training.measure_rate, 'images a second of the reference'),
    'pretrain': Piece(
      training.pretrain, 'reference training, first phase', 'rate'
    ),
    'tune': Piece(
      training.tune, 'reference training, second phase', 'pretrain'
    ),
    'scores': Piece(training.score, 'scores of the reference training', 'tune'),
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
    f'python -m perf.accelerator --piece {name}' + ' --tiny' * room.tiny,
    room.folder / f'{name}.json',
  )
  for label, ratio in result.get('ratios', {}).items():
    print(f'{name:12} {label:52} {timing.format_ratio(ratio)}')


def run_group(command: list[str], seconds: float) -> int | str:
  """Exit code of a command, or 'too slow'.

  It has a process group of its own, of which nothing is left afterwards.
  """
  process = subprocess.Popen(command, start_new_session=True)
  try:
    return process.wait(seconds)
  except subprocess.TimeoutExpired:
    return 'too slow'
  finally:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_apart(
  name: str, folder: pathlib.Path, *, tiny: bool, minutes: float
) -> int | str:
  """A piece in a process of its own; as `run_group`."""
  command = [sys.executable, '-m', 'perf.accelerator', '--here']
  command += ['--piece', name, '--folder', str(folder)]
  command += ['--minutes', str(minutes), *['--tiny'] * tiny]
  return run_group(command, 60 * minutes)


def run_all(
  folder: pathlib.Path, *, tiny: bool, minutes: float, all_minutes: float
) -> list[str]:
  """Every piece that is not done; which failed.

  Args:
    folder: of the JSON files.
    tiny: shapes that a CPU can do.
    minutes: of one piece.
    all_minutes: no piece begins that could take longer than that.
  """
  end, failed = time.monotonic() + 60 * all_minutes, []
  for name, piece in list_pieces().items():
    if piece.after and read_state(folder, piece.after) != 'done':
      timing.say(f'{name} is left out: {piece.after} is not done')
      continue
    for _ in range(_MOST_CALLS):
      if read_state(folder, name) == 'done':
        break
      if time.monotonic() > end - 60 * minutes:
        print(f'{name} and what follows it wait for the next call')
        return failed
      timing.say(name)
      code = run_apart(name, folder, tiny=tiny, minutes=minutes)
      if code != 0:
        timing.say(f'{name} failed: {code}')
        failed.append(name)
        break
    else:
      if read_state(folder, name) != 'done':
        timing.say(f'{name} failed: unfinished after {_MOST_CALLS} calls')
        failed.append(name)
  return failed


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--list', action='store_true', help='and how far each is')
  parser.add_argument('--piece', choices=list_pieces())
  parser.add_argument('--tiny', action='store_true', help='small, on a CPU too')
  parser.add_argument('--folder', type=pathlib.Path, help='of the JSON files')
  parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
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
  folder = folder.absolute()
  folder.mkdir(parents=True, exist_ok=True)
  if args.here:
    seconds = 60 * args.minutes - _STARTING_S
    run_piece(args.piece, Room(folder, args.tiny, time.monotonic() + seconds))
    return
  # As Ctrl-C does: what runs is ended too.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  how = {'tiny': args.tiny, 'minutes': args.minutes}
  if args.piece:
    failed = [args.piece] if run_apart(args.piece, folder, **how) else []
  else:
    failed = run_all(folder, **how, all_minutes=args.all_minutes)
  print(f'JSON: {folder}')
  if failed:
    sys.exit(f'failed: {" ".join(failed)}')


if __name__ == '__main__':
  main()
