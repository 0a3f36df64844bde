"""Every verb, every kind of mistake: one line, an exit code, nothing lost.

The table is in mistake_rows.py; `python tests/test_mistakes.py` writes
docs/mistakes.md from it.
"""

import importlib
import pathlib
import re
import shlex
import shutil

import mistakes
import numpy as np
import prepared
import pytest
from mistake_rows import KINDS, TABLE, Row
from PIL import Image

from vbanana_jax import cli, predict
from vbanana_jax.data import prepare
from vbanana_jax.datasets.frozen_scenes import FrozenScenes
from vbanana_jax.errors import UserError
from vbanana_jax.inference.prepared import PreparedRequest
from vbanana_jax.runtime import workdir_lock
from vbanana_jax.tasks import TASKS

TESTS = pathlib.Path(__file__).parent
PAGE = TESTS.parent / 'docs' / 'mistakes.md'
ROWS = [
  (verb, kind, row)
  for verb, rows in TABLE.items()
  for kind, row in rows.items()
]
TRIED = [(verb, kind, row) for verb, kind, row in ROWS if row.command]
ERROR = re.compile(r'^vbanana( \w+)*: ', re.MULTILINE)
HEAD = """# What comes out of mistakes

Every verb of `vbanana`, and every kind of mistake that can be made with it: the
command, its exit code, and words of the one line that it ends with. What was on
the disk before is still there, byte for byte, and nothing is half-written. Exit
code 0 means that the verb goes on, since that is right. Each row is tried by
`tests/test_mistakes.py`, in the folder that `tests/mistakes.py` makes, or by
the test that is named; the page is written from the same table. The
kinds of `prepare` for published data sets write as `prepare folder` does.
"""

pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture(scope='module')
def whole_place(tmp_path_factory):
  root = tmp_path_factory.mktemp('place')
  mistakes.make_place(root)
  return root


@pytest.fixture
def place(whole_place, tmp_path, monkeypatch):
  """A copy of the folder, which is where commands are given."""
  root = shutil.copytree(whole_place, tmp_path / 'place')
  monkeypatch.chdir(root)
  return root


def load_files(root):
  return {
    path.relative_to(root).as_posix(): path.read_bytes()
    for path in sorted(root.rglob('*'))
    if path.is_file()
    and '__pycache__' not in path.parts
    and path.name != '.lock'
  }


def run(command: str) -> int:
  try:
    return cli.main(shlex.split(command))
  except SystemExit as ended:  # of argparse
    return ended.code


def interrupt(monkeypatch, where: str) -> None:
  def raise_interrupt(*args, **options):
    raise KeyboardInterrupt

  module, _, name = where.partition(':')
  *outer, name = name.split('.')
  owner = importlib.import_module(module)
  for part in outer:
    owner = getattr(owner, part)
  monkeypatch.setattr(owner, name, raise_interrupt)


@pytest.mark.parametrize(
  'verb, kind, row', TRIED, ids=[f'{verb}: {kind}' for verb, kind, _ in TRIED]
)
def test_what_comes_out(verb, kind, row, place, monkeypatch, capsys):
  *first, last = row.command.split(' && ')
  assert last.startswith(verb.partition(' --')[0])
  before = load_files(place)
  for command in first:
    assert run(command) == 0
  if row.code:
    before = load_files(place)
  if row.raises:
    interrupt(monkeypatch, row.raises)
  capsys.readouterr()
  assert run(last) == row.code
  said = capsys.readouterr()
  assert 'Traceback' not in said.err
  lines = [line for line in said.err.splitlines() if ERROR.match(line)]
  after = load_files(place)
  if row.code == 0:
    assert row.says in said.out + said.err
    assert not lines
    assert after.items() >= before.items()
    return
  assert after == before
  if verb.startswith('doctor') and not row.raises and not lines:
    assert row.says in said.out  # findings are what it is asked for
  else:
    (line,) = lines
    assert row.says in line


