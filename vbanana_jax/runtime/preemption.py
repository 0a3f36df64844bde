"""Ctrl-C and SIGTERM as a request to stop, not as death in mid-step."""

import os
import signal
import sys
import threading

import jax
from jax.experimental import multihost_utils

from vbanana_jax.errors import Interrupted, Preempted


class Preemption:
  """Context in which the first signal asks and a second one kills.

  Several processes have to stop after the same step, whichever of them got the
  signal. JAX listens to SIGTERM there, from the connection on, and finds that
  step; Ctrl-C is handed on to it. A SIGTERM that comes while weights are
  restored or the step is compiled is heeded after the first step. Python
  delivers signals to the main thread alone; elsewhere nothing asks.
  """

  def __enter__(self) -> 'Preemption':
    self._asked: int | None = None
    self._alone = jax.process_count() == 1
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM)[: 2 if self._alone else 1]
    self._before = {
      number: signal.signal(number, self._remember)
      for number in numbers
      if is_main
    }
    return self

  def requested(self, step: int) -> type[Interrupted] | None:
    """What to raise after `step`, once it is saved; None to go on.

    Every process has to ask after every step.
    """
    if self._alone:
      stop = self._asked is not None
    else:
      stop = multihost_utils.reached_preemption_sync_point(step)
    if not stop:
      return None
    return Interrupted if self._asked == signal.SIGINT else Preempted

  def _remember(self, number, frame) -> None:
    self._asked = number
    self._restore()
    print(
      '\nvbanana: saving after this step; once more stops at once',
      file=sys.stderr,
    )
    if not self._alone:
      os.kill(os.getpid(), signal.SIGTERM)

  def __exit__(self, *error) -> None:
    self._restore()

  def _restore(self) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)
    self._before = {}
