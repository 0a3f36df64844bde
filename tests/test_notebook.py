"""The notebook runs from top to bottom at smoke size."""

import importlib.metadata
import pathlib
import subprocess
import sys

import nbclient
import nbformat
import pytest
from virtual_devices import add_flag

pytestmark = pytest.mark.usefixtures('quick_compilation')

NOTEBOOK = pathlib.Path(__file__).parents[1] / 'notebooks' / 'quickstart.ipynb'


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_notebook_runs(tmp_path, monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', add_flag(1))  # one device, as on a laptop
  notebook = nbformat.read(NOTEBOOK, as_version=4)
  assert not any(cell.get('outputs') for cell in notebook.cells)
  nbclient.NotebookClient(
    notebook, timeout=600, resources={'metadata': {'path': str(tmp_path)}}
  ).execute()
  text = ''.join(
    output.get('text', '')
    for cell in notebook.cells
    for output in cell.get('outputs', [])
  )
  assert '(64, 64), ' in text and 'depth: ' in text
  assert (tmp_path / 'runs' / 'notebook' / 'report.html').exists()


def run_first_cell(monkeypatch, folder, *, installed, repository=''):
  """The cell that installs, with nothing started; the commands it gave."""
  cells = nbformat.read(NOTEBOOK, as_version=4).cells
  code = next(cell.source for cell in cells if cell.cell_type == 'code')
  code = code.replace("REPOSITORY = ''", f'REPOSITORY = {repository!r}')
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
