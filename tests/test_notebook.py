"""The notebook runs from top to bottom at smoke size."""

import pathlib

import nbclient
import nbformat
import pytest
from virtual_devices import add_flag

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
