"""The best constant answers under a protocol, which scores stand beside.

A constant answer never looks at its photograph. It is brought to the size of
each truth and scored as a painted answer is.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax import resizing
from vbanana_jax.benchmark import protocols, readers
from vbanana_jax.evaluation import protocol_evaluator
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS, benchmark

_SIDE = 60  # of an answer: halves, thirds and twentieths of it are whole pixels
_FITTED = 16  # truths that answers are chosen by
_STEP = 4  # between the rows and columns of them that are looked at


class BestConstants:
  """Scores of the best constant answers, by headline metric.

  Each metric has its own best answer of the task's short list. It is chosen on
  a few of the truths, spread over them, and scored on all that are added.

  Args:
    protocol: how truths are scored.
    reader: of the truths.
    items: the examples.
  """

  def __init__(
    self,
    protocol: protocols.Protocol,
    reader: readers.Reader,
    items: Sequence[readers.Item],
  ):
    task = TASKS[protocol.task]
    names = [name for name in protocol.headline if name in task.metrics]
    candidates = np.asarray(
      task.benchmark.list_constants(protocol) or task.constants
    )
    few = _Scorer(protocol, candidates, step=_STEP)
    for i in np.unique(np.linspace(0, len(items) - 1, _FITTED).round()):
      few.add(reader.load_truth(items[int(i)]))
    tables = few.summarize()
    best = {}
    for name in names:
      sign = 1.0 if task.metrics[name] == 'max' else -1.0
      values = np.array([sign * table[name] for table in tables])
      best[name] = int(np.argmax(np.nan_to_num(values, nan=-np.inf)))
    kept = sorted(set(best.values()))
    self._rows = {name: kept.index(k) for name, k in best.items()}
    self._scorer = _Scorer(protocol, candidates[kept], step=1)

  def add(self, truth: benchmark.Truth) -> None:
    """One more example that is scored."""
    self._scorer.add(truth)

  def summarize(self) -> dict[str, float | None]:
    """Scores on all that were added."""
    tables = self._scorer.summarize()
    return {
      name: logs.to_number(tables[row][name])
      for name, row in self._rows.items()
    }


class _Scorer:
  """States of each candidate [c ...], on every `step`-th row and column."""

  def __init__(
    self, protocol: protocols.Protocol, candidates: np.ndarray, *, step: int
  ):
    self._protocol, self._candidates, self._step = protocol, candidates, step
    self._rows: list[list[benchmark.States]] = [[] for _ in candidates]

  def add(self, truth: benchmark.Truth) -> None:
    scoring = TASKS[self._protocol.task].benchmark
    step = self._step
    padded = scoring.pad_truth(truth, self._protocol)
    size, padded_size = scoring.get_shape(truth), padded['where'].shape
    answer = (_SIDE, _SIDE)
    tables = resizing.make_tables(
      answer, size, answer, padded_size, is_smooth=False
    )
    thin = resizing.Tables(tables.rows[::step], tables.columns[::step])
    found = jax.device_get(
      _build_score(self._protocol)(
        self._candidates,
        thin,
        np.array([-(-edge // step) for edge in size], np.int32),
        {name: _thin(x, padded_size, step) for name, x in padded.items()},
      )
    )
    for i, some in enumerate(self._rows):
      some.append({name: x[i] for name, x in found.items()})

  def summarize(self) -> list[dict[str, float]]:
    """Metrics of each candidate."""
    scoring = TASKS[self._protocol.task].benchmark
    return [scoring.summarize_rows(some)[0] for some in self._rows]


def _thin(x: np.ndarray, size: tuple[int, int], step: int) -> np.ndarray:
  """Every `step`-th row and column, of an array that has such axes."""
  for axis in range(x.ndim - 1):
    if x.shape[axis : axis + 2] == size:
      return x[(slice(None),) * axis + (slice(None, None, step),) * 2]
  return x


@functools.lru_cache(maxsize=8)
def _build_score(protocol: protocols.Protocol) -> Callable[..., Any]:
  """Compiled: candidates [c ...], tables, size, truth -> states [c 1 ...]."""
  task = TASKS[protocol.task]

  def score_truth(candidates, tables, size, truth):
    truth = jax.tree.map(lambda x: x[None], truth)
    inside = protocol_evaluator.find_inside(truth['where'].shape[1:], size)
    aux = task.benchmark.make_constant_aux((_SIDE, _SIDE), protocol)

    def score_one(candidate):
      answer = task.constant_prediction(candidate, aux)[task.value.key][0]
      value = resizing.take_nearest(answer, tables)
      shown = inside.reshape(*inside.shape, *[1] * (value.ndim - 2))
      value = jnp.where(shown, value, 0)[None]
      return task.benchmark.score_constant(value, truth, protocol)

    return jax.lax.map(score_one, candidates)

  return jax.jit(score_truth)
