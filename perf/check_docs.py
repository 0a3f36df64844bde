"""Checks that documents say what was measured.

  python -m perf.check_docs [--write]

A block from <!-- table NAME TABLES --> to <!-- end --> holds the named tables
of perf/results/NAME.json, or all; --write writes them. Every result that a
document names has to exist, every result has to be named by a document, and
every `python -m perf.NAME` has to be a module.
"""

import argparse
import difflib
import pathlib
import re
import sys

from perf import run, tables

_BLOCK = re.compile(r'(<!-- table ([^>]*?) -->\n).*?(<!-- end -->)', re.S)
# Metrics of the README's table: task, metric, text, and how it is written.
HEADLINES = (
  ('depth', 'delta1', 'depth delta1 ↑', '{:.3f}'),
  ('depth', 'abs_rel', 'depth AbsRel ↓', '{:.3f}'),
  ('normals', 'mean_deg', 'normals mean ↓', '{:.1f}°'),
  ('semantic', 'miou', 'semantic mIoU ↑', '{:.3f}'),
  ('referring', 'ciou', 'referring cIoU ↑', '{:.3f}'),
  ('instance', 'pmf1', 'instance pmF1 ↑', '{:.3f}'),
  ('instance@8', 'pmf1', 'instance pmF1, 8 sampled steps ↑', '{:.3f}'),
  ('edit', 'mae', 'edit, mean absolute error ↓', '{:.3f}'),
  ('edit', 'edited_mae', 'edit, error where it changes ↓', '{:.3f}'),
  ('edit', 'made', 'edit, share made ↑', '{:.3f}'),
  ('edit@16', 'mae', 'edit, 16 sampled steps, mean absolute error ↓', '{:.3f}'),
  ('edit@16', 'made', 'edit, 16 sampled steps, share made ↑', '{:.3f}'),
  ('generate@16', 'obedience', 'generate, obedience ↑', '{:.2f}'),
  ('generate@16', 'fd_random_conv', 'generate, FD-random-conv ↓', '{:.3f}'),
)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--write', action='store_true', help='the tables')
  args = parser.parse_args()
  documents = [
    run.ROOT / 'README.md',
    *sorted((run.ROOT / 'docs').glob('*.md')),
  ]
  found = check(documents, write=args.write)
  print('\n'.join(found) or f'{len(documents)} documents say what was measured')
  sys.exit(bool(found))


def check(documents: list[pathlib.Path], *, write: bool) -> list[str]:
  """What is wrong with the documents, a line or a difference each."""
  found, named = [], set()
  for path in documents:
    text = path.read_text()
    named |= set(re.findall(r'perf/results/([a-z0-9_]+)\.json', text))
    named |= {words.split()[0] for _, words, _ in _BLOCK.findall(text)}
    found += [
      f'{path.name}: there is no perf/{name}.py'
      for name in set(re.findall(r'python -m perf\.(\w+)', text))
      if not (run.ROOT / 'perf' / f'{name}.py').exists()
    ]
    filled = fill(text)
    if write:
      path.write_text(filled)
    elif filled != text:
      pages = (page.splitlines() for page in (text, filled))
      found += difflib.unified_diff(*pages, path.name, 'measured', lineterm='')
  named.discard('headlines')
  there = {path.stem for path in run.RESULTS.glob('*.json')}
  found += [f'no document names perf/results/{x}.json' for x in there - named]
  found += [
    f'perf/results/{x}.json is named but missing' for x in named - there
  ]
  return found


def fill(text: str) -> str:
  """A document with its tables as the results have them."""

  def replace(match: re.Match) -> str:
    begin, words, end = match.groups()
    return f'{begin}\n{make_block(*words.split())}\n\n{end}'

  return _BLOCK.sub(replace, text)


def make_block(name: str, *names: str) -> str:
  """Tables of a result, and where they come from."""
  if name == 'headlines':
    return make_headlines(*names)
  result = run.load(name)
  source = tables.describe_source(result)
  return f'{tables.make_tables(result, names)}\n\n{source}'


def make_headlines(*runs: str) -> str:
  """A line a headline metric, a column a run, and the best trivial answer.

  The first run's other trainings, if its file has any, are one column more.
  """
  results = {name: run.load(name) for name in runs}
  first, *_ = results.values()
  rows = {
    name: {(row['task'], row['metric']): row for row in result['rows']}
    for name, result in results.items()
  }
  others = first.get('other_trainings', [])
  unknown = {'value': None, 'constant': None}
  lines = []
  for task, metric, text, form in HEADLINES:
    found = [table.get((task, metric), unknown) for table in rows.values()]
    if all(row is unknown for row in found):
      continue
    cells = [_write_row(row, form) for row in found]
    if others:
      values = [found[0]['value'], *(s[task][metric] for s in others)]
      ends = (form.format(x) for x in (min(values), max(values)))
      cells.insert(1, ' to '.join(ends))
    constant = found[0]['constant']
    cells.append('-' if constant is None else form.format(constant))
    lines.append([text, *cells])
  minutes = [
    f'{r["seconds_train_eval"] / 60:.1f} min' for r in results.values()
  ]
  head = [f'`{name}`, {r["eval_set"]}' for name, r in results.items()]
  if others:
    minutes.insert(1, '')
    head.insert(1, f'{len(others) + 1} trainings')
  lines.append(['training, without compilation, and evaluation', *minutes, ''])
  return tables.tabulate(['', *head, 'best trivial answer'], lines)


def _write_row(row: dict, form: str) -> str:
  if row['value'] is None:
    return '-'
  low, high = (form.format(x) for x in row['interval'])
  return f'**{form.format(row["value"])}** ({low} to {high})'


if __name__ == '__main__':
  main()
