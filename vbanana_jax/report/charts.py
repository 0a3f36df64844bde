"""Line charts as inline SVG: no script, readable on a phone, light or dark.

Text and axes take the page's `currentColor`; the viewBox is as narrow as a
phone, so that letters are not shrunk there and the page may let it grow.
"""

import dataclasses
import html
import math
from collections.abc import Iterable, Mapping
from typing import Any

Series = list[tuple[float, float]]  # (step, value), by rising step

# Middle lightness: enough contrast on white and on near-black alike.
COLORS = (
  '#2f7ed8', '#e0652b', '#2a9d5c', '#b85bd0', '#c9990a', '#d2436b', '#139fa8',
)  # fmt: skip
_LEVEL = '#85858f'  # of what curves are compared with
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 46, 10, 30, 190
_MAX_POINTS = 300
_LONGEST_NAME = 50  # letters, that fit in the width


@dataclasses.dataclass(frozen=True)
class Chart:
  """One picture of one or more curves over training steps.

  Attributes:
    title: of it.
    series: curves by name.
    log_y: whether equal steps up are equal factors.
    levels: dashed lines across it, to compare with, by name.
    from_zero: whether the axis begins at 0, so that heights can be compared.
    x_name: what the curves run over.
    colors: of curves by name, so that one thing has one color in all charts;
      those of `COLORS` in order if not given.
  """

  title: str
  series: dict[str, Series]
  log_y: bool = False
  levels: dict[str, float] = dataclasses.field(default_factory=dict)
  from_zero: bool = False
  x_name: str = 'steps'
  colors: dict[str, str] = dataclasses.field(default_factory=dict)


