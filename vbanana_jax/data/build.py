"""From a config's sections to sources and a mixture."""

import contextlib
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from vbanana_jax import families, keys
from vbanana_jax.config import complete_sources
from vbanana_jax.data import (
  bad_records,
  example_checks,
  kinds,
  mixture,
  pairings,
  scene_photos,
  sources,
)
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths, processes
from vbanana_jax.tasks import TASKS

# Scenes that take more than one rendering are a stream of their own.
_EXTRA_SEED_OFFSET = 1_000_000


def build_mixture(
  config: Mapping,
  workdir: paths.Path | None = None,
  *,
  process_index: int = 0,
) -> mixture.Mixture:
  """The training mixture of a config: its tasks, sources and weights.

  Tasks share the rows of a source. Bad records of sources on disk are replaced.

  Args:
    config: see `configs/base.py`.
    workdir: of the run; gets a list of the bad records.
    process_index: this process's number.

  Raises:
    UserError: for an unknown task or source, a source that cannot be opened or
      lacks what a task needs, or one with more bad records than the config
      allows.
  """
  described = complete_sources(config['sources'])
  config = {**config, 'sources': described}
  for key in config['mixture']:
    pairings.check_key(key, described)
  opener = _Opener(
    config, described, bad_records.BadRecordLog(workdir, process_index)
  )
  entries = []
  for pairing in pairings.list_pairings(config):
    task = TASKS[pairing.task]
    source = opener.open(pairing.source, task.needs)
    if not source.labels.issuperset(task.needs):
      raise UserError(_describe_mismatch(pairing, source, opener))
    style = pairings.make_style(config, pairing.source)
    entries.append(mixture.Entry(task, source, pairing.weight, style))
  _say_unused(config, described)
  return mixture.Mixture(entries)


class _Opener:
  """Opens each source once, and scenes once for all that need the same."""

  def __init__(
    self,
    config: Mapping,
    described: Mapping[str, Mapping],
    log: bad_records.BadRecordLog,
  ):
    self._config = config
    self._described = described
    self._log = log
    self._opened: dict[tuple, sources.Source] = {}

  def open(self, name: str, needs: Collection[str]) -> sources.Source:
    """The source of a config's name, for a task that needs this of it."""
    is_drawn = self._described[name]['kind'] == pairings.SCENES
    extras = sources.find_extras(needs) if is_drawn else frozenset()
    if (name, extras) not in self._opened:
      make = self._draw_scenes if is_drawn else self._open_finite
      self._opened[name, extras] = make(name, extras)
    return self._opened[name, extras]

  def find_sources(self, needs: Collection[str]) -> list[str]:
    """Names of those that can be opened and have all of this."""
    found = []
    for name in self._described:
      with contextlib.suppress(UserError):
        if self.open(name, needs).labels.issuperset(needs):
          found.append(name)
    return found

  def _draw_scenes(self, name, extras) -> sources.SceneSource:
    seed = _find_seed(self._config['seed'], name, extras)
    level = self._described[name]['level']
    size = self._config['image_size']
    textures = pairings.find_textures(self._described, name)
    photos = None
    if textures:
      photos = scene_photos.ScenePhotos(self.open(textures, ()), seed)
    return sources.SceneSource(level, seed, size, extras=extras, photos=photos)

  def _open_finite(self, name, extras) -> bad_records.ReplacingSource:
    del extras  # only scenes have any
    size = self._config['image_size']
    needs = {
      key
      for pairing in pairings.list_pairings(self._config)
      if pairing.source == name
      for key in TASKS[pairing.task].needs
    }
    source = kinds.open_source(name, self._described[name], size, needs)
    example_checks.check_source(source, name, size, needs)
    return bad_records.ReplacingSource(
      source,
      name=name,
      allowed=self._config['data']['bad_records'],
      seed=self._config['seed'],
      max_text=self._config['model']['max_text'],
      tokenizer=families.load_tokenizer(self._config),
      log=self._log,
    )


