"""Folders as telephones, file managers and failing disks leave them."""

import errno
import io
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image

from vbanana_jax import cli, predict
from vbanana_jax.cli import predict as verb
from vbanana_jax.data import photo_folder
from vbanana_jax.errors import UserError
from vbanana_jax.inference.prepared import PreparedRequest
from vbanana_jax.tasks import TASKS

OUT = pathlib.Path('answers')


def make_photo(path):
  Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)


@pytest.fixture
def telephone(tmp_path):
  folder = tmp_path / 'DCIM'
  (folder / '.thumbnails').mkdir(parents=True)
  (folder / 'trip.jpg').mkdir()
  for name in ('IMG_1.JPG', 'b.tif', 'c.bmp', 'd.AVIF', 'e.png'):
    make_photo(folder / name)
  for name in (
    'IMG_2.HEIC', 'IMG_1.MOV', 'IMG_3.dng', 'IMG_4.DNG', 'notes', '._b.tif',
    'Thumbs.db', 'desktop.ini', '.DS_Store',
  ):  # fmt: skip
    (folder / name).write_bytes(b'x')
  return folder


def test_all_that_is_read_is_found_and_the_rest_is_counted(telephone):
  found, others = photo_folder.find_photos(telephone)
  assert [path.name for path in found] == [
    'IMG_1.JPG', 'IMG_2.HEIC', 'b.tif', 'c.bmp', 'd.AVIF', 'e.png',
  ]  # fmt: skip
  assert others == {'.mov': 1, '.dng': 2, 'folders': 1, 'without an ending': 1}


def test_predict_says_what_it_does_not_take(telephone, capsys):
  assert len(verb._find_images([telephone], OUT)) == 6
  (line,) = capsys.readouterr().err.splitlines()
  assert str(telephone) in line
  for words in ('2 .dng', '1 .mov', '1 folders'):
    assert words in line


def test_a_folder_without_photos_is_refused(tmp_path):
  (tmp_path / 'x.txt').write_text('x')
  with pytest.raises(UserError, match=r'no photo in this folder.*\.heic'):
    verb._find_images([tmp_path], OUT)


def make_echo():
  """An edit that answers with the photo itself."""
  task = TASKS['edit']
  return PreparedRequest(
    task,
    task.ask(np.random.default_rng(0), instruction='make it red'),
    lambda photos: ((asked, asked.photo.source, None) for asked in photos),
    lambda h, w: (h, w),
    {},
  )


def test_a_file_that_the_disk_does_not_give_is_named(tmp_path, monkeypatch):
  images = [tmp_path / name for name in ('a.png', 'bad.png', 'c.png')]
  for path in images:
    make_photo(path)
  read_bytes = pathlib.Path.read_bytes

  def fail(path):
    if path.name == 'bad.png':
      raise OSError(errno.EIO, 'Input/output error')
    return read_bytes(path)

  monkeypatch.setattr(pathlib.Path, 'read_bytes', fail)
  answers = dict(
    predict.predict_all(make_echo(), images, out_dir=tmp_path / 'out')
  )
  assert 'picture' in answers[images[0]] and 'picture' in answers[images[2]]
  error = answers[images[1]]
  assert isinstance(error, UserError)
  assert 'bad.png' in str(error) and 'Input/output error' in str(error)


@pytest.mark.parametrize('encoding', ['utf-8', 'ascii'])
def test_any_name_can_be_printed(encoding, monkeypatch):
  written = io.BytesIO()
  strict = io.TextIOWrapper(written, encoding, errors='strict')
  monkeypatch.setattr(sys, 'stdout', strict)
  with pytest.raises(SystemExit):
    cli.main(['--help'])
  print('caf\udce9.jpg', '東京.jpg')
  strict.flush()
  assert b'caf\\udce9.jpg' in written.getvalue()


@pytest.mark.parametrize(
  'files, names',
  [
    ('a.jpg b.jpg', 'a b'),
    ('IMG_1.JPG IMG_1.HEIC b.png', 'IMG_1.JPG IMG_1.HEIC b'),
    ('a.jpg A.png', 'a.jpg A.png'),
    ('x/a.jpg y/a.jpg y/b.jpg', 'x_a.jpg y_a.jpg b'),
    ('x/a.jpg x/z/a.jpg', 'a.jpg z_a.jpg'),
    ('x/u/a.jpg x/v/a.png x/v/a.jpg', 'u_a.jpg a.png v_a.jpg'),
    ('c.tar.png', 'c.tar'),
  ],
)
def test_names_are_told_apart(files, names):
  found = photo_folder.name_apart([pathlib.Path(x) for x in files.split()])
  assert found == names.split()


def test_what_no_name_tells_apart_is_refused():
  files = [pathlib.Path(x) for x in ('x_y/a.jpg', 'x/y_a.jpg', 'y_a.jpg')]
  files += [pathlib.Path('x/y/a.jpg'), pathlib.Path('y/a.jpg')]
  with pytest.raises(UserError, match=r'x_y_a\.jpg: answer them into two'):
    photo_folder.name_apart(files)


def test_photos_of_one_stem_are_all_answered(tmp_path):
  for name in ('a.jpg', 'a.png', 'b.png'):
    make_photo(tmp_path / name)
  images = verb._find_images(
    [tmp_path, tmp_path / 'b.png', tmp_path / 'a.jpg'], OUT
  )
  assert [path.name for path in images] == ['a.jpg', 'a.png', 'b.png']
  answers = dict(
    predict.predict_all(make_echo(), images, out_dir=tmp_path / 'out')
  )
  assert {
    image.name: paths['painted'].name for image, paths in answers.items()
  } == {
    'a.jpg': 'a.jpg_edit_painted.png',
    'a.png': 'a.png_edit_painted.png',
    'b.png': 'b_edit_painted.png',
  }
