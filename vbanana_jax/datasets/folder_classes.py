"""The classes of `dataset.json`."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from vbanana_jax import labels
from vbanana_jax.datasets import class_files, class_tables, json_fields
from vbanana_jax.errors import UserError

_CLASS = ('id', 'name', 'color', 'area', 'thing', 'synonyms')
_REMEDIES = class_tables.Remedies(
  'give each of its classes a "color": [r, g, b]',
  'name it in "labels": {"void": ...} of dataset.json',
)


def read_table(
  found: Mapping[str, Any],
  section: Mapping[str, Any],
  root: pathlib.Path,
  path: pathlib.Path,
) -> class_tables.LabelTable | None:
  """The table of `dataset.json`, or of the file that it names.

  Args:
    found: all of it.
    section: what it says of labels.
    root: the set's folder.
    path: of `dataset.json`, for errors.

  Raises:
    UserError: names the entry and what it may be.
  """
  entries = found.get('classes')
  if entries is None:
    return None
  things: list[int] = []
  asked: dict[str, bool] = {}
  lists = path
  if isinstance(entries, str):
    lists = root / entries
    rows = class_files.load_rows(lists)
  else:
    json_fields.check_kind(entries, list, path, 'classes')
    rows = []
    for place, entry in enumerate(entries):
      fields = {'name': entry} if isinstance(entry, str) else entry
      where = f'classes[{place}]'
      json_fields.check_kind(fields, dict, path, where)
      json_fields.check_keys(fields, _CLASS, path, where)
      rows.append(_read_class(fields, place, path, where))
      if fields.get('thing', False):
        things.append(rows[-1].value)
      asked[rows[-1].name] = bool(fields.get('area', True))
  table = class_tables.make_table(rows, str(lists), things=things)
  values, colors = _read_void(section.get('void', ()), table, path)
  classes = table.classes
  areas = tuple(k for k in classes.areas if asked.get(classes.names[k], True))
  return table._replace(
    classes=dataclasses.replace(classes, areas=areas),
    values={**table.values, **dict.fromkeys(values, labels.VOID)},
    colors={**table.colors, **dict.fromkeys(colors, labels.VOID)},
    remedies=_REMEDIES,
  )


def _read_void(void, table, path) -> tuple[list[int], list[class_tables.Color]]:
  """Numbers and colors without a right answer.

  Three numbers are one color where the classes have colors.
  """
  if table.colors and _is_color(void):
    void = [void]
  entries = void if isinstance(void, list | tuple) else [void]
  colors = [tuple(entry) for entry in entries if _is_color(entry)]
  if colors and not table.colors:
    raise UserError(
      f'{path}: labels.void has the color {list(colors[0])}, and no class has '
      'one: name the numbers of the pixels'
    )
  rest = [entry for entry in entries if not _is_color(entry)]
  numbers = json_fields.read_numbers(rest, path, 'labels.void')
  return list(map(int, numbers)), colors


def _is_color(value: Any) -> bool:
  return (
    isinstance(value, list)
    and len(value) == 3
    and all(isinstance(v, int) and 0 <= v <= 255 for v in value)
  )


def _read_class(fields, place, path, where) -> class_tables.Row:
  name = json_fields.check_kind(fields.get('name'), str, path, f'{where}.name')
  value = json_fields.check_kind(
    fields.get('id', place), int, path, f'{where}.id'
  )
  color = fields.get('color')
  synonyms = json_fields.check_kind(
    fields.get('synonyms', []), list, path, f'{where}.synonyms'
  )
  if color is not None and not _is_color(color):
    raise UserError(f'{path}: {where}.color is {color!r}, not [r, g, b]')
  if not name.strip() or not all(isinstance(s, str) for s in synonyms):
    raise UserError(f'{path}: {where}: names are words')
  return class_tables.Row(
    value, name.strip(), color and tuple(color), tuple(synonyms)
  )
