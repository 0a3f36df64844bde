"""The README's table is what was measured."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]


def test_table_equals_the_committed_results(monkeypatch):
  monkeypatch.syspath_prepend(str(ROOT))
  from perf import readme

  text = (ROOT / 'README.md').read_text()
  table = readme.make_table(readme.load_runs())
  assert readme.replace_table(text, table) == text
  assert '| depth delta1' in text
  sys.modules.pop('perf', None)
