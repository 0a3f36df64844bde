"""Tables and figure of docs/codecs.md from what was measured.

  python -m perf.codec_page

The tables stand between two markers; a test fails where page and results
differ.
"""

import html
import json
import math

from perf import readme

RESULTS = readme.RESULTS / 'codecs.json'
PAGE = readme.ROOT / 'docs' / 'codecs.md'
FIGURE = readme.ROOT / 'docs' / 'figures' / 'codecs.svg'

_COLOURS = {
  'cube edges': '#d2436b', 'grayscale': '#6b7280', 'viridis': '#2a9d5c',
  'plasma': '#8b4fd0', 'inferno': '#e0832b', 'depth': '#d2436b',
  'normals': '#2f7ed8', 'palettes': '#2a9d5c',
}  # fmt: skip
_INK, _FAINT = '#1f2328', '#d8dee4'
_WIDTH, _LEFT, _ROW = 720, 150, 21
_DOTS_RIGHT, _CURVES_LEFT, _CURVES_RIGHT = 430, 490, 700


def main() -> None:
  result = load_result()
  FIGURE.parent.mkdir(exist_ok=True)
  FIGURE.write_text(draw_figure(result))
  PAGE.write_text(readme.replace_table(PAGE.read_text(), make_tables(result)))


def load_result() -> dict:
  """The committed measurement."""
  return json.loads(RESULTS.read_text())


def make_tables(result: dict) -> str:
  """Markdown of all tables, with the command and machine above them."""
  versions = ', '.join(f'{k} {v}' for k, v in result['versions'].items())
  parts = [
    f'`{result["command"]}` ({result["pictures"]} pictures of '
    f'{result["size"]}x{result["size"]} of each kind; {result["device"]}, '
    f'{result["cores"]} cores; {versions}).',
    '**Depth by map**: median relative error, and delta1 (depths log-uniform '
    'from 0.1 to 80 m; the four plot maps linear over that range).',
    _tabulate(result['depth'], _write_depth),
    '**Depth along the cube edges, by distance**: the same, on flat pictures.',
    _tabulate(result['flat_depth'], _write_depth),
    '**Normals**: angle to the true one.',
    _tabulate(_rename_normals(result['normals']), str),
    '**Labels**: share of pixels read as another label.',
    _tabulate(result['labels'], _write_percent),
    '**Confidence** on noise that it was not fitted on: share of pixels that '
    'are right, and expected calibration error over 15 bins; then the same '
    'where cells are twice as wide as in the fit, so that fewer pixels are at '
    'edges.',
    _tabulate(_rename_confidence(result['confidence']), str),
    '**Speed**: milliseconds a megapixel (1024x1024), float32 RGB to a numpy '
    f'array, medians in turns.{_write_ratio(result["speed"])}',
    _tabulate({'milliseconds': result['speed']['milliseconds']}, str),
  ]
  return '\n\n'.join(parts)


def draw_figure(result: dict) -> str:
  """Errors of the depth maps as dots, reliability of confidences as curves."""
  rows = list(result['depth'])
  top, bottom = 44, 44 + _ROW * len(rows)
  height = bottom + 62
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_WIDTH} '
    f'{height}" font-family="system-ui, sans-serif" font-size="11" '
    f'fill="{_INK}"><title>Errors of depth maps under damage, and reliability '
    f'of confidences</title><rect width="{_WIDTH}" height="{height}" '
    'fill="#ffffff"/>',
    _text(8, 18, 'Median relative error of depth', bold=True),
    _text(_CURVES_LEFT, 18, 'Right, by stated confidence', bold=True),
  ]
  errors = [
    cell['median_relative_error']
    for row in result['depth'].values()
    for cell in row.values()
  ]
  low = math.floor(math.log10(min(errors)))
  high = math.ceil(math.log10(max(errors)))

  def place(error):
    share = (math.log10(error) - low) / (high - low)
    return _LEFT + share * (_DOTS_RIGHT - _LEFT)

  for power in range(low, high + 1):
    x = place(10.0**power)
    parts.append(
      f'<path d="M{x:.1f} {top - 12}V{bottom - 6}" stroke="{_FAINT}"/>'
    )
    parts.append(_text(x, bottom + 8, f'{100 * 10.0**power:g} %', 'middle'))
  for number, name in enumerate(rows):
    y = top + _ROW * number
    parts.append(_text(_LEFT - 12, y + 4, name, 'end'))
    for map_name, cell in result['depth'][name].items():
      x = place(cell['median_relative_error'])
      parts.append(
        f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill-opacity=".8" '
        f'fill="{_COLOURS[map_name]}"/>'
      )
  parts += _draw_legend(list(result['depth'][rows[0]]), 8, height - 16)
  parts += _draw_reliability(result['confidence'], top - 12, bottom - 6)
  parts += _draw_legend(list(result['confidence']), _CURVES_LEFT, height - 16)
  return ''.join(parts) + '</svg>\n'


