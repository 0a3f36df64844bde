"""Which run a verb asks."""

import pathlib

from vbanana_jax import networks
from vbanana_jax.errors import UserError


def choose_run(folder: pathlib.Path | None) -> pathlib.Path:
  """The run that --workdir names, or the one under runs/ trained last.

  Without any run it is the network that comes with the package.
  """
  from vbanana_jax.runtime import processes
  from vbanana_jax.training.trained_folders import find_run, newest_step

  if folder is not None:
    return find_run(folder)

  root = pathlib.Path('runs')
  runs = [
    path.parent
    for path in (*root.glob('*/tune/run.json'), *root.glob('*/run.json'))
    if newest_step(path.parent) is not None
  ]
  if runs:
    return max(runs, key=lambda run: (run / 'run.json').stat().st_mtime)
  if networks.DEFAULT not in networks.list_networks():
    raise UserError(
      'there is no trained run under runs/: make one with bash '
      'launch/quickstart.sh (about a quarter of an hour), or name one with '
      '--workdir'
    )
  processes.log(
    f'there is no trained run under runs/: {networks.DEFAULT} answers, which '
    'comes with the package'
  )
  return networks.find(networks.DEFAULT)
