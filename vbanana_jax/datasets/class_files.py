"""Tables of classes, as people and tools write them."""

import csv
import io
import operator
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from vbanana_jax.benchmark.readers import files
from vbanana_jax.datasets import kinds
from vbanana_jax.datasets.class_tables import Row
from vbanana_jax.errors import UserError

_FORMS = (
  # A label map of CVAT: name:r,g,b:parts:actions
  re.compile(r'(?P<name>[^:]+):(?P<color>\d+,\d+,\d+)(:.*)?'),
  # CamVid: r g b name
  re.compile(r'(?P<color>\d+[\s,]+\d+[\s,]+\d+)[\s,:]+(?P<name>\D.*)'),
  re.compile(r'(?P<id>\d+)[\s,:=]+(?P<name>\D.*)'),
  re.compile(r'(?P<name>.+)'),
)
_SHAPES = (
  'a list of names, {"name": id}, {"id": "name"}, {"name": [r, g, b]} or a '
  'list of {"name", "id", "color"}'
)


FLAGS = (
  kinds.Flag('--classes', 'table of names, with colors or ids', ''),
  kinds.Flag(
    '--ignore',
    'names or numbers whose pixels have no right answer, split by commas',
    (),
    parse=lambda text: tuple(text.split(',')),
  ),
)


def find_table(
  root: pathlib.Path, names: Sequence[str], given: str
) -> pathlib.Path | None:
  """The table of classes that a person named, or else one that lies in `root`.

  Args:
    root: of the data set.
    names: of files there, the first one that exists.
    given: a path, from `root` or from here; empty for none.

  Raises:
    UserError: `given` does not exist.
  """
  if not given:
    found = (root / name for name in names)
    return next((path for path in found if path.is_file()), None)
  for path in (root / given, pathlib.Path(given)):
    if path.is_file():
      return path
  raise UserError(f'--classes {given}: no such file, nor in {root}')


def load_rows(path: pathlib.Path) -> list[Row]:
  """Rows of a table in JSON, CSV or text.

  JSON: a list of names, a dict of names to ids or colors or of ids to names, or
  a list of dicts. CSV: a header with name and, if it has them, id and r, g, b.
  Text: lines of a name, an id and a name, three levels and a name, or
  name:r,g,b. Underscores of names are spaces.

  Raises:
    UserError: names the file and the line or entry that is wrong.
  """
  suffix = path.suffix.lower()
  if suffix == '.json':
    found = _read_json(files.load_json(path), path)
  elif suffix in ('.csv', '.tsv'):
    found = _read_csv(path)
  else:
    found = _read_lines(path)
  if not found:
    raise UserError(f'{path}: lists no class')
  return [
    Row(place if row['id'] is None else row['id'], row['name'], row['color'])
    for place, row in enumerate(found)
  ]


def _make_fields(name, number, color, place) -> dict[str, Any]:
  """Checked fields of a row."""
  words = ' '.join(str(name).replace('_', ' ').split())
  if not isinstance(name, str) or not words:
    raise UserError(f'{place}: {name!r} is not the name of a class')
  if number is not None and not 0 <= number <= 65535:
    raise UserError(f'{place}: id {number} of {words} is not 0 to 65535')
  if color is not None:
    try:
      color = tuple(map(operator.index, color))
    except TypeError:
      color = ()
    if len(color) != 3 or not all(0 <= level <= 255 for level in color):
      raise UserError(f'{place}: the color of {words} is not three of 0 to 255')
  return {'name': words, 'id': number, 'color': color}


def _read_json(table, path) -> list[dict[str, Any]]:
  if isinstance(table, dict):
    nested = (table.get(key) for key in ('classes', 'categories'))
    table = next((x for x in nested if isinstance(x, list | dict)), table)
  if not isinstance(table, list | dict):
    raise UserError(f'{path}: not a table of classes: write {_SHAPES}')
  if isinstance(table, dict):
    entries = [(str(key), _read_pair(key, x)) for key, x in table.items()]
  else:
    entries = [(str(k), _read_entry(x)) for k, x in enumerate(table)]
  rows = []
  for key, fields in entries:
    if fields is None:
      raise UserError(f'{path}: entry {key} is not a class: write {_SHAPES}')
    rows.append(_make_fields(*fields, f'{path}: entry {key}'))
  return rows


def _read_pair(key: str, value: Any):
  """Name, id and color of an entry of a dict; None if it is no class."""
  if isinstance(value, str) and key.isdecimal():
    return value, int(key), None
  if isinstance(value, list):
    return key, None, value
  return (key, value, None) if _is_number(value) else None


def _read_entry(entry: Any):
  """Name, id and color of an entry of a list; None if it is no class."""
  if isinstance(entry, str):
    return entry, None, None
  if isinstance(entry, dict) and isinstance(entry.get('name'), str):
    number = entry.get('id')
    if number is None or _is_number(number):
      return entry['name'], number, entry.get('color')
  return None


def _is_number(value: Any) -> bool:
  return isinstance(value, int) and not isinstance(value, bool)


def _read_csv(path) -> list[dict[str, Any]]:
  text = '\n'.join(files.load_lines(path))
  marks = '\t' if path.suffix.lower() == '.tsv' else ','
  table = csv.DictReader(io.StringIO(text), delimiter=marks)
  columns = {str(name).strip().lower(): name for name in table.fieldnames or ()}
  if 'name' not in columns:
    raise UserError(
      f'{path}: no column "name" in its first line: write name,id or name,r,g,b'
    )
  colored = {'r', 'g', 'b'} <= columns.keys()
  rows = []
  for entry in table:
    where = f'{path}: line {table.line_num}'
    try:
      number = int(entry[columns['id']]) if 'id' in columns else None
      color = (
        tuple(int(entry[columns[level]]) for level in 'rgb')
        if colored
        else None
      )
    except (TypeError, ValueError, AttributeError) as error:
      raise UserError(f'{where}: not a class ({error})') from error
    rows.append(_make_fields(entry[columns['name']], number, color, where))
  return rows


def _read_lines(path) -> list[dict[str, Any]]:
  lines = [x for x in files.load_lines(path) if not x.startswith('#')]
  form = next(
    form for form in _FORMS if all(form.fullmatch(line) for line in lines)
  )
  rows = []
  for line in lines:
    found = form.fullmatch(line).groupdict()
    color = found.get('color')
    rows.append(
      _make_fields(
        found['name'].strip(),
        int(found['id']) if found.get('id') else None,
        color and tuple(map(int, re.split(r'[\s,]+', color))),
        f'{path}: {line!r}',
      )
    )
  return rows
