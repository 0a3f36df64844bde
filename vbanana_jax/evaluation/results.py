"""From a scored run to results.json, the printed table and report.html."""

import pathlib
from typing import Any

from vbanana_jax.data import build, pairings, scene_cost
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import gallery_file
from vbanana_jax.inference import outputs
from vbanana_jax.report import answers, charts, page
from vbanana_jax.runtime import files, logs
from vbanana_jax.tasks import TASKS, base

_NEEDED = {
  'rows', 'by_count', 'phases', 'seconds', 'seconds_train_eval', 'config',
  'versions', 'prompts', 'eval_set', 'level', 'untrained', 'elsewhere',
  'weights',
}  # fmt: skip
PHASES = ('pretrain', 'tune')

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


def _describe_scores(results: dict[str, Any]) -> str:
  """What the intervals are, and what is not in the table."""
  text = (
    'Intervals are over these examples; another training can differ by more.'
  )
  config = results['config']
  real = {
    pairing.source
    for pairing in pairings.list_pairings(config)
    if config['sources'][pairing.source]['kind'] != pairings.SCENES
  }
  if real:
    text += (
      ' All scores are of drawn scenes, and none of the pictures of '
      f'{", ".join(sorted(real))} that this run learned from too.'
    )
  scored = {_get_task(row['task']).name for row in results['rows']}
  never = 'this run never trained on them'
  other = (
    'this run learned them from other pictures than scenes (score them with '
    'config.eval.protocols, or vbanana predict --protocol)'
  )
  for key, why in (('untrained', never), ('elsewhere', other)):
    for start, names in (
      ('Not scored, since', [x for x in results[key] if x not in scored]),
      ('Scored though', [x for x in results[key] if x in scored]),
    ):
      if names:
        text += f' {start} {why}: {", ".join(names)}.'
  return text


def load_phases(
  workdir: pathlib.Path, final: pathlib.Path
) -> dict[str, dict[str, float]]:
  """Steps and seconds of each training phase, from its metrics.jsonl.

  Of a run in one process on a CPU, `drawing_cpu_seconds` are measured now:
  those of as many scenes, drawn with nothing beside them.
  """
  folders = [workdir / phase for phase in PHASES if (workdir / phase).is_dir()]
  phases = {}
  for folder in folders or [final]:
    rows = logs.load_metrics(folder / 'metrics.jsonl')
    if rows:
      names = ('step', 'seconds', 'cpu_seconds', 'waited', 'compile_seconds')
      phase = {name: rows[-1][name] for name in names}
      run = logs.load_run(folder)
      config, topology = run['config'], run.get('topology', {})
      if (topology.get('device'), topology.get('processes')) == ('cpu', 1):
        phase['drawing_cpu_seconds'] = sum(
          phase['step']
          * config['batch_size']
          * share
          * scene_cost.measure_scene(level, config['image_size'])
          for level, share in build.count_renderings(config).items()
        )
      phases[folder.name] = phase
  return phases


def make_table(results: dict[str, Any]) -> str:
  """The table that a person reads: scores, then wall time."""
  lines = [
    f'{results["eval_set"]}, level {results["level"]}',
    '',
    f'{"task":<14}{"metric":<18}{"score":>10}{"95 % interval":>22}'
    f'{"constant":>10}{"n":>6}',
  ]
  for row in results['rows']:
    low, high = row['interval']
    interval = f'{_text(low)} to {_text(high)}'
    lines.append(
      f'{row["task"]:<14}{row["metric"]:<18}{_text(row["value"]):>10}'
      f'{interval:>22}{_text(row["constant"]):>10}{row["n"]:>6}'
    )
  lines += ['', _describe_scores(results), '', 'by number of objects:']
  for task, by_count in results['by_count'].items():
    headline = _get_headline(task)
    cells = [
      f'{count}: {_text(scores[headline])}'
      for count, scores in by_count.items()
    ]
    lines.append(f'{task:<14}{headline:<16}{"  ".join(cells)}')
  lines.append('')
  for name, phase in results['phases'].items():
    lines.append(
      f'{name:<14}{phase["seconds"]:>8.0f} s ({phase["cpu_seconds"]:.0f} '
      f'core-seconds), {phase["step"]} steps, {describe_data(phase)}, and '
      f'{phase["compile_seconds"]:.0f} s of compilation'
    )
  lines.append(f'{"evaluate":<14}{results["seconds"]:>8.0f} s')
  lines.append(f'{"train and eval":<14}{results["seconds_train_eval"]:>8.0f} s')
  return '\n'.join(lines)


