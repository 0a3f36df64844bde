"""What is painted from noise, watched while a model trains.

A few held-out pictures: sampling takes as many passes as it has steps.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from vbanana_jax import durations
from vbanana_jax.data import pairings
from vbanana_jax.evaluation import caption_exam, evaluators, held_out
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.tasks import base
from vbanana_jax.training import trained_folders

# An evaluator and its questions, padded alike.
Watched = tuple[evaluators.TaskEvaluator, list[dict[str, Any]]]


def build(
  config: Mapping[str, Any],
  tasks: Sequence[base.Task],
  model: Any,
  mesh: jax.sharding.Mesh,
) -> tuple[list[Watched], list[caption_exam.CaptionExam]]:
  """Evaluators with their questions, and exams of those that read captions.

  Args:
    config: see `configs/base.py`.
    tasks: of the mixture.
    model: the network.
    mesh: the devices.

  Raises:
    UserError: `config.eval.reader` is no network that can look.
  """
  settings, tasks = config['eval'], _choose_tasks(config, tasks)
  if not tasks:
    return [], []
  limit, level = settings['watch_sampled'], pairings.find_level(config)
  config = held_out.fit_batches(config, mesh, most=limit)
  paint = make_sample_fn(
    model,
    seed=config['seed'],
    steps=settings['sampled_steps'],
    method=settings['sampler'],
  )
  evaluations = [
    (
      evaluators.TaskEvaluator(task, paint, mesh),
      held_out.build_batches(config, task, level, limit),
    )
    for task in tasks
    if not task.claims
  ]
  painters = [task for task in tasks if task.claims and settings['reader']]
  if not painters:
    return evaluations, []
  reader = Predictor(trained_folders.find_run(pathlib.Path(settings['reader'])))
  exams = [
    caption_exam.CaptionExam(task, config, model, mesh, level, limit, reader)
    for task in painters
  ]
  return evaluations, exams


def _choose_tasks(config, tasks: Sequence[base.Task]) -> list[base.Task]:
  """Those that paint from noise and are learned from scenes, if watched.

  A network without its text encoder knows no words but those of its training.
  """
  settings = config['eval']
  if settings['every'] in durations.NEVER or settings['watch_sampled'] < 1:
    return []
  if config['model']['text_cache']:
    return []
  drawn = pairings.find_tasks(config, pairings.SCENES)
  return [task for task in tasks if not task.vision and task.name in drawn]
