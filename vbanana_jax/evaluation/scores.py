"""Scores under a protocol: intervals, comparisons, and files of both.

On disk they are JSON to read and, beside it, states to compare with.
"""

import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vbanana_jax import keys
from vbanana_jax.benchmark import protocols
from vbanana_jax.errors import UserError
from vbanana_jax.metrics import bootstrap
from vbanana_jax.runtime import files, logs
from vbanana_jax.tasks import TASKS, benchmark

PREFIX = 'scores_'
_SACO_SUBSETS = 7
_FIELDS = {'protocol', 'version', 'n', 'complete', 'metrics', 'passes'}
_RESAMPLES = 1000


class Grade(NamedTuple):
  """What a folder's pictures are worth.

  Attributes:
    results: ready for JSON: protocol, metrics with intervals, provenance.
    states: per-example states [n ...] of the answer that is reported.
  """

  results: dict[str, Any]
  states: dict[str, np.ndarray]


def compare(
  grade: Grade, other: dict[str, Any], other_states: dict[str, np.ndarray]
) -> dict[str, tuple[float, tuple[float, float]]]:
  """Headline differences, `grade` minus the other, with 95 % intervals.

  Raises:
    UserError: unless both answer the same examples of one protocol.
  """
  keys_of_same = ('protocol', 'version', 'n', 'ids_sha256')
  refuse_other({key: grade.results[key] for key in keys_of_same}, other)
  scoring = TASKS[grade.results['task']].benchmark
  intervals = bootstrap.make_paired_intervals(
    other_states,
    grade.states,
    scoring.summarize,
    _make_rng(grade.results['protocol']),
    resamples=_RESAMPLES,
  )
  ours, theirs = grade.results['metrics'], other['metrics']
  return {
    name: (ours[name]['value'] - theirs[name]['value'], intervals[name])
    for name in grade.results['headline']
  }


def refuse_other(ours: dict[str, Any], other: dict[str, Any]) -> None:
  """Raises UserError for results that differ from ours in one of its keys."""
  for key, value in ours.items():
    if value != other.get(key):
      raise UserError(
        f'cannot compare: {key} is {value} here and {other.get(key)} there; '
        'scores under different protocols, or of other examples, do not say '
        'which is better'
      )


def summarize(
  protocol: protocols.Protocol, rows: Sequence[benchmark.States]
) -> tuple[dict[str, Any], benchmark.States]:
  """Metrics with intervals, and states [n ...], of states [1 ...] a row."""
  scoring = TASKS[protocol.task].benchmark
  metrics, states = scoring.summarize_rows(rows)
  intervals = bootstrap.make_intervals(
    states, scoring.summarize, _make_rng(protocol.name), resamples=_RESAMPLES
  )
  return {
    name: {
      'value': logs.to_number(value),
      'interval': [logs.to_number(end) for end in intervals[name]],
    }
    for name, value in metrics.items()
  }, states


def score_classes(
  protocol: protocols.Protocol, states: benchmark.States
) -> dict[str, dict[str, float | None]]:
  """Scores by class name, of states [n ...]; empty without a legend."""
  sums = {name: bootstrap.widen(x).sum(0) for name, x in states.items()}
  found = TASKS[protocol.task].benchmark.score_classes(sums, protocol)
  return {
    name: {key: logs.to_number(value) for key, value in row.items()}
    for name, row in found.items()
  }


def _make_rng(name: str) -> np.random.Generator:
  return keys.make_rng(0, 'bootstrap', name)


def save_scores(grade: Grade, path: pathlib.Path) -> None:
  """Writes the results as JSON, and the states as .npz of the same name."""
  with_states = path.with_suffix('.npz')
  text = json.dumps(grade.results, indent=2) + '\n'
  files.write_together(
    {with_states: files.to_npz(grade.states), path: text.encode()}
  )


def load_scores(
  path: pathlib.Path,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Inverse of `save_scores`; UserError for a file of another kind."""
  results = load_results(path)
  with_states = path.with_suffix('.npz')
  try:
    states = io.BytesIO(with_states.read_bytes())
    with np.load(states, allow_pickle=False) as arrays:
      return results, dict(arrays)
  except (OSError, ValueError) as error:
    raise UserError(
      f'{with_states}: cannot be read ({error}); it is written beside '
      f'{path.name} and needed to compare'
    ) from error


def load_results(path: pathlib.Path) -> dict[str, Any]:
  """The JSON alone."""
  results = logs.load_json(path)
  if not isinstance(results, dict) or not _FIELDS <= results.keys():
    raise UserError(
      f'{path}: not scores under a protocol: vbanana evaluate --predictions '
      'writes such a file'
    )
  return results


def find_results(places: list[pathlib.Path]) -> list[dict[str, Any]]:
  """All scores under some folders, and of files named themselves.

  The last ones that were scored come first.
  """
  found = []
  for place in places:
    if not place.exists():
      raise UserError(f'{place}: no such file or folder')
    paths = [place] if place.is_file() else [*place.rglob(f'{PREFIX}*.json')]
    if not paths:
      raise UserError(
        f'{place}: no {PREFIX}*.json in it: vbanana evaluate --predictions '
        'writes them'
      )
    found += [load_results(path) for path in sorted(paths)]
  found.sort(key=lambda results: results.get('date', ''), reverse=True)
  return [*found, *_make_saco_mean(found)]


def _make_saco_mean(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """SA-Co/Gold as it is published: the plain mean over its seven subsets.

  Empty unless each subset has exactly one result. No interval: the subsets
  are scored apart.
  """
  subsets = [
    result
    for result in found
    if result['protocol'].startswith('saco_gold_')
    and result.get('split') == result.get('standard_split')
  ]
  names = {result['protocol'] for result in subsets}
  if len(subsets) != _SACO_SUBSETS or len(names) != _SACO_SUBSETS:
    return []
  values = {
    name: [result['metrics'][name]['value'] for result in subsets]
    for name in subsets[0]['headline']
  }
  metrics = {
    name: {'value': None if None in x else float(np.mean(x)), 'interval': None}
    for name, x in values.items()
  }
  return [
    {
      **subsets[0],
      'protocol': 'saco_gold_instance',
      'n': sum(result['n'] for result in subsets),
      'complete': all(result['complete'] for result in subsets),
      'metrics': metrics,
      'single_pass': None,
    }
  ]
