"""The shape of the house: who may import whom, and how long a file may be.

Imports run one way: a file may use rows above its own, and its own folder.
Rows and rules are tables below; a new file or folder gets a place in ROWS. What
may be spelled like a task is in perf/house.py, which counts the rest.
"""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

from perf import house
from vbanana_jax.tasks import TASKS

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / 'vbanana_jax'
MAX_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 300, 60, 8

ROWS = (
  ('errors', 'labels', 'types'),
  ('config', 'durations', 'keys', 'runtime'),
  ('networks', 'resizing'),
  ('codecs', 'metrics', 'scenes', 'diffusion', 'models', 'tokenizer'),
  ('drawing', 'klein'),
  ('families', 'tasks'),
  ('data', 'sharding', 'report'),
  ('training',),
  ('decode',),
  ('benchmark',),
  ('datasets', 'inference'),
  ('evaluation',),
  ('train', 'evaluate', 'predict', 'text_cache'),
  ('api', 'plan'),
  ('demo',),
  ('cli',),
  ('__main__',),
)
ROW = {unit: number for number, row in enumerate(ROWS) for unit in row}

# A module and the only files of the library that may import it.
OWNERS = {
  'absl.flags': ('cli/', 'data/'),
  'fastapi': ('demo/server.py',),
  'flax.linen': ('models/',),
  'flax.nnx': (),
  'gradio': ('demo/page.py',),
  'importlib.util': ('config.py',),
  'jax.distributed': ('cli/',),
  'jax.experimental.pjit': (),
  'orbax': ('training/checkpoint.py',),
  'pillow_heif': ('data/image_formats.py',),
  'safetensors': (
    'inference/export',
    'klein/stored.py',
    'training/exported_weights.py',
  ),
  'tensorflow': ('data/prepare',),
  'tensorboardX': ('runtime/writers.py',),
  'tensorflow_datasets': ('data/',),
  'tokenizers': ('klein/tokenizer.py', 'tokenizer/'),
  # A family of networks: everybody else asks `families`.
  'vbanana_jax.klein': ('cli/', 'families/', 'klein/', 'training/tuned.py'),
  'vbanana_jax.models.klein': ('families/', 'klein/', 'models/klein/'),
  'wandb': ('runtime/writers.py',),
}
# Arrays in, arrays out: no files, no processes, no configs.
PURE = ('codecs', 'metrics', 'diffusion')
IMPURE = ('io', 'ml_collections', 'os', 'pathlib', 'subprocess', 'sys')

# Import names that differ from the name of the package on the index.
PACKAGES = {
  'PIL': 'pillow',
  'absl': 'absl-py',
  'jaxlib': 'jax',
  'orbax': 'orbax-checkpoint',
  'pillow_heif': 'pillow-heif',
  'yaml': 'pyyaml',
}

# The library, and what only the tests import.
OURS = {
  'bucket', 'byte_files', 'conftest', 'event_files', 'faults', 'forms',
  'frozen_tfds', 'klein_files', 'labeled_rows', 'labeled_sets',
  'mistake_rows', 'mistakes', 'odd_files',
  'painted', 'perf',
  'phrase_reader', 'prepared', 'shells', 'test_architecture',
  'test_readers_reasonseg',
  'test_readers_refcoco', 'test_resume', 'trainings', 'two_processes',
  'untrained', 'vbanana_jax', 'virtual_devices',
  'test_datasets_coco', 'test_datasets_label_folders',
  'test_datasets_palettes',
}  # fmt: skip

ATTICS = {'utils', 'util', 'helpers', 'misc', 'common'}
# In brackets, so that this file does not match itself.
UNFINISHED = re.compile(
  r'TO[D]O|FIX[M]E|raise NotImplemented[E]rror|pragma: no [c]over|xf[a]il'
  r'|type: [i]gnore'
)
MACHINE_PATH = re.compile(
  r'(^|[^A-Za-z0-9_.])/(wor[k]|far[m]|roo[t]|home/\w|Users/\w)/'
  r'|\.\./share[d]'
)
TEXT_SUFFIXES = {
  '.cfg', '.ipynb', '.json', '.md', '.py', '.sh', '.toml', '.txt', '.yaml',
}  # fmt: skip


def library_files():
  return sorted(PACKAGE.rglob('*.py'))


def own_files(suffixes):
  """Files of the repository, without what tools and runs leave there."""
  folders = (
    'vbanana_jax', 'configs', 'launch', 'tests', 'notebooks', 'perf',
    'docs', '.ci',
  )  # fmt: skip
  paths = [path for path in ROOT.iterdir() if path.is_file()]
  for folder in folders:
    paths += (ROOT / folder).rglob('*')
  return sorted(
    path
    for path in paths
    if path.suffix in suffixes or path == ROOT / '.ci' / 'run'
  )


