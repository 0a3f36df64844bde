"""A source in a file of one's own: the page's code, and what can be wrong."""

import pathlib
import re

import numpy as np
import pytest
from labeled_rows import LabeledRows

from vbanana_jax import cli, labels
from vbanana_jax.cli import config_flags
from vbanana_jax.data import bad_records, build, example_checks, stream
from vbanana_jax.errors import UserError

PAGE = pathlib.Path(__file__).parent.parent / 'docs' / 'add_a_source.md'
SIZE = 32


class Changed(LabeledRows):
  """Rows with something changed."""

  def __init__(self, change, **options):
    super().__init__(SIZE, **options)
    self._change = change

  def __getitem__(self, index):
    return {**super().__getitem__(index), **self._change}


def find_code():
  return re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)


def test_the_page_is_a_config_and_its_batches(tmp_path):
  path = tmp_path / 'rooms.py'
  path.write_text(find_code()[0])
  config = config_flags.load(f'{path}:smoke', [])
  mixed = build.build_mixture(config)
  (entry,) = mixed.entries
  assert (entry.task.name, len(entry.source)) == ('depth', 200)
  assert not entry.source.endless
  settings = stream.make_settings(config)
  (batch,) = stream.build_stream(mixed, settings, end_step=1)
  assert all(np.isfinite(x).all() for x in batch.values() if x.dtype == 'f')
  before = build.describe_data(config)['sources']['rooms']['code']
  path.write_text(find_code()[0] + '# changed\n')
  assert build.describe_data(config)['sources']['rooms']['code'] != before


@pytest.mark.usefixtures('quick_compilation')
def test_the_page_trains_and_scores(tmp_path, monkeypatch, capsys):
  source, score = find_code()
  (tmp_path / 'rooms.py').write_text(source)
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)
  train = 'train --config rooms.py:smoke --workdir runs/rooms'
  assert cli.main([*train.split(), '--config.length=2 steps']) == 0
  exec(compile(score, 'page', 'exec'), {})
  found = re.search(
    r'AbsRel on walls it never saw: (.+)', capsys.readouterr().out
  )
  assert 0 < float(found[1]) < 100


@pytest.mark.parametrize(
  'code, says',
  [
    ('', r'has no function open_source\(size\)'),
    ('def open_source(size):\n  return []', 'a list without labels'),
    ('x = 1\ny = 1 / 0', 'line 2: ZeroDivisionError'),
    ('x = (', 'SyntaxError'),
    (None, 'FileNotFoundError'),
  ],
)
def test_a_file_that_is_none_is_one_line(code, says, tmp_path):
  path = tmp_path / 'mine.py'
  if code is not None:
    path.write_text(code)
  overrides = [
    '--config.sources.mine.kind=python',
    f'--config.sources.mine.path={path}',
    '--config.mixture.depth@mine=1',
  ]
  config = config_flags.load('quickstart:smoke', overrides)
  with pytest.raises(UserError, match=says) as caught:
    build.build_mixture(config)
  assert 'mine.py' in str(caught.value) and '\n' not in str(caught.value)


def full(value, dtype=np.float32, size=SIZE):
  return np.full((size, size), value, dtype)


def test_rows_that_are_right_pass():
  example_checks.check_source(LabeledRows(SIZE), 'mine', SIZE, LabeledRows.ALL)
  normals = np.zeros((SIZE, SIZE, 3), np.float32)
  unknown = {
    'depth_m': full(np.nan),
    'normals': normals,
    'semantic': full(labels.VOID, np.int32),
    'instance': full(labels.VOID, np.int32),
  }
  example_checks.check_source(Changed(unknown), 'mine', SIZE, LabeledRows.ALL)


@pytest.mark.parametrize(
  'change, says',
  [
    ({'rgb': np.zeros((SIZE, SIZE, 3), np.uint8)}, 'rgb: uint8 from 0 to 0'),
    ({'rgb': np.full((SIZE, SIZE, 3), 9, np.float32)}, 'float32 from 9 to 9'),
    ({'rgb': np.zeros((8, 8, 3), np.float32)}, 'rgb: shape.*image_size'),
    ({'depth_m': full(2, size=8)}, 'depth_m: 8 x 8 pixels'),
    ({'depth_m': full(2500)}, 'depth_m: median 2500 m'),
    ({'depth_m': full(2, np.uint8)}, 'uint8, and meters are floats'),
    ({'depth_m': None}, 'labels has depth_m, and the row has not'),
    ({'depth_m': [[1.0]]}, 'depth_m: list, and no array'),
    ({'semantic': full(99, np.int32)}, 'semantic: id 99'),
    ({'normals': np.full((SIZE, SIZE, 3), 2, np.float32)}, 'no unit length'),
  ],
)  # fmt: skip
def test_rows_that_are_wrong_are_one_line(change, says):
  with pytest.raises(UserError, match=says) as caught:
    example_checks.check_source(Changed(change), 'mine', SIZE, LabeledRows.ALL)
  assert str(caught.value).startswith('config.sources.mine, row 0: ')
  assert '\n' not in str(caught.value)


def test_labels_that_nobody_knows_and_no_rows():
  rows = LabeledRows(SIZE, keys={'rgb', 'depth'})
  with pytest.raises(UserError, match=r"'depth'.*did you mean 'depth_m'"):
    example_checks.check_source(rows, 'mine', SIZE, LabeledRows.ALL)
  with pytest.raises(UserError, match='has no row'):
    example_checks.check_source(
      LabeledRows(SIZE, count=0), 'mine', SIZE, LabeledRows.ALL
    )


def test_a_label_that_nobody_asks_for_need_not_be_read():
  rows = Changed({'semantic': None})
  example_checks.check_source(rows, 'mine', SIZE, {'rgb', 'depth_m'})


def test_rows_that_cannot_be_read_are_left_to_others(monkeypatch):
  def refuse(self, index):
    raise bad_records.BadRecordError('gone')

  monkeypatch.setattr(LabeledRows, '__getitem__', refuse)
  example_checks.check_source(LabeledRows(SIZE), 'mine', SIZE, LabeledRows.ALL)
