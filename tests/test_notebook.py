"""The notebooks run from top to bottom at smoke size."""

import importlib.metadata
import json
import pathlib
import re
import subprocess
import sys

import nbclient
import nbformat
import pytest
from virtual_devices import add_flag

pytestmark = pytest.mark.usefixtures('quick_compilation')

FOLDER = pathlib.Path(__file__).parents[1] / 'notebooks'
NOTEBOOK = FOLDER / 'quickstart.ipynb'


def check_quickstart(text, folder):
  assert '(64, 64), ' in text and 'depth: ' in text
  assert (folder / 'runs' / 'notebook' / 'report.html').exists()


def check_codecs(text, folder):
  error = float(re.search(r'without rounding: (\S+)', text)[1])
  assert 0 < error < 1e-5
  # Rows of the table: median error, within 25 %, the same in grayscale.
  row = re.search(r'noise of 16 levels +(\S+)% +(\S+)% +(\S+)%', text)
  assert float(row[2]) > 99 and float(row[3]) < 50
  right = re.findall(r'and +(\S+)% of them are right', text)
  assert len(right) == 4 and right == sorted(right, key=float)
  assert 'mean confidence' in text


def check_any_generator(text, folder):
  work = folder / 'runs' / 'any_generator'
  delta1 = {}
  for name in ('painted', 'careful'):
    (path,) = (work / name).glob('scores_*.json')
    delta1[name] = json.loads(path.read_text())['metrics']['delta1']['value']
  assert 0.8 < delta1['painted'] < delta1['careful']
  assert delta1['careful'] > 0.99
  assert 'is it a photograph' in text and 'exit sign: 9.8%' in text


def check_your_own_data(text, folder):
  work = folder / 'runs' / 'your_own_data'
  for name in ('before', 'after'):
    (path,) = (work / name).glob('scores_*.json')
    assert json.loads(path.read_text())['complete']
  assert 'mine.json: 8 examples' in text
  assert 'painted by runs/your_own_data/tuned' in text
  run = json.loads((work / 'tuned' / 'run.json').read_text())
  assert run['config']['init_from'] == 'scenes-nano'
  assert 'difference, this minus the other' in text


def check_tpu(text, folder):
  assert '8 devices: cpu' in text and 'ended with 75' in text
  assert f'steps {list(range(1, 13))}' in text
  assert ', fsdp, tensor' in text  # an array that is split twice


CHECKS = {
  'quickstart': check_quickstart,
  'codecs': check_codecs,
  'any_generator': check_any_generator,
  'your_own_data': check_your_own_data,
  'tpu': check_tpu,
}


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('name', CHECKS)
def test_notebook_runs(name, tmp_path, monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', add_flag(1))  # one device, as on a laptop
  notebook = nbformat.read(FOLDER / f'{name}.ipynb', as_version=4)
  nbclient.NotebookClient(
    notebook, timeout=600, resources={'metadata': {'path': str(tmp_path)}}
  ).execute()
  text = ''.join(
    output.get('text', '')
    for cell in notebook.cells
    for output in cell.get('outputs', [])
  )
  CHECKS[name](text, tmp_path)


def find_first_code(path):
  cells = nbformat.read(path, as_version=4).cells
  return next(cell for cell in cells if cell.cell_type == 'code')


def test_notebooks_are_stripped_and_begin_alike():
  paths = sorted(FOLDER.glob('*.ipynb'))
  assert {path.stem for path in paths} == CHECKS.keys()
  for path in paths:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
      assert not cell.get('outputs') and not cell.get('execution_count')
    assert find_first_code(path).source == find_first_code(NOTEBOOK).source


def run_first_cell(monkeypatch, folder, *, installed, repository=''):
  """The cell that installs, with nothing started; the commands it gave."""
  code = find_first_code(NOTEBOOK).source.replace(
    "REPOSITORY = ''", f'REPOSITORY = {repository!r}'
  )
  version = importlib.metadata.version
  commands = []

  def find_version(name):
    if name == 'vbanana-jax' and not installed:
      raise importlib.metadata.PackageNotFoundError(name)
    return version(name)

  def start(command, **_):
    commands.append([str(word) for word in command])
    return subprocess.CompletedProcess(command, 0)

  monkeypatch.chdir(folder)
  monkeypatch.setattr(importlib.metadata, 'version', find_version)
  monkeypatch.setattr(subprocess, 'run', start)
  exec(compile(code, 'cell', 'exec'), {})
  return commands


def test_an_installed_project_is_left_alone(monkeypatch, tmp_path):
  assert not run_first_cell(monkeypatch, tmp_path, installed=True)


def test_a_clone_is_installed(monkeypatch):
  root = NOTEBOOK.parents[1]
  (command,) = run_first_cell(monkeypatch, NOTEBOOK.parent, installed=False)
  assert command[-2:] == [str(root / 'constraints.txt'), str(root)]
  assert '-e' not in command


def test_a_named_repository_is_cloned_first(monkeypatch, tmp_path):
  commands = run_first_cell(
    monkeypatch, tmp_path, installed=False, repository='https://x/y'
  )
  assert [command[0] for command in commands] == ['git', sys.executable]
  assert 'https://x/y' in commands[0]


def test_without_an_address_one_line_says_so(monkeypatch, tmp_path):
  with pytest.raises(SystemExit, match='set REPOSITORY') as ended:
    run_first_cell(monkeypatch, tmp_path, installed=False)
  assert '\n' not in str(ended.value)


def test_a_session_with_older_modules_is_to_be_restarted(monkeypatch, tmp_path):
  monkeypatch.setattr('numpy.__version__', '2.0.2.old')
  with pytest.raises(SystemExit, match=r'^numpy: .*Restart session'):
    run_first_cell(monkeypatch, tmp_path, installed=True)


def test_configs_are_found_without_an_installation(tmp_path):
  done = subprocess.run(
    [
      sys.executable, '-c', 'import sys; sys.meta_path = [f for f in '
      'sys.meta_path if "editable" not in str(f)]; '
      'sys.path.insert(0, sys.argv[1]); from vbanana_jax import configs; '
      'from vbanana_jax.configs import quickstart; print(configs.__path__)',
      str(NOTEBOOK.parents[1]),
    ],
    cwd=tmp_path, capture_output=True, text=True,
  )  # fmt: skip
  assert not done.returncode, done.stderr
