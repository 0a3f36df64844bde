"""Several processes of one run: one writes, each can speak, all agree."""

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import tqdm
from jax.experimental import multihost_utils

from vbanana_jax.errors import UserError

# What JAX says on a CPU (Gloo), a GPU and a TPU when another process is gone.
_LOST = re.compile(
  'gloo|connection|socket closed|unavailable|deadline.exceeded|aborted|'
  'heartbeat|coordination|preempt',
  re.IGNORECASE,
)


def is_first() -> bool:
  """Whether this is the process that writes files and prints results."""
  return jax.process_index() == 0


def log(line: str) -> None:
  """One line on stderr with the time and, of several, the process.

  Every process speaks: of a run that hangs, it is the last line of the one
  that others wait for that says why.
  """
  count = jax.process_count()
  who = f'process {jax.process_index()} of {count}' if count > 1 else ''
  print_stamped(line, who)


def print_stamped(line: str, who: str = '') -> None:
  """As `log`, before JAX knows which process this is."""
  stamp = ' '.join([time.strftime('%H:%M:%S'), who]).strip()
  tqdm.tqdm.write(f'[{stamp}] {line}', file=sys.stderr)


def print_from_first(line: str) -> None:
  """One line on stdout, above the progress bar, of the first process alone."""
  if is_first():
    tqdm.tqdm.write(line)


def allgather_str(text: str) -> list[str]:
  """What every process gives, in their order; all have to ask together."""
  if jax.process_count() == 1:
    return [text]
  own = np.frombuffer(text.encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.int32(own.size))
  padded = np.zeros(max(sizes.max(), 1), np.uint8)
  padded[: own.size] = own
  rows = multihost_utils.process_allgather(padded)
  return [bytes(row[:n]).decode() for row, n in zip(rows, sizes)]


def broadcast_from_first(find: Callable[[], str]) -> str:
  """What the first process finds; the others wait for it."""
  return allgather_str(find() if is_first() else '')[0]


def broadcast_array(own: np.ndarray) -> np.ndarray:
  """The first process's array; the others give one of its shape and type."""
  return np.asarray(multihost_utils.broadcast_one_to_all(own))


def is_peer_failure(error: BaseException) -> bool:
  """Whether an error tells of another process of this run that is gone."""
  return (
    isinstance(error, (jax.errors.JaxRuntimeError, ValueError))
    and jax.process_count() > 1
    and _LOST.search(str(error)) is not None
  )


def check_agree(sections: Mapping[str, Any]) -> None:
  """Refuses to go on unless all processes of a run are given the same.

  Args:
    sections: what JSON can hold, by a name that a user understands.

  Raises:
    UserError: on all of them, with what differs from the first process's.
  """
  if jax.process_count() == 1:
    return
  digests = {
    name: hashlib.sha256(json.dumps(x, sort_keys=True).encode()).hexdigest()
    for name, x in sections.items()
  }
  first, *others = map(json.loads, allgather_str(json.dumps(digests)))
  differing = {}
  for number, other in enumerate(others, 1):
    for name in sorted(first.keys() | other.keys()):
      if first.get(name) != other.get(name):
        differing.setdefault(name, []).append(number)
  if differing:
    told = '; '.join(
      f'{name} ({"process" if len(numbers) == 1 else "processes"} '
      f'{", ".join(map(str, numbers))})'
      for name, numbers in differing.items()
    )
    raise UserError(
      f'the processes of this run differ from process 0 in: {told}: give all '
      'the same command, and the same files, data and packages'
    )
