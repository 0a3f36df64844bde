"""The photographs in one folder, and what else lies there."""

import collections
from collections.abc import Mapping

from vbanana_jax.data import image_formats
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

# What file managers leave; besides, all names that begin with a dot.
_LEFT_BY_SYSTEMS = ('thumbs.db', 'ehthumbs.db', 'desktop.ini', 'icon\r')


def is_hidden(name: str) -> bool:
  """Whether a file or folder of this name is a system's and not a person's."""
  return (
    name.startswith('.')
    or name == '__MACOSX'
    or name.lower() in _LEFT_BY_SYSTEMS
  )


def find_photos(
  folder: paths.Path,
) -> tuple[list[paths.Path], Mapping[str, int]]:
  """Photographs of a folder by their names' endings, in order of name.

  Folders inside are not looked into, hidden files not counted.

  Returns:
    the photographs, and how many other things lie there by their endings.

  Raises:
    UserError: the folder cannot be listed.
  """
  found, others = [], collections.Counter()
  try:
    for entry in sorted(folder.iterdir()):
      if is_hidden(entry.name):
        continue
      suffix = entry.suffix.lower()
      if entry.is_dir():
        others['folders'] += 1
      elif suffix in image_formats.SUFFIXES:
        found.append(entry)
      else:
        others[suffix or 'without an ending'] += 1
  except OSError as error:
    raise UserError(
      f'{folder}: cannot be listed ({error.strerror or error})'
    ) from error
  return found, others
