"""Several processes of one run: one of them writes, each can speak."""

import sys
import time

import jax
import tqdm


def is_first() -> bool:
  """Whether this is the process that writes files and prints results."""
  return jax.process_index() == 0


def say(line: str) -> None:
  """One line on stderr with the time and, of several, the process.

  Every process speaks: of a run that hangs, it is the last line of the one
  that others wait for that says why.
  """
  count = jax.process_count()
  who = f'process {jax.process_index()} of {count}' if count > 1 else ''
  print_stamped(line, who)


def print_stamped(line: str, who: str = '') -> None:
  """As `say`, before JAX knows which process this is."""
  stamp = ' '.join([time.strftime('%H:%M:%S'), who]).strip()
  tqdm.tqdm.write(f'[{stamp}] {line}', file=sys.stderr)


def print_once(line: str) -> None:
  """One line on stdout, above the progress bar, of the first process alone."""
  if is_first():
    tqdm.tqdm.write(line)
