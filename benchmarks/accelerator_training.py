"""Pieces of `benchmarks.accelerator` that run the library's own commands."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

from benchmarks import timing
from benchmarks.accelerator_steps import Room
from vbanana_jax import logs
from vbanana_jax.errors import Preempted

ROOT = pathlib.Path(__file__).parents[1]
# Of all its devices' time: pretraining, then tuning.
_PHASE_MINUTES = {'pretrain': 6, 'tune': 12}
_RATE_STEPS = 150
_BATCH_SIZE = 256
_REFERENCE = (
  '--config.model.size=small',
  '--config.image_size=128',
  '--config.data.level=full',
  f'--config.batch_size={_BATCH_SIZE}',
  '--config.eval.every=',
)
# Seconds for a save, before a piece's time is over.
_SAVING_S = 45


def _build_command(room: Room, phase: str, length: str) -> list[str]:
  config = f'quickstart:{phase}' + ',smoke' * room.tiny
  command = [sys.executable, '-m', 'vbanana_jax', 'train', '--config', config]
  command += [f'--workdir={_get_workdir(room, phase)}']
  if phase == 'tune':
    command += [f'--config.init_from={_get_workdir(room, "pretrain")}']
  if not room.tiny:
    command += [*_REFERENCE, f'--config.length={length}']
  return command


def _get_workdir(room: Room, phase: str) -> pathlib.Path:
  return room.folder / 'reference' / phase


def measure_rate(room: Room) -> dict[str, Any]:
  """Images a second of tuning, from whose lengths of the phases follow."""
  command = _build_command(room, 'tune', f'{_RATE_STEPS} steps')
  command = [word for word in command if 'init_from' not in word]
  workdir = room.folder / 'rate'
  command = [w for w in command if not w.startswith('--workdir')]
  subprocess.run([*command, f'--workdir={workdir}'], cwd=ROOT, check=True)
  rows = logs.load_metrics(workdir / 'metrics.jsonl')
  rate = rows[-1]['images_per_second']
  waited = rows[-1]['waited'] / rows[-1]['seconds']
  return {
    'ratios': {'share of waiting for data': timing.shorten(waited)},
    'images_per_s': timing.shorten(rate),
    'compile_s': timing.shorten(rows[-1]['compile_seconds']),
    'examples': {
      phase: round(60 * minutes * rate / _BATCH_SIZE) * _BATCH_SIZE
      for phase, minutes in _PHASE_MINUTES.items()
    },
  }


def pretrain(room: Room) -> dict[str, Any]:
  """As much as the piece's time allows; it goes on when run again."""
  return _train(room, 'pretrain')


def tune(room: Room) -> dict[str, Any]:
  """Likewise, from what was pretrained."""
  return _train(room, 'tune')


def _train(room: Room, phase: str) -> dict[str, Any]:
  rate = logs.load_json(room.folder / 'rate.json')
  length = f'{rate["examples"][phase]} examples'
  process = subprocess.Popen(_build_command(room, phase, length), cwd=ROOT)
  try:
    code = process.wait(60 * room.minutes - _SAVING_S)
  except subprocess.TimeoutExpired:
    process.send_signal(signal.SIGTERM)  # it saves and says so
    code = process.wait()
  if code not in (0, Preempted.exit_code):
    raise subprocess.CalledProcessError(code, 'vbanana train')
  last = logs.load_metrics(_get_workdir(room, phase) / 'metrics.jsonl')[-1]
  return {
    **({'unfinished': 'run it again'} if code else {}),
    'ratios': {
      'share of waiting for data': timing.shorten(
        last['waited'] / last['seconds']
      )
    },
    'length': length,
    'last': last,
  }


def score(room: Room) -> dict[str, Any]:
  """The exam of the level that was trained on."""
  workdir = room.folder / 'reference'
  command = [sys.executable, '-m', 'vbanana_jax', 'evaluate']
  level = 'quick' if room.tiny else 'full'
  command += [f'--workdir={workdir}', f'--level={level}']
  subprocess.run(command, cwd=ROOT, check=True)
  (path,) = workdir.rglob('results*.json')
  return {'ratios': {}, 'results': logs.load_json(path)}


def run_tests(room: Room) -> dict[str, Any]:
  """Every test file in a process of its own, as many at a time as pay.

  Files that passed are not run again.
  """
  done_path = room.folder / 'tests_done.json'
  done = json.loads(done_path.read_text()) if done_path.exists() else {}
  files = sorted(path.name for path in (ROOT / 'tests').glob('test_*.py'))
  files = ['test_durations.py'] if room.tiny else files
  end = time.monotonic() + 60 * room.minutes - _SAVING_S

  def run(name: str) -> tuple[str, str | None]:
    left = end - time.monotonic()
    if left < 1:
      return name, None
    command = [sys.executable, '-m', 'pytest', f'tests/{name}', '-q']
    try:
      ran = subprocess.run(
        command, cwd=ROOT, timeout=left, capture_output=True, text=True
      )
    except subprocess.TimeoutExpired:
      return name, None
    # pytest's 5: a file whose tests were all left out.
    lines = ran.stdout.strip().splitlines() or ['no output']
    passed = ran.returncode in (0, 5)
    return name, lines[-1] if passed else '\n'.join(['failed', *lines[-30:]])

  todo = [
    name for name in files if done.get(name, 'failed').startswith('failed')
  ]
  workers = max(1, (os.cpu_count() or 1) // 4)
  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    for name, said in pool.map(run, todo):
      if said is not None:
        done[name] = said
        logs.save_json(done_path, done)
  left = [name for name in files if name not in done]
  failed = [name for name, said in done.items() if said.startswith('failed')]
  return {
    **({'unfinished': left} if left else {}),
    'ratios': {
      'share of files that passed': (len(done) - len(failed)) / len(files)
    },
    'failed': failed,
    'files': done,
  }
