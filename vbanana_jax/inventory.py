"""Which files a checkpoint is made of, to notice a missing or a short one.

Readers of arrays find out late, and in many words. The list of names and sizes
is written before a checkpoint is committed, and so is part of it.
"""

import json
import pathlib

LIST = 'files.json'


def save_list(folder: pathlib.Path) -> None:
  """Lists the files of all items of a checkpoint, with their bytes."""
  files = {
    path.relative_to(folder).as_posix(): path.stat().st_size
    for path in sorted(folder.rglob('*'))
    if path.is_file() and path.parent != folder
  }
  (folder / LIST).write_text(json.dumps(files, indent=2) + '\n')


def find_damage(folder: pathlib.Path) -> str | None:
  """What is wrong with the first file that is not as listed; None if nothing.

  A checkpoint without a list, as older versions wrote them, passes.
  """
  try:
    files = json.loads((folder / LIST).read_text())
  except FileNotFoundError:
    return None
  except ValueError:
    return f'{LIST} is damaged'
  for name, size in files.items():
    path = folder / name
    if not path.is_file():
      return f'{name} is missing'
    if path.stat().st_size != size:
      return f'{name} has {path.stat().st_size} of {size} bytes'
  return None


def move_aside(folder: pathlib.Path) -> pathlib.Path:
  """Renames a damaged checkpoint, so that nothing takes it for a whole one."""
  number = 1
  while (target := folder.with_name(f'{folder.name}.damaged{number}')).exists():
    number += 1
  return folder.rename(target)
