"""Scores while a model trains: averaged weights on a few scenes of the exam.

Nothing is chosen by these scores and nothing random is drawn, so a run that
is watched ends in the same weights as one that is not.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from vbanana_jax import durations, evaluators, sharding
from vbanana_jax.data import build
from vbanana_jax.state import TrainState
from vbanana_jax.step import make_painter
from vbanana_jax.tasks import base

_NEVER = ('', '0')


class Watch:
  """One task's scores of averaged weights, every so many steps.

  Args:
    evaluator: of the task, asked for one-pass answers.
    batches: the questions, padded alike.
    every: how often, in steps.
  """

  def __init__(
    self,
    evaluator: evaluators.TaskEvaluator,
    batches: Sequence[dict[str, Any]],
    every: int,
  ):
    self.name = evaluator.task.name
    self.every = every
    self._evaluator = evaluator
    self._batches = batches

  def compile(self, state: TrainState) -> None:
    """Compiles, so that `run` only runs."""
    self._evaluator.compile(state.ema_params, self._batches[0])

  def run(self, state: TrainState) -> dict[str, float]:
    """The task's metrics by name, headline first."""
    found = self._evaluator.measure(state.ema_params, self._batches)
    return {name: found[name] for name in self._evaluator.task.metrics}


def build_watches(
  config: Mapping[str, Any],
  tasks: Sequence[base.Task],
  model: Any,
  mesh: jax.sharding.Mesh,
  total_steps: int,
) -> list[Watch]:
  """A watch for every vision task of a mixture; none without `eval.every`."""
  settings = config['eval']
  tasks = [task for task in tasks if task.vision]
  if settings['every'] in _NEVER or not tasks:
    return []
  sharding.check_batch_size(
    'config.eval.batch_size', settings['batch_size'], mesh
  )
  every = durations.to_steps(
    settings['every'],
    batch_size=config['batch_size'],
    total_steps=total_steps,
  )
  paint = make_painter(model, seed=config['seed'], steps=0)
  level = config['data']['level']
  return [
    Watch(
      evaluators.TaskEvaluator(task, paint, mesh),
      list(build.build_exam(config, task, level, settings['watch'])),
      every,
    )
    for task in tasks
  ]


def run_all(
  watches: Sequence[Watch], state: TrainState
) -> dict[str, float | None]:
  """'task/metric' -> score; None where it is not a number."""
  return {
    f'{watch.name}/{metric}': value if math.isfinite(value) else None
    for watch in watches
    for metric, value in watch.run(state).items()
  }


def describe(scores: Mapping[str, float | None]) -> str:
  """The headline of every task in one line, for a terminal."""
  headlines: dict[str, str] = {}
  for name, value in scores.items():
    text = '-' if value is None else f'{value:.3g}'
    headlines.setdefault(name.partition('/')[0], f'{name} {text}')
  return ', '.join(headlines.values())
