"""How far the copying of large files, or other long work, is."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import tqdm

from vbanana_jax.runtime import processes


@contextlib.contextmanager
def open_bar(
  name: str, unit: str = 'B'
) -> Iterator[Callable[[int], Callable[[int], Any]]]:
  """Progress bar on stderr, once it is known how many there are.

  Args:
    name: of the work.
    unit: what is counted; bytes if not given.

  Returns:
    takes their number, and gives what is told of every part that is done.
  """
  with contextlib.ExitStack() as stack:

    def start(total: int) -> Callable[[int], Any]:
      bar = tqdm.tqdm(
        total=total,
        desc=name,
        unit=unit,
        unit_scale=True,
        dynamic_ncols=True,
        mininterval=0.5 if sys.stderr.isatty() else 20.0,
        disable=not processes.is_first(),
      )
      return stack.enter_context(bar).update

    yield start
