"""How a task's decoded values meet the truths of a benchmark.

Truths are those of `benchmark.readers`, dicts of arrays at the photograph's
size. Runs on the host; what is heavy is compiled. Sizes are padded with pixels
that do not count to a few shapes, so that a set of many sizes compiles few
programs.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from vbanana_jax.metrics import bootstrap

_BLOCK = 128  # pixels; sizes are padded to multiples of it

States = dict[str, np.ndarray]
Truth = Mapping[str, np.ndarray]


class Settings(Protocol):
  """What a protocol says about scoring; see `benchmark.protocols.Protocol`.

  Attributes:
    crop: name of a crop of `metrics.crops`; None counts every pixel.
    near_m: nearest depth that counts; the metric's own if None.
    cap_m: farthest depth that counts; None counts all.
    clamp_m: nearest and farthest predicted depth.
    classes: names of a legend with their colors.
  """

  crop: str | None
  near_m: float | None
  cap_m: float | None
  clamp_m: Sequence[float | None]
  classes: Sequence[Any] | None


class Finding(NamedTuple):
  """One line of what `vbanana doctor` says of a benchmark's folder.

  Attributes:
    is_fault: whether it makes scores wrong.
    text: what was found, and the remedy.
  """

  is_fault: bool
  text: str


class Tally(Protocol):
  """Counts over truths, of a size that does not grow with the pictures.

  Truths are seen one after the other and never kept: those of one crowded
  photograph take hundreds of megabytes.
  """

  def add(self, truth: Truth) -> None: ...

  def judge(self, settings: Settings) -> Iterator[Finding]: ...


class Benchmark(abc.ABC):
  """How one task is scored on benchmarks, and its truths are checked."""

  @abc.abstractmethod
  def get_shape(self, truth: Truth) -> tuple[int, int]:
    """Height and width of a truth."""

  @abc.abstractmethod
  def make_states(
    self, value: np.ndarray, truth: Truth, settings: Settings
  ) -> States:
    """Sums and counts of one example, each [1 ...].

    Args:
      value: the decoded answer at the truth's size; see `Task.value`.
      truth: of the example.
      settings: of the protocol.
    """

  @abc.abstractmethod
  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Metrics from states summed over examples in float64 and int64."""

  @abc.abstractmethod
  def make_tally(self) -> Tally:
    """A new count of what a sample of truths looks like."""

  def gather(self, states: States) -> States:
    """States [n ...] of all examples as states that add up."""
    return states

  def summarize_rows(
    self, rows: Sequence[States]
  ) -> tuple[dict[str, float], States]:
    """Metrics, and per-example states that add up, of `make_states` results."""
    states = self.gather(
      {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    )
    sums = {
      name: bootstrap.widen(state).sum(0) for name, state in states.items()
    }
    return self.summarize(sums), states


def pad(x: np.ndarray, fill: Any = 0, axes: Sequence[int] = (0, 1)):
  """The array, its `axes` grown to multiples of 128 with `fill`."""
  widths = [(0, 0)] * x.ndim
  for axis in axes:
    widths[axis] = (0, -x.shape[axis] % _BLOCK)
  return np.pad(x, widths, constant_values=fill)


def correlate(values: np.ndarray, valid: np.ndarray, *, axis: int) -> float:
  """Of valid values with the row (axis 0) or column (1); NaN if undefined."""
  place = np.nonzero(valid)[axis]
  values = values[valid]
  if values.size < 2 or values.std() == 0 or place.std() == 0:
    return float('nan')
  return float(np.corrcoef(place, values)[0, 1])


def average(correlations: list[float]) -> float:
  """Mean of those that are defined; NaN of none."""
  defined = [each for each in correlations if np.isfinite(each)]
  return float(np.mean(defined)) if defined else float('nan')
