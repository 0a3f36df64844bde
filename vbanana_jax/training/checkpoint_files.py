"""Which checkpoints are there, and of which files, to notice damaged ones.

Readers of arrays find out late, in many words, or never. The list of names,
sizes and checksums is written before a checkpoint is committed, and so is part
of it.
"""

import json
import sys
import zlib
from collections.abc import Collection

from vbanana_jax.runtime import paths
from vbanana_jax.training.checkpoint_errors import describe

LIST = 'files.json'
_PIECE = 4 * 2**20  # bytes read at once

# What makes a checkpoint in a bucket count.
_COMMITTED = 'commit_success.txt'
# What checkpoints had before they had a list.
_ITEMS = ('manifest', 'params')


def list_steps(folder: paths.Path) -> list[int]:
  """Steps of the committed checkpoints of a folder `checkpoints`."""
  if not folder.is_dir():
    return []
  # Orbax renames a checkpoint to its bare step when it is whole, and in a
  # bucket puts an object into it.
  whole = _COMMITTED if paths.is_bucket(folder) else ''
  return [
    int(entry.name)
    for entry in folder.iterdir()
    if entry.name.isdecimal() and entry.is_dir() and (entry / whole).exists()
  ]


def newest_step(workdir: str | paths.Path) -> int | None:
  """Step of a workdir's newest committed checkpoint, without opening it."""
  return max(list_steps(paths.to_path(workdir) / 'checkpoints'), default=None)


def save_list(folder: paths.Path) -> None:
  """Lists the files of all items of a checkpoint: {name: [bytes, CRC-32]}.

  In a bucket the bytes alone: it compares checksums itself, when an object
  comes and when it goes.
  """
  measure = _get_size if paths.is_bucket(folder) else _measure
  files = {
    path.relative_to(folder).as_posix(): measure(path)
    for path in sorted(folder.rglob('*'))
    if path.is_file() and path.parent != folder
  }
  lines = ',\n'.join(
    f'  {json.dumps(name)}: {json.dumps(known)}'
    for name, known in files.items()
  )
  (folder / LIST).write_text(f'{{\n{lines}\n}}\n')


def _get_size(path: paths.Path) -> int:
  return path.stat().st_size


def _measure(path: paths.Path) -> list[int]:
  return [_get_size(path), crc32_file(path)]


def crc32_file(path: paths.Path) -> int:
  """CRC-32 of a file."""
  found, piece = 0, memoryview(bytearray(_PIECE))
  with path.open('rb') as file:
    while count := file.readinto(piece):
      found = zlib.crc32(piece[:count], found)
  return found


def verify(
  folder: paths.Path, items: Collection[str] | None = None
) -> str | None:
  """What is wrong with the first file that is not as listed; None if nothing.

  Older versions wrote no list, then one of sizes alone: there is no more to
  compare with.

  Args:
    folder: of the checkpoint.
    items: those of which the contents are read, and not the sizes alone; all
      of them if not given.
  """
  try:
    known = _load_list(folder)
  except FileNotFoundError:
    whole = all((folder / item).is_dir() for item in _ITEMS)
    return None if whole else f'{LIST} is missing'
  except (ValueError, TypeError, AttributeError):
    return f'{LIST} is damaged'
  for name, (size, _) in known.items():
    path = folder / name
    if not path.is_file():
      return f'{name} is missing'
    if path.stat().st_size != size:
      return f'{name} has {path.stat().st_size} of {size} bytes'
  for name, (_, expected) in known.items():
    if items is not None and name.partition('/')[0] not in items:
      continue
    if expected is not None and crc32_file(folder / name) != expected:
      return f'{name} has other bytes than were written'
  return None


def _load_list(folder: paths.Path) -> dict[str, tuple[int, int | None]]:
  """Bytes and CRC-32 by name; None where only the bytes are known."""
  listed = json.loads((folder / LIST).read_text())
  files = {}
  for name, known in listed.items():
    size, expected = (known, None) if isinstance(known, int) else known
    files[name] = int(size), expected
  if not files:
    raise ValueError('an empty list')
  return files


def quarantine(folder: paths.Path) -> paths.Path:
  """Renames a damaged checkpoint, so that nothing takes it for a whole one."""
  number = 1
  while (target := folder.with_name(f'{folder.name}.damaged{number}')).exists():
    number += 1
  return folder.rename(target)


def set_damaged_aside(folder: paths.Path) -> str:
  """Renames damaged checkpoints that are newer than the newest whole one.

  Args:
    folder: `checkpoints` of a workdir.

  Returns:
    what is wrong with the newest one where none is whole, and nothing is
    renamed; else ''.
  """
  damaged: dict[paths.Path, str] = {}
  for step in sorted(list_steps(folder), reverse=True):
    damage = verify(folder / str(step))
    if damage:
      damaged[folder / str(step)] = damage
      continue
    for other, damage in damaged.items():
      print(
        f'vbanana: {other} is damaged ({damage}): it is now '
        f'{quarantine(other).name}, and training goes on from step {step}',
        file=sys.stderr,
      )
    return ''
  return next((describe(*found) for found in damaged.items()), '')
