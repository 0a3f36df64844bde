"""Curves of one run, or of several over each other."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from vbanana_jax.evaluation import results as results_file
from vbanana_jax.evaluation import retention
from vbanana_jax.evaluation.scored_runs import ScoredRun
from vbanana_jax.report import charts
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS

ARROW = {'max': '\u2191', 'min': '\u2193', None: ''}
SCORES, COURSE, LOSSES, OPTIMIZER = (
  'Scores while training', 'Loss and speed', 'Loss of each task', 'Optimizer',
)  # fmt: skip
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

Curves = dict[str, charts.Series]  # by key of a log


def make_curves(runs: Sequence[ScoredRun]) -> dict[str, list[charts.Chart]]:
  """Charts by what they are about, of each phase of training.

  Where the runs' batches differ in size, curves run over examples: a step of
  one is not a step of the other.
  """
  sizes = {run.results['config'].get('batch_size') for run in runs}
  per_step = len(sizes) == 1
  found: dict[str, list[charts.Chart]] = {}
  for phase in results_file.PHASES:
    metrics, scores = {}, {}
    for run in runs:
      if phase in run.folders:
        size = 1 if per_step else run.results['config']['batch_size']
        folder = run.folders[phase]
        metrics[run.name] = _load(folder / 'metrics.jsonl', size)
        scores[run.name] = _load(folder / 'scores.jsonl', size)
    if metrics:
      alone = len(runs) == 1
      phase = name_phase(phase, runs)
      _add(found, SCORES, _make_score_charts(phase, scores, runs[0], alone))
      _add(found, COURSE, _make_course_charts(phase, metrics, alone))
      _add(found, LOSSES, _make_loss_charts(phase, metrics, alone))
      _add(found, OPTIMIZER, _make_optimizer_charts(phase, metrics, alone))
  x_name = 'steps' if per_step else 'examples'
  colors = get_colors(runs)
  return {
    title: [
      dataclasses.replace(chart, x_name=x_name, colors=colors) for chart in each
    ]
    for title, each in found.items()
    if each
  }


def name_phase(phase: str, runs: Sequence[ScoredRun]) -> str:
  """Its own name, unless all of its folders are runs by themselves."""
  folders = [run.folders[phase] for run in runs if phase in run.folders]
  is_phase = any(folder.name == phase for folder in folders)
  return phase if is_phase else 'training'


def _add(found, title, more) -> None:
  found.setdefault(title, []).extend(more)


def get_colors(runs: Sequence[ScoredRun]) -> dict[str, str]:
  """Colors of runs by name; {} of one, whose curves are not told by it."""
  if len(runs) == 1:
    return {}
  return dict(zip((run.name for run in runs), itertools.cycle(charts.COLORS)))


def _load(path, size: int) -> Curves:
  curves = charts.make_curves(logs.load_metrics(path))
  return {
    key: [(step * size, value) for step, value in points]
    for key, points in curves.items()
  }


def _gather(found: Mapping[str, Curves], key: str) -> dict[str, charts.Series]:
  """The curve of each run that has it."""
  return {run: curves[key] for run, curves in found.items() if key in curves}


def _make_score_charts(
  phase: str, scores: Mapping[str, Curves], base: ScoredRun, alone: bool
) -> list[charts.Chart]:
  """A chart for the headline metric of every task that was watched."""
  constants = {
    f'{trial}/{metric}': row['constant']
    for (trial, metric), row in base.rows.items()
    if row['constant'] is not None
  }
  keys: list[tuple[str, str, str]] = []
  for task in TASKS.values():
    metric, better = next(iter(task.metrics.items()))
    keys.append((f'{task.name}/{metric}', f'{task.name} {metric}', better))
    keys.append((f'{task.name}/obedience', f'{task.name} obedience', 'max'))
  keys += [(key, key, 'min') for key in (retention.DISTANCE, retention.LOSS)]
  made = []
  for key, name, better in keys:
    series = _gather(scores, key)
    if not series:
      continue
    levels = {}
    if key in constants:
      levels = {'best constant, all held-out scenes': constants[key]}
    if alone:
      series = {'first held-out scenes': next(iter(series.values()))}
    title = f'{phase}: {name} {ARROW[better]}'
    made.append(charts.Chart(title, series, levels=levels))
  return made


def _make_course_charts(phase, metrics, alone) -> list[charts.Chart]:
  made = []
  for key, title, log_y in (
    ('loss', 'loss', True),
    ('images_per_second', 'speed', False),
  ):
    series = _gather(metrics, key)
    if alone and series:
      name = 'images/s' if key == 'images_per_second' else 'all tasks'
      series = {name: next(iter(series.values()))}
    if series:
      speed = '' if alone or log_y else ', images/s'
      made.append(
        charts.Chart(
          f'{phase}: {title}{speed}', series, log_y, from_zero=not log_y
        )
      )
  return made


def _make_loss_charts(phase, metrics, alone) -> list[charts.Chart]:
  """Of one run all tasks together; of several one chart a task."""
  keys = dict.fromkeys(
    key for key in itertools.chain(*metrics.values()) if key.startswith('loss/')
  )
  names = {key: key.removeprefix('loss/') for key in keys}
  if alone and names:
    (curves,) = metrics.values()
    losses = {name: curves[key] for key, name in names.items()}
    return [charts.Chart(f'{phase}: loss by task', losses, log_y=True)]
  return [
    charts.Chart(f'{phase}: loss of {name}', _gather(metrics, key), log_y=True)
    for key, name in names.items()
  ]


def _make_optimizer_charts(phase, metrics, alone) -> list[charts.Chart]:
  made: list[charts.Chart] = []
  for title, keys in _OPTIMIZER_CURVES.items():
    found: dict[str, Any] = {label: _gather(metrics, k) for k, label in keys}
    found = {label: series for label, series in found.items() if series}
    if alone and found:
      one = {label: next(iter(s.values())) for label, s in found.items()}
      made.append(charts.Chart(f'{phase}: {title}', one, log_y=True))
    elif not alone:
      made += [
        charts.Chart(f'{phase}: {title}, {label}', series, log_y=True)
        for label, series in found.items()
      ]
  return made
