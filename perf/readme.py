"""Writes the README's table from the results that were measured.

  python -m perf.readme

The table stands between two markers; a test fails where README and results
differ.
"""

import json
import pathlib
from typing import Any

from perf.performance_text import tabulate

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / 'perf' / 'results'
RUNS = ('quickstart', 'cpu_hour')
BEGIN, END = '<!-- results -->', '<!-- end of results -->'
HEADLINES = (
  ('depth', 'delta1', 'depth delta1 ↑', '{:.3f}'),
  ('depth', 'abs_rel', 'depth AbsRel ↓', '{:.3f}'),
  ('normals', 'mean_deg', 'normals mean ↓', '{:.1f}°'),
  ('semantic', 'miou', 'semantic mIoU ↑', '{:.3f}'),
  ('referring', 'ciou', 'referring cIoU ↑', '{:.3f}'),
  ('instance', 'pmf1', 'instance pmF1 ↑', '{:.3f}'),
  ('instance@8', 'pmf1', 'instance pmF1, 8 sampled steps ↑', '{:.3f}'),
  ('edit@16', 'mae', 'edit, mean absolute error ↓', '{:.3f}'),
  ('generate@16', 'fd_random_conv', 'generate, FD-random-conv ↓', '{:.3f}'),
)


def main() -> None:
  path = ROOT / 'README.md'
  path.write_text(replace_table(path.read_text(), make_table(load_runs())))


def load_runs() -> dict[str, dict[str, Any]]:
  """Committed results by the name of their run."""
  paths = {name: RESULTS / f'{name}.json' for name in RUNS}
  return {
    name: json.loads(path.read_text())
    for name, path in paths.items()
    if path.exists()
  }


def make_table(runs: dict[str, dict[str, Any]]) -> str:
  """Markdown: a line a headline metric, a column a run."""
  rows = {
    name: {(row['task'], row['metric']): row for row in run['rows']}
    for name, run in runs.items()
  }
  head = ['', *(f'`{name}`' for name in runs), 'best constant']
  lines = []
  for task, metric, text, form in HEADLINES:
    cells = [text]
    for table in rows.values():
      row = table[task, metric]
      low, high = (form.format(x) for x in row['interval'])
      cells.append(f'**{form.format(row["value"])}** ({low} to {high})')
    constant = next(iter(rows.values()))[task, metric]['constant']
    lines.append([*cells, '-' if constant is None else form.format(constant)])
  minutes = [
    f'{run["seconds_train_eval"] / 60:.1f} min' for run in runs.values()
  ]
  lines.append(['training and evaluation, without compilation', *minutes, ''])
  return tabulate(head, lines)


def replace_table(readme: str, table: str) -> str:
  """The README with the text between the markers replaced."""
  before, rest = readme.split(BEGIN)
  _, after = rest.split(END)
  return f'{before}{BEGIN}\n\n{table}\n\n{END}{after}'


if __name__ == '__main__':
  main()
