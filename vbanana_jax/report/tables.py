"""Tables of numbers: sorted by a click, and downloaded as CSV.

The file travels inside of the page, so that the link works without a script
and without a network.
"""

import base64
import csv
import dataclasses
import html
import io
import re

# What a color says is said by a sign too.
BETTER, WORSE, SAME = 'better', 'worse', 'same'
_MARKS = {BETTER: '▲', WORSE: '▼', SAME: '≈'}


@dataclasses.dataclass(frozen=True)
class Cell:
  """One entry; `value` is what is sorted and written to the CSV file.

  Attributes:
    value: a number, words, or None for nothing.
    text: what is shown, if that is not the value itself.
    interval: 95 %, shown below and written beside the value.
    verdict: `BETTER`, `WORSE`, `SAME`, or '' where there is none.
  """

  value: float | str | None
  text: str = ''
  interval: tuple[float, float] | None = None
  verdict: str = ''


@dataclasses.dataclass(frozen=True)
class Table:
  """Columns by their titles, and rows of cells; the first cell names its row.

  Attributes:
    name: of the CSV file.
    columns: titles.
    rows: of as many cells as there are columns.
    hint: how to read it.
  """

  name: str
  columns: list[str]
  rows: list[list[Cell]]
  hint: str = ''


def draw_table(table: Table) -> str:
  """The table as HTML; '' without rows."""
  if not table.rows:
    return ''
  head = ''.join(
    f'<th scope="col"{_name_kind(table, k)}>{_break_words(title)}</th>'
    for k, title in enumerate(table.columns)
  )
  body = ''.join(_draw_row(row) for row in table.rows)
  hint = f'<span>{html.escape(table.hint)}</span>' if table.hint else ''
  file_name = re.sub(r'[^\w.-]+', '_', table.name)
  encoded = base64.b64encode(make_csv(table).encode()).decode()
  link = (
    f'<a class="csv" download="{file_name}.csv" '
    f'href="data:text/csv;charset=utf-8;base64,{encoded}">CSV</a>'
  )
  return (
    '<div class="table"><table class="sortable">'
    f'<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    f'<p class="hint">{hint} {link}</p>'
  )


def make_csv(table: Table) -> str:
  """The same as CSV: all digits, intervals as columns of their own."""
  spread = [
    any(row[k].interval for row in table.rows)
    for k in range(len(table.columns))
  ]
  stream = io.StringIO()
  writer = csv.writer(stream, lineterminator='\n')
  head = []
  for title, wide in zip(table.columns, spread):
    head += [title, f'{title} low', f'{title} high'] if wide else [title]
  writer.writerow(head)
  for row in table.rows:
    line = []
    for cell, wide in zip(row, spread):
      line.append(_keep_words(cell.value))
      if wide:
        line += cell.interval or ('', '')
    writer.writerow(line)
  return stream.getvalue()


def _keep_words(value):
  """What a program that opens tables takes for a formula stays words."""
  if isinstance(value, str) and value[:1] in ('=', '+', '-', '@'):
    return f"'{value}"
  return '' if value is None else value


def _name_kind(table: Table, k: int) -> str:
  """Of a column of words, which is not the first."""
  found = k > 0 and any(isinstance(row[k].value, str) for row in table.rows)
  return ' class="words"' if found else ''


def _draw_row(row: list[Cell]) -> str:
  first, *rest = row
  title = _break_words(first.text or to_text(first.value))
  return (
    f'<tr><th scope="row"{_sort_key(first)}>{title}</th>'
    f'{"".join(map(_draw_cell, rest))}</tr>'
  )


def _draw_cell(cell: Cell) -> str:
  kinds = [cell.verdict] if cell.verdict else []
  kinds += ['words'] if isinstance(cell.value, str) else []
  name = f' class="{" ".join(kinds)}"' if kinds else ''
  mark = ''
  if cell.verdict:
    mark = f'<b aria-label="{cell.verdict}">{_MARKS[cell.verdict]}</b> '
  text = _break_words(cell.text or to_text(cell.value))
  small = ''
  if cell.interval:
    low, high = map(to_text, cell.interval)
    small = f'<small>{low} to <wbr>{high}</small>'
  return f'<td{name}{_sort_key(cell)}><span>{mark}{text}</span>{small}</td>'


def _sort_key(cell: Cell) -> str:
  """Nothing where there is nothing, which is sorted to the end."""
  if cell.value is None:
    return ''
  return f' data-v="{html.escape(str(cell.value))}"'


def _break_words(text: str) -> str:
  return re.sub('([_/.-])(?=[^0-9])', r'\1<wbr>', html.escape(text))


def to_text(value: float | str | None) -> str:
  """Four digits of a number, a dash for nothing, words as they are."""
  if value is None:
    return '\u2013'
  if isinstance(value, int):
    return f'{value:,}'
  if isinstance(value, float):
    return f'{value:.4g}'.replace('-', '\u2212')
  return value
