"""Writes the tables of docs/plan.md from what was compiled and weighed.

python -m perf.plan_page
"""

import json
import pathlib
from typing import Any

from perf.performance_text import tabulate
from vbanana_jax.models import SIZES
from vbanana_jax.plan.text import to_size, to_time
from vbanana_jax.plan.topologies import CHIPS, TOPOLOGIES
from vbanana_jax.sharding import PRESETS

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / 'perf' / 'results' / 'plan.json'
PAGE = ROOT / 'docs' / 'plan.md'
BEGIN, END = '<!-- tables -->', '<!-- end of tables -->'
COUNTS = (16, 32, 64, 128, 256)


def main() -> None:
  text = PAGE.read_text()
  PAGE.write_text(replace_tables(text, make_tables(load_results())))


def load_results() -> dict[str, Any]:
  """The committed results."""
  return json.loads(RESULTS.read_text())


def make_tables(results: dict[str, Any]) -> str:
  """Markdown: the compiled cells, then one table of weights a chip."""
  cells = results['cells']
  parts = [make_compiled_table([c for c in cells if 'seconds' in c])]
  parts += [
    f'**{kind}**, {to_size(CHIPS[kind].hbm_bytes)} a chip\n\n'
    + make_weight_table(cells, kind)
    for kind in CHIPS
  ]
  compiled = sum('needed' in cell for cell in cells)
  refused = sum('refused' in cell for cell in cells)
  missing = results['cells_wanted'] - len(cells)
  parts.append(
    f'Of {results["cells_wanted"]} cells {compiled} were compiled, '
    f'{len(cells) - compiled - refused} weighed, {refused} are refused '
    f'(heads that cannot be shared: -), and {missing} were not run (blank).'
  )
  return '\n\n'.join(parts)


def make_compiled_table(cells: list[dict[str, Any]]) -> str:
  """A line a cell that was compiled to the end."""
  head = [
    'topology', 'size', 'preset', 'batch', 'memory a chip', 'sent a chip',
    'exchanges', 'predicted step', 'largest term', 'examples/s at best',
    'by hand / in program',
  ]  # fmt: skip
  lines = []
  sizes, presets = list(SIZES), list(PRESETS)
  for cell in sorted(
    cells,
    key=lambda c: (
      sizes.index(c['size']),
      presets.index(c['preset']),
      list(TOPOLOGIES).index(c['topology']),
    ),
  ):
    sent = cell['sent'].values()
    seconds = max(cell['seconds'].values())
    chips = TOPOLOGIES[cell['topology']].count
    lines.append(
      [
        cell['topology'],
        cell['size'],
        cell['preset'],
        str(cell['batch_size']),
        to_size(cell['needed']),
        to_size(sum(kind['bytes'] for kind in sent)),
        str(sum(kind['count'] for kind in sent)),
        to_time(seconds),
        cell['largest'],
        f'{cell["batch_size"] / seconds:,.0f}',
        f'{cell["flops_by_hand"] / chips / cell["flops_a_chip"]:.2f}',
      ]
    )
  return tabulate(head, lines)


def make_weight_table(cells: list[dict[str, Any]], kind: str) -> str:
  """A line a size and preset, a column a slice of one kind of chip."""
  names = [f'{kind}-{count}' for count in COUNTS]
  found = {(c['topology'], c['size'], c['preset']): c for c in cells}
  lines = []
  for size in SIZES:
    for preset in PRESETS:
      entries = [
        describe_cell(found.get((name, size, preset))) for name in names
      ]
      lines.append([size, preset, *entries])
  return tabulate(['size', 'preset', *names], lines)


def describe_cell(cell: dict[str, Any] | None) -> str:
  """Memory a chip, and the largest batch that fits by the line."""
  if cell is None:
    return ''
  if 'refused' in cell:
    return '-'
  return f'{to_size(cell["weighed"])}; {cell["largest_batch_by_the_line"]:,}'


def replace_tables(page: str, tables: str) -> str:
  """The page with the text between the markers replaced."""
  before, rest = page.split(BEGIN)
  _, after = rest.split(END)
  return f'{before}{BEGIN}\n\n{tables}\n\n{END}{after}'


if __name__ == '__main__':
  main()
