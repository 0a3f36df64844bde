"""Which task learns from which source, as a config says it.

A key of `config.mixture` is TASK@SOURCE, or TASK alone for the source that is
named `scenes`.
"""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from vbanana_jax.errors import UserError
from vbanana_jax.tasks import TASKS

SCENES = 'scenes'  # a kind of source, and the name of the base config's own


class Pairing(NamedTuple):
  """One key of `config.mixture`.

  Attributes:
    key: as it stands there.
    task: name of the task.
    source: name of the source.
    weight: how often it is drawn; 0 leaves it out.
  """

  key: str
  task: str
  source: str
  weight: float


def parse_key(key: str) -> tuple[str, str]:
  """Names of task and source."""
  task, _, source = key.partition('@')
  return task, source or SCENES


def list_keys(sources: Collection[str]) -> list[str]:
  """Every key that a mixture may have, given names of sources."""
  return [
    task if source == SCENES else f'{task}@{source}'
    for source in sources
    for task in TASKS
  ]


def check_key(key: str, sources: Collection[str]) -> None:
  """Raises UserError unless a mixture may have this key.

  Args:
    key: of `config.mixture`.
    sources: names in `config.sources`.
  """
  task, source = parse_key(key)
  if task not in TASKS:
    raise UserError(
      f'config.mixture.{key}: no task {task!r}{_hint(task, TASKS)}; tasks are '
      f'{", ".join(TASKS)}'
    )
  if source not in sources:
    raise UserError(
      f'config.mixture.{key}: config.sources has no {source!r}'
      f'{_hint(source, sources)}; it has {", ".join(sorted(sources))}, and '
      f'another one begins with --config.sources.{source}.kind=records'
    )


def list_pairings(config: Mapping[str, Any]) -> list[Pairing]:
  """All that have a weight above 0, in order."""
  return [
    Pairing(key, *parse_key(key), weight)
    for key, weight in config['mixture'].items()
    if weight > 0
  ]


def find_tasks(config: Mapping[str, Any], kind: str = '') -> list[str]:
  """Names of the tasks that a config trains, on sources of a kind if given."""
  names = (
    pairing.task
    for pairing in list_pairings(config)
    if not kind or config['sources'][pairing.source]['kind'] == kind
  )
  return list(dict.fromkeys(names))


def find_level(config: Mapping[str, Any]) -> str:
  """The level of scenes that a config is about, and is scored on.

  Of several sources of scenes it is that of the heaviest in the mixture;
  where none is drawn from, that of the first one; 'quick' without any.
  """
  levels = {
    name: settings['level']
    for name, settings in config['sources'].items()
    if settings['kind'] == SCENES
  }
  weights = dict.fromkeys(levels, 0.0)
  for pairing in list_pairings(config):
    if pairing.source in levels:
      weights[pairing.source] += pairing.weight
  if not levels:
    return 'quick'
  return levels[max(weights, key=weights.__getitem__)]


def find_style(config: Mapping[str, Any], task: str) -> str:
  """How instructions of a task were worded in training, by the style's name.

  That of the source that it learned from most, and of scenes where it did not
  learn.
  """
  learned = [each for each in list_pairings(config) if each.task == task]
  if not learned:
    return find_level(config)
  source = max(learned, key=lambda each: each.weight).source
  settings = config['sources'][source]
  return settings['level' if settings['kind'] == SCENES else 'style']


def _hint(name: str, known: Collection[str]) -> str:
  near = difflib.get_close_matches(name, list(known), n=1)
  return f', did you mean {near[0]!r}?' if near else ''
