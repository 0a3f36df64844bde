"""Scores on disk: JSON to read and, beside it, states to compare with."""

import io
import json
import pathlib
from typing import Any

import numpy as np

from vbanana_jax.benchmark.score_folder import Grade
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import files, logs

PREFIX = 'scores_'
# Other ways to add up or to fit the same errors: in the file only.
_SECONDARY = ('pooled_', 'aligned_', 'image_')
_LEAST_SHARE = 1e-4  # of pixels, that is printed
_SHARES = {
  'no_surface_share': 'have colors that no direction has',
  'between_colors_share': 'lie between two colors and are read as a third',
}
_SACO_SUBSETS = 7
_FIELDS = {'protocol', 'version', 'n', 'complete', 'metrics', 'passes'}


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
  """All scores under some folders, and the files named themselves."""
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


def make_table(results: dict[str, Any]) -> str:
  """What a person reads after an evaluation: headline first."""
  whole = {
    True: 'whole split',
    False: 'PART OF THE SPLIT',
    None: 'nobody has said how many there are',
  }[results['complete']]
  lines = [
    f'{results["protocol"]} version {results["version"]}: {results["n"]} '
    f'examples ({whole}), {results["predictions"]}',
  ]
  if results['split'] != results['standard_split']:
    lines.append(
      f'SPLIT {results["split"]}, and not {results["standard_split"]}, which '
      'the protocol scores: not comparable with published numbers'
    )
  if results['painted']:
    settings = results['painted']['settings']
    way = ', '.join(
      f'{name} {settings.get(name)}'
      for name in ('weights', 'size', 'steps', 'seed')
    )
    lines.append(f'painted by {results["painted"].get("run")} ({way})')
    if settings.get('version') != results['version']:
      lines.append(f'PAINTED FOR VERSION {settings.get("version")}')
  if results['lack']:
    lines.append(f'{results["lack"]}; not comparable with published numbers')
  lines += [
    '',
    f'{"metric":<24}{"score":>10}{"95 % interval":>24}'
    + (f'{"first pass":>12}' if results['single_pass'] else ''),
  ]
  headline = results['headline']
  others = [
    name
    for name in results['metrics']
    if name not in headline and not name.startswith(_SECONDARY)
  ]
  for name in (*headline, *others):
    found = results['metrics'][name]
    low, high = found['interval']
    line = (
      f'{name:<24}{to_text(found["value"]):>10}'
      f'{to_text(low) + " to " + to_text(high):>24}'
    )
    if results['single_pass']:
      line += f'{to_text(results["single_pass"][name]["value"]):>12}'
    lines.append(line)
    if name == headline[-1]:
      lines.append('')
  hidden = len(results['metrics']) - len(headline) - len(others)
  if hidden:
    lines += ['', f'{hidden} more metrics, pooled and aligned, are in the file']
  for oddity, n in results['odd_pictures'].items():
    if n:
      lines += ['', f'Look at them: {n} pictures {oddity}.']
  for name, share in results['shares_of_pixels'].items():
    if share >= _LEAST_SHARE:
      lines += ['', f'Of all pixels {share:.2%} {_SHARES[name]}.']
  if not results['reader_verified']:
    lines += ['', "The reader's layout was never checked on the real files."]
  return '\n'.join([*lines, '', results['known_difference']])


def make_comparison(
  differences: dict[str, tuple[float, tuple[float, float]]],
) -> str:
  """Differences with intervals, one a line."""
  lines = ['difference, this minus the other, on the same examples:']
  for name, (difference, (low, high)) in differences.items():
    lines.append(
      f'{name:<24}{difference:>+10.4g}{f"{low:+.4g} to {high:+.4g}":>24}'
    )
  return '\n'.join(lines)


def to_text(value: float | None) -> str:
  """Four digits, or a dash where there is no value."""
  return '-' if value is None else f'{value:.4g}'
