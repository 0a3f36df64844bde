"""Trainings in processes of their own, forked off one that has imported all.

A fork trains within seconds where a fresh process would import first. Asked
by `Trainings` in a pytest process, answered by `python tests/trainings.py`.
"""

import contextlib
import importlib
import json
import os
import pathlib
import subprocess
import sys
import traceback
import warnings

import faults
from virtual_devices import add_flag

DEVICES = 8
STEPS = 12
# One length of instructions, for a single compilation; still in groups of
# eight steps, so that runs go on in the middle of one.
ARGS = (
  '--config=quickstart:pretrain,smoke',
  '--config.mixture.depth=1',
  '--config.data.short_text_length=60',
  f'--config.length={STEPS} steps',
  '--config.save_every=4 steps',
  '--config.log_every=1 steps',
)


class Trainings:
  """Starts trainings; `folder` keeps their logs and compiled programs."""

  def __init__(self, folder: pathlib.Path):
    self._folder = folder
    self._count = 0
    self._server = subprocess.Popen(
      [sys.executable, __file__],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      env={
        **os.environ,
        'JAX_COMPILATION_CACHE_DIR': str(folder / 'xla'),
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
        'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',  # compiles faster
      },
    )

  def run(
    self,
    workdir: pathlib.Path,
    *args: str,
    base: tuple[str, ...] = ARGS,
    fault: str = '',
    devices: int = DEVICES,
  ) -> tuple[int, str]:
    """Trains to the end; returns the exit code (-N of signal N) and stderr.

    Args:
      workdir: also gets ids.jsonl, the ids of the examples of every step.
      *args: more arguments of `vbanana train`.
      base: the first ones.
      fault: what goes wrong: functions of `faults` with ';' between them,
        each with its arguments behind spaces.
      devices: how many to train on.
    """
    self._count += 1
    log = self._folder / f'{self._count}.log'
    job = {
      'args': ['train', f'--workdir={workdir}', *base, *args],
      'workdir': str(workdir),
      'fault': fault,
      'devices': devices,
      'log': str(log),
    }
    print(json.dumps(job), file=self._server.stdin, flush=True)
    return int(self._server.stdout.readline()), log.read_text()

  def close(self) -> None:
    self._server.stdin.close()
    self._server.wait()
    self._server.stdout.close()


def load_ids(workdir: pathlib.Path) -> dict[int, list[int]]:
  """Ids of the examples of every step, from whichever process made it last."""
  ids = {}
  for line in (workdir / 'ids.jsonl').read_text().splitlines():
    with contextlib.suppress(ValueError):  # a line that a full disk cut
      row = json.loads(line)
      ids[row['step']] = row['ids']
  return ids


def load_batches(workdir: pathlib.Path) -> set[str]:
  """Step, ids and checksum of every batch, those made again only once."""
  lines = (workdir / 'ids.jsonl').read_text().splitlines()
  return set(filter(None, lines))


def serve() -> None:
  from vbanana_jax import cli

  importlib.import_module('vbanana_jax.train')  # the command imports it late

  warnings.simplefilter('ignore')  # of forks: there are no threads yet
  for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
      run_job(cli, job)
    status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)


def run_job(cli, job: dict) -> None:
  code = 99
  try:
    log = os.open(job['log'], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ['XLA_FLAGS'] = add_flag(job['devices'])
    faults.record_ids(pathlib.Path(job['workdir']))
    for fault in filter(None, job['fault'].split(';')):
      name, *arguments = fault.split()
      getattr(faults, name)(*arguments)
    cli.use_compilation_cache = lambda: None  # the environment says more
    sys.argv = ['vbanana', *job['args']]
    code = cli.main(job['args'])
  except BaseException:
    traceback.print_exc()
  finally:
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
  serve()
