"""The public face: what a program and a notebook call."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import vbanana_jax as vb
from vbanana_jax import cli
from vbanana_jax.codecs import depth

pytestmark = pytest.mark.usefixtures('quick_compilation')

PHOTO = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture(scope='module')
def model(untrained_run):
  return vb.open(untrained_run)


def test_every_public_name_is_there():
  names = ('Answer', 'Model', 'SceneSource', 'TASKS', 'UserError')
  for name in (*names, 'codecs', 'metrics', 'networks'):
    assert getattr(vb, name) is not None and name in dir(vb)
  with pytest.raises(AttributeError, match='nothing_such'):
    _ = vb.nothing_such


def test_a_face_is_not_imported_before_it_is_used():
  code = (
    'import sys, vbanana_jax as vb; assert "jax" not in sys.modules; '
    'vb.codecs; assert "jax" in sys.modules'
  )
  subprocess.run([sys.executable, '-c', code], check=True)


def test_an_answer_equals_the_files_of_the_command(
  model, untrained_run, tmp_path
):
  Image.fromarray(PHOTO).save(tmp_path / 'a.png')
  argv = f'predict {tmp_path}/a.png --task depth --workdir {untrained_run}'
  assert cli.main([*argv.split(), '--out', str(tmp_path / 'out')]) == 0
  for image in (PHOTO, Image.fromarray(PHOTO), tmp_path / 'a.png'):
    answer = model.ask('depth', image)
    np.testing.assert_array_equal(
      answer.value, np.load(tmp_path / 'out' / 'a_depth.npy')
    )
    np.testing.assert_array_equal(
      answer.painted,
      np.asarray(Image.open(tmp_path / 'out' / 'a_depth_painted.png')),
    )
    np.testing.assert_array_equal(
      answer.figure(), Image.open(tmp_path / 'out' / 'a_depth.png')
    )
  assert answer.value.shape == answer.confidence.shape == PHOTO.shape[:2]
  assert 'meters' in answer.unit
  saved = answer.save(tmp_path / 'saved', 'a')
  assert sorted(saved) == ['json', 'painted', 'picture', 'values']
  for path in saved.values():
    there = tmp_path / 'out' / path.name
    assert path.read_bytes() == there.read_bytes()


def test_words_are_given_by_name(model):
  answer = model.ask('semantic', PHOTO, classes=['floor', 'wall'])
  assert answer.names == ('floor', 'wall') and answer.palette.shape == (2, 3)
  assert answer.value.max(initial=0) <= 2
  painted = model.ask('generate', prompt='a red ball', seed=3, steps=1)
  assert painted.value is None and painted.confidence is None
  assert Image.open(io.BytesIO(painted._repr_png_())).size[0] > 0


@pytest.mark.parametrize(
  'task, image, words, message',
  [
    ('depht', PHOTO, {}, 'choose of'),
    ('depth', None, {}, 'needs an image'),
    ('generate', PHOTO, {'prompt': 'a ball'}, 'leave the image out'),
    ('depth', PHOTO[..., 0], {}, r'uint8 \[30, 40\]'),
    ('depth', PHOTO / 255, {}, 'float64'),
    ('depth', 'nowhere.jpg', {}, 'nowhere.jpg'),
  ],
)
def test_mistakes_say_what_is_wrong(model, task, image, words, message):
  with pytest.raises(vb.UserError, match=message):
    model.ask(task, image, **words)


def test_an_exported_program_answers_its_one_question(
  untrained_run, model, tmp_path
):
  argv = f'export --workdir {untrained_run} --task depth --size 30x40'
  argv = argv.replace('30x40', '24x32')
  assert cli.main([*argv.split(), '--out', str(tmp_path / 'served')]) == 0
  served = vb.open(tmp_path / 'served')
  assert served.tasks == ('depth',)
  answer = served.ask('depth', PHOTO)
  assert answer.value.shape == PHOTO.shape[:2]
  with pytest.raises(vb.UserError, match='exported program for one question'):
    served.ask('normals', PHOTO)


def test_pictures_of_others_are_read(tmp_path):
  depth_m = np.geomspace(1, 30, 64 * 48).reshape(48, 64).astype(np.float32)
  painted_u8 = np.rint(255 * np.asarray(depth.encode(depth_m))).astype(np.uint8)
  answer = vb.read_painted(painted_u8, 'depth', 'A metric depth map.')
  np.testing.assert_allclose(answer.value, depth_m, rtol=0.05)
  assert answer.confidence.mean() > 0.5
  answer = vb.read_painted(painted_u8, 'depth', 'A metric depth map.', PHOTO)
  assert answer.value.shape == PHOTO.shape[:2]
  with pytest.raises(vb.UserError, match='vbanana decode writes'):
    answer.save(tmp_path)


def test_a_folder_that_is_no_run_is_named(tmp_path):
  with pytest.raises(vb.UserError, match='has no checkpoint'):
    vb.open(tmp_path)
