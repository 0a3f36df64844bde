"""Fields of a JSON object that a person wrote, checked one by one."""

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Any

from vbanana_jax.errors import UserError

_KINDS = {
  dict: 'an object',
  list: 'a list',
  str: 'text',
  int: 'a whole number',
}


def read_numbers(value: Any, path: object, field: str) -> tuple[float, ...]:
  """A number, or a list of them; UserError for anything else."""
  values = tuple(value) if isinstance(value, list | tuple) else (value,)
  if not all(map(is_number, values)):
    raise UserError(
      f'{path}: {field} is {value!r}: a number, or a list of them'
    )
  return values


def is_number(value: Any) -> bool:
  """Whether it is finite and no truth value."""
  is_real = isinstance(value, int | float) and not isinstance(value, bool)
  return is_real and math.isfinite(value)


def check_kind(value: Any, kind: type, path: object, field: str) -> Any:
  """The value; UserError where it is of another kind."""
  if not isinstance(value, kind) or isinstance(value, bool):
    raise UserError(f'{path}: {field} is {value!r}, not {_KINDS[kind]}')
  return value


def check_keys(
  section: Mapping[str, Any], known: Collection[str], path: object, field: str
) -> None:
  """Raises UserError for a key that is not known, with the nearest one."""
  for key in section:
    if key not in known:
      near = difflib.get_close_matches(key, known, n=1)
      hint = f': did you mean {near[0]!r}?' if near else f': {", ".join(known)}'
      name = f'{field}.{key}'.lstrip('.')
      raise UserError(f'{path}: {name} is no field{hint}')
