"""The figure of cost against chips, by what perf.scaling predicts."""

import html
import math
from typing import Any

from perf import readme
from vbanana_jax.plan.topologies import CHIPS, TOPOLOGIES
from vbanana_jax.report import charts

PATH = readme.ROOT / 'docs' / 'figures' / 'scaling.svg'
_INK, _FAINT = '#1f2328', '#d8dee4'
_PANEL, _LEFT, _TOP, _BOTTOM = 350, 52, 44, 250


def save(result: dict[str, Any]) -> None:
  """Writes the figure of a result."""
  PATH.write_text(draw_figure(result))


def draw_figure(result: dict[str, Any]) -> str:
  """Chip-seconds of 1,000 examples against chips, as SVG.

  On the left with so many examples a chip, on the right with one batch for all;
  dots are compiled steps.
  """
  sizes = list(dict.fromkeys(row['size'] for row in result['together']))
  panels = (
    (
      f'{result["examples_a_chip"]} examples a chip',
      [row for row in result['predicted'] if row['size'] in sizes],
    ),
    (f'{result["examples_together"]:,} examples together', result['together']),
  )
  costs = [row['chip_seconds_per_1000'] for _, rows in panels for row in rows]
  low, high = math.log10(min(costs)) - 0.1, math.log10(max(costs)) + 0.1
  names = [f'{size} on {kind}' for kind in CHIPS for size in sizes]
  colours = dict(zip(names, charts.COLOURS))
  width, height = 2 * _PANEL + 20, _BOTTOM + 64
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} '
    f'{height}" font-family="system-ui, sans-serif" font-size="11" '
    f'fill="{_INK}"><title>Chip-seconds of 1,000 examples against chips, by a '
    f'roofline</title><rect width="{width}" height="{height}" fill="#fff"/>'
  ]
  for number, (title, rows) in enumerate(panels):
    parts.append(f'<g transform="translate({number * (_PANEL + 10)} 0)">')
    parts += _draw_axes(title, low, high)
    for name, colour in colours.items():
      line = [row for row in rows if _name(row) == name]
      points = ' '.join(
        f'{_x(row["chips"]):.1f},'
        f'{_y(row["chip_seconds_per_1000"], low, high):.1f}'
        for row in line
      )
      parts.append(
        f'<polyline points="{points}" fill="none" stroke="{colour}" '
        'stroke-width="1.8"/>'
      )
    if not number:
      parts += _draw_compiled(result['compiled'], colours, low, high)
    parts.append('</g>')
  for number, (name, colour) in enumerate(colours.items()):
    x = 12 + 115 * number
    parts.append(
      f'<circle cx="{x}" cy="{height - 12}" r="4" fill="{colour}"/>'
      f'<text x="{x + 9}" y="{height - 8}">{html.escape(name)}</text>'
    )
  return ''.join(parts) + '</svg>\n'


def _draw_compiled(cells, colours, low, high) -> list[str]:
  parts = []
  for cell in cells:
    topology = TOPOLOGIES[cell['topology']]
    name = f'{cell["size"]} on {topology.kind}'
    if cell['preset'] == 'fsdp' and name in colours:
      y = _y(cell['chip_seconds_per_1000'], low, high)
      parts.append(
        f'<circle cx="{_x(topology.count):.1f}" cy="{y:.1f}" r="4" '
        f'fill="#fff" stroke="{colours[name]}" stroke-width="2"/>'
      )
  return parts


def _draw_axes(title: str, low: float, high: float) -> list[str]:
  parts = [
    f'<text x="8" y="18" font-size="13" font-weight="600">{title}</text>',
    '<text x="8" y="34" opacity=".7">chip-seconds of 1,000 examples</text>',
    f'<text x="{_PANEL - 8}" y="{_BOTTOM + 30}" text-anchor="end" '
    'opacity=".7">chips</text>',
  ]
  for chips in (16, 64, 256, 1024, 8960):
    parts.append(
      f'<text x="{_x(chips):.1f}" y="{_BOTTOM + 15}" text-anchor="middle">'
      f'{chips:,}</text>'
    )
  for power in range(math.floor(low), math.ceil(high) + 1):
    for tick in (10.0**power, 3 * 10.0**power):
      if low <= math.log10(tick) <= high:
        y = _y(tick, low, high)
        parts.append(
          f'<path d="M{_LEFT} {y:.1f}H{_PANEL - 8}" stroke="{_FAINT}"/>'
          f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}'
          '</text>'
        )
  return parts


def _name(row: dict[str, Any]) -> str:
  return f'{row["size"]} on {row["kind"]}'


def _x(chips: int) -> float:
  share = math.log2(chips / 16) / math.log2(8960 / 16)
  return _LEFT + 10 + share * (_PANEL - _LEFT - 34)


def _y(value: float, low: float, high: float) -> float:
  return _BOTTOM - (math.log10(value) - low) / (high - low) * (_BOTTOM - _TOP)
