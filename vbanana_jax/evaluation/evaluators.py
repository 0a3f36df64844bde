"""Paint, decode and score in one compiled function; merge on the host.

Every score state is a sum or a count per example. How the examples were cut
into batches, padded or spread over devices therefore changes nothing, and an
interval costs no second look at the pictures.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from vbanana_jax import keys, sharding
from vbanana_jax.evaluation import rows
from vbanana_jax.metrics import bootstrap
from vbanana_jax.tasks import base

# What the compiled functions read of an evaluation batch.
DEVICE_KEYS = (
  'tokens',
  'source',
  'has_source',
  'noise_scale',
  'index',
  'aux',
  'valid',
  'memory',  # where a batch brings it
)


@dataclasses.dataclass(frozen=True)
class Scores:
  """What one evaluation found.

  Attributes:
    task: name.
    n: number of examples, padding not counted.
    metrics: by name.
    intervals: 95 % bootstrap interval over examples, by name.
    by_count: metrics by number of objects in the scene.
    states: per-example sums and counts.
    painted: the first batch's pictures, padding included.
  """

  task: str
  n: int
  metrics: dict[str, float]
  intervals: dict[str, tuple[float, float]]
  by_count: dict[int, dict[str, float]]
  states: dict[str, np.ndarray]
  painted: np.ndarray


class TaskEvaluator:
  """Scores one task's answers; compiled once, for any number of weights.

  Args:
    task: what to ask.
    paint: from `inference.sampling.make_sample_fn`.
    mesh: devices to spread the batches over.

  Attributes:
    evaluate: the compiled function (params, batch on the devices) -> painted
      pictures and per-example states.
    wait: whether a batch is scored before the next one is started; see
      `rows.fetch_states`.
  """

  def __init__(self, task: base.Task, paint: Callable, mesh: jax.sharding.Mesh):
    self.task = task
    self.wait = rows.is_cpu(mesh)
    self._mesh = mesh

    def decode_and_score(rgb, aux, valid):
      return task.score(task.decode(rgb, aux), aux, valid)

    score_rows = sharding.shard_map_over_batch(
      rows.map_rows(decode_and_score), mesh
    )

    def evaluate(params, batch):
      rgb = paint(params, batch)
      return rgb, score_rows(rgb, batch['aux'], batch['valid'])

    everywhere = sharding.replicated_sharding(mesh)
    self.evaluate = jax.jit(
      evaluate, out_shardings=(sharding.batch_sharding(mesh), everywhere)
    )
    self._gather = jax.jit(lambda rgb: rgb, out_shardings=everywhere)

  def compile(self, params: Any, batch: dict) -> None:
    """Compiles for batches of one shape, so that nothing later does."""
    on_device = put_eval_batch(batch, self._mesh)
    self.evaluate = self.evaluate.lower(params, on_device).compile()

  def run(
    self,
    params: Any,
    batches: Iterable[dict],
    look: Callable[[np.ndarray, dict], None] | None = None,
  ) -> Scores:
    """Scores `params` on padded batches; the same on every process.

    Args:
      params: of the network.
      batches: from `held_out`.
      look: called with what was painted for each batch, and the batch.
    """
    return make_scores(self.task, *self._answer(params, batches, look))

  def measure(
    self, params: Any, batches: Iterable[dict]
  ) -> tuple[dict[str, float], np.ndarray]:
    """Metrics by name, and the first batch painted, sooner than `run`."""
    states, _, painted = self._answer(params, batches)
    return self.task.summarize(_sum(states)), painted

  def _answer(self, params, batches, look=None):
    """Per-example states, objects per scene, and the first batch painted."""
    valid, counts, painted = [], [], None

    def start():
      nonlocal painted
      for batch in batches:
        rgb, states = self.evaluate(params, put_eval_batch(batch, self._mesh))
        yield states
        if painted is None or look:
          shown = jax.device_get(self._gather(rgb))
          painted = shown if painted is None else painted
          if look:
            look(shown, batch)
        valid.append(batch['valid'])
        counts.append(batch['count'])

    parts = rows.fetch_states(start(), wait=self.wait)
    valid = np.concatenate(valid)
    states = {
      name: np.concatenate([part[name] for part in parts])[valid]
      for name in parts[0]
    }
    counts = np.concatenate(counts)[valid]
    return states, counts, painted


def put_eval_batch(batch: dict, mesh: jax.sharding.Mesh) -> dict:
  """The arrays that the compiled functions read, on the devices.

  Of several processes each puts its own rows of the same batch there.
  """
  return rows.put_rows(select_arrays(batch), mesh)


def select_arrays(batch: dict) -> dict:
  """What the compiled functions read of a batch."""
  return {key: batch[key] for key in DEVICE_KEYS if key in batch}


def make_scores(
  task: base.Task,
  states: dict[str, np.ndarray],
  counts: np.ndarray,
  painted: np.ndarray,
) -> Scores:
  """Metrics, intervals and break-down of per-example states `[n, ...]`."""
  wide = {name: bootstrap.widen(state) for name, state in states.items()}
  n = len(counts)
  metrics = _summarize(task, wide, np.ones(n, bool))
  return Scores(
    task=task.name,
    n=n,
    metrics=metrics,
    intervals=bootstrap.make_intervals(
      states, task.summarize, keys.make_rng(0, 'bootstrap', task.name)
    ),
    by_count={
      int(count): _summarize(task, wide, counts == count)
      for count in np.unique(counts)
      if count >= 0
    },
    states=states,
    painted=painted,
  )


class ConstantBaseline:
  """Scores the best answer that never looks, one for every metric.

  Args:
    task: what to ask.
    mesh: devices to spread the batches over.
  """

  def __init__(self, task: base.Task, mesh: jax.sharding.Mesh):
    self.task = task
    self._mesh = mesh

    def score(candidate, aux, valid):
      @rows.map_rows
      def score_rows(aux, valid):
        prediction = task.constant_prediction(candidate, aux)
        return task.score(prediction, aux, valid)

      return score_rows(aux, valid)

    self._score = jax.jit(
      sharding.shard_map_over_batch(score, mesh, shared=1),
      out_shardings=sharding.replicated_sharding(mesh),
    )

  def fit(self, batches: Iterable[dict]) -> dict[str, Any]:
    """The best candidate for each metric on training examples."""
    candidates = self.task.constants
    if not candidates:
      return {}
    tables = self._run(candidates, batches)
    best = {}
    for name, direction in self.task.metrics.items():
      sign = 1.0 if direction == 'max' else -1.0
      values = np.array([sign * table[name] for table in tables], np.float64)
      values = np.where(np.isnan(values), -np.inf, values)
      best[name] = candidates[int(np.argmax(values))]
    return best

  def run(
    self, constants: dict[str, Any], batches: Iterable[dict]
  ) -> dict[str, float]:
    """Every metric of its own constant from `fit`, on other examples."""
    if not constants:
      return {}
    tables = self._run(list(constants.values()), batches)
    return {name: table[name] for name, table in zip(constants, tables)}

  def _run(self, candidates, batches) -> list[dict[str, float]]:
    def start():
      for batch in batches:
        on_device = put_eval_batch(batch, self._mesh)
        for candidate in candidates:
          yield self._score(
            np.asarray(candidate), on_device['aux'], on_device['valid']
          )

    states = rows.fetch_states(start(), wait=rows.is_cpu(self._mesh))
    parts = [states[k :: len(candidates)] for k in range(len(candidates))]
    return [
      self.task.summarize(
        _sum(
          {name: np.concatenate([p[name] for p in part]) for name in part[0]}
        )
      )
      for part in parts
    ]


def _summarize(task, states, chosen) -> dict[str, float]:
  return task.summarize(_sum({k: v[chosen] for k, v in states.items()}))


def _sum(states: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  return {name: bootstrap.widen(state).sum(0) for name, state in states.items()}
