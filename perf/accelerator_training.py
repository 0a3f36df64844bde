"""Pieces of `perf.accelerator` that run the library's own commands."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any

from perf import timing
from perf.accelerator_steps import Room
from vbanana_jax.errors import Preempted
from vbanana_jax.runtime import logs

ROOT = pathlib.Path(__file__).parents[1]
# Of all its devices' time: pretraining, then tuning.
_PHASE_MINUTES = {'pretrain': 6, 'tune': 12}
# Data come in groups of 8 steps and log lines every 10, so that a rate is taken
# over a multiple of 40 steps; the first ones fill queues and are left out.
_RATE_STEPS = 160
_FIRST_RATE_STEP = 40
_REFERENCE = (
  '--config.model.size=small',
  '--config.image_size=128',
  '--config.data.level=full',
  '--config.batch_size=256',
  '--config.eval.every=',
)
# Seconds before a piece's time is over: when a training is asked to stop, and
# when one that did not is killed.
_SAVING_S = 45
_KILLING_S = 5
# What computes in this process and not in one that chooses its own devices.
_DEVICE_TESTS = ('models', 'optim', 'diffusion', 'codecs', 'metrics', 'scenes')
# On the device float32 has to be float32, or tolerances mean nothing.
_DEVICE_SETTINGS = {
  'VBANANA_TEST_PLATFORMS': '',
  'JAX_DEFAULT_MATMUL_PRECISION': 'highest',
}


def _build_command(
  room: Room, phase: str, workdir: pathlib.Path, length: str, save_every: str
) -> list[str]:
  config = f'quickstart:{phase}' + ',smoke' * room.tiny
  command = [sys.executable, '-m', 'vbanana_jax', 'train', '--config', config]
  command += [f'--workdir={workdir}']
  if not room.tiny:
    command += [*_REFERENCE, f'--config.length={length}']
    command += [f'--config.save_every={save_every}']
  return command


def _get_workdir(room: Room, phase: str) -> pathlib.Path:
  return room.folder / 'reference' / phase


def _count_seconds_left(room: Room) -> float:
  return max(1.0, room.end - time.monotonic() - _KILLING_S)


def measure_rate(room: Room) -> dict[str, Any]:
  """Images a second of tuning, from whose lengths of the phases follow."""
  workdir = room.folder / 'rate'
  shutil.rmtree(workdir, ignore_errors=True)  # of a try that was stopped
  command = _build_command(
    room, 'tune', workdir, f'{_RATE_STEPS} steps', '100 percent'
  )
  subprocess.run(
    command, cwd=ROOT, check=True, timeout=_count_seconds_left(room)
  )
  rows = logs.load_metrics(workdir / 'metrics.jsonl')
  batch_size = logs.load_run(workdir)['config']['batch_size']
  rate, waited = find_rate(
    rows, batch_size, 1 if room.tiny else _FIRST_RATE_STEP
  )
  return {
    'ratios': {'share of waiting for data': timing.shorten(waited)},
    'images_per_s': timing.shorten(rate),
    'compile_s': timing.shorten(rows[-1]['compile_seconds']),
    'examples': {
      phase: round(60 * minutes * rate / batch_size) * batch_size
      for phase, minutes in _PHASE_MINUTES.items()
    },
  }


def find_rate(
  rows: list[dict[str, Any]], batch_size: int, first_step: int
) -> tuple[float, float]:
  """Images a second, and the share of waiting, between two log lines.

  Args:
    rows: of metrics.jsonl.
    batch_size: examples a step.
    first_step: what came before the first line from here on does not count.
  """
  first = next(row for row in rows if row['step'] >= first_step)
  steps, seconds, waited = (
    rows[-1][name] - first[name] for name in ('step', 'seconds', 'waited')
  )
  return steps * batch_size / seconds, waited / seconds


def pretrain(room: Room) -> dict[str, Any]:
  """As much as the piece's time allows; it goes on when run again."""
  return _train(room, 'pretrain')


