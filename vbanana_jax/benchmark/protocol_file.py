"""The file of a protocol that is not shipped, read with care."""

import re
from typing import Any, TypeVar

from vbanana_jax.benchmark import readers
from vbanana_jax.benchmark.readers import files
from vbanana_jax.codecs import palettes
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

_Protocol = TypeVar('_Protocol')
_UNSAFE = re.compile(r'[^A-Za-z0-9._-]|^[.-]')
_REMEDY = 'make it again with vbanana protocol new'
_KINDS = {
  str: (
    'name', 'task', 'reader', 'split', 'image_size', 'resampling', 'alignment',
    'pooling', 'prompt', 'known_difference', 'notation',
  ),
  int: ('version', 'passes'),
  list: ('seeds', 'headline'),
  dict: ('sampler', 'other_splits'),
}  # fmt: skip
# May be null.
_OPTIONAL = {
  str: ('ids_sha256', 'standard_split'),
  int: ('count',),
  list: ('classes', 'background', 'clamp_m'),
  dict: ('crop', 'decoder'),
  int | float: ('near_m', 'cap_m', 'void_radius'),
}


def is_named(name: str) -> bool:
  """Whether a protocol is named by its file."""
  return name.endswith('.json')


def load(path: paths.Path, make: type[_Protocol]) -> _Protocol:
  """A protocol of a file.

  Args:
    path: of the file.
    make: `protocols.Protocol`.

  Raises:
    UserError: names the file, and the field that is missing or wrong.
  """
  fields = files.load_json(path, dict)
  try:
    protocol = make(**fields)
  except TypeError as error:
    what = str(error).partition(') ')[2] or str(error)
    raise UserError(f'{path}: not a protocol ({what}): {_REMEDY}') from error
  for kinds, also in ((_KINDS, ()), (_OPTIONAL, (None,))):
    for kind, names in kinds.items():
      _check(protocol, names, kind, also, path)
  if _UNSAFE.search(protocol.name):
    raise UserError(f'{path}: name {protocol.name!r} cannot be part of a file')
  reader = readers.READERS.get(protocol.reader)
  if reader is None or reader.task != protocol.task:
    raise UserError(
      f'{path}: no reader {protocol.reader!r} of {protocol.task!r}: {_REMEDY}'
    )
  if protocol.split not in reader.splits:
    raise UserError(
      f'{path}: split {protocol.split!r}: {protocol.reader} has '
      f'{", ".join(reader.splits)}'
    )
  if protocol.notation not in palettes.NOTATIONS:
    raise UserError(
      f'{path}: notation {protocol.notation!r}: choose of '
      f'{", ".join(palettes.NOTATIONS)}'
    )
  for entry in protocol.classes or ():
    if not _is_class(entry):
      raise UserError(
        f'{path}: classes has {entry!r}: write ["name", [r, g, b]], levels 0 '
        'to 255'
      )
  return protocol


def _check(protocol, names, kind, also, path) -> None:
  """Refuses fields of another type."""
  for name in names:
    value = getattr(protocol, name)
    if value in also:
      continue
    if not isinstance(value, kind) or isinstance(value, bool):
      wanted = getattr(kind, '__name__', 'a number')
      raise UserError(
        f'{path}: {name} is {value!r}, expected {wanted}: {_REMEDY}'
      )


def _is_class(entry: Any) -> bool:
  return (
    isinstance(entry, list)
    and len(entry) == 2
    and isinstance(entry[0], str)
    and isinstance(entry[1], list)
    and len(entry[1]) == 3
    and all(level in range(256) for level in entry[1])
  )
