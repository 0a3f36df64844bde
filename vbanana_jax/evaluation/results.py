"""What results.json holds, and the table that is printed of it."""

import pathlib
from typing import Any

from vbanana_jax.data import build, pairings, scene_cost
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import evaluators, picture_sets
from vbanana_jax.metrics import generation
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS, base
from vbanana_jax.training import provenance

_NEEDED = {
  'rows', 'by_count', 'phases', 'seconds', 'seconds_train_eval', 'config',
  'versions', 'prompts', 'eval_set', 'level', 'untrained', 'elsewhere',
  'weights',
}  # fmt: skip
PHASES = ('pretrain', 'tune')


def describe_scores(results: dict[str, Any]) -> str:
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
  scored = {get_task(row['task']).name for row in results['rows']}
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
      run = provenance.load_run_json(folder)
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
    interval = f'{to_text(low)} to {to_text(high)}'
    lines.append(
      f'{row["task"]:<14}{row["metric"]:<18}{to_text(row["value"]):>10}'
      f'{interval:>22}{to_text(row["constant"]):>10}{row["n"]:>6}'
    )
  lines += ['', describe_scores(results)]
  for found in results.get('obedience', {}).values():
    lines += _describe_obedience(found)
  lines += ['', 'by number of objects:']
  for task, by_count in results['by_count'].items():
    headline = get_headline(task)
    cells = [
      f'{count}: {to_text(scores[headline])}'
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


def _describe_obedience(found: list[dict[str, Any]]) -> list[str]:
  """What holds of captions, between floor and ceiling; see `obedience`."""
  lines = [
    '',
    f'facts of {found[0]["n"]} captions that hold in what was painted for '
    'them (held), for others (floor), and in true renderings (ceiling):',
    f'{"kind":<14}{"facts":>6}{"floor":>10}{"held":>10}{"ceiling":>10}'
    f'{"reached":>10}{"95 % interval":>22}',
  ]
  for row in found:
    low, high = row['interval']
    shares = (row[name] for name in ('floor', 'held', 'ceiling', 'reached'))
    cells = ''.join(f'{to_text(share):>10}' for share in shares)
    interval = f'{to_text(low)} to {to_text(high)}'
    lines.append(f'{row["kind"]:<14}{row["asked"]:>6}{cells}{interval:>22}')
  return lines


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


def make_rows(
  trial: str,
  scores: evaluators.Scores,
  constants: dict[str, float],
  of_photos: picture_sets.Distances,
) -> list[dict[str, Any]]:
  """One row a metric, as results.json keeps them; NaN becomes null.

  Metrics of sets of pictures need every picture's features, and most have no
  interval: drawing one picture twice would spoil its neighbors.

  Args:
    trial: name of what was asked.
    scores: what was found.
    constants: by metric, what the best constant answer reaches.
    of_photos: distances of sets as `picture_sets.measure` finds them; {} of
      what is not compared so.
  """
  metrics, none = dict(scores.metrics), (None, None)
  intervals = {**scores.intervals, **{k: x[1] for k, x in of_photos.items()}}
  if 'painted_features' in scores.states:
    of_sets = generation.compare_features(
      scores.states['real_features'],
      scores.states['painted_features'],
      space='random_conv',
    )
    metrics = {**of_sets, **metrics}
  metrics |= {name: value for name, (value, _) in of_photos.items()}
  return [
    {
      'task': trial,
      'metric': name,
      'value': logs.to_number(value),
      'interval': [logs.to_number(x) for x in intervals.get(name, none)],
      'constant': logs.to_number(constants.get(name)),
      'better': get_task(trial).metrics.get(name),
      'n': scores.n,
    }
    for name, value in metrics.items()
  ]


def make_count_table(
  scores: evaluators.Scores,
) -> dict[int, dict[str, float | None]]:
  """Metrics by number of objects, as results.json keeps them."""
  return {
    count: {key: logs.to_number(value) for key, value in metrics.items()}
    for count, metrics in scores.by_count.items()
  }


def make_obedience_rows(
  obeyed: dict[str, list[dict[str, Any]]],
) -> list[dict[str, Any]]:
  """The share of the way from floor to ceiling that all facts reach, as a row.

  A generator that does not read its caption reaches 0.
  """
  return [
    {
      'task': trial,
      'metric': 'obedience',
      'value': row['reached'],
      'interval': row['interval'],
      'constant': 0.0,
      'better': 'max',
      'n': row['n'],
    }
    for trial, (row, *_) in obeyed.items()
  ]


def get_task(trial: str) -> base.Task:
  """The task of a trial's name, as `evaluate.EvalRun` makes it."""
  return TASKS[trial.partition('@')[0]]


def get_headline(trial: str) -> str:
  return next(iter(get_task(trial).metrics))


def to_text(value: float | None) -> str:
  """Four digits, or a dash for none."""
  return '-' if value is None else f'{value:.4g}'
