"""Tables of classes as JSON and back, and what makes one unfit."""

from collections.abc import Mapping
from typing import Any

from vbanana_jax import labels
from vbanana_jax.errors import UserError


def to_fields(classes: labels.Classes) -> dict[str, Any]:
  """A table of classes as JSON."""
  return {
    'names': list(classes.names),
    'areas': list(classes.areas),
    'things': list(classes.things),
    'synonyms': {str(k): list(names) for k, names in classes.synonyms.items()},
    'any_thing': classes.any_thing,
  }


def from_fields(fields: Mapping[str, Any]) -> labels.Classes:
  """The table of classes that `to_fields` wrote.

  Raises:
    KeyError, TypeError, ValueError, AttributeError: it is another thing.
  """
  return labels.Classes(
    names=tuple(fields['names']),
    areas=tuple(map(int, fields['areas'])),
    things=tuple(map(int, fields['things'])),
    synonyms={int(k): tuple(v) for k, v in fields['synonyms'].items()},
    any_thing=str(fields.get('any_thing', '')),
  )


def check(classes: labels.Classes, place: object) -> None:
  """Checks a table of classes.

  Raises:
    UserError: names the entry: an empty or repeated name, an id beyond it.
  """
  names = [*classes.names, *(n for s in classes.synonyms.values() for n in s)]
  seen: set[str] = set()
  for name in names:
    if not isinstance(name, str) or not name.strip():
      raise UserError(f'{place}: classes: {name!r} is no name')
    if name.casefold() in seen:
      raise UserError(
        f'{place}: classes: {name!r} is named twice, and a word that means two '
        'classes cannot be asked for'
      )
    seen.add(name.casefold())
  ids = (*classes.areas, *classes.things, *classes.synonyms)
  for number in ids:
    if not 0 <= number < len(classes.names):
      raise UserError(
        f'{place}: classes: id {number}, and there are {len(classes.names)}'
      )
