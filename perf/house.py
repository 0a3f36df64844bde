"""Counts what a reader of the code has to hold in the head.

  python -m perf.house [ROOT]

Units at the root and import rows, arrows between units, lines, the longest file
and function, parameter lists, files outside `tasks/` that know a task by name,
and identifiers that only this project used. ROOT is another checkout, as of
`git worktree add`.
"""

import argparse
import ast
import json
import pathlib
import re
from collections import Counter
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent
# Folders that may name tasks: a benchmark states which task it is for.
KNOW_TASKS = ('tasks/', 'benchmark/readers/')
TASKS = {
  'albedo', 'depth', 'edit', 'generate', 'instance', 'normals', 'referring',
  'semantic',
}  # fmt: skip
# Strings that are spelled like a task's name and mean something else.
NOT_TASKS = {
  'codecs/__init__.py': {'depth', 'normals'},  # modules
  'metrics/__init__.py': {'depth', 'normals'},  # likewise
  'models/__init__.py': {'depth'},  # of a network: its blocks
  'families/pixels.py': {'depth'},  # likewise
  'data/label_maps.py': {'depth', 'instance', 'normals', 'semantic'},  # folders
  'datasets/folder.py': {'depth', 'normals'},  # likewise
  'datasets/folder_fields.py': {'depth', 'normals'},  # likewise
  'datasets/folder_labels.py': {'depth', 'normals'},  # likewise
  'datasets/tables.py': {'depth', 'normals'},  # likewise
  'datasets/webdataset.py': {'depth', 'normals'},  # likewise
  'datasets/kitti.py': {'depth'},  # likewise
  'datasets/nyuv2.py': {'depth'},  # likewise
  'datasets/rgbd.py': {'depth'},  # likewise
  'datasets/scannet.py': {'depth'},  # likewise
  # Keys of an example.
  'evaluation/held_out.py': {'instance', 'semantic'},
}
# Keys of an example, which sources and layouts of data sets fill.
LABELS = {'albedo', 'edit', 'instance', 'normals', 'semantic'}
# Identifiers that a native in the field would not use.
PRIVATE = set(
  """
  Answerer Asked Canvas DotPolicy Exam LOOKS Look Neighbors PaintBox Place Posed
  Poser REGISTERS Reading Register StopSignals TextMemory Trial Watch Way Wish
  answer_in_one_pass answerer ask_first build_place canvas canvases cloud
  count_shares exam find_damage find_own_rows in_turn is_lost lent make_painter
  make_replicated make_split map_ahead move_aside on_own_rows one_by_one
  open_loops print_once rotary_tables share_matrices sum_file take_back weigh
  wish
  """.split()
)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('root', nargs='?', type=pathlib.Path, default=ROOT)
  print(json.dumps(count(parser.parse_args().root), indent=2))


def count(root: pathlib.Path) -> dict[str, object]:
  """The numbers, by name."""
  package = root / 'vbanana_jax'
  trees = {
    path.relative_to(package).as_posix(): ast.parse(path.read_text())
    for path in package.rglob('*.py')
    if 'configs' not in path.parts
  }
  lines = [(_count_lines(package / name), name) for name in trees]
  nodes = [node for tree in trees.values() for node in ast.walk(tree)]
  functions = [x for x in nodes if isinstance(x, ast.FunctionDef)]
  long = [(x.end_lineno - x.lineno + 1, x.name) for x in functions]
  wide = [(_count_parameters(x.args), x.name) for x in functions]
  knowing = [
    name
    for name, tree in sorted(trees.items())
    if any(find_known_tasks(name, tree))
  ]
  words = Counter(map(_get_name, nodes))
  return {
    'units_at_the_root': len({_name_unit(name) for name in trees}) - 1,
    'modules_at_the_root': sum('/' not in name for name in trees),
    'import_rows': _count_rows(root / 'tests' / 'test_architecture.py'),
    'arrows': len(set(_find_arrows(trees))),
    'lines_library': sum(n for n, _ in lines),
    'lines_tests': _count_folder(root / 'tests'),
    'lines_perf': _count_folder(root / 'perf'),
    'longest_file': max(lines),
    'longest_function': max(long),
    'functions_above_60_lines': sum(n > 60 for n, _ in long),
    'most_parameters': max(wide),
    'functions_above_8_parameters': sum(n > 8 for n, _ in wide),
    'files_that_know_a_task': [len(knowing), *knowing],
    'private_words': {word: words[word] for word in PRIVATE & set(words)},
  }


def find_known_tasks(place: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
  """(line, name) of all strings of a file that name a task and may not.

  Args:
    place: of the file in the package.
    tree: what it says.
  """
  if place.startswith(KNOW_TASKS):
    return
  labels = LABELS if place.startswith(('data/', 'datasets/')) else set()
  names = TASKS - labels - NOT_TASKS.get(place, set())
  for node in ast.walk(tree):
    if isinstance(node, ast.Constant) and node.value in names:
      yield node.lineno, node.value


def _count_lines(path: pathlib.Path) -> int:
  return len(path.read_text().splitlines())


def _count_folder(folder: pathlib.Path) -> int:
  return sum(map(_count_lines, folder.rglob('*.py')))


def _count_parameters(args: ast.arguments) -> int:
  named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
  return sum(each.arg not in ('self', 'cls') for each in named)


def _name_unit(name: str) -> str:
  return name.split('/')[0].removesuffix('.py')


def _get_name(node: ast.AST) -> str | None:
  """What a definition, a variable, an argument or a member is called."""
  for field in ('name', 'id', 'arg', 'attr'):
    if isinstance(name := getattr(node, field, None), str):
      return name
  return None


def _find_arrows(trees: dict[str, ast.AST]) -> Iterator[tuple[str, str]]:
  for name, tree in trees.items():
    for node in ast.walk(tree):
      if not isinstance(node, ast.ImportFrom) or not node.module:
        continue
      parts = node.module.split('.')
      if parts[0] != 'vbanana_jax':
        continue
      used = [parts[1]] if parts[1:] else [alias.name for alias in node.names]
      own = _name_unit(name)
      yield from ((own, unit) for unit in used if unit != own)


def _count_rows(path: pathlib.Path) -> list[int]:
  """Rows of the table, and units in them."""
  table = re.search(r'^ROWS = (\(.*?^\))', path.read_text(), re.S | re.M)
  rows = ast.literal_eval(table[1]) if table else ()
  return [len(rows), sum(map(len, rows))]


if __name__ == '__main__':
  main()
