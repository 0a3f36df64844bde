"""Which task learns from which source, as a config says it.

A key of `config.mixture` is TASK@SOURCE, or TASK alone for the source that is
named `scenes`.
"""

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from vbanana_jax.errors import UserError
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.prompt_styles import PROMPT_STYLES, PromptStyle

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


def find_textures(sources: Mapping[str, Mapping[str, Any]], name: str) -> str:
  """The source whose photographs lie on the surfaces of scenes, or ''.

  Args:
    sources: as `config.complete_sources` makes them.
    name: of the source in question.

  Raises:
    UserError: it names no source, or scenes.
  """
  textures = sources[name].get('textures', '')
  pictures = [key for key in sources if sources[key]['kind'] != SCENES]
  if textures and textures not in pictures:
    raise UserError(
      f'config.sources.{name}.textures is {textures!r}, which is no source of '
      f'photographs; there are {", ".join(pictures) or "none"}, and one begins '
      f'with --config.sources.{textures}.kind=records'
    )
  return textures


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


def make_style(config: Mapping[str, Any], source: str) -> PromptStyle:
  """How the pictures of a config's source are spoken about.

  Raises:
    UserError: names a setting of the source that cannot be.
  """
  # An exported program is asked without networks, and so without families.
  from vbanana_jax import families

  settings, at = config['sources'][source], f'config.sources.{source}'
  if settings['kind'] == SCENES:
    return PROMPT_STYLES[settings['level']]
  if settings['style'] not in PROMPT_STYLES:
    raise UserError(
      f'{at}.style is {settings["style"]!r}: choose of '
      f'{", ".join(PROMPT_STYLES)}'
    )
  least, most = settings['least_classes'], settings['most_classes']
  if not 1 <= least <= most:
    raise UserError(
      f'{at}.least_classes is {least} and most_classes {most}: legends need at '
      'least one name, and no more at least than at most'
    )
  if not 0 <= settings['class_balance'] <= 1:
    raise UserError(
      f'{at}.class_balance is {settings["class_balance"]}: choose from 0 (all '
      'pixels weigh alike) to 1 (all classes do)'
    )
  return dataclasses.replace(
    PROMPT_STYLES[settings['style']],
    entries=(least, most),
    class_balance=settings['class_balance'],
    least_share=0.0,
    most_tokens=config['model']['max_text'],
    count_tokens=families.load_tokenizer(config).count,
  )


def find_style(config: Mapping[str, Any], task: str) -> PromptStyle:
  """How instructions of a task were worded in training.

  As for the source that it learned from most, with as many names as it was
  taught by any; as for scenes where it did not learn.
  """
  learned = [each for each in list_pairings(config) if each.task == task]
  if not learned:
    return PROMPT_STYLES[find_level(config)]
  styles = [make_style(config, each.source) for each in learned]
  weights = [each.weight for each in learned]
  style = styles[weights.index(max(weights))]
  most = max(style.entries[1] for style in styles)
  return dataclasses.replace(style, entries=(style.entries[0], most))


def _hint(name: str, known: Collection[str]) -> str:
  near = difflib.get_close_matches(name, list(known), n=1)
  return f', did you mean {near[0]!r}?' if near else ''