def tune(room: Room) -> dict[str, Any]:
  """Likewise, from what was pretrained."""
  return _train(room, 'tune')


def _train(room: Room, phase: str) -> dict[str, Any]:
  rate = logs.load_json(room.folder / 'rate.json')
  length = f'{rate["examples"][phase]} examples'
  workdir = _get_workdir(room, phase)
  command = _build_command(room, phase, workdir, length, '10 percent')
  if phase == 'tune':
    command += [f'--config.init_from={_get_workdir(room, "pretrain")}']
  process = subprocess.Popen(command, cwd=ROOT)
  try:
    code = process.wait(max(1.0, room.end - time.monotonic() - _SAVING_S))
  except subprocess.TimeoutExpired:
    process.terminate()  # it saves and says so
    try:
      code = process.wait(_count_seconds_left(room))
    except subprocess.TimeoutExpired:
      process.kill()
      code = process.wait()
  if code not in (0, Preempted.exit_code):
    raise subprocess.CalledProcessError(code, 'vbanana train')
  last = logs.load_metrics(workdir / 'metrics.jsonl')[-1]
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
  subprocess.run(
    command, cwd=ROOT, check=True, timeout=_count_seconds_left(room)
  )
  (path,) = workdir.rglob('results*.json')
  return {'ratios': {}, 'results': logs.load_json(path)}


def run_tests(room: Room) -> dict[str, Any]:
  """Every test file in a process of its own, as many at a time as pay.

  What computes runs on the device, a file at a time, since a process takes all
  of its memory; the rest, which wants eight devices or starts processes of its
  own, on the CPU. Files that passed are not run again.
  """
  done_path = room.folder / 'tests_done.json'
  done = json.loads(done_path.read_text()) if done_path.exists() else {}
  files = sorted(path.name for path in (ROOT / 'tests').glob('test_*.py'))
  files = ['test_durations.py'] if room.tiny else files
  on_device = [
    name
    for name in files
    if name.removesuffix('.py').split('_')[1] in _DEVICE_TESTS
  ]
  waiting = [
    name for name in files if done.get(name, 'failed').startswith('failed')
  ]
  workers = max(1, (os.cpu_count() or 1) // 4)
  with (
    concurrent.futures.ThreadPoolExecutor(1) as device,
    concurrent.futures.ThreadPoolExecutor(workers) as cpu,
  ):
    names = {
      device.submit(_run_file, room, name, _DEVICE_SETTINGS)
      if name in on_device
      else cpu.submit(_run_file, room, name, {}): name
      for name in waiting
    }
    for future in concurrent.futures.as_completed(names):
      if (said := future.result()) is not None:
        done[names[future]] = said
        # `logs.save_json` would take the device away from the tests.
        done_path.write_text(json.dumps(done, indent=2))
  left = [name for name in files if name not in done]
  failed = [name for name, said in done.items() if said.startswith('failed')]
  return {
    **({'unfinished': left} if left else {}),
    'ratios': {
      'share of files that passed': (len(done) - len(failed)) / len(files)
    },
    'failed': failed,
    'on_device': on_device,
    'files': done,
  }


def _run_file(room: Room, name: str, settings: dict[str, str]) -> str | None:
  """The last line of a test file, 'failed' and more, or None: no time left."""
  left = _count_seconds_left(room)
  if left < 2:
    return None
  try:
    ran = subprocess.run(
      [sys.executable, '-m', 'pytest', f'tests/{name}', '-q'],
      cwd=ROOT,
      env={**os.environ, **settings},
      timeout=left,
      capture_output=True,
      text=True,
    )
  except subprocess.TimeoutExpired:
    return None
  # pytest's 5: a file whose tests were all left out.
  lines = ran.stdout.strip().splitlines() or ['no output']
  passed = ran.returncode in (0, 5)
  return lines[-1] if passed else '\n'.join(['failed', *lines[-30:]])
