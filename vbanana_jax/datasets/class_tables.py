"""What the values of label pictures mean: classes by number and by color."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from vbanana_jax import labels
from vbanana_jax.errors import UserError

Color = tuple[int, int, int]

# Pixels of these have no right answer, or none of the classes.
_IGNORED = frozenset(
  ('void', 'unlabelled', 'unlabeled', 'ignore', 'ignored', 'dontcare')
)
_BACKGROUND = frozenset(('background', 'null', 'none'))
_IGNORE_MARK = re.compile(r'\s*[(\[](ignored?|void)[)\]]$', re.IGNORECASE)


class Row(NamedTuple):
  """A class as a table lists it.

  Attributes:
    value: of its pixels in a picture of numbers; its place where the table has
      colors alone.
    name: in words; two rows of one name are one class.
    color: of its pixels in a colored picture; None where the table has none.
    synonyms: further names.
  """

  value: int
  name: str
  color: Color | None = None
  synonyms: tuple[str, ...] = ()


class Remedies(NamedTuple):
  """How a person completes a table, for errors.

  Attributes:
    color: gives its classes colors.
    ignore: says that a value has no right answer.
  """

  color: str = 'give a table of name,r,g,b with --classes'
  ignore: str = '--ignore it'


class LabelTable(NamedTuple):
  """Classes, and what values and colors of label pictures mean.

  Attributes:
    classes: those that can be asked for, and backgrounds, which cannot.
    values: class id of each number, `labels.VOID` where it is ignored.
    colors: likewise of each color; empty where the table has none.
    place: of the table, for errors.
    ignored: names of the rows without a class.
    backgrounds: names of the classes that cannot be asked for.
    remedies: how a person completes it.
  """

  classes: labels.Classes
  values: dict[int, int]
  colors: dict[Color, int]
  place: str
  ignored: tuple[str, ...]
  backgrounds: tuple[str, ...]
  remedies: Remedies = Remedies()

  def describe(self) -> list[str]:
    """Lines for a person: what of the table is no class."""
    lines = []
    if self.ignored:
      lines.append(f'ignored: {", ".join(self.ignored)}')
    if self.backgrounds:
      lines.append(f'never asked for: {", ".join(self.backgrounds)}')
    return lines


def make_table(
  rows: Sequence[Row],
  place: str,
  *,
  ignore: Iterable[str] = (),
  things: Iterable[int] = (),
) -> LabelTable:
  """A table of rows, whose classes are numbered in order.

  Args:
    rows: as read.
    place: where from, for errors.
    ignore: names, or numbers, of pixels that have no right answer, besides
      those that are called so.
    things: values of rows whose objects can be told apart.

  Raises:
    UserError: no class, a value or color twice, or an unknown name in `ignore`.
  """
  _check_rows(rows, place)
  asked = {word.strip().casefold() for word in ignore}
  numbers = {word for word in asked if word.isdecimal()}
  unknown = asked - numbers - {row.name.casefold() for row in rows}
  if unknown:
    raise UserError(
      f'--ignore {min(unknown)}: no class of {place}, which has '
      f'{", ".join(row.name for row in rows[:8])}{", ..." * (len(rows) > 8)}'
    )
  number: dict[str, int] = {}
  values = {int(word): labels.VOID for word in numbers}
  colors = {}
  ignored = []
  for row in rows:
    words = {row.name.casefold(), str(row.value)}
    if words & asked or _is_ignored(row.name):
      ignored.append(row.name)
      found = labels.VOID
    else:
      found = number.setdefault(row.name, len(number))
    values[row.value] = found
    if row.color is not None:
      colors[row.color] = found
  if not number:
    raise UserError(f'{place}: lists no class that can be asked for')
  names = tuple(number)
  backgrounds = [name for name in names if name.casefold() in _BACKGROUND]
  return LabelTable(
    labels.Classes(
      names=names,
      areas=tuple(k for k, x in enumerate(names) if x not in backgrounds),
      things=tuple(sorted({values[value] for value in things} - {labels.VOID})),
      synonyms=_find_synonyms(rows, number),
    ),
    values,
    colors,
    place,
    tuple(ignored),
    tuple(backgrounds),
  )


def _check_rows(rows, place) -> None:
  for field in ('value', 'color'):
    seen: dict[Any, str] = {}
    for row in rows:
      key = getattr(row, field)
      if key is None:
        continue
      if seen.setdefault(key, row.name) != row.name:
        raise UserError(
          f'{place}: {field} {key} is both {seen[key]!r} and {row.name!r}'
        )


def _is_ignored(name: str) -> bool:
  return name.casefold() in _IGNORED or bool(_IGNORE_MARK.search(name))


def _find_synonyms(rows, number) -> dict[int, tuple[str, ...]]:
  """Further names that mean one class alone."""
  owners: dict[str, set[str]] = {}
  for row in rows:
    for word in (row.name, *row.synonyms):
      owners.setdefault(word.casefold(), set()).add(row.name)
  found = {}
  for row in rows:
    kept = tuple(
      word
      for word in dict.fromkeys(row.synonyms)
      if len(owners[word.casefold()]) == 1 and word != row.name
    )
    if kept and row.name in number:
      found[number[row.name]] = kept
  return found
