"""Which trained folder a verb means."""

import pathlib

from vbanana_jax.errors import UserError


def find_run(folder: pathlib.Path) -> pathlib.Path:
  """The trained workdir that a folder is, or holds as tune/."""
  from vbanana_jax.checkpoint import newest_step

  for run in (folder, folder / 'tune'):
    if newest_step(run) is not None:
      return run
  raise UserError(
    f'{folder} has no checkpoint: make one with bash launch/quickstart.sh, '
    'or with vbanana train'
  )


def choose_run(folder: pathlib.Path | None) -> pathlib.Path:
  """The workdir that a flag names, or the newest one."""
  return find_newest_run() if folder is None else find_run(folder)


def find_newest_run() -> pathlib.Path:
  """The workdir under runs/ that was trained last."""
  from vbanana_jax.checkpoint import newest_step

  root = pathlib.Path('runs')
  runs = [
    path.parent
    for path in (*root.glob('*/tune/run.json'), *root.glob('*/run.json'))
    if newest_step(path.parent) is not None
  ]
  if not runs:
    raise UserError(
      'there is no trained run under runs/: make one with bash '
      'launch/quickstart.sh (about a quarter of an hour), or name one with '
      '--checkpoint'
    )
  return max(runs, key=lambda run: (run / 'run.json').stat().st_mtime)
