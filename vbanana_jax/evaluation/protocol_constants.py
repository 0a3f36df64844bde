"""The best constant answers under a protocol, which scores stand beside.

A constant answer never looks at its photograph. It is brought to the size of
each truth and scored as a painted answer is.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from vbanana_jax import resizing
from vbanana_jax.benchmark import protocols, readers
from vbanana_jax.evaluation import protocol_evaluator
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS, benchmark

_SIDE = 60  # of an answer: halves, thirds and twentieths of it are whole pixels
_FITTED = 16  # truths that answers are chosen by
_STEP = 4  # between the rows and columns of them that are looked at


def score_constants(
  protocol: protocols.Protocol,
  reader: readers.Reader,
  items: Sequence[readers.Item],
) -> dict[str, float | None]:
  """Scores of the best constant answers, by headline metric.

  Each metric has its own best answer of the task's short list. It is chosen on
  a few of the truths, spread over them, and scored on all.

  Args:
    protocol: how truths are scored.
    reader: of the truths.
    items: the examples.
  """
  task = TASKS[protocol.task]
  names = [name for name in protocol.headline if name in task.metrics]
  candidates = np.asarray(
    task.benchmark.list_constants(protocol) or task.constants
  )
  chosen = np.unique(np.linspace(0, len(items) - 1, _FITTED).round())
  few = (reader.load_truth(items[int(i)]) for i in chosen)
  tables = _score(protocol, candidates, few, step=_STEP)
  best = {}
  for name in names:
    sign = 1.0 if task.metrics[name] == 'max' else -1.0
    values = np.array([sign * table[name] for table in tables])
    best[name] = int(np.argmax(np.nan_to_num(values, nan=-np.inf)))
  kept = sorted(set(best.values()))
  bar = tqdm.tqdm(items, desc='constant answers', unit='example')
  every = (reader.load_truth(item) for item in bar)
  tables = _score(protocol, candidates[kept], every, step=1)
  return {
    name: logs.to_number(tables[kept.index(best[name])][name]) for name in names
  }


def _score(
  protocol: protocols.Protocol,
  candidates: np.ndarray,
  truths: Iterable[benchmark.Truth],
  *,
  step: int,
) -> list[dict[str, float]]:
  """Metrics of each candidate [c ...], on every `step`-th row and column."""
  scoring = TASKS[protocol.task].benchmark
  score_truth = _build_score(protocol)
  rows: list[list[benchmark.States]] = [[] for _ in candidates]
  for truth in truths:
    padded = scoring.pad_truth(truth, protocol)
    size, padded_size = scoring.get_shape(truth), padded['where'].shape
    answer = (_SIDE, _SIDE)
    tables = resizing.make_tables(
      answer, size, answer, padded_size, is_smooth=False
    )
    thin = resizing.Tables(tables.rows[::step], tables.columns[::step])
    found = jax.device_get(
      score_truth(
        candidates,
        thin,
        np.array([-(-edge // step) for edge in size], np.int32),
        {name: _thin(x, padded_size, step) for name, x in padded.items()},
      )
    )
    for i, some in enumerate(rows):
      some.append({name: x[i] for name, x in found.items()})
  return [scoring.summarize_rows(some)[0] for some in rows]


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