def _describe_mismatch(
  pairing: pairings.Pairing, source: sources.Source, opener: _Opener
) -> str:
  """What a source lacks, what it could train, and what has it."""
  needs = TASKS[pairing.task].needs
  missing = [key for key in needs if key not in source.labels]
  trained = [
    name for name, task in TASKS.items() if source.labels.issuperset(task.needs)
  ]
  others = opener.find_sources(needs)
  return (
    f'config.mixture.{pairing.key}: {pairing.task} needs {", ".join(missing)}, '
    f'and the source {pairing.source} has {", ".join(sorted(source.labels))}: '
    f'it could train {", ".join(trained)}'
    + (f'; {pairing.task} could learn from {", ".join(others)}' * bool(others))
  )


def _say_unused(config: Mapping, described: Mapping[str, Mapping]) -> None:
  """One line about each source that no weight draws from, but for scenes."""
  used = {pairing.source for pairing in pairings.list_pairings(config)}
  used |= {pairings.find_textures(described, name) for name in used}
  for name, settings in described.items():
    if name not in used and settings['kind'] != pairings.SCENES:
      processes.log(
        f'config.sources.{name} is not used: config.mixture gives it no '
        f'weight, as --config.mixture.TASK@{name}=1 would'
      )


def check_memory(config: Mapping, *, processes: int = 1) -> None:
  """Raises UserError where the pictures of one batch fill the host's memory."""
  size, count = config['image_size'], config['batch_size']
  needed = count * size**2 * 3 * np.dtype(np.float32).itemsize // processes
  there = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  if needed > there:
    raise UserError(
      f'config.batch_size is {count} and config.image_size {size}: pictures of '
      f'one batch take {needed / 2**30:,.0f} GiB, and this machine has '
      f'{there / 2**30:,.0f}: lower one of them'
    )


def count_renderings(config: Mapping[str, Any]) -> dict[str, float]:
  """Renderings of scenes for one example of a config's mixture, by level.

  One, and those of the extras, as an edit takes two, before and after;
  what comes from disk takes none.
  """
  learned = pairings.list_pairings(config)
  total = sum(pairing.weight for pairing in learned)
  drawn: dict[str, float] = {}
  for pairing in learned:
    settings = config['sources'][pairing.source]
    if settings['kind'] == pairings.SCENES:
      extras = sources.find_extras(TASKS[pairing.task].needs)
      each = 1 + sum(sources.EXTRAS[extra] for extra in extras)
      level = settings['level']
      drawn[level] = drawn.get(level, 0.0) + pairing.weight * each / total
  return drawn


def _find_seed(seed: int, name: str, extras: Iterable[str] = ()) -> int:
  """The seed of scenes by the name of their source and their extras.

  No two sources of scenes draw the same ones, nor do those with other extras.
  """
  names = sum(1 << list(sources.EXTRAS).index(extra) for extra in extras)
  if name != pairings.SCENES:
    seed = int(keys.make_rng(seed, 'scenes', name).integers(2**31))
  return seed + _EXTRA_SEED_OFFSET * names


def describe_data(config: Mapping) -> dict[str, Any]:
  """What a run trains on: equal descriptions give the same examples."""
  described = complete_sources(config['sources'])
  needs: dict[str, list[tuple[str, ...]]] = {}
  for pairing in pairings.list_pairings(config):
    needs.setdefault(pairing.source, []).append(TASKS[pairing.task].needs)
  found = {}
  for name, needed in needs.items():
    settings = described[name]
    if settings['kind'] != pairings.SCENES:
      found[name] = kinds.describe_source(settings)
      continue
    textures = pairings.find_textures(described, name)
    if textures:
      found[textures] = kinds.describe_source(described[textures])
    found[name] = {
      **{key: value for key, value in settings.items() if value},
      'seed': _find_seed(config['seed'], name),
      **{
        f'{extra}_seed': _find_seed(config['seed'], name, [extra])
        for extra in sorted(sources.find_extras(*needed))
      },
    }
  tokenizer = families.load_tokenizer(config)
  return {'tokenizer': tokenizer.hash, 'sources': found}
