"""`vbanana evaluate`: every task on the held-out set, with EMA weights."""

import dataclasses
import functools
import hashlib
import pathlib
import time
from collections.abc import Callable, Collection
from typing import Any

import tqdm

from vbanana_jax import sharding
from vbanana_jax.data import pairings, sources
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import evaluators, gallery_file, held_out
from vbanana_jax.evaluation import results as tables
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.metrics import generation
from vbanana_jax.runtime import files, logs, processes
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import checkpoint, provenance, weights

_TRAIN_POSE_SEED = 1


@dataclasses.dataclass(frozen=True)
class EvalRun:
  """One way of asking one task.

  Attributes:
    task: name.
    steps: sampler steps; 0 is the one-pass answer.
    limit: number of held-out scenes.
  """

  task: str
  steps: int
  limit: int

  @property
  def name(self) -> str:
    """How results call it: the task, and the steps where it was sampled."""
    return f'{self.task}@{self.steps}' if self.steps else self.task


def make_eval_runs(config: dict[str, Any]) -> list[EvalRun]:
  """What is asked: every vision task in one pass, pictures by sampling."""
  settings = config['eval']
  eval_runs = [
    EvalRun(name, 0, settings['limit'])
    for name, task in TASKS.items()
    if task.vision
  ]
  eval_runs += [
    EvalRun(name, settings['vision_steps'], settings['limit'])
    for name, task in TASKS.items()
    if task.also_sampled
  ]
  eval_runs += [
    EvalRun(name, settings['sampled_steps'], settings['sampled_limit'])
    for name, task in TASKS.items()
    if not task.vision
  ]
  # What is asked of no scene is left out, and nothing is asked twice.
  return list(
    dict.fromkeys(eval_run for eval_run in eval_runs if eval_run.limit > 0)
  )


def fingerprint(run: pathlib.Path) -> str:
  """Tells one training of a workdir, scored by one state of the code.

  The losses stand for the weights: no other training has all their digits.
  """
  losses = hashlib.sha256((run / 'metrics.jsonl').read_bytes()).hexdigest()
  return (
    f'{losses[:16]} at step {checkpoint.newest_step(run)}, '
    f'scored at {provenance.get_git_state()["commit"]}'
  )


def evaluate(
  run: pathlib.Path,
  level: str | None = None,
  tasks: Collection[str] | None = None,
) -> dict[str, Any]:
  """Scores a trained workdir on the frozen held-out set.

  Args:
    run: workdir with checkpoints.
    level: of the held-out set; the one it was trained on if not given.
    tasks: by name; those that it learned from scenes if not given.

  Returns:
    `rows` (task, metric, value, interval, constant, n), `by_count`,
    `untrained`, the tasks that the run never learned, `elsewhere`, those that
    it learned from other pictures than scenes alone, and `seconds`; the
    gallery's arrays are under `gallery`.

  Raises:
    UserError: the run's settings ask nothing of these tasks, or it learned
      none from scenes.
  """
  began = time.perf_counter()
  config, model, params, mesh = weights.load_run(run)
  level = level or pairings.find_level(config)
  # No score depends on how the scenes are cut into batches.
  rows = sharding.round_up_rows(config['eval']['batch_size'], mesh)
  settings = {**config['eval'], 'batch_size': rows}
  config = {**config, 'eval': settings}
  trained = weights.find_trained_tasks(config)
  drawn = weights.find_trained_tasks(config, pairings.SCENES)
  asked = _choose_tasks(run, trained, drawn, tasks)
  eval_set_name = held_out.name_eval_set(
    level, limit=settings['limit'], size=config['image_size']
  )
  rows, by_count, gallery = [], {}, {}
  eval_runs = [each for each in make_eval_runs(config) if each.task in asked]
  missing = set(asked) - {eval_run.task for eval_run in eval_runs}
  if missing and (tasks is not None or not eval_runs):
    raise UserError(
      f'{run} was trained with config.eval.limit {settings["limit"]} and '
      f'sampled_limit {settings["sampled_limit"]}, which ask nothing of '
      f'{", ".join(sorted(missing))}: choose other --tasks'
    )
  scored = {eval_run.task for eval_run in eval_runs}
  constants = make_constants(config, mesh, level, scored)
  bar = tqdm.tqdm(
    eval_runs,
    desc='evaluate',
    unit='task',
    mininterval=0.5,
    disable=not processes.is_first(),
  )
  for eval_run in bar:
    bar.set_postfix_str(eval_run.name)
    task = TASKS[eval_run.task]
    batches = held_out.build_eval_set(config, task, level, eval_run.limit)
    paint = make_sample_fn(
      model,
      seed=config['seed'],
      steps=eval_run.steps,
      method=settings['sampler'],
    )
    scores = evaluators.TaskEvaluator(task, paint, mesh).run(params, batches)
    rows += make_rows(eval_run, scores, constants(task, batches))
    by_count[eval_run.name] = {
      count: {name: logs.to_number(value) for name, value in metrics.items()}
      for count, metrics in scores.by_count.items()
    }
    gallery[eval_run.name] = gallery_file.make_gallery(
      batches[0], scores.painted, config['eval']['gallery']
    )
  return {
    'level': level,
    'eval_set': eval_set_name,
    'rows': rows,
    'by_count': by_count,
    'untrained': [name for name in TASKS if name not in trained],
    'elsewhere': [
      name for name in TASKS if name in trained and name not in drawn
    ],
    'seconds': time.perf_counter() - began,
    'gallery': gallery,
  }