def test_every_verb_has_every_kind():
  # `import` is a word of the language, and its file is import_.py.
  files = (verb.__name__.rpartition('.')[2] for verb in cli._VERBS)
  verbs = {name.rstrip('_') for name in files}
  assert verbs == {name.split()[0] for name in TABLE}
  for verb, rows in TABLE.items():
    assert tuple(rows) == KINDS, verb


def test_what_is_tried_elsewhere_is_there():
  for verb, kind, row in ROWS:
    if row.test:
      file, _, name = row.test.partition('::')
      assert f'\ndef {name}(' in (TESTS / file).read_text(), (verb, kind)
    assert bool(row.test) + bool(row.command) == (row.code is not None)


def test_the_page_is_the_table():
  assert PAGE.read_text() == make_page(), (
    'write it again: python tests/test_mistakes.py'
  )


def test_what_appears_meanwhile_is_not_replaced(tmp_path):
  """Another program answers another question while this one paints."""
  photo, out = tmp_path / 'photo.png', tmp_path / 'out'
  Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(photo)
  task = TASKS['edit']

  def answer(words, answer_photos):
    question = task.ask(np.random.default_rng(0), instruction=words)
    prepared = PreparedRequest(
      task, question, answer_photos, lambda h, w: (h, w), {}
    )
    return list(predict.predict_all(prepared, [photo], out_dir=out))

  def paint(photos):
    for asked in photos:
      yield asked, asked.photo.source, None

  def paint_late(photos):
    answer('make it red', paint)
    yield from paint(photos)

  with pytest.raises(UserError, match='is of something else'):
    answer('make it blue', paint_late)
  assert 'red' in (out / 'photo_edit.json').read_text()


@pytest.mark.parametrize('kind', ['image_folder', 'scenes'])
def test_two_do_not_prepare_one_folder(kind, tmp_path):
  pets, out = tmp_path / 'pets', tmp_path / 'out'
  mistakes.save(pets / 'a.png', np.zeros((8, 8, 3)))
  with workdir_lock.hold_out(out):
    with pytest.raises(UserError, match='is being made by another process'):
      if kind == 'scenes':
        prepare.prepare_dataset(FrozenScenes(number=1, size=8), out)
      else:
        prepared.prepare_images(pets, out)
  assert sorted(path.name for path in tmp_path.iterdir()) == ['pets']


@pytest.mark.parametrize(
  'error, says',
  [
    (MemoryError(), 'too little memory (MemoryError)'),
    (
      RuntimeError('RESOURCE_EXHAUSTED: Out of memory\nmore'),
      '(Out of memory)',
    ),
  ],
)
def test_memory_that_is_full_is_one_line(error, says, monkeypatch, capsys):
  def fail(*args):
    raise error

  monkeypatch.setattr('vbanana_jax.cli.config_flags.load', fail)
  assert run('train --config quickstart --workdir w') == 2
  told = capsys.readouterr().err
  assert says in told and 'ask for less' in told and told.count('\n') == 1


def make_page() -> str:
  """docs/mistakes.md, from the table."""
  parts = [HEAD]
  for verb, rows in TABLE.items():
    parts.append(
      f'\n## {verb}\n\n| mistake | command | exit | what comes out |\n'
      '|---|---|---|---|\n'
    )
    parts += [make_line(kind, row) for kind, row in rows.items()]
  return ''.join(parts)


def make_line(kind: str, row: Row) -> str:
  command = f'`{row.command}`' if row.command else ''
  if row.test:
    command = f'`{row.test.partition("::")[0]}`'
  says = f'`{row.says}`' if row.says else ''
  told = ': '.join(filter(None, (row.gist, says)))
  code = '-' if row.code is None else row.code
  return f'| {kind} | {command} | {code} | {told} |\n'


if __name__ == '__main__':
  PAGE.write_text(make_page())
