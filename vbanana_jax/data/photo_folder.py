"""The photographs in one folder, and what else lies there."""

import collections
from collections.abc import Mapping, Sequence

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


def drop_repeats(files: Sequence[paths.Path]) -> list[paths.Path]:
  """Each file once, where one is named twice or lies in a folder named too."""
  by_place: dict[paths.Path, paths.Path] = {}
  for file in files:
    by_place.setdefault(file.absolute(), file)
  return list(by_place.values())


def name_apart(files: Sequence[paths.Path]) -> list[str]:
  """A name for what is made of each file, no two the same.

  Names without their endings; where these are the same, with them; where these
  are the same in several folders, with the folders' too. A and a are taken for
  the same, as some disks do.

  Args:
    files: each of them once.

  Raises:
    UserError: all of that does not tell two of them apart.
  """
  whole = [file.absolute().parts for file in files]
  common = 0  # folders that all are in
  while all(
    parts[common:-1][:1] == whole[0][common:-1][:1] != () for parts in whole
  ):
    common += 1
  choices = zip(
    (file.stem for file in files),
    (file.name for file in files),
    ('_'.join(parts[common:]) for parts in whole),
  )
  names = [''] * len(files)
  left = list(range(len(files)))
  for chosen in zip(*choices):
    for i in left:
      names[i] = chosen[i]
    counts = collections.Counter(chosen[i].casefold() for i in left)
    left = [i for i in left if counts[chosen[i].casefold()] > 1]
  owners: dict[str, paths.Path] = {}
  for file, name in zip(files, names):
    if name in owners:
      raise UserError(
        f'{owners[name]} and {file} would have answers of the same name, '
        f'{name}: answer them into two --out'
      )
    owners[name] = file
  return names
