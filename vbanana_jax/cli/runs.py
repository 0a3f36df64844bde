"""Which run a verb asks."""

import pathlib

from vbanana_jax.errors import UserError


def choose_run(folder: pathlib.Path | None) -> pathlib.Path:
  """The workdir that --workdir names, or the one under runs/ trained last."""
  from vbanana_jax.training.checkpoint import newest_step
  from vbanana_jax.training.weights import find_run

  if folder is not None:
    return find_run(folder)

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
      '--workdir'
    )
  return max(runs, key=lambda run: (run / 'run.json').stat().st_mtime)