def describe_data(phase: dict[str, float]) -> str:
  """Shares of a phase: waiting for data, and the CPU time of its scenes."""
  text = f'{phase["waited"] / max(phase["seconds"], 1e-9):.1%} of it waiting '
  text += 'for data'
  if 'drawing_cpu_seconds' in phase:
    drawn = phase['drawing_cpu_seconds'] / max(phase['cpu_seconds'], 1e-9)
    text += f', {drawn:.1%} of its CPU time drawing scenes'
  return text


def load_results(path: pathlib.Path) -> dict[str, Any]:
  """A results.json.

  Raises:
    UserError: it cannot be read, or lacks what `evaluate` writes.
  """
  results = logs.load_json(path)
  there = results.keys() if isinstance(results, dict) else set()
  if missing := _NEEDED - there:
    raise UserError(
      f'{path}: not results of this version, there is no {min(missing)!r}: '
      'remove it and evaluate again'
    )
  return results


def write_report(workdir: pathlib.Path) -> pathlib.Path:
  """report.html of a workdir that holds results.json."""
  path = workdir / 'results.json'
  if not path.exists():
    raise UserError(
      f'{workdir} has no results.json: run vbanana evaluate --workdir '
      f'{workdir} first'
    )
  files.check_folder(workdir)
  results = load_results(path)
  try:
    gallery = gallery_file.load_gallery(
      workdir / 'gallery.npz', results['prompts']
    )
  except gallery_file.BAD_GALLERY as error:
    raise UserError(
      f'{workdir / "gallery.npz"}: missing, damaged, or not of the results '
      f'beside it ({error!r}): remove {path.name} and evaluate again'
    ) from error
  distances: dict[str, dict[str, float]] = {}
  rows = []
  for row in results['rows']:
    if row['value'] is None:
      continue
    if row['metric'] == 'color_distance':
      distances[row['task']] = {'mean, 8-bit levels': row['value']}
      continue
    rows.append(
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
  seconds = {k: v['seconds'] for k, v in results['phases'].items()}
  return page.write_report(
    workdir / 'report.html',
    page.Report(
      title=f'{workdir.name}: {results["eval_set"]}, level {results["level"]}',
      summary='One set of weights answers every task below. Scores are of '
      'averaged weights on scenes never trained on, beside the best constant '
      'answer; @k marks answers sampled in k steps. '
      f'{_describe_scores(results)}',
      rows=rows,
      seconds={**seconds, 'evaluate': results['seconds']},
      spent={k: describe_data(v) for k, v in results['phases'].items()},
      curves=make_curves(workdir, results['rows']),
      galleries={
        trial: [
          _make_example(_get_task(trial), example) for example in examples
        ]
        for trial, examples in gallery.items()
      },
      notes={name: task.note for name, task in TASKS.items()},
      by_count=make_count_table(results['by_count']),
      color_distance=distances,
      config=results['config'],
      versions=results['versions'],
    ),
  )


def make_count_table(
  by_count: dict[str, dict[str, dict[str, float | None]]],
) -> dict[str, dict[str, float]]:
  """Headline scores of every task by number of objects, NaN left out."""
  table = {}
  for trial, found in by_count.items():
    metric = _get_headline(trial)
    table[f'{trial} {metric}'] = {
      str(count): scores[metric]
      for count, scores in found.items()
      if scores[metric] is not None
    }
  return table


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
  for phase in (*PHASES, ''):
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
    if key not in series:
      continue
    title = f'{phase}: {task.name} {metric} {page.ARROW[better]}'
    watched = {'first held-out scenes': series[key]}
    levels = {}
    if key in constants:
      levels = {'best constant, all held-out scenes': constants[key]}
    curves.append(charts.Chart(title, watched, levels=levels))
  return curves


def _make_example(task: base.Task, example: dict[str, Any]) -> page.Example:
  aux = example['aux']
  prediction = truth = None
  if task.value is not None:
    prediction = outputs.decode(task, example['painted'], aux)
    truth = outputs.decode(task, example['target'], aux)
  return answers.make_example(task, example, prediction, truth)


def _get_task(trial: str) -> base.Task:
  """The task of a trial's name, as `evaluate.EvalRun` makes it."""
  return TASKS[trial.partition('@')[0]]


def _get_headline(trial: str) -> str:
  return next(iter(_get_task(trial).metrics))


def _text(value: float | None) -> str:
  return '-' if value is None else f'{value:.4g}'
