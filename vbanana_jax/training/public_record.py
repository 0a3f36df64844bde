"""What others may read of how weights were trained: no folder of a machine."""

import re
from typing import Any

from vbanana_jax.configs import base
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import logs, paths
from vbanana_jax.training import (
  checkpoint_files,
  exported_weights,
  provenance,
  trained_folders,
  weights,
)

# What the last line of metrics.jsonl says that a training took.
_TOOK = ('seconds', 'cpu_seconds', 'compile_seconds')
_TOLD = ('command', 'versions', 'git', 'topology', 'data')
# Places that mean nothing elsewhere: absolute, in a home, above the folder, in
# a bucket. A flag and a separator may stand before them.
_BEGINS = r'(?:/|~|\.\.[/\\]|gs://|[A-Za-z]:[/\\])'
_WHOLE = re.compile(rf'(--[\w.@-]+=)?{_BEGINS}')
_INSIDE = re.compile(rf'(?<![^\s=,;:\'"(\[]){_BEGINS}[^\s,;\'")\]]+')


def strip_places(value: Any) -> Any:
  """JSON with the last part alone of every place of a machine.

  What is written relative to the folder of a command stays as it is.
  """
  if isinstance(value, dict):
    return {key: strip_places(each) for key, each in value.items()}
  if isinstance(value, list | tuple):
    return [strip_places(each) for each in value]
  if not isinstance(value, str):
    return value
  flag = _WHOLE.match(value)
  if flag and not re.search('[,;=]', value[flag.end() :]):
    begun = flag[1] or ''
    return begun + _name_last(value[len(begun) :])
  return _INSIDE.sub(lambda found: _name_last(found[0]), value)


def _name_last(place: str) -> str:
  return re.split(r'[/\\]', place.rstrip('/\\'))[-1]


def make_config(config: dict[str, Any]) -> dict[str, Any]:
  """A run's config for others.

  Instead of the run that it began from it has `learned`: what both have
  learned, by kind of source.
  """
  learned = {
    kind: sorted(weights.find_trained_tasks(config, kind))
    for kind in base.SOURCES
  }
  learned = {kind: names for kind, names in learned.items() if names}
  return {**strip_places(config), 'init_from': '', 'learned': learned}


def describe_trainings(run: paths.Path) -> list[dict[str, Any]]:
  """How a run was trained, and before it those that it began from.

  Args:
    run: a workdir or an export.

  Returns:
    the oldest first: name, config, step, examples, and what is known of its
    command, versions, data and seconds. Runs that are gone are left out, with
    all before them.
  """
  found: list[dict[str, Any]] = []
  seen: set[str] = set()
  while str(run) not in seen:
    seen.add(str(run))
    if checkpoint_files.newest_step(run) is None:
      return [*exported_weights.load_about(run)['trainings'], *found]
    record = provenance.load_run_json(run)
    found.insert(0, strip_places(_describe_training(run, record)))
    start = record['config'].get('init_from')
    if not start:
      break
    try:
      run = trained_folders.to_folder(start)
      trained_folders.require(run)
      provenance.load_run_json(run)
    except (UserError, OSError):  # moved away
      break
  return found


def _describe_training(
  run: paths.Path, record: dict[str, Any]
) -> dict[str, Any]:
  config, step = record['config'], trained_folders.newest_step(run)
  rows = logs.load_metrics(run / exported_weights.METRICS)
  last = rows[-1] if rows else {}
  return {
    'name': run.name,
    'step': step,
    'examples': step * config['batch_size'],
    **{key: last[key] for key in _TOOK if key in last},
    **{key: record[key] for key in _TOLD if key in record},
    'resumed_at': [each['step'] for each in record.get('resumed', [])],
    'config': config,
  }
