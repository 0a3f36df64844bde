"""What a run's processes, and its parts, must have in common."""

import pathlib
import re
from typing import Any

import jax

from vbanana_jax.data import build
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import processes
from vbanana_jax.training import checkpoint, provenance

# Keys and sections that a run may change when it goes on. Where the weights
# came from no longer matters once there is a checkpoint; the length still does,
# because the learning rate follows it. Devices and the way they share the work
# change the last digits alone.
MAY_CHANGE = (
  'log_every',
  'save_every',
  'keep_checkpoints',
  'keep_every',
  'eval',
  'init_from',
  'mesh',
  'sharding',
  'model.snapshot',  # where it lies; checkpoints say which it is
  'model.text_cache',  # it has what the network would make
  'accumulate',
  'data.bad_records',
  'profile',
  'writers',
)
# Where a source lies may change too: `run.json` holds a digest of its data.
_PLACE = re.compile(r'sources\.\w+\.path')


def check_processes_agree(
  config: dict[str, Any], workdir: pathlib.Path
) -> None:
  """Refuses to train unless all processes are about to do the same.

  Raises:
    UserError: with what differs: sections of the config, the data, the
      packages, or what they see in the workdir.
  """
  if jax.process_count() == 1:
    return
  try:
    data = build.describe_data(config)
  except (UserError, OSError) as error:  # who builds it says more
    data = str(error)
  processes.check_agree(
    {
      **{f'config.{name}': section for name, section in config.items()},
      'the data': data,
      'versions of packages': provenance.get_package_versions(),
      'the newest checkpoint in --workdir': checkpoint.newest_step(workdir),
    }
  )


def check_same_config(workdir: pathlib.Path, config: dict[str, Any]) -> None:
  """Refuses to go on with a run of another config, or on other data.

  Raises:
    UserError: with every key that differs and may not.
  """
  if checkpoint.newest_step(workdir) is None:
    return
  run = provenance.load_run_json(workdir)
  before = flatten_config(run['config'])
  now = flatten_config(config)
  if 'data' in run:  # older versions did not write it
    before |= _flatten_data(run['data'], now)
    now |= _flatten_data(build.describe_data(config), now)
  differences = [
    f'{key} was {before.get(key)}, is {now.get(key)}'
    for key in sorted(now.keys() | before.keys())
    if now.get(key) != before.get(key)
    and not ('data' in run and _PLACE.fullmatch(key))
    and not any(f'{key}.'.startswith(f'{may}.') for may in MAY_CHANGE)
  ]
  if differences:
    raise UserError(
      f'{workdir} holds a run of another config ({"; ".join(differences)}): '
      'repeat the command of its run.json, or choose another --workdir; '
      f'--config.init_from={workdir} begins that one with these weights'
    )


def _flatten_data(
  data: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
  """What describes the data, without the settings that a config has too."""
  return {
    f'run.json data.{key}': value
    for key, value in flatten_config(data).items()
    if key not in settings
  }


def report_complete(workdir: pathlib.Path, step: int, total: int) -> None:
  """Says that a run has come to its end before, and what can follow."""
  processes.print_from_first(
    f'{workdir}: trained already, {step} of {total} steps; to begin another '
    f'run with its weights: --config.init_from={workdir}'
  )


def flatten_config(config: dict[str, Any]) -> dict[str, Any]:
  """Values of a nested config by their dotted keys."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(config)
  return {
    jax.tree_util.keystr(path, simple=True, separator='.'): value
    for path, value in leaves
  }
