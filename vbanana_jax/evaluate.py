"""`vbanana evaluate`: every task on the held-out set, with EMA weights."""

import dataclasses
import pathlib
import time
from collections.abc import Collection, Iterator
from typing import Any

import tqdm

from vbanana_jax.data import pairings
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import (
  caption_exam,
  constants,
  evaluators,
  example_scores,
  gallery_file,
  held_out,
  picture_sets,
)
from vbanana_jax.evaluation import results as tables
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.runtime import files, logs, processes
from vbanana_jax.tasks import TASKS
from vbanana_jax.training import provenance, trained_folders, weights


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
  # What is asked of no scene is left out, and with vision_steps of 0 the same
  # one-pass answer is not asked for twice.
  return list(
    dict.fromkeys(eval_run for eval_run in eval_runs if eval_run.limit > 0)
  )


def fingerprint(run: pathlib.Path, reader: pathlib.Path | None = None) -> str:
  """Tells one training of a workdir, scored by one state of the code."""
  git = provenance.get_git_state()
  changes = (
    f' changed by {git["difference"][:16]}' if 'difference' in git else ''
  )
  identify = trained_folders.identify
  read = f' read by {identify(reader)},' if reader else ''
  return f'{identify(run)},{read} scored at {git["commit"]}{changes}'


def evaluate(
  run: pathlib.Path,
  level: str | None = None,
  tasks: Collection[str] | None = None,
  reader: pathlib.Path | None = None,
) -> dict[str, Any]:
  """Scores a trained workdir on the frozen held-out set.

  Args:
    run: workdir with checkpoints, or an export.
    level: of the held-out set; the one it was trained on if not given.
    tasks: by name; those that it learned from scenes if not given.
    reader: a network that looks for the facts of captions, of the workdir or
      the folder; none if not given.

  Returns:
    `rows` (task, metric, value, interval, constant, n), `by_count`, `obedience`
    (by task; {} without a reader), `untrained`, tasks that it never learned,
    `elsewhere`, those that it learned from other pictures than scenes alone,
    `seconds`, and for files of their own `gallery` and `states`.

  Raises:
    UserError: nothing is asked of these tasks, or none is learned from scenes.
  """
  began = time.perf_counter()
  loaded = weights.load_run(run)
  mesh, config = loaded.mesh, held_out.fit_batches(loaded.config, loaded.mesh)
  loaded = loaded._replace(config=config)
  level, settings = level or pairings.find_level(config), config['eval']
  shown = settings['gallery']
  eval_runs = choose_eval_runs(run, config, tasks)
  scored = {each.task for each in eval_runs}
  score_constants = constants.make_constants(config, mesh, level, scored)
  rows, by_count, gallery, obeyed, states = [], {}, {}, {}, {}
  for eval_run in _show_progress(eval_runs):
    name, task = eval_run.name, TASKS[eval_run.task]
    batches = held_out.build_batches(config, task, level, eval_run.limit)
    scores, distances = _score(eval_run, loaded, batches)
    best = score_constants(task, batches)
    rows += tables.make_rows(name, scores, best, distances)
    by_count[name] = tables.make_count_table(scores)
    states[name] = scores.states
    gallery[name] = gallery_file.make_gallery(batches[0], scores.painted, shown)
    if task.claims and reader:
      seen = caption_exam.examine(task, loaded, level, eval_run.limit, reader)
      obeyed[name], gallery[name] = caption_exam.make_rows(seen), seen.shown
  return {
    'obedience': obeyed,
    'level': level,
    'eval_set': held_out.describe_eval_set(
      level, limit=settings['limit'], size=config['image_size']
    ),
    'rows': rows + tables.make_obedience_rows(obeyed),
    'by_count': by_count,
    **_name_unlearned(config),
    'seconds': time.perf_counter() - began,
    'gallery': gallery,
    'states': states,
  }


def _score(
  eval_run: EvalRun, loaded: weights.LoadedRun, batches: list[dict]
) -> tuple[evaluators.Scores, picture_sets.Distances]:
  """Paints and scores; and compares the sets, where the pictures are sets."""
  config, model, params, mesh = loaded
  task = TASKS[eval_run.task]
  paint = make_sample_fn(
    model,
    seed=config['seed'],
    steps=eval_run.steps,
    method=config['eval']['sampler'],
  )
  sets = picture_sets.HeldOutSets(task, eval_run.limit, mesh)
  evaluator = evaluators.TaskEvaluator(task, paint, mesh)
  return evaluator.run(params, batches, sets.look), sets.measure()


