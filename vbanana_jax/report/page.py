"""One self-contained HTML page a run: no network, no script, any screen.

Pictures travel at their own size as PNG data URIs and are enlarged by the
browser without smoothing, so that a painted color is what it was.
"""

import base64
import dataclasses
import html
import io
import os
import pathlib

import numpy as np
from PIL import Image

from vbanana_jax.report import charts, style
from vbanana_jax.runtime import files

MAX_BYTES = 6_000_000
ARROW = {'max': '\u2191', 'min': '\u2193', None: ''}
_SIGN = {'max': 1.0, 'min': -1.0, None: 1.0}


@dataclasses.dataclass(frozen=True)
class Row:
  """One score beside the best constant answer's; `interval` is 95 %."""

  task: str
  metric: str
  value: float
  constant: float | None
  n: int
  better: str | None  # 'max', 'min', or None where neither is
  interval: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Example:
  """One question with its pictures by caption, in the order shown.

  Captions are usually input, painted, decoded, truth, error; uint8 [h w 3].
  """

  prompt: str
  pictures: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Report:
  """Everything on the page; empty parts are left out.

  Fields:
    seconds: wall time by phase.
    spent: phase -> what is to be said of its time.
    by_count: task and metric -> number of objects -> score.
    obedience: task and kind of fact -> column -> number.
    color_distance: task -> column -> number; mean 8-bit levels and so on.
    notes: task -> one line on how to read its pictures.
  """

  title: str
  summary: str
  rows: list[Row] = dataclasses.field(default_factory=list)
  seconds: dict[str, float] = dataclasses.field(default_factory=dict)
  spent: dict[str, str] = dataclasses.field(default_factory=dict)
  curves: list[charts.Chart] = dataclasses.field(default_factory=list)
  galleries: dict[str, list[Example]] = dataclasses.field(default_factory=dict)
  notes: dict[str, str] = dataclasses.field(default_factory=dict)
  by_count: dict[str, dict[str, float]] = dataclasses.field(
    default_factory=dict
  )
  obedience: dict[str, dict[str, float]] = dataclasses.field(
    default_factory=dict
  )
  color_distance: dict[str, dict[str, float]] = dataclasses.field(
    default_factory=dict
  )
  config: dict = dataclasses.field(default_factory=dict)
  versions: dict[str, str] = dataclasses.field(default_factory=dict)


def write_report(path: str | os.PathLike, report: Report) -> pathlib.Path:
  """Writes the page atomically and returns its path.

  Gallery rows that would push the page over `MAX_BYTES` are left out, the
  last ones of every task first, and the page says so.
  """
  return files.write_atomic(path, make_page(report).encode())


def make_page(report: Report) -> str:
  """The page as text."""
  sections = [
    _section('Scores', _scores(report.rows)),
    _section('Time', _times(report)),
    _section(
      'Curves',
      ''.join(
        f'<figure>{charts.draw_chart(chart)}</figure>'
        for chart in report.curves
      ),
      'curves',
    ),
    _section('Scores by number of objects', _numbers(report.by_count)),
    _section(
      'Facts of captions',
      _numbers(
        report.obedience,
        'Facts that were asked of generated pictures, and shares that another '
        'network saw: in pictures of other captions (floor), in those painted '
        'for the captions (held), in true renderings (ceiling). Reached is how '
        'far from floor to ceiling held lies.',
      ),
    ),
    _section(
      'Painted colors',
      _numbers(
        report.color_distance,
        'How far painted colors lie from the nearest legal ones, in 8-bit '
        'levels: 0 is exact, 255 is black for white.',
      ),
    ),
    *(
      _section(f'Task: {task}', body, 'task')
      for task, body in _galleries(report).items()
    ),
    _section('Configuration', _folded('every field', _flatten(report.config))),
    _section('Versions', _facts(report.versions)),
  ]
  title = html.escape(report.title)
  return (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f'<title>{title}</title><style>{style.CSS}</style></head><body><main>'
    f'<h1>{title}</h1><p>{html.escape(report.summary)}</p>'
    f'{"".join(sections)}</main></body></html>\n'
  )


def make_data_uri(picture: np.ndarray) -> str:
  """A uint8 picture [h w 3] as a PNG data URI."""
  if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
    raise ValueError(
      f'a picture is uint8 [h w 3], not {picture.dtype} {picture.shape}'
    )
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, 'PNG', optimize=True)
  return 'data:image/png;base64,' + base64.b64encode(buffer.getvalue()).decode()


def _section(title: str, body: str, name: str = '') -> str:
  if not body:
    return ''
  return (
    f'<section class="{name}"><h2>{html.escape(title)}</h2>{body}</section>'
  )


