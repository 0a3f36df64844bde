"""report.html of a scored run: scores, curves and answers."""

import pathlib
from typing import Any

from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import gallery_file, retention
from vbanana_jax.evaluation import results as results_file
from vbanana_jax.inference import outputs
from vbanana_jax.report import answers, charts, page
from vbanana_jax.runtime import files, logs
from vbanana_jax.tasks import TASKS, base

# Titles of charts -> keys of metrics.jsonl, with what the legend calls them.
_OPTIMIZER_CURVES = {
  'learning rate': (
    ('learning_rate', "Muon's matrices"),
    ('adam_learning_rate', 'AdamW'),
  ),
  'norms': (
    ('gradient_norm', 'gradient, before clipping'),
    ('parameter_norm', 'parameters'),
    ('update_norm', 'update'),
  ),
}


def write_report(workdir: pathlib.Path) -> pathlib.Path:
  """report.html of a workdir that holds results.json."""
  path = workdir / 'results.json'
  if not path.exists():
    raise UserError(
      f'{workdir} has no results.json: run vbanana evaluate --workdir '
      f'{workdir} first'
    )
  files.check_folder(workdir)
  results = results_file.load_results(path)
  try:
    gallery = gallery_file.load_gallery(
      workdir / 'gallery.npz', results['prompts']
    )
  except gallery_file.BAD_GALLERY as error:
    raise UserError(
      f'{workdir / "gallery.npz"}: missing, damaged, or not of the results '
      f'beside it ({error!r}): remove {path.name} and evaluate again'
    ) from error
  rows, distances = make_rows(results['rows'])
  seconds = {k: v['seconds'] for k, v in results['phases'].items()}
  kept, told = make_kept_rows(workdir)
  return page.write_report(
    workdir / 'report.html',
    page.Report(
      title=f'{workdir.name}: {results["eval_set"]}, level {results["level"]}',
      summary='One set of weights answers every task below. Scores are of '
      'averaged weights on scenes never trained on, beside the best constant '
      'answer; @k marks answers sampled in k steps. '
      f'{results_file.describe_scores(results)}',
      rows=rows,
      seconds={**seconds, 'evaluate': results['seconds']},
      spent={
        k: results_file.describe_data(v) for k, v in results['phases'].items()
      },
      curves=make_curves(workdir, results['rows']),
      galleries={
        trial: [
          _make_example(results_file.get_task(trial), example)
          for example in examples
        ]
        for trial, examples in gallery.items()
      }
      | kept,
      notes={name: task.note for name, task in TASKS.items()} | told,
      by_count=make_count_table(results['by_count']),
      obedience=make_obedience_table(results.get('obedience', {})),
      color_distance=distances,
      config=results['config'],
      versions=results['versions'],
    ),
  )


def make_rows(
  rows: list[dict[str, Any]],
) -> tuple[list[page.Row], dict[str, dict[str, float]]]:
  """Rows of the table, and apart from them the distances of colors by task."""
  distances: dict[str, dict[str, float]] = {}
  made = []
  for row in rows:
    if row['value'] is None:
      continue
    if row['metric'] == 'color_distance':
      distances[row['task']] = {'mean, 8-bit levels': row['value']}
      continue
    made.append(
      page.Row(
        task=row['task'],
        metric=row['metric'],
        value=row['value'],
        constant=row['constant'],
        n=row['n'],
        better=row['better'],
        interval=None if None in row['interval'] else tuple(row['interval']),
      )
    )
  return made, distances


def make_count_table(
  by_count: dict[str, dict[str, dict[str, float | None]]],
) -> dict[str, dict[str, float]]:
  """Headline scores of every task by number of objects, NaN left out."""
  table = {}
  for trial, found in by_count.items():
    metric = results_file.get_headline(trial)
    table[f'{trial} {metric}'] = {
      str(count): scores[metric]
      for count, scores in found.items()
      if scores[metric] is not None
    }
  return table


