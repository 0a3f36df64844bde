"""Bootstrap intervals over examples, for any metric of summed states."""

from collections.abc import Callable, Mapping

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

RESAMPLES = 200
ENDS = (0.025, 0.975)  # of a 95 % interval

Summarize = Callable[[Mapping[str, np.ndarray]], dict[str, float]]


def make_intervals(
  states: Mapping[str, ArrayLike],
  summarize: Summarize,
  rng: np.random.Generator,
  *,
  resamples: int = RESAMPLES,
  ends: tuple[float, float] = ENDS,
) -> dict[str, tuple[float, float]]:
  """Percentile interval of every metric, over examples drawn with return.

  Args:
    states: per example, [n ...]; n >= 1, rows that do not count left out.
    summarize: of states summed over examples, float64 or int64.
    rng: draws the examples; the same draws for all states.
    resamples: number of draws.
    ends: quantiles of the draws that bound the interval.

  Draws where a metric is nan are left out; where all are, so is its interval.

  Source: Efron 1979, the percentile method.
  """
  draws = _draw([states], summarize, rng, resamples)
  return _quantiles([tables[0] for tables in draws], ends)


def make_paired_intervals(
  before: Mapping[str, ArrayLike],
  after: Mapping[str, ArrayLike],
  summarize: Summarize,
  rng: np.random.Generator,
  *,
  resamples: int = RESAMPLES,
  ends: tuple[float, float] = ENDS,
) -> dict[str, tuple[float, float]]:
  """As `make_intervals`, of after - before on the same examples in order.

  Both are resampled alike, so what is hard for both does not widen the
  interval. Raises ValueError where they differ in their number of examples.
  """
  draws = _draw([before, after], summarize, rng, resamples)
  return _quantiles(
    [{name: b[name] - a[name] for name in a} for a, b in draws], ends
  )


def subtract_intervals(
  before: tuple[float, tuple[float, float]],
  after: tuple[float, tuple[float, float]],
) -> tuple[float, float]:
  """Interval of after - before, of independent values with their intervals.

  Of runs on the same examples it is wider than `make_paired_intervals` says.

  Source: Zou and Donner 2008, recovery of variances (MOVER).
  """
  (old, (old_low, old_high)), (new, (new_low, new_high)) = before, after
  down = np.hypot(new - new_low, old_high - old)
  up = np.hypot(new_high - new, old - old_low)
  return float(new - old - down), float(new - old + up)


def _draw(sides, summarize, rng, resamples):
  """Tables of each side for every draw: examples as often as they are drawn."""
  numbers = {len(state) for side in sides for state in side.values()}
  if len(numbers) != 1 or 0 in numbers:
    raise ValueError(f'states must be of one number of examples, not {numbers}')
  (n,) = numbers
  weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
  summed = [
    {name: _weigh(weights, widen(state)) for name, state in s.items()}
    for s in sides
  ]
  return [
    [summarize({name: state[i] for name, state in s.items()}) for s in summed]
    for i in range(resamples)
  ]


def _weigh(weights, state):
  """Sums over the drawn examples; counts exactly, and fast where float64 is.

  Integer products are some ten times slower than float64 ones.
  """
  is_count = state.dtype.kind == 'i'
  if is_count and len(state) * int(np.abs(state).max(initial=0)) < 2**53:
    return np.tensordot(weights, state.astype(np.float64), 1).astype(np.int64)
  return np.tensordot(weights, state, 1)


def find_interval(
  draws: Float[np.ndarray, ' n'], ends: tuple[float, float] = ENDS
) -> tuple[float, float]:
  """Quantiles of those draws that are a number; nan where none is."""
  draws = draws[~np.isnan(draws)]
  if not draws.size:
    return float('nan'), float('nan')
  low, high = np.quantile(draws, ends)
  return float(low), float(high)


def _quantiles(draws, ends):
  """Quantiles of what is defined, by name."""
  return {
    name: find_interval(np.asarray([x[name] for x in draws], np.float64), ends)
    for name in draws[0]
  }


def widen(state: ArrayLike) -> np.ndarray:
  """float64 or int64: sums over a data set outgrow the device's types."""
  state = np.asarray(state)
  return state.astype(np.int64 if state.dtype.kind in 'iub' else np.float64)
