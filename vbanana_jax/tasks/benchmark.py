"""How a task's decoded values meet the truths of a benchmark.

Truths are those of `benchmark.readers`, dicts of arrays at the photograph's
size. On the host they are padded to a few shapes with pixels that do not count,
so that a set of many sizes compiles few programs; `resize` and `score` are
traced, for `evaluation.protocol_evaluator`.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Array, Num, Shaped

from vbanana_jax import resizing
from vbanana_jax.metrics import bootstrap

BLOCK = 128  # pixels; sizes are padded to multiples of it

States = dict[str, np.ndarray]
Truth = Mapping[str, np.ndarray]
Arrays = dict[str, Num[Array, 'b ...']]


class ScoringRules(Protocol):
  """What a protocol says about scoring; see `benchmark.protocols.Protocol`.

  Attributes:
    crop: see `metrics.crops.make_crop`; None counts every pixel.
    near_m: nearest depth that counts; the metric's own if None.
    cap_m: farthest depth that counts; None counts all.
    clamp_m: nearest and farthest predicted depth.
    classes: names of a legend with their colors.
  """

  crop: Mapping[str, Any] | None
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

  def judge(self, settings: ScoringRules) -> Iterator[Finding]: ...


class Benchmark(abc.ABC):
  """How one task is scored on benchmarks, and its truths are checked."""

  @abc.abstractmethod
  def get_shape(self, truth: Truth) -> tuple[int, int]:
    """Height and width of a truth."""

  @abc.abstractmethod
  def pad_truth(self, truth: Truth, settings: ScoringRules) -> Truth:
    """What `score` reads of one truth, at a padded size [H W] (host).

    `where` bool[H W] is among it: the pixels that count.
    """

  @abc.abstractmethod
  def score(
    self, value: Num[Array, 'b H W *c'], truth: Arrays, settings: ScoringRules
  ) -> Arrays:
    """Sums and counts of each example (traced).

    Args:
      value: decoded answers at the truths' sizes, 0 beyond; see `Task.value`.
      truth: of `pad_truth`, stacked.
      settings: of the protocol.
    """

  def resize(
    self, value: Num[Array, 'h w *c'], tables: resizing.Tables
  ) -> Num[Array, 'H W *c']:
    """A decoded answer at another size, smoothly; `Value.resize`, traced."""
    return resizing.take_nearest(value, tables)

  @abc.abstractmethod
  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Metrics from states summed over examples in float64 and int64."""

  def score_classes(
    self, states: Mapping[str, np.ndarray], settings: ScoringRules
  ) -> dict[str, dict[str, float]]:
    """Scores of each class of the legend by its name; empty without one.

    Args:
      states: summed over examples.
      settings: of the protocol.
    """
    del states, settings
    return {}

  def list_constants(self, settings: ScoringRules) -> Sequence[Any]:
    """Constant answers to try; empty where they are `Task.constants`."""
    del settings
    return ()

  @abc.abstractmethod
  def make_constant_aux(
    self, shape: tuple[int, int], settings: ScoringRules
  ) -> Arrays:
    """What `Task.constant_prediction` needs to make an answer of a shape."""

  def score_constant(
    self, value: Num[Array, 'b H W *c'], truth: Arrays, settings: ScoringRules
  ) -> Arrays:
    """As `score`, of a constant answer; what only other metrics need may lack.

    Headlines have to be among what `summarize` makes of it.
    """
    return self.score(value, truth, settings)

  @abc.abstractmethod
  def make_tally(self) -> Tally:
    """A new count of what a sample of truths looks like."""

  def gather(self, states: States) -> States:
    """States [n ...] of all examples as states that add up."""
    return states

  def summarize_rows(
    self, rows: Sequence[States]
  ) -> tuple[dict[str, float], States]:
    """Metrics, and per-example states that add up, of states [1 ...]."""
    states = self.gather(
      {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    )
    sums = {
      name: bootstrap.widen(state).sum(0) for name, state in states.items()
    }
    return self.summarize(sums), states


def pad(
  x: Shaped[np.ndarray, '...'],
  fill: Any = 0,
  *,
  axes: Sequence[int] = (0, 1),
  block: int = BLOCK,
) -> Shaped[np.ndarray, '...']:
  """The array, its `axes` grown to multiples of `block` with `fill`."""
  widths = [(0, 0)] * x.ndim
  for axis in axes:
    widths[axis] = (0, -x.shape[axis] % block)
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
