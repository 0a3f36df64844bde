"""How long a run on a CPU will take, said once where that is long."""

from vbanana_jax.runtime import processes

LONG_S = 600.0
# Steps that are measured after the first, which finds its memory; fewer, where
# they take this long.
_STEPS, _ENOUGH_S = 8, 60.0


class Pace:
  """Looks at the first steps of a run and says where they lead.

  An accelerator is never spoken of: who has one knows how to read the bar.

  Args:
    total: steps of the whole run.
    platform: of the devices, as JAX calls it.
  """

  def __init__(self, total: int, platform: str):
    self._total = total
    self._done = platform != 'cpu'
    self._seconds: list[float] = []

  def look(self, step: int, seconds: float) -> None:
    """Prints one line on stderr, once, if more than `LONG_S` are to come.

    Args:
      step: number of the step that was just given to the devices; the one
        before it is finished.
      seconds: of the run up to now, compilation left out.
    """
    if self._done:
      return
    self._seconds.append(seconds)
    steps = len(self._seconds) - 2  # since the first of them was finished
    if steps < 1:
      return
    took = seconds - self._seconds[1]
    if steps < _STEPS and took < _ENOUGH_S:
      return
    self._done = True
    left, step_s = self._total - step, took / steps
    if left * step_s > LONG_S and processes.is_first():
      processes.log(describe(left, step_s, self._total))


def describe(left: int, step_s: float, total: int) -> str:
  """What a run's first steps say of the rest, and what can be done.

  Args:
    left: steps to come.
    step_s: seconds of one.
    total: steps of the whole run.
  """
  short = max(1, min(round(LONG_S / step_s), total - 1))
  return (
    f'{left} steps of {step_s:.2g} s are to come: about '
    f'{left * step_s / 60:.0f} minutes on this CPU. For {LONG_S / 60:.0f} '
    f"minutes: --config.length='{short} steps' and another --workdir; to try "
    'all in little time: launch/quickstart.sh --smoke'
  )