def _choose_tasks(
  run: pathlib.Path,
  trained: Collection[str],
  drawn: Collection[str],
  tasks: Collection[str] | None,
) -> Collection[str]:
  """Tasks to ask about scenes: those given, or those learned from them."""
  if tasks is None and not drawn:
    raise UserError(
      f'{run} learned nothing from scenes, which the held-out set is of: '
      f'score {", ".join(sorted(trained))} with config.eval.protocols while '
      'training, or with vbanana predict --protocol; --tasks asks about scenes '
      'all the same'
    )
  return drawn if tasks is None else tasks


def write_results(
  workdir: pathlib.Path,
  run: pathlib.Path,
  level: str | None = None,
  *,
  tasks: Collection[str] | None = None,
  out: pathlib.Path | None = None,
  overwrite: bool = False,
) -> dict[str, Any]:
  """Scores `run`, prints the table, writes results.json.

  The folder is `out`, or `workdir` if that is not given.

  Scores on another level than the run's own, or of chosen `tasks`, go into a
  file named after these. Weights that are scored already are not scored again,
  and scores of another run in `out` are replaced with `overwrite` alone.
  """
  config = logs.load_run(run)['config']
  own_level = pairings.find_level(config)
  level = level or own_level
  named = [] if level == own_level else [level]
  named += [name for name in TASKS if tasks is not None and name in tasks]
  suffix = ''.join(f'_{name}' for name in named)
  out = out or workdir
  path = out / f'results{suffix}.json'
  weights = fingerprint(run)
  results = tables.load_results(path) if path.exists() else {}
  processes.check_agree(
    {
      'config of the run': config,
      '--level': level,
      '--tasks': sorted(tasks or ()),
      'versions of packages': provenance.get_package_versions(),
      'weights and losses of the run': weights,
      f'the weights that {path.name} is of': results.get('weights'),
    }
  )
  if results.get('weights') == weights:
    processes.print_from_first(tables.make_table(results))
    processes.print_from_first(
      f'\n{path}: scored already; remove it to score again'
    )
    return results
  if processes.is_first():
    files.check_folder(out)
    if out != workdir and not overwrite:
      files.check_free(path, {'run': str(run)}, ())
  found = evaluate(run, level, tasks)
  gallery = found.pop('gallery')
  phases = tables.load_phases(workdir, run)
  seconds = sum(phase['seconds'] for phase in phases.values())
  results = {
    **found,
    'run': str(run),
    'weights': weights,
    'phases': phases,
    'seconds_train_eval': seconds + found['seconds'],
    'config': config,
    'versions': provenance.get_versions(),
    'git': provenance.get_git_state(),
    'prompts': {
      eval_run: [example['prompt'] for example in examples]
      for eval_run, examples in gallery.items()
    },
  }
  # Whatever goes wrong from here on.
  processes.print_from_first(tables.make_table(results))
  if processes.is_first():
    gallery_file.save_gallery(out / f'gallery{suffix}.npz', gallery)
  logs.save_json(path, results)
  return results


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
      seed=_TRAIN_POSE_SEED,
      max_text=config['model']['max_text'],
    )
    return evaluator, evaluator.fit(batches)

  def score(task, batches):
    evaluator, constants = fit(task)
    return evaluator.run(constants, batches)

  return score


def make_rows(
  eval_run: EvalRun, scores: evaluators.Scores, constants: dict[str, float]
) -> list[dict[str, Any]]:
  """One row a metric, as results.json keeps them; NaN becomes null.

  Metrics of sets of pictures need every picture's features, and have no
  interval: drawing one picture twice would spoil its neighbors.
  """
  task = TASKS[eval_run.task]
  metrics, none = dict(scores.metrics), (None, None)
  if 'painted_features' in scores.states:
    of_sets = generation.compare_features(
      scores.states['real_features'],
      scores.states['painted_features'],
      space='random_conv',
    )
    metrics = {**of_sets, **metrics}
  return [
    {
      'task': eval_run.name,
      'metric': name,
      'value': logs.to_number(value),
      'interval': [logs.to_number(x) for x in scores.intervals.get(name, none)],
      'constant': logs.to_number(constants.get(name)),
      'better': task.metrics.get(name),
      'n': scores.n,
    }
    for name, value in metrics.items()
  ]
