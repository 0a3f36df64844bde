"""From a config's sections to sources and a mixture."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vbanana_jax.data import array_records, bad_records, mixture, sources
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths
from vbanana_jax.tasks import TASKS, base
from vbanana_jax.tokenizer.tokenizer import Tokenizer

# Scenes that take more than one rendering are a stream of their own.
_EXTRA_SEED_OFFSET = 1_000_000


def build_mixture(
  config: Mapping,
  workdir: paths.Path | None = None,
  *,
  process_index: int = 0,
) -> mixture.Mixture:
  """The training mixture of a config.

  Scenes serve every task of `config.mixture`; photographs and TFDS sets join
  as further sources of the task that learns from captions, each at its own
  weight. Their bad records are replaced.

  Args:
    config: see `configs/base.py`.
    workdir: of the run; gets a list of the bad records.
    process_index: this process's number.

  Raises:
    UserError: for an unknown task, a weight without a source, or a source
      with more bad records than the config allows.
  """
  unknown = set(config['mixture']) - set(TASKS)
  if unknown:
    raise UserError(
      f'config.mixture names {sorted(unknown)}; tasks are {sorted(TASKS)}'
    )
  data, size, seed = config['data'], config['image_size'], config['seed']
  found: dict[frozenset[str], sources.SceneSource] = {}
  entries = []
  for name, weight in config['mixture'].items():
    extras = sources.find_extras(TASKS[name].needs)
    if extras not in found:
      found[extras] = sources.SceneSource(
        data['level'], _offset_seed(seed, extras), size, extras=extras
      )
    entries.append(mixture.Entry(TASKS[name], found[extras], weight))
  captions = find_caption_task()
  log = bad_records.BadRecordLog(workdir, process_index)

  def replace_bad(source: bad_records.FiniteSource) -> sources.Source:
    return bad_records.ReplacingSource(
      source,
      allowed=data['bad_records'],
      seed=seed,
      max_text=config['model']['max_text'],
      log=log,
    )

  for name in ('photos', 'tfds'):
    if data[name] and not data[f'{name}_weight'] > 0:
      raise UserError(
        f'config.data.{name} is set but config.data.{name}_weight is '
        f'{data[f"{name}_weight"]}, so that nothing of it would be seen: set a '
        'weight, as in 2, or leave the data out'
      )
  if data['photos_weight'] > 0:
    if not data['photos']:
      raise UserError(
        'config.data.photos_weight is set but config.data.photos names no '
        "folder: make one with 'vbanana prepare image_folder PATH --out DIR'"
      )
    folder = paths.to_path(data['photos'])
    photos = array_records.PhotoSource(folder, size)
    entries.append(
      mixture.Entry(captions, replace_bad(photos), data['photos_weight'])
    )
  if data['tfds_weight'] > 0:
    if not data['tfds']:
      raise UserError(
        'config.data.tfds_weight is set but config.data.tfds names no data set'
      )
    from vbanana_jax.data import tfds_source  # takes seconds to import

    frozen = tfds_source.TfdsSource(
      data['tfds'], data['tfds_dir'], data['tfds_split'], size=size
    )
    entries.append(
      mixture.Entry(captions, replace_bad(frozen), data['tfds_weight'])
    )
  return mixture.Mixture(entries)


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


def find_caption_task() -> base.Task:
  """The task that pictures with nothing but a caption join."""
  return next(task for task in TASKS.values() if task.learns_from_captions)


def find_tasks(config: Mapping[str, Any]) -> list[str]:
  """Names of the tasks that a config trains."""
  weights = dict(config['mixture'])
  extra = config['data']['photos_weight'] + config['data']['tfds_weight']
  captions = find_caption_task().name
  weights[captions] = weights.get(captions, 0) + extra
  return [name for name, weight in weights.items() if weight > 0]


def count_renderings(config: Mapping[str, Any]) -> float:
  """Renderings of scenes for one example of a config's mixture.

  One, and those of the extras, as an edit takes two, before and after;
  photographs and frozen data none.
  """
  mixture, data = config['mixture'], config['data']
  total = sum(mixture.values()) + data['photos_weight'] + data['tfds_weight']
  drawn = 0.0
  for name, weight in mixture.items():
    extras = sources.find_extras(TASKS[name].needs)
    drawn += weight * (1 + sum(sources.EXTRAS[extra] for extra in extras))
  return drawn / total


def _find_needs(config: Mapping[str, Any]) -> list[tuple[str, ...]]:
  """What each task needs that a config trains on scenes."""
  return [
    TASKS[name].needs
    for name, weight in config['mixture'].items()
    if weight > 0
  ]


def _offset_seed(seed: int, extras: Iterable[str]) -> int:
  """The seed of scenes with these extras, apart from that of all others."""
  kinds = sum(1 << list(sources.EXTRAS).index(extra) for extra in extras)
  return seed + _EXTRA_SEED_OFFSET * kinds


def describe_data(config: Mapping) -> dict[str, Any]:
  """What a run trains on: equal descriptions give the same examples."""
  data = config['data']
  found = {
    'tokenizer': Tokenizer.load().hash,
    'scenes': {
      'level': data['level'],
      'seed': config['seed'],
      **{
        f'{extra}_seed': _offset_seed(config['seed'], [extra])
        for extra in sources.find_extras(*_find_needs(config))
      },
    },
  }
  if data['photos_weight'] > 0:
    folder = paths.to_path(data['photos'])
    manifest = array_records.hash_file(folder / array_records.MANIFEST)
    found['photos'] = {'folder': data['photos'], 'manifest': manifest}
  if data['tfds_weight'] > 0:
    from vbanana_jax.data import tfds_source  # takes seconds to import

    manifest = tfds_source.hash_manifest(data['tfds'], data['tfds_dir'])
    found['tfds'] = {'name': data['tfds'], 'manifest': manifest}
  return found
