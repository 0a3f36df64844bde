"""Ctrl-C and SIGTERM as a request to stop, not as death in mid-step."""

import signal
import sys
import threading


class StopSignals:
  """Context in which the first signal asks and a second one kills.

  Python delivers signals to the main thread alone; elsewhere nothing asks.

  Attributes:
    asked: whether a signal came.
  """

  def __enter__(self) -> 'StopSignals':
    self.asked = False
    is_main = threading.current_thread() is threading.main_thread()
    self._before = {
      number: signal.signal(number, self._remember)
      for number in (signal.SIGINT, signal.SIGTERM)
      if is_main
    }
    return self

  def _remember(self, number, frame) -> None:
    self.asked = True
    self._restore()
    print(
      '\nvbanana: saving after this step; once more stops at once',
      file=sys.stderr,
    )

  def __exit__(self, *error) -> None:
    self._restore()

  def _restore(self) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)
    self._before = {}
