"""Runs benchmarks one after the other and prints one table of their ratios.

  python -m perf [NAMES ...] [--list] [--quick] [--folder DIR]

Without names, all that need no argument of their own. Each runs in a process
of its own and writes DIR/NAME.json (perf/results if not given; with
--quick a temporary folder, since rough numbers replace nothing). One that
fails is reported, and the rest goes on.
"""

import argparse
import ast
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from perf import performance_text as text

FOLDER = pathlib.Path(__file__).parent
_NOT_MEASURED = ('__init__', '__main__', 'accelerator')
# What results without `ratios` call theirs.
_TELLING = ('share', 'ratio', 'growth', 'images_per_s')
_MOST_ROWS = 12  # of one benchmark that does not say what matters


@dataclasses.dataclass(frozen=True)
class Benchmark:
  """A file of this folder that has a `main`.

  Attributes:
    name: of the file.
    about: first line of its docstring.
    needs: options that it cannot run without.
    writes_json: whether it takes `--output`.
    is_quick: whether it takes `--quick`.
  """

  name: str
  about: str
  needs: tuple[str, ...]
  writes_json: bool
  is_quick: bool

  @property
  def runs_alone(self) -> bool:
    """Whether it can be run without being told anything."""
    return self.writes_json and not self.needs


def find_benchmarks(folder: pathlib.Path = FOLDER) -> dict[str, Benchmark]:
  """All of them by name; nothing is imported."""
  found = {}
  for path in sorted(folder.glob('*.py')):
    tree = ast.parse(path.read_text())
    has_main = any(
      isinstance(node, ast.FunctionDef) and node.name == 'main'
      for node in tree.body
    )
    if has_main and path.stem not in _NOT_MEASURED:
      options = dict(_find_options(tree))
      found[path.stem] = Benchmark(
        path.stem,
        (ast.get_docstring(tree) or '').partition('\n')[0],
        tuple(name for name, required in options.items() if required),
        '--output' in options,
        '--quick' in options,
      )
  return found


def _find_options(tree: ast.AST) -> Iterator[tuple[str, bool]]:
  """Names given to `add_argument`, and whether each is required."""
  for node in ast.walk(tree):
    if (
      isinstance(node, ast.Call)
      and isinstance(node.func, ast.Attribute)
      and node.func.attr == 'add_argument'
      and isinstance(node.args[0], ast.Constant)
    ):
      name = node.args[0].value
      words = {word.arg: word.value for word in node.keywords}
      required = 'required' in words and ast.literal_eval(words['required'])
      optional_place = 'nargs' in words or 'default' in words
      yield name, required or not (name.startswith('-') or optional_place)


def run(
  benchmark: Benchmark, folder: pathlib.Path, *, quick: bool, minutes: float
) -> str:
  """Runs one in a process of its own; 'ok' or what went wrong."""
  command = [sys.executable, '-m', f'perf.{benchmark.name}']
  command += ['--output', str(folder / f'{benchmark.name}.json')]
  command += ['--quick'] if quick else []
  try:
    code = subprocess.run(
      command, cwd=FOLDER.parent, stdout=sys.stderr, timeout=60 * minutes
    ).returncode
  except subprocess.TimeoutExpired:
    return f'stopped after {minutes:g} minutes'
  return 'ok' if code == 0 else f'exit code {code}'


def find_headlines(result: dict[str, Any]) -> dict[str, Any]:
  """A result's `ratios`; of one without, its shares, ratios and rates."""
  if 'ratios' in result:
    return dict(text.flatten(result['ratios']))
  telling = {
    name: value
    for name, value in text.flatten(result, ' ')
    if any(word.endswith(_TELLING) for word in name.split())
  }
  return dict(list(telling.items())[:_MOST_ROWS])


def format_table(results: dict[str, dict[str, Any] | str]) -> str:
  """One line a ratio; of a benchmark that failed, the reason.

  Args:
    results: by name, what the JSON holds, or why there is none.
  """
  rows = []
  for name, result in results.items():
    if isinstance(result, str):
      rows.append((name, 'failed', result))
      continue
    headlines = find_headlines(result) or {'no ratio': 'see the JSON'}
    rows += [
      (name, label, text.to_spread(value)) for label, value in headlines.items()
    ]
  rows = [('benchmark', 'ratio', 'median (least to most)'), *rows]
  wide, wider = (max(len(row[k]) for row in rows) for k in (0, 1))
  return '\n'.join(f'{a:{wide}}  {b:{wider}}  {c}' for a, b, c in rows)


def format_list(benchmarks: dict[str, Benchmark]) -> str:
  """One line a benchmark: name, what it needs, what it is about."""
  lines = []
  for one in benchmarks.values():
    needs = 'needs ' + ' '.join(one.needs) if one.needs else ''
    needs = needs or ('' if one.writes_json else 'writes a page')
    quick = '--quick' if one.is_quick else ''
    lines.append(f'{one.name:18} {quick:8} {needs:22} {one.about}')
  return '\n'.join(lines)


def main() -> None:
  parser = argparse.ArgumentParser(
    prog='python -m perf',
    description=__doc__,
    formatter_class=argparse.RawTextHelpFormatter,
  )
  parser.add_argument('names', nargs='*', help='all that run alone if none')
  parser.add_argument('--list', action='store_true', help='names, and no run')
  parser.add_argument(
    '--quick', action='store_true', help='rough numbers, of those that know how'
  )
  parser.add_argument('--folder', type=pathlib.Path, help='of the JSON files')
  parser.add_argument('--minutes', type=float, default=60.0, help='each, most')
  args = parser.parse_args()
  benchmarks = find_benchmarks()
  if args.list:
    print(format_list(benchmarks))
    return
  for name in args.names:
    if name not in benchmarks:
      parser.error(f'{name!r}: choose of {" ".join(benchmarks)}')
    if not benchmarks[name].runs_alone:
      parser.error(f'{name} wants arguments: python -m perf.{name} --help')
    if args.quick and not benchmarks[name].is_quick:
      parser.error(f'{name} has no --quick')
  names = args.names or [
    name
    for name, one in benchmarks.items()
    if one.runs_alone and (one.is_quick or not args.quick)
  ]
  folder = args.folder
  if folder is None:
    folder = tempfile.mkdtemp() if args.quick else FOLDER / 'results'
  folder = pathlib.Path(folder).absolute()
  folder.mkdir(parents=True, exist_ok=True)

  results: dict[str, dict[str, Any] | str] = {}
  for number, name in enumerate(names, 1):
    print(f'{number} of {len(names)}: {name}', file=sys.stderr, flush=True)
    began = time.perf_counter()
    said = run(benchmarks[name], folder, quick=args.quick, minutes=args.minutes)
    took = time.perf_counter() - began
    print(f'  {said}, {took:.0f} s', file=sys.stderr, flush=True)
    path = folder / f'{name}.json'
    results[name] = json.loads(path.read_text()) if said == 'ok' else said
  print(format_table(results))
  print(f'JSON: {folder}')
  failed = [name for name, result in results.items() if isinstance(result, str)]
  if failed:
    sys.exit(f'failed: {" ".join(failed)}')


if __name__ == '__main__':
  main()
