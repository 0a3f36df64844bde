"""The best constant answers, which scores stand beside."""

import functools
from collections.abc import Callable, Collection
from typing import Any

from vbanana_jax import families
from vbanana_jax.data import sources
from vbanana_jax.evaluation import evaluators, held_out
from vbanana_jax.tasks import TASKS

_WORDING_SEED = 1


def make_constants(
  config, mesh, level: str, names: Collection[str]
) -> Callable[[Any, list[dict]], dict[str, float]]:
  """A function (task, held-out set batches) -> scores of the best constants.

  They are fitted on scenes of the training stream, once a task of `names`.
  """
  settings = config['eval']
  # One for all tasks, so that its scenes are rendered once.
  source = sources.SceneSource(
    level,
    config['seed'],
    config['image_size'],
    extras=sources.find_extras(*(TASKS[name].needs for name in names)),
  )

  @functools.cache
  def fit(task):
    evaluator = evaluators.ConstantBaseline(task, mesh)
    batches = held_out.make_eval_batches(
      task,
      source,
      range(settings['constant_scenes']),
      batch_size=settings['batch_size'],
      seed=_WORDING_SEED,
      max_text=config['model']['max_text'],
      tokenizer=families.load_tokenizer(config),
    )
    return evaluator, evaluator.fit(batches)

  def score(task, batches):
    evaluator, constants = fit(task)
    return evaluator.run(constants, batches)

  return score
