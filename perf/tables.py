"""Tables of results as Markdown, for documents and the terminal.

A result holds `tables`, {name: {row: {column: value}}}. A value is a number, a
word, None, or a summary with `median`, `min` and `max`. In a table or column
whose name ends in `share`, numbers are shown in percent.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Table = dict[str, dict[str, Any]]


def make_tables(result: dict[str, Any], names: Sequence[str] = ()) -> str:
  """The tables of a result, or those of them that are named."""
  return '\n\n'.join(
    make_table(result['tables'][name], is_share=name.endswith('share'))
    for name in names or result['tables']
  )


def make_table(table: Table, *, is_share: bool = False) -> str:
  """A line a row; a value that a row lacks is left blank."""
  columns = list(dict.fromkeys(name for row in table.values() for name in row))
  lines = [
    [
      name,
      *(
        to_text(row[column], is_share or column.endswith('share'))
        if column in row
        else ''
        for column in columns
      ),
    ]
    for name, row in table.items()
  ]
  return tabulate(['', *(x.replace('_', ' ') for x in columns)], lines)


def to_text(value: Any, is_share: bool = False) -> str:
  """As in 2.31 (2.2 to 2.45), 1,024, 2.5 % or a word."""
  if isinstance(value, dict):
    median, low, high = (
      to_text(value[end], is_share) for end in ('median', 'min', 'max')
    )
    return f'{median} ({low} to {high})'
  if value is None:
    return '-'
  if isinstance(value, bool) or not isinstance(value, int | float):
    return str(value)
  if is_share:
    share = 100 * value
    return f'{share:.2g} %' if abs(share) < 10 else f'{share:.0f} %'
  return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def tabulate(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
  """A Markdown table."""
  rows = [head, ['---'] * len(head), *lines]
  return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def describe_source(result: dict[str, Any]) -> str:
  """How a result is repeated, and where it was measured."""
  machine = result.get('machine') or result.get('versions') or {}
  cores = machine.get('usable_cores')
  settings = [f'{k}={v}' for k, v in machine.get('settings', {}).items()]
  said = [
    f'`{" ".join([*settings, result["command"]])}`'
    if 'command' in result
    else '',
    machine.get('cpu') or machine.get('device') or '',
    f'{cores} core{"" if cores == 1 else "s"}' if cores else '',
    *(f'{key} {machine[key]}' for key in ('jax', 'torch') if key in machine),
  ]
  if 'load_average' in machine:
    said.append(f'load average {machine["load_average"][0]}')
  if 'note' in result:
    said.append(result['note'])
  return '; '.join(filter(None, said))
