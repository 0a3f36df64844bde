"""Scores while a model trains: averaged weights on a few held-out scenes.

Nothing is chosen by these scores and nothing random is drawn, so a run that
is watched ends in the same weights as one that is not.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vbanana_jax import durations
from vbanana_jax.data import pairings, text_states
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import (
  caption_exam,
  evaluators,
  held_out,
  protocol_eval,
  retention,
)
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.runtime import logs, paths, processes
from vbanana_jax.tasks import base
from vbanana_jax.training import weights
from vbanana_jax.training.state import TrainState

_SHOWN = 4  # scenes a picture

# An evaluator and its questions, padded alike.
Watched = tuple[evaluators.TaskEvaluator, list[dict[str, Any]]]


class Found(NamedTuple):
  """What was found once.

  Attributes:
    scores: 'task/metric' -> score, headline first; None where it is no number.
    pictures: by task, `[h, w, 3]` in [0, 1]: scenes below each other, with the
      photo, the painted answer and the true one beside each other.
  """

  scores: dict[str, float | None]
  pictures: dict[str, np.ndarray]


class PeriodicEval:
  """Scores of averaged weights, one pass, every so many steps.

  Args:
    evaluations: evaluators, each with its questions.
    every: how often, in steps.
    protocol_evals: benchmarks that are scored as well.
    told: gives memories of the questions to a network that makes none.
    kept: compares with the weights that the run began from, if any.
    exams: of tasks that paint from captions.
  """

  def __init__(
    self,
    evaluations: Sequence[Watched],
    every: int,
    protocol_evals: Sequence[protocol_eval.ProtocolEval] = (),
    told: text_states.TextStates | None = None,
    kept: retention.Retention | None = None,
    exams: Sequence[caption_exam.CaptionExam] = (),
  ):
    self.every = every
    self.evaluations = tuple(evaluations)
    self.protocol_evals = tuple(protocol_evals)
    self._told = told
    self._kept = kept
    self._exams = tuple(exams)

  def begin(self, state: TrainState) -> None:
    """Compiles, so that `run` only runs; the base paints before step 1."""
    for evaluator, batches in self.evaluations:
      evaluator.compile(state.ema_weights, self._tell(batches[0]))
    for exam in self._exams:
      exam.begin(state.ema_weights)
    if self._kept:
      self._kept.begin(state)

  def run(self, state: TrainState) -> Found:
    """Scores and pictures of the averaged weights."""
    scores, pictures = {}, {}
    for evaluator, batches in self.evaluations:
      questions = map(self._tell, batches)
      found, painted = evaluator.measure(state.ema_weights, questions)
      task = evaluator.task
      for metric in task.metrics:
        scores[f'{task.name}/{metric}'] = logs.to_number(found[metric])
      pictures[task.name] = make_picture(batches[0], painted)
    for exam in self._exams:
      scores |= caption_exam.make_scores(exam.task, exam.run(state.ema_weights))
    for each in self.protocol_evals:
      scores |= each.run(state.ema_weights)
    if self._kept:
      found, beside = self._kept.run(state)
      scores |= found
      pictures |= {'retention': beside} if found else {}
    return Found(scores, pictures)

  def _tell(self, batch: dict[str, Any]) -> dict[str, Any]:
    if self._told is None:
      return batch
    memory = np.stack([self._told.load(text) for text in batch['prompt']])
    return {**batch, 'memory': memory}


def build_periodic_eval(
  config: Mapping[str, Any],
  tasks: Sequence[base.Task],
  model: Any,
  mesh: jax.sharding.Mesh,
  total_steps: int,
  workdir: paths.Path,
  told: text_states.TextStates | None = None,
) -> PeriodicEval | None:
  """A watch over vision tasks learned from scenes, benchmarks and the base.

  Without `eval.every` benchmarks and the base alone are asked, after the last
  step. None where nothing is to be scored.

  Args:
    config: see `configs/base.py`.
    tasks: of the mixture.
    model: the network.
    mesh: the devices.
    total_steps: of the run.
    workdir: of the run.
    told: memories of instructions, for a network that makes none.

  Raises:
    UserError: for a mistake in the config's `eval` section.
  """
  settings = config['eval']
  vision = [task for task in tasks if task.vision]
  exams = caption_exam.build_watched(config, tasks, model, mesh)
  tasks = _choose_tasks(config, tasks)
  benchmarks = protocol_eval.parse_protocols(settings['protocols'])
  every = settings['every']
  if every in durations.NEVER:
    every = '100 percent'
    _say_scored_last(benchmarks)
  elif not benchmarks:
    _say_unwatched([task.name for task in vision if task not in tasks])
  kept = retention.build_retention(config, model, mesh, workdir)
  if not (tasks or exams or benchmarks or kept):
    return None
  config = held_out.fit_batches(config, mesh)
  every = durations.to_steps(
    every, batch_size=config['batch_size'], total_steps=total_steps
  )
  return PeriodicEval(
    _build_watched(config, tasks, model, mesh),
    every,
    _build_protocol_evals(config, benchmarks, model, mesh),
    told,
    kept,
    exams,
  )


def list_prompts(
  config: Mapping[str, Any], tasks: Sequence[base.Task]
) -> list[str]:
  """Instructions of the scenes that a training is watched on.

  Args:
    config: see `configs/base.py`.
    tasks: of the mixture.
  """
  return [
    prompt
    for task in _choose_tasks(config, tasks)
    for batch in _build_questions(config, task)
    for prompt in batch['prompt']
  ]


def _choose_tasks(config, tasks: Sequence[base.Task]) -> list[base.Task]:
  """Vision tasks that are learned from scenes, if any are watched.

  Raises:
    UserError: no scene is.
  """
  settings = config['eval']
  if settings['every'] in durations.NEVER:
    return []
  drawn = pairings.find_tasks(config, pairings.SCENES)
  chosen = [task for task in tasks if task.vision and task.name in drawn]
  if chosen and settings['watch'] < 1:
    raise UserError(
      f'config.eval.watch is {settings["watch"]}: score at least one scene, '
      'or set config.eval.every=0 to score none'
    )
  return chosen


def _build_watched(config, tasks, model, mesh) -> list[Watched]:
  """Of each task an evaluator of one-pass answers, and its questions."""
  paint = make_sample_fn(model, seed=config['seed'], steps=0)
  return [
    (
      evaluators.TaskEvaluator(task, paint, mesh),
      _build_questions(config, task),
    )
    for task in tasks
  ]


def _build_questions(config, task: base.Task) -> list[dict[str, Any]]:
  level = pairings.find_level(config)
  return held_out.build_batches(config, task, level, config['eval']['watch'])


def _build_protocol_evals(
  config, benchmarks, model, mesh
) -> list[protocol_eval.ProtocolEval]:
  """One for each (protocol, folder) of `config.eval.protocols`."""
  if benchmarks and config['model']['text_cache']:
    raise UserError(
      'config.eval.protocols asks what config.model.text_cache has not: leave '
      'it empty, and score benchmarks afterwards with vbanana predict '
      '--protocol'
    )
  predictor = Predictor(
    pathlib.Path('.'), weights.LoadedRun(dict(config), model, None, mesh)
  )
  limit = config['eval']['protocol_examples']
  return [
    protocol_eval.ProtocolEval(
      predictor, protocol, protocol_eval.open_examples(protocol, folder, limit)
    )
    for protocol, folder in benchmarks
  ]


def _say_scored_last(benchmarks) -> None:
  if benchmarks:
    names = ', '.join(protocol.label for protocol, _ in benchmarks)
    processes.log(
      f'{names}: scored after the last step alone, as config.eval.every is '
      'empty'
    )


def _say_unwatched(names: Sequence[str]) -> None:
  if names:
    processes.log(
      f'{", ".join(names)}: learned from no scenes, and so not scored while '
      'training; config.eval.protocols can name a benchmark'
    )


def make_picture(batch: Mapping[str, Any], painted: np.ndarray) -> np.ndarray:
  """The first scenes of a batch as one picture; see `Found`."""
  rows = np.flatnonzero(batch['valid'])[:_SHOWN]
  beside = [batch['source'][rows], painted[rows], batch['target'][rows]]
  return np.concatenate(np.concatenate(beside, axis=2), axis=0)


def describe(scores: Mapping[str, float | None]) -> str:
  """The headline of every task in one line, for a terminal."""
  headlines: dict[str, str] = {}
  for name, value in scores.items():
    text = '-' if value is None else f'{value:.3g}'
    headlines.setdefault(name.partition('/')[0], f'{name} {text}')
  return ', '.join(headlines.values())
