"""A trace of some steps of a run, as XProf and TensorBoard read it."""

import pathlib
import tempfile
from typing import Any

import jax

from vbanana_jax.runtime import paths, processes

# What the profiler writes, by the ends of names; the rest is the host's.
_KINDS = ('xplane.pb', 'trace.json.gz')


class ProfileWindow:
  """Traces steps `start` to `start + steps - 1` with `jax.profiler`.

  A context; what is under way when it ends is written, too. A run that goes
  on after `start` traces nothing.

  Args:
    folder: gets plugins/profile/step_N/, files of every process. May lie in a
      bucket.
    start: number of the first step, from 1; 0 for none.
    steps: how many.
  """

  def __init__(self, folder: paths.Path, *, start: int, steps: int):
    self._folder = folder
    self._start, self._end = start, start + steps
    self._scratch: tempfile.TemporaryDirectory | None = None

  def __enter__(self) -> 'ProfileWindow':
    return self

  def __exit__(self, *error) -> None:
    self._stop()

  def step(self, step: int, state: Any) -> Any:
    """A context for one step; starts or ends the trace where it is time to.

    Args:
      step: its number.
      state: what the step before it makes, which is waited for then.
    """
    if self._start and step == self._start:
      jax.block_until_ready(state)
      self._scratch = tempfile.TemporaryDirectory()
      jax.profiler.start_trace(self._scratch.name)
    elif step == self._end:
      jax.block_until_ready(state)
      self._stop()
    return jax.profiler.StepTraceAnnotation('train', step_num=step)

  def _stop(self) -> None:
    if self._scratch is None:
      return
    jax.profiler.stop_trace()
    with self._scratch as name:
      self._scratch = None
      try:
        self._keep(pathlib.Path(name))
      except OSError as error:  # no reason to end a training
        processes.log(f'{self._folder}: the trace is not kept: {error}')

  def _keep(self, scratch: pathlib.Path) -> None:
    """Copies the trace: one folder for all processes, a file name for each."""
    target = self._folder / 'plugins' / 'profile' / f'step_{self._start}'
    number = jax.process_index()
    for kind in _KINDS:
      for path in scratch.rglob(f'*.{kind}'):
        paths.write_whole(
          target / f'process_{number}.{kind}', path.read_bytes()
        )
    processes.print_from_first(f'{target}: a trace, from step {self._start} on')