def make_curves(rows: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
  """Curves of a `metrics.jsonl`: every number of every line, by its key.

  Where a resumed run wrote a step twice, the later line counts.
  """
  curves: dict[str, dict[float, float]] = {}
  for row in rows:
    for key, value in row.items():
      is_number = isinstance(value, int | float) and not isinstance(value, bool)
      if is_number and key != 'step':
        curves.setdefault(key, {})[row['step']] = value
  return {key: sorted(points.items()) for key, points in curves.items()}


def draw_chart(chart: Chart) -> str:
  """One `<svg>` element; values that are not finite leave no mark."""
  series = {
    name: _thin([p for p in points if _drawable(p[1], chart.log_y)])
    for name, points in chart.series.items()
  }
  points = [point for line in series.values() for point in line]
  levels = {
    name: value
    for name, value in chart.levels.items()
    if _drawable(value, chart.log_y)
  }
  colors = dict(zip(series, _cycle(len(series)))) | chart.colors
  legend, legend_height = _draw_legend(
    {name: colors[name] for name in series} | dict.fromkeys(levels, _LEVEL)
  )
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" '
    f'viewBox="0 0 {_WIDTH} {_BOTTOM + 34 + legend_height}" '
    f'font-family="system-ui, sans-serif" '
    f'font-size="11" fill="currentColor">',
    f'<title>{html.escape(chart.title)}</title>',
    f'<text x="4" y="16" font-size="13" font-weight="600">'
    f'{html.escape(chart.title)}</text>',
  ]
  if not points:
    return ''.join(
      [*parts, f'<text x="{_LEFT}" y="90">nothing recorded yet</text></svg>']
    )
  x_ticks, x_place = _axis([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
  y_ticks, y_place = _axis(
    [*(y for _, y in points), *levels.values(), *[0.0] * chart.from_zero],
    _BOTTOM,
    _TOP,
    log=chart.log_y,
  )
  parts += _draw_axes(
    {x_place(tick): _number(tick) for tick in x_ticks},
    {y_place(tick): _number(tick) for tick in y_ticks},
    chart.x_name,
  )
  for value in levels.values():
    parts.append(
      f'<path d="M{_LEFT} {y_place(value):.1f}H{_WIDTH - _RIGHT}" '
      f'stroke="{_LEVEL}" stroke-width="1.8" stroke-dasharray="6 4"/>'
    )
  for name, line in series.items():
    places = [(x_place(x), y_place(y)) for x, y in line]
    parts += _draw_line(places, colors[name])
  parts.append(f'<g transform="translate(0 {_BOTTOM + 42})">{legend}</g></svg>')
  return ''.join(parts)


def _draw_axes(
  xs: dict[float, str], ys: dict[float, str], x_name: str
) -> list[str]:
  """Grid lines and numbers; ticks are texts by their place."""
  parts = [
    f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" '
    f'stroke-opacity=".15"/><text x="{_LEFT - 5}" y="{y + 4:.1f}" '
    f'text-anchor="end">{text}</text>'
    for y, text in ys.items()
  ]
  parts += [
    f'<text x="{x:.1f}" y="{_BOTTOM + 15}" text-anchor="middle">{text}</text>'
    for x, text in xs.items()
  ]
  return [
    *parts,
    f'<text x="{_WIDTH - _RIGHT}" y="{_BOTTOM + 29}" text-anchor="end" '
    f'opacity=".7">{html.escape(x_name)}</text>',
  ]


def _draw_line(places: list[tuple[float, float]], color: str) -> list[str]:
  """A curve, and a dot at its end."""
  parts = []
  if len(places) > 1:
    path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in places)
    parts.append(
      f'<polyline points="{path}" fill="none" stroke="{color}" '
      f'stroke-width="1.8" stroke-linejoin="round"/>'
    )
  if places:
    x, y = places[-1]
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>')
  return parts


def _draw_legend(colors: dict[str, str]) -> tuple[str, int]:
  parts, x, y = [], 8, 0
  for name, color in colors.items():
    name = name if len(name) <= _LONGEST_NAME else f'{name[:_LONGEST_NAME]}…'
    needed = 24 + round(6.3 * len(name))
    if x > 8 and x + needed > _WIDTH:
      x, y = 8, y + 17
    parts.append(
      f'<circle cx="{x + 4}" cy="{y}" r="4" fill="{color}"/>'
      f'<text x="{x + 12}" y="{y + 4}">{html.escape(name)}</text>'
    )
    x += needed
  return ''.join(parts), y + 16


def _axis(values, start: float, end: float, *, log: bool = False):
  """Round tick values, and the function from value to place."""
  warp = math.log10 if log else float
  low, high = warp(min(values)), warp(max(values))
  if high - low < 1e-9 * max(1.0, abs(high)):
    low, high = low - 0.5, high + 0.5
  ticks = (
    [m * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1)
     for m in (1, 2, 5)]
    if log
    else _round_steps(low, high)
  )  # fmt: skip
  ticks = [tick for tick in ticks if low <= warp(tick) <= high]
  if len(ticks) < 2:
    ticks = [10.0**low, 10.0**high] if log else [low, high]
  scale = (end - start) / (high - low)
  return ticks[:: max(1, len(ticks) // 5)], (
    lambda value: start + (warp(value) - low) * scale
  )


def _round_steps(low: float, high: float) -> list[float]:
  rough = (high - low) / 4
  power = 10.0 ** math.floor(math.log10(rough))
  step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
  first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
  return [number * step for number in range(first, last + 1)]


def _thin(points: Series) -> Series:
  """At most `_MAX_POINTS` points; the last always stays."""
  stride = max(1, -(-len(points) // _MAX_POINTS))
  return points[::-1][::stride][::-1]


def _drawable(value: float, log: bool) -> bool:
  return math.isfinite(value) and (value > 0 or not log)


def _number(value: float) -> str:
  if abs(value) >= 1000:
    return f'{value / 1000:.4g}k'
  return f'{value:.3g}'


def _cycle(count: int) -> list[str]:
  return [COLORS[i % len(COLORS)] for i in range(count)]