def _draw_reliability(table, top: float, bottom: float) -> list[str]:
  def x_of(said):
    return _CURVES_LEFT + said * (_CURVES_RIGHT - _CURVES_LEFT)

  def y_of(true):
    return bottom - true * (bottom - top)

  parts = [
    f'<path d="M{x_of(0)} {y_of(0)}L{x_of(1)} {y_of(1)}" stroke="#8b949e" '
    'stroke-dasharray="5 4"/>'
  ]
  for tick in (0.0, 0.5, 1.0):
    parts.append(
      f'<path d="M{x_of(0)} {y_of(tick)}H{x_of(1)}" stroke="{_FAINT}"/>'
    )
    parts.append(_text(x_of(0) - 6, y_of(tick) + 4, f'{tick:g}', 'end'))
    parts.append(_text(x_of(tick), bottom + 14, f'{tick:g}', 'middle'))
  for name, row in table.items():
    # Bins with next to nothing in them say nothing.
    bins = [(x, y) for x, y, share in row['bins'] if share > 1e-3]
    points = ' '.join(f'{x_of(x):.1f},{y_of(y):.1f}' for x, y in bins)
    parts.append(
      f'<polyline points="{points}" fill="none" stroke="{_COLOURS[name]}" '
      'stroke-width="1.8" stroke-linejoin="round"/>'
    )
  return parts


def _draw_legend(names: list[str], x: float, y: float) -> list[str]:
  parts = []
  for name in names:
    parts.append(
      f'<circle cx="{x + 4}" cy="{y}" r="4" fill="{_COLOURS[name]}"/>'
    )
    parts.append(_text(x + 12, y + 4, name))
    x += 28 + 6 * len(name)
  return parts


def _text(x, y, words: str, anchor: str = 'start', bold: bool = False) -> str:
  weight = ' font-size="13" font-weight="600"' if bold else ''
  return (
    f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>'
    f'{html.escape(words)}</text>'
  )


def _tabulate(rows: dict[str, dict], write) -> str:
  """A markdown table: a line for each row, a column for each of its keys."""
  head = ['', *next(iter(rows.values()))]
  lines = [head, ['---', *['---:'] * (len(head) - 1)]]
  lines += [[name, *map(write, row.values())] for name, row in rows.items()]
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _rename_normals(table: dict) -> dict:
  return {
    name: {
      'mean': f'{row["mean_deg"]:.2f}°',
      'median': f'{row["median_deg"]:.2f}°',
      'below 11.25°': _write_percent(row['below_11.25']),
    }
    for name, row in table.items()
  }


def _rename_confidence(table: dict) -> dict:
  renamed = {}
  for name, row in table.items():
    renamed[name] = {}
    for words, part in (('', row), (', wider cells', row['wider_cells'])):
      error = part['expected_calibration_error']
      renamed[name][f'right{words}'] = _write_percent(part['right'])
      renamed[name][f'calibration error{words}'] = _write_percent(error)
  return renamed


def _write_depth(cell: dict[str, float]) -> str:
  error = _write_percent(cell['median_relative_error'])
  return f'{error}, {cell["delta1"]:.3f}'


def _write_percent(share: float) -> str:
  return f'{100 * share:.2g} %' if share < 0.1 else f'{100 * share:.1f} %'


def _write_ratio(speed: dict) -> str:
  if 'times_faster_than_hilbertmap' not in speed:
    return ''
  ratio = speed['times_faster_than_hilbertmap']
  return (
    f' Depth is **{ratio["median"]} times** as fast as '
    f'`hilbertmap.rgb_to_depth` (least {ratio["least"]}).'
  )


if __name__ == '__main__':
  main()