def _scores(rows: list[Row]) -> str:
  if not rows:
    return ''
  lines = []
  for row in rows:
    color = ''  # nothing to beat, nothing to color
    if row.constant is not None:
      gain = (row.value - row.constant) * _SIGN[row.better]
      color = f' class="{"better" if gain > 0 else "worse"}"'
    interval = (
      f' <small>[{row.interval[0]:.4g}, {row.interval[1]:.4g}]</small>'
      if row.interval
      else ''
    )
    arrow = ARROW[row.better]
    constant = '&ndash;' if row.constant is None else f'{row.constant:.4g}'
    lines.append(
      f'<tr><td>{html.escape(row.task)}</td>'
      f'<td>{html.escape(row.metric).replace("_", "_<wbr>")} {arrow}</td>'
      f'<td{color}>{row.value:.4g}'
      f'{interval}</td><td>{constant}</td><td>{row.n:,}</td></tr>'
    )
  return (
    '<div class="table"><table>'
    '<thead><tr><th>task<th>metric<th>score<th>constant<th>n</tr></thead>'
    f'<tbody>{"".join(lines)}</tbody></table></div>'
    '<p class="hint">Constant: the best constant answer for that metric, '
    'fitted on training scenes. Arrows point to better; a score no better '
    'than the constant is red, a better one green.</p>'
  )


def _numbers(table: dict[str, dict[str, float]], hint: str = '') -> str:
  if not table:
    return ''
  columns = list(dict.fromkeys(c for row in table.values() for c in row))
  head = ''.join(f'<th>{html.escape(column)}' for column in columns)
  lines = []
  for task, row in table.items():
    cells = ''.join(
      f'<td>{row[c]:.4g}</td>' if c in row else '<td>&ndash;</td>'
      for c in columns
    )
    lines.append(f'<tr><td>{html.escape(task)}</td>{cells}</tr>')
  return (
    f'<div class="table"><table><thead><tr><th>task{head}</tr></thead>'
    f'<tbody>{"".join(lines)}</tbody></table></div>'
    + (f'<p class="hint">{html.escape(hint)}</p>' if hint else '')
  )


def _times(report: Report) -> str:
  return _facts(
    {
      phase: ', '.join(filter(None, [_clock(s), report.spent.get(phase)]))
      for phase, s in report.seconds.items()
    }
  )


def _galleries(report: Report) -> dict[str, str]:
  """Rows in turns over the tasks, until the page's size is spent."""
  shown = {task: [] for task in report.galleries}
  budget, full = MAX_BYTES - 400_000, False
  longest = max((len(rows) for rows in report.galleries.values()), default=0)
  for number in range(longest):
    for task, rows in report.galleries.items():
      if full or number >= len(rows):
        continue
      row = _example(rows[number])
      full = len(row) > budget
      if not full:
        shown[task].append(row)
        budget -= len(row)
  bodies = {}
  for task, rows in report.galleries.items():
    note = report.notes.get(task, '')
    left_out = len(rows) - len(shown[task])
    if left_out:
      note += f' {left_out} more left out to keep this page small.'
    hint = f'<p class="hint">{html.escape(note)}</p>' if note else ''
    if rows:
      bodies[task] = hint + f'<div class="rows">{"".join(shown[task])}</div>'
  return bodies


def _example(example: Example) -> str:
  cells = ''.join(
    f'<figure><img alt="{html.escape(caption)}" width="{picture.shape[1]}" '
    f'height="{picture.shape[0]}" src="{make_data_uri(picture)}">'
    f'<figcaption>{html.escape(caption)}</figcaption></figure>'
    for caption, picture in example.pictures.items()
  )
  return (
    f'<article><blockquote>{html.escape(example.prompt)}</blockquote>'
    f'<div class="cells">{cells}</div></article>'
  )


def _facts(facts: dict) -> str:
  lines = ''.join(
    f'<tr><td>{html.escape(str(key))}</td>'
    f'<td class="text">{html.escape(str(value))}</td></tr>'
    for key, value in facts.items()
  )
  return f'<table class="facts"><tbody>{lines}</tbody></table>' if lines else ''


def _folded(title: str, facts: dict) -> str:
  if not facts:
    return ''
  return (
    f'<details><summary>{html.escape(title)}</summary>{_facts(facts)}</details>'
  )


def _flatten(config: dict, prefix: str = '') -> dict:
  flat = {}
  for key, value in config.items():
    if isinstance(value, dict) and value:
      flat |= _flatten(value, f'{prefix}{key}.')
    else:
      flat[f'{prefix}{key}'] = value
  return flat


def _clock(seconds: float) -> str:
  minutes, rest = divmod(seconds, 60)
  return f'{int(minutes)} min {rest:.0f} s' if minutes else f'{rest:.1f} s'