def _show_progress(eval_runs: list[EvalRun]) -> Iterator[EvalRun]:
  bar = tqdm.tqdm(
    eval_runs,
    desc='evaluate',
    unit='task',
    mininterval=0.5,
    disable=not processes.is_first(),
  )
  for eval_run in bar:
    bar.set_postfix_str(eval_run.name)
    yield eval_run


def choose_eval_runs(
  run: pathlib.Path, config: dict[str, Any], tasks: Collection[str] | None
) -> list[EvalRun]:
  """Those of `make_eval_runs` that are about `tasks`; see `evaluate`.

  Raises:
    UserError: the config asks nothing of one of them, or none is left.
  """
  learned = weights.find_trained_tasks(config, pairings.SCENES)
  asked = learned if tasks is None else tasks
  if tasks is None and not learned:
    trained = weights.find_trained_tasks(config)
    raise UserError(
      f'{run} learned nothing from scenes, which the held-out set is of: '
      f'score {", ".join(sorted(trained))} with config.eval.protocols while '
      'training, or with vbanana predict --protocol; --tasks asks about scenes '
      'all the same'
    )
  eval_runs = [each for each in make_eval_runs(config) if each.task in asked]
  missing = set(asked) - {eval_run.task for eval_run in eval_runs}
  if missing and (tasks is not None or not eval_runs):
    settings = config['eval']
    raise UserError(
      f'{run} was trained with config.eval.limit {settings["limit"]} and '
      f'sampled_limit {settings["sampled_limit"]}, which ask nothing of '
      f'{", ".join(sorted(missing))}: choose other --tasks'
    )
  return eval_runs


def _name_unlearned(config: dict[str, Any]) -> dict[str, list[str]]:
  """`untrained` and `elsewhere` of `evaluate`."""
  trained = weights.find_trained_tasks(config)
  drawn = weights.find_trained_tasks(config, pairings.SCENES)
  return {
    'untrained': [name for name in TASKS if name not in trained],
    'elsewhere': [
      name for name in TASKS if name in trained and name not in drawn
    ],
  }


def evaluate_and_save(
  workdir: pathlib.Path,
  run: pathlib.Path,
  level: str | None = None,
  *,
  tasks: Collection[str] | None = None,
  reader: pathlib.Path | None = None,
  out: pathlib.Path | None = None,
  overwrite: bool = False,
) -> dict[str, Any]:
  """Scores `run`, prints the table, saves results.json (`out` or `workdir`).

  Scores of another level or of chosen `tasks` go into a file named after these.
  What is scored already is not scored again; scores of another run in `out` are
  replaced with `overwrite` alone.
  """
  config = provenance.load_run_json(run)['config']
  level = level or pairings.find_level(config)
  suffix = _name_choice(config, level, tasks)
  path = (out := out or workdir) / f'results{suffix}.json'
  weights = fingerprint(run, reader)
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
    told = f'{path}: scored already; remove it to score again'
    processes.print_from_first(f'{tables.make_table(results)}\n\n{told}')
    return results
  if processes.is_first():
    files.check_folder(out)
    if out != workdir and not overwrite:
      files.check_free(path, {'run': str(run)}, ())
  found = evaluate(run, level, tasks, reader)
  gallery, states = found.pop('gallery'), found.pop('states')
  phases = tables.load_phases(workdir, run)
  results = {
    **found,
    'run': str(run),
    'weights': weights,
    'phases': phases,
    'seconds_train_eval': sum(x['seconds'] for x in (found, *phases.values())),
    'config': config,
    **provenance.get_code(),
    'prompts': gallery_file.list_prompts(gallery),
  }
  try:  # a full disk loses no table, and a reader who left (`| head`) no file
    processes.print_from_first(tables.make_table(results))
  finally:
    if processes.is_first():
      _save_arrays(out, suffix, gallery, states)
    logs.save_json(path, results)
  return results


def _save_arrays(out, suffix, gallery, states) -> None:
  """The files beside results.json; it comes last and tells they are there."""
  gallery_file.save_gallery(out / f'gallery{suffix}.npz', gallery)
  example_scores.save_states(out / f'example_scores{suffix}.npz', states)


def _name_choice(
  config: dict[str, Any], level: str, tasks: Collection[str] | None
) -> str:
  """What names of files end in where not all is scored as it was learned."""
  named = [] if level == pairings.find_level(config) else [level]
  named += [name for name in TASKS if tasks is not None and name in tasks]
  return ''.join(f'_{name}' for name in named)
