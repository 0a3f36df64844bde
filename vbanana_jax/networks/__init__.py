"""Trained networks that come with the package.

Each folder here is what `vbanana export --format safetensors` writes. Its name
stands for it wherever a run can be named; see docs/networks.md.
"""

import os
import pathlib

from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

FOLDER = pathlib.Path(__file__).parent
DEFAULT = 'scenes-nano'  # which is asked where nobody names a run
_NEEDED = ('config.json', 'model.safetensors')


def list_networks() -> list[str]:
  """Names of the networks that come with the package."""
  return sorted(
    folder.name
    for folder in FOLDER.iterdir()
    if all((folder / name).is_file() for name in _NEEDED)
  )


def find(name: str) -> pathlib.Path:
  """The folder of a network.

  Raises:
    UserError: none of this name comes with the package.
  """
  names = list_networks()
  if name not in names:
    raise UserError(
      f'no network {name!r} comes with the package; '
      f'there are: {", ".join(names) or "none"}'
    )
  return FOLDER / name


def resolve(place: paths.Path) -> paths.Path:
  """The folder of a network where this is its name, else the place itself.

  What lies at the place counts for more than a name.
  """
  name = os.fspath(place)
  if name in list_networks() and not place.exists():
    return find(name)
  return place


def hint() -> str:
  """What ends an error about a run that is not there."""
  names = list_networks()
  return f'; with the package come {", ".join(names)}' if names else ''