def make_obedience_table(
  obeyed: dict[str, list[dict[str, Any]]],
) -> dict[str, dict[str, float]]:
  """Shares of the facts of captions by kind, NaN left out."""
  columns = ('asked', 'floor', 'held', 'ceiling', 'reached')
  return {
    f'{trial} {row["kind"]}': {
      name: row[name] for name in columns if row[name] is not None
    }
    for trial, rows in obeyed.items()
    for row in rows
  }


def make_curves(
  workdir: pathlib.Path, rows: list[dict[str, Any]]
) -> list[charts.Chart]:
  """Loss and scores by task, what the optimizer does, and speed of each phase.

  Args:
    workdir: of the phases, or a phase's own.
    rows: of results.json, for the constant answer beside a score.
  """
  constants = {
    f'{row["task"]}/{row["metric"]}': row['constant']
    for row in rows
    if row['constant'] is not None
  }
  curves = []
  for phase in (*results_file.PHASES, ''):
    path = workdir / phase / 'metrics.jsonl'
    metrics = logs.load_metrics(path)
    if not metrics:
      continue
    series = charts.make_curves(metrics)
    losses = {
      name.removeprefix('loss/'): points
      for name, points in series.items()
      if name.startswith('loss/')
    }
    name = phase or workdir.name
    curves.append(charts.Chart(f'{name}: loss by task', losses, log_y=True))
    scores = logs.load_metrics(path.with_name('scores.jsonl'))
    curves += make_score_curves(name, charts.make_curves(scores), constants)
    for title, keys in _OPTIMIZER_CURVES.items():
      found = {label: series[key] for key, label in keys if key in series}
      if found:
        curves.append(charts.Chart(f'{name}: {title}', found, log_y=True))
    rate = {'images/s': series['images_per_second']}
    curves.append(charts.Chart(f'{name}: speed', rate))
  return curves


def make_kept_rows(
  workdir: pathlib.Path,
) -> tuple[dict[str, list[page.Example]], dict[str, str]]:
  """What the base painted beside what became of it, and numbers, by title."""
  shown, told = {}, {}
  for phase in (*results_file.PHASES, ''):
    kept = retention.load_kept(workdir / phase)
    if kept is None:
      continue
    title = f'retention {phase}'.strip()
    after = f'step {int(kept.step)}'
    shown[title] = [
      page.Example(str(prompt), {'base': before, after: now})
      for prompt, before, now in zip(kept.prompts, kept.before, kept.after)
    ]
    told[title] = (
      'Painted by the weights that training began from, and by the averaged '
      f'ones of {after}, from the same noise. Mean distance of a color, of 1: '
      f"{retention.find_distance(kept):.3g}. Loss on the base's pictures: "
      f'{float(kept.loss):.4g} of the base, {float(kept.loss_after):.4g} now.'
    )
  return shown, told


def make_score_curves(
  phase: str, series: dict[str, charts.Series], constants: dict[str, float]
) -> list[charts.Chart]:
  """A chart for the headline metric of every task that was watched.

  Args:
    phase: what the titles begin with.
    series: scores by 'task/metric'.
    constants: of the best constant answer, likewise.
  """
  curves = []
  for task in TASKS.values():
    metric, better = next(iter(task.metrics.items()))
    key = f'{task.name}/{metric}'
    if key in series:
      title = f'{phase}: {task.name} {metric} {page.ARROW[better]}'
      watched = {'first held-out scenes': series[key]}
      levels = {}
      if key in constants:
        levels = {'best constant, all held-out scenes': constants[key]}
      curves.append(charts.Chart(title, watched, levels=levels))
    obeyed = f'{task.name}/obedience'
    if obeyed in series:
      title = f'{phase}: {task.name} obedience {page.ARROW["max"]}'
      curves.append(charts.Chart(title, {'first captions': series[obeyed]}))
  for key in (retention.DISTANCE, retention.LOSS):
    if key in series:
      curves.append(charts.Chart(f'{phase}: {key} ↓', {'now': series[key]}))
  return curves


def _make_example(task: base.Task, example: dict[str, Any]) -> page.Example:
  aux = example['aux']
  prediction = truth = None
  if task.value is not None:
    prediction = outputs.decode(task, example['painted'], aux)
    truth = outputs.decode(task, example['target'], aux)
  return answers.make_example(task, example, prediction, truth)
