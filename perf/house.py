"""Counts what a reader of the code has to hold in the head.

  python -m perf.house [--at COMMIT]

Units at the root and import rows, arrows between units, lines, the longest file
and function, parameter lists, files outside `tasks/` that know a task by name,
and words that only this project used. --at counts another commit.
"""

import argparse
import ast
import json
import pathlib
import re
import subprocess
import tempfile
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent
TASKS = {
  'albedo', 'depth', 'edit', 'generate', 'instance', 'normals', 'referring',
  'semantic',
}  # fmt: skip
# Folders that may name tasks: a data set states which task it is for.
KNOW_TASKS = ('tasks/', 'configs/', 'benchmark/readers/', 'data/readers/')
# Identifiers that a native in the field would not use; see CONTRIBUTING.
PRIVATE = (
  'Wish', 'PaintBox', 'Canvas', 'Way', 'Answerer', 'Asked', 'Poser', 'Posed',
  'Exam', 'exam', 'Watch', 'Trial', 'Register', 'REGISTERS', 'Reading', 'LOOKS',
  'Look', 'Place', 'Neighbors', 'TextMemory', 'DotPolicy', 'StopSignals',
  'map_ahead', 'make_painter', 'one_by_one', 'make_split', 'build_place',
  'on_own_rows', 'count_shares', 'find_own_rows', 'make_replicated',
  'share_matrices', 'take_back', 'rotary_tables', 'answer_in_one_pass',
  'print_once', 'ask_first', 'is_lost', 'find_damage', 'move_aside', 'sum_file',
  'open_loops', 'wish', 'canvas', 'canvases', 'answerer', 'lent', 'cloud',
  'in_turn', 'weigh',
)  # fmt: skip


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--at', metavar='COMMIT', help='instead of what is here')
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    root = ROOT
    if args.at:
      root = pathlib.Path(folder)
      archive = subprocess.run(
        ['git', '-C', str(ROOT), 'archive', args.at],
        check=True,
        capture_output=True,
      ).stdout
      subprocess.run(['tar', '-x', '-C', folder], input=archive, check=True)
    print(json.dumps(count(root), indent=2))


def count(root: pathlib.Path) -> dict[str, object]:
  """The numbers, by name."""
  package = root / 'vbanana_jax'
  files = [
    path for path in package.rglob('*.py') if 'configs' not in path.parts
  ]
  trees = {path: ast.parse(path.read_text()) for path in files}
  functions = [
    (node.end_lineno - node.lineno + 1, _count_parameters(node), path, node)
    for path, tree in trees.items()
    for node in ast.walk(tree)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
  ]
  longest = max(functions, key=lambda each: each[0])
  widest = max(functions, key=lambda each: each[1])
  lines = {path: _count_lines(path) for path in files}
  file = max(lines, key=lines.get)
  knowing = sorted(
    path.relative_to(package).as_posix()
    for path, tree in trees.items()
    if not path.relative_to(package).as_posix().startswith(KNOW_TASKS)
    and any(_find_task_names(tree))
  )
  words = {
    word: found
    for word in PRIVATE
    if (found := sum(_count_word(word, path) for path in files))
  }
  units = {_name_unit(path, package) for path in files} - {'__init__'}
  return {
    'units_at_the_root': len(units),
    'modules_at_the_root': len([p for p in files if p.parent == package]),
    'import_rows': _count_rows(root / 'tests' / 'test_architecture.py'),
    'arrows': len(set(_find_arrows(trees, package))),
    'lines_library': sum(lines.values()),
    'lines_tests': _count_folder(root / 'tests'),
    'lines_perf': _count_folder(root / 'perf')
    + _count_folder(root / 'benchmarks'),
    'longest_file': [file.relative_to(root).as_posix(), lines[file]],
    'longest_function': [longest[3].name, longest[0]],
    'functions_above_60_lines': sum(each[0] > 60 for each in functions),
    'most_parameters': [widest[3].name, widest[1]],
    'functions_above_8_parameters': sum(each[1] > 8 for each in functions),
    'files_that_know_a_task': [len(knowing), *knowing],
    'private_words': [len(words), words],
  }


def _count_lines(path: pathlib.Path) -> int:
  return len(path.read_text().splitlines())


def _count_folder(folder: pathlib.Path) -> int:
  return sum(map(_count_lines, folder.rglob('*.py')))


def _count_parameters(node) -> int:
  named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
  return len([each for each in named if each.arg not in ('self', 'cls')])


def _name_unit(path: pathlib.Path, package: pathlib.Path) -> str:
  return path.relative_to(package).parts[0].removesuffix('.py')


def _find_arrows(trees, package) -> Iterator[tuple[str, str]]:
  for path, tree in trees.items():
    for node in ast.walk(tree):
      if not isinstance(node, ast.ImportFrom) or not node.module:
        continue
      parts = node.module.split('.')
      if parts[0] != 'vbanana_jax':
        continue
      used = [parts[1]] if parts[1:] else [alias.name for alias in node.names]
      own = _name_unit(path, package)
      yield from ((own, unit) for unit in used if unit != own)


def _count_rows(path: pathlib.Path) -> list[int]:
  """Rows of the table, and units in them."""
  for node in ast.parse(path.read_text()).body:
    if isinstance(node, ast.Assign) and node.targets[0].id == 'ROWS':
      rows = ast.literal_eval(node.value)
      return [len(rows), sum(map(len, rows))]
  return [0, 0]


def _find_task_names(tree: ast.AST) -> Iterator[str]:
  """Names of tasks in comparisons, keys of tables and collections."""
  for node in ast.walk(tree):
    held = []
    if isinstance(node, ast.Compare):
      held = [node.left, *node.comparators]
    elif isinstance(node, ast.Dict):
      held = [key for key in node.keys if key]
      names = {key.value for key in held if isinstance(key, ast.Constant)}
      held = held if names and names <= TASKS else []
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
      names = {x.value for x in node.elts if isinstance(x, ast.Constant)}
      held = node.elts if names and names <= TASKS else []
    elif isinstance(node, ast.Subscript):
      is_table = isinstance(node.value, ast.Name) and node.value.id == 'TASKS'
      held = [node.slice] if is_table else []
    for each in held:
      if isinstance(each, ast.Constant) and each.value in TASKS:
        yield each.value


def _count_word(word: str, path: pathlib.Path) -> int:
  return len(re.findall(rf'\b{word}\b', path.read_text()))


if __name__ == '__main__':
  main()
