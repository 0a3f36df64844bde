"""Compiles in a process of its own, within bounds of memory and of time."""

import dataclasses
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from vbanana_jax.errors import UserError
from vbanana_jax.plan.collectives import CollectiveCost
from vbanana_jax.plan.costs import Costs
from vbanana_jax.plan.programs import Program
from vbanana_jax.plan.topologies import Topology

_PAUSE = 0.1  # seconds between two looks at the process
_SHARE = 0.75  # of the memory that is free
_GIB = 2**30


class NotKnown(Exception):
  """What a program costs could not be found out; says why, in one line."""


@dataclasses.dataclass(frozen=True)
class Bounds:
  """What finding out about one program may take on this machine.

  Attributes:
    bytes: of memory.
    seconds: of time.
  """

  bytes: float
  seconds: float


class Compiler:
  """The programs of a config on a slice; see the methods of `Programs`.

  Use it as a context: its process ends with it. Every method raises NotKnown
  if the process had to be stopped, ended by itself or could not compile; the
  next call starts another.

  Args:
    config: see `configs/base.py`.
    topology: the slice.
    bounds: of each call.
  """

  def __init__(
    self, config: Mapping[str, Any], topology: Topology, bounds: Bounds
  ):
    self._first = {'config': config, 'topology': topology.name}
    self._bounds = bounds
    self._process: subprocess.Popen | None = None
    self._words = tempfile.TemporaryFile()

  def __enter__(self) -> 'Compiler':
    return self

  def __exit__(self, *_) -> None:
    self._stop()
    self._words.close()

  def estimate_train_step_memory(self, batch_size: int) -> float:
    """Bytes a chip of a training step, without compiling it to the end."""
    return self._ask('estimate_train_step_memory', batch_size)

  def compile_train_step(self, batch_size: int) -> Program:
    """One step of training with a batch of this size, all chips together."""
    return _read_program(self._ask('compile_train_step', batch_size))

  def compile_painter(self) -> Program:
    """The one-pass answer to a batch of the held-out set."""
    return _read_program(self._ask('compile_painter'))

  def compile_eval_step(self) -> Program:
    """The same, decoded and scored."""
    return _read_program(self._ask('compile_eval_step'))

  def _ask(self, ask: str, *args):
    if self._process is None:
      self._start()
    self._send({'ask': ask, 'args': args})
    line = self._wait()
    if not line:
      code = self._process.wait()
      self._stop()
      raise NotKnown(f'the compiler ended with {code}{self._read_words()}')
    answer = json.loads(line)
    if 'refused' in answer:
      raise UserError(answer['refused'])
    if 'failed' in answer:
      raise NotKnown(answer['failed'])
    return answer['value']

  def _start(self) -> None:
    self._words.seek(0)
    self._words.truncate()
    self._process = subprocess.Popen(
      [sys.executable, '-m', 'vbanana_jax.plan.worker', str(os.getpid())],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._words,
      text=True,
      start_new_session=True,  # Ctrl-C is answered here
    )
    self._send(self._first)

  def _send(self, message: dict) -> None:
    try:
      self._process.stdin.write(json.dumps(message) + '\n')
      self._process.stdin.flush()
    except BrokenPipeError:
      pass  # it ended, and its answer will be empty

  def _wait(self) -> str:
    end = time.monotonic() + self._bounds.seconds
    while not select.select([self._process.stdout], [], [], _PAUSE)[0]:
      taken = read_resident_bytes(self._process.pid)
      if taken > self._bounds.bytes:
        self._stop()
        raise NotKnown(
          f'stopped at the bound of {self._bounds.bytes / _GIB:.1f} GiB of '
          'memory on this machine (--memory)'
        )
      if time.monotonic() > end:
        self._stop()
        raise NotKnown(
          f'stopped at the bound of {self._bounds.seconds / 60:g} minutes '
          '(--minutes)'
        )
    return self._process.stdout.readline()

  def _stop(self) -> None:
    if self._process is not None:
      self._process.kill()
      self._process.communicate()
      self._process = None

  def _read_words(self) -> str:
    """The last line of what the process wrote before it ended by itself."""
    self._words.seek(0)
    lines = self._words.read().decode(errors='replace').split('\n')
    said = [line.strip() for line in lines if line.strip()]
    return f': {said[-1]}' if said else ''


def _read_program(fields: dict) -> Program:
  costs = fields['costs']
  if costs is not None:
    exchanges = {
      kind: CollectiveCost(**fields)
      for kind, fields in costs['exchanges'].items()
    }
    costs = Costs(**{**costs, 'exchanges': exchanges})
  return Program(**{**fields, 'costs': costs})


def read_resident_bytes(pid: int) -> float:
  """Memory that a process holds; 0 of one that has ended."""
  try:
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
  except OSError:
    return 0.0
  found = re.search(r'VmRSS:\s+(\d+) kB', status)
  return 1024.0 * int(found[1]) if found else 0.0


def find_memory_bound() -> float:
  """Three quarters of the memory that is free here, in bytes."""
  free = pathlib.Path('/proc/meminfo').read_text()
  bound = 1024.0 * int(re.search(r'MemAvailable:\s+(\d+) kB', free)[1])
  group = pathlib.Path('/sys/fs/cgroup')
  try:
    limit = (group / 'memory.max').read_text().strip()
    held = (group / 'memory.current').read_text()
  except OSError:
    return _SHARE * bound
  if limit.isdigit():
    bound = min(bound, max(0.0, float(limit) - float(held)))
  return _SHARE * bound