def imported_names(path):
  """Full names of all that a file imports: modules, and names from them."""
  if path.is_relative_to(PACKAGE):
    package = ['vbanana_jax', *path.relative_to(PACKAGE).parts[:-1]]
  else:
    package = ['vbanana_jax', 'configs']  # As configs/ is installed.
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      keep = len(package) - node.level + 1
      base = package[:keep] if node.level else []
      base = '.'.join([*base, *([node.module] if node.module else [])])
      yield from (f'{base}.{alias.name}' for alias in node.names)


def used_names(path):
  """Dotted names in expressions, as `jax.distributed` in a call of it."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Attribute):
      yield ast.unparse(node)


def is_inside(name, module):
  return name == module or name.startswith(module + '.')


def unit_of(path):
  """The file or folder directly in the package; None for its __init__."""
  unit = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
  return None if unit == '__init__' else unit


def name_of(path):
  return path.relative_to(ROOT).as_posix()


def declared(*extras):
  """Package names that setup.py requires, plainly or under `extras`."""
  tree = ast.parse((ROOT / 'setup.py').read_text())
  words = {
    node.arg: node.value for node in ast.walk(tree)
    if isinstance(node, ast.keyword)
  }  # fmt: skip
  required = ast.literal_eval(words['install_requires'])
  optional = ast.literal_eval(words['extras_require'])
  for extra in extras:
    required += optional[extra]
  names = (re.match(r'[\w.-]+', line).group() for line in required)
  return {name.lower().replace('_', '-') for name in names}


def undeclared(path, packages):
  for name in imported_names(path):
    top = name.split('.')[0]
    if top in sys.stdlib_module_names or top in OURS:
      continue
    if PACKAGES.get(top, top).lower().replace('_', '-') not in packages:
      yield name


def test_every_file_has_its_row():
  units = {unit_of(path) for path in library_files()} - {None}
  assert units <= set(ROW), f'give these a place in ROWS: {units - set(ROW)}'


@pytest.mark.parametrize('path', library_files(), ids=name_of)
def test_imports_run_one_way(path):
  unit = unit_of(path)
  for name in imported_names(path):
    if not is_inside(name, 'vbanana_jax'):
      continue
    used = name.split('.')[1]
    if used in ('__version__', 'configs') or used == unit:
      continue
    assert unit is not None, f'the package imports {used} at its start'
    assert used in ROW, f'{name} is not a name in ROWS'
    assert ROW[used] < ROW[unit], f'{unit} must not import {used}'


@pytest.mark.parametrize('path', library_files(), ids=name_of)
def test_modules_with_an_owner(path):
  place = path.relative_to(PACKAGE).as_posix()
  for module, owners in OWNERS.items():
    if place.startswith(owners):
      continue
    for name in (*imported_names(path), *used_names(path)):
      assert not is_inside(name, module), f'only {owners} may use {name}'


@pytest.mark.parametrize('path', library_files(), ids=name_of)
def test_imports_are_declared_public_and_pure(path):
  # [prepare] may be imported only where OWNERS says so.
  extra = sorted(
    undeclared(
      path,
      declared(
        'prepare',
        'benchmarks',
        'demo',
        'heic',
        'parquet',
        'tensorboard',
        'wandb',
      ),
    )
  )
  assert not extra, f'not in install_requires of setup.py: {extra}'
  for name in imported_names(path):
    if name.split('.')[0] not in ('vbanana_jax', '__future__'):
      assert '._' not in name, f'{name} is private to its library'
    if unit_of(path) in PURE:
      assert name.split('.')[0] not in IMPURE, f'{name} in pure code'


@pytest.mark.parametrize('path', library_files(), ids=name_of)
def test_no_task_is_known_by_name_or_class_outside_of_the_tasks(path):
  place = path.relative_to(PACKAGE).as_posix()
  if place.startswith(house.KNOW_TASKS):
    return
  for line, name in house.find_known_tasks(place, ast.parse(path.read_text())):
    raise AssertionError(
      f'{name_of(path)}:{line} knows the task {name!r}: see perf/house.py'
    )
  for name in imported_names(path):
    for task in TASKS:
      assert not is_inside(name, f'vbanana_jax.tasks.{task}'), (
        f'{name_of(path)} knows the task {task!r}: {name}'
      )


def test_the_counted_names_are_those_of_all_tasks():
  assert house.TASKS == set(TASKS)


@pytest.mark.parametrize('path', library_files(), ids=name_of)
def test_no_string_becomes_code(path):
  calls = (
    node.func.id
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
  )
  assert not {'eval', 'exec', '__import__'} & set(calls)


def test_tests_import_only_what_the_test_extra_brings():
  for path in sorted((ROOT / 'tests').rglob('*.py')):
    extra = sorted(undeclared(path, declared('test')))
    assert not extra, f'{name_of(path)}: not in the [test] extra: {extra}'


def test_configs_are_plain_data():
  for path in sorted((ROOT / 'configs').glob('*.py')):
    for name in imported_names(path):
      plain = name.split('.')[0] in {'ml_collections', *sys.stdlib_module_names}
      assert plain or is_inside(name, 'vbanana_jax.configs'), (
        f'{name_of(path)} imports {name}'
      )


def test_files_are_short_and_named_for_what_they_own():
  for path in [*library_files(), *(ROOT / 'launch').glob('*.py')]:
    count = len(path.read_text().splitlines())
    assert count <= MAX_LINES, f'{name_of(path)} has {count} lines'
    assert path.stem not in ATTICS, f'{name_of(path)}: what does it own?'


@pytest.mark.parametrize('path', library_files(), ids=name_of)
def test_functions_are_short_and_take_few_parameters(path):
  for node in ast.walk(ast.parse(path.read_text())):
    if not isinstance(node, ast.FunctionDef):
      continue
    place = f'{path.relative_to(PACKAGE).as_posix()}:{node.name}'
    lines = node.end_lineno - node.lineno + 1  # with the docstring
    named = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    parameters = [each.arg for each in named if each.arg not in ('self', 'cls')]
    assert lines <= MAX_FUNCTION_LINES, f'{place} has {lines} lines: split it'
    assert len(parameters) <= MAX_PARAMETERS, (
      f'{place} takes {len(parameters)} parameters: what belongs together?'
    )


def test_folders_with_code_are_packages():
  for path in library_files():
    missing = path.parent / '__init__.py'
    assert missing.exists(), f'{name_of(missing)} is missing: not installed'


def test_nothing_is_unfinished():
  for path in own_files({'.py'}):
    found = UNFINISHED.search(path.read_text())
    assert not found, f'{name_of(path)}: {found.group()}'


def test_random_numbers_of_tests_have_a_seed():
  for path in own_files({'.py'}):
    found = re.search(r'default_rng\(\)', path.read_text())
    assert not found, f'{name_of(path)}: other numbers in every run'


def test_no_path_of_a_machine():
  for path in own_files(TEXT_SUFFIXES):
    for number, line in enumerate(path.read_text().splitlines(), 1):
      assert not MACHINE_PATH.search(line), f'{name_of(path)}:{number}: {line}'


def run_python(code, folder=ROOT):
  done = subprocess.run(
    [sys.executable, '-W', 'error', '-c', code],
    cwd=folder,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr


def test_the_package_itself_imports_nothing_heavy():
  run_python(
    'import sys, vbanana_jax\n'
    "assert not {'jax', 'numpy', 'flax'} & set(sys.modules)"
  )


def test_every_module_imports_without_tensorflow_and_without_warnings():
  modules = [
    '.'.join(path.relative_to(ROOT).with_suffix('').parts)
    for path in library_files()
    if path.stem not in ('__init__', '__main__')
  ]
  run_python(
    'import importlib, sys\n'
    f'for name in {modules}: importlib.import_module(name)\n'
    "assert 'tensorflow' not in sys.modules"
  )


def test_configs_are_installed_inside_the_package(tmp_path):
  # From another folder, so that only the installation can be found.
  run_python('import vbanana_jax.configs', tmp_path)


@pytest.mark.parametrize(
  'code, module',
  [
    ('import flax.linen as nn', 'flax.linen'),
    ('from flax import linen', 'flax.linen'),
    ('from orbax.checkpoint import v1', 'orbax'),
    ('from ..data import stream', 'vbanana_jax.data'),
    ('from . import palettes', 'vbanana_jax.codecs.palettes'),
    ('def f():\n  import tensorflow', 'tensorflow'),
  ],
)
def test_the_reader_of_imports_sees_them_all(
  code, module, tmp_path, monkeypatch
):
  monkeypatch.setattr(sys.modules[__name__], 'PACKAGE', tmp_path)
  (tmp_path / 'codecs').mkdir()
  path = tmp_path / 'codecs' / 'depth.py'
  path.write_text(code)
  assert any(is_inside(name, module) for name in imported_names(path))
