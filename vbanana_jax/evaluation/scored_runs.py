"""Runs that were scored, as the report reads them from their folders."""

import dataclasses
import functools
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import example_scores, gallery_file
from vbanana_jax.evaluation import results as results_file
from vbanana_jax.runtime import logs

FINAL = 'tune'  # the phase that a run without phases is shown as


@dataclasses.dataclass(frozen=True)
class ScoredRun:
  """What a folder says of one run.

  Attributes:
    name: tells it from the others on the page.
    path: of results.json, or of its like for another level or some tasks.
    results: of it.
    gallery: examples by trial; see `gallery_file.load_gallery`.
    folders: of the phases that left a log, by phase.
  """

  name: str
  path: pathlib.Path
  results: dict[str, Any]
  gallery: dict[str, list[dict[str, Any]]]
  folders: dict[str, pathlib.Path]

  @functools.cached_property
  def states(self) -> dict[str, example_scores.States]:
    """What each example scored, by trial; {} of results from before."""
    return example_scores.load_states(self.name_file('example_scores.npz'))

  @property
  def workdir(self) -> pathlib.Path:
    """Folder of the results."""
    return self.path.parent

  def name_file(self, name: str) -> pathlib.Path:
    """The file of these results where `name` is that of results.json."""
    return _name_beside(self.path, name)

  @property
  def rows(self) -> dict[tuple[str, str], dict[str, Any]]:
    """Scores by trial and metric, without those that have no value."""
    return {
      (row['task'], row['metric']): row
      for row in self.results['rows']
      if row['value'] is not None
    }


def load_runs(places: Sequence[pathlib.Path]) -> list[ScoredRun]:
  """Runs with names that differ.

  Args:
    places: folders of results.json, or such files, as results_full.json.

  Raises:
    UserError: one is given twice, has no results, or has damaged ones.
  """
  paths = [_find_results(place) for place in places]
  for one, other in itertools.combinations(paths, 2):
    if os.path.normpath(one) == os.path.normpath(other):
      raise UserError(f'{one} is given twice: name runs that differ')
  return [
    _load_run(place, path, name)
    for place, path, name in zip(places, paths, _name_runs(paths))
  ]


def find_reason(base: ScoredRun, other: ScoredRun) -> str:
  """Why the scores of two runs are not of the same examples; '' if they are."""
  sets = [
    f'{run.results["eval_set"]}, level {run.results["level"]}'
    for run in (base, other)
  ]
  if sets[0] == sets[1]:
    return ''
  return f'{other.name} was scored on {sets[1]}, and {base.name} on {sets[0]}'


def _find_results(place: pathlib.Path) -> pathlib.Path:
  return place if place.suffix == '.json' else place / 'results.json'


def _load_run(place: pathlib.Path, path: pathlib.Path, name: str) -> ScoredRun:
  if not path.exists():
    raise UserError(_explain_missing(place, path))
  results = results_file.load_results(path)
  with_pictures = _name_beside(path, 'gallery.npz')
  try:
    gallery = gallery_file.load_gallery(with_pictures, results['prompts'])
  except gallery_file.BAD_GALLERY as error:
    raise UserError(
      f'{with_pictures}: missing, damaged, or not of the results '
      f'beside it ({error!r}): remove {path.name} and evaluate again'
    ) from error
  folders = find_folders(path.parent, results.get('run'))
  return ScoredRun(name, path, results, gallery, folders)


def _explain_missing(place: pathlib.Path, path: pathlib.Path) -> str:
  if place == path:
    return f'{path}: no such file; name one that vbanana evaluate wrote'
  others = sorted(path.parent.glob('results_*.json'))
  if others:
    return (
      f'{place} has no results.json, but {others[0].name}, which is of another '
      f'level or of some tasks: name that file, {others[0]}'
    )
  return (
    f'{place} has no results.json: run vbanana evaluate --workdir {place} first'
  )


def _name_beside(path: pathlib.Path, name: str) -> pathlib.Path:
  """A file that goes with results.json; with results_X.json, of that X."""
  stem, _, end = name.partition('.')
  return path.with_name(f'{stem}{path.stem.removeprefix("results")}.{end}')


def find_folders(
  workdir: pathlib.Path, run: str | None = None
) -> dict[str, pathlib.Path]:
  """Folders with a log by phase, first the one that came first.

  Args:
    workdir: of the phases, or a phase's own.
    run: where the weights are, if the scores were written elsewhere.
  """
  places = [workdir]
  if run:
    trained = workdir.parent.__class__(run)
    places += [trained.parent] if trained.name == FINAL else []
    places.append(trained)
  for place in places:
    found = {phase: place / phase for phase in results_file.PHASES}
    found = {k: path for k, path in found.items() if _has_log(path)}
    if _has_log(place):
      found.setdefault(FINAL, place)
    if found:
      return found
  return {}


def _has_log(folder: pathlib.Path) -> bool:
  return bool(logs.load_metrics(folder / 'metrics.jsonl'))


def _name_runs(paths: Sequence[pathlib.Path]) -> list[str]:
  """Ends of the folders, as long as they must be to differ."""
  parts = []
  for path in paths:
    choice = path.stem.removeprefix('results').replace('_', ' ')
    parts.append(f'{os.path.abspath(path.parent)}{choice}'.split(os.sep))
  for length in range(1, max(map(len, parts), default=1) + 1):
    names = ['/'.join(each[-length:]) for each in parts]
    if len(set(names)) == len(names):
      return names
  return [str(path) for path in paths]
