"""Exact painted colors come out as exact values at the photo's size."""

import json

import numpy as np
import pytest
from PIL import Image

from vbanana_jax import errors, predict, resizing
from vbanana_jax.codecs import depth as depth_codec
from vbanana_jax.codecs import normals as normals_codec
from vbanana_jax.drawing import pictures
from vbanana_jax.inference import outputs
from vbanana_jax.inference.prepared import PreparedRequest
from vbanana_jax.tasks import TASKS, base

HEIGHT, WIDTH = 48, 90  # a wide photo; the model's grid is 32 by 64
PHOTO = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def ask(task_name, **words):
  return TASKS[task_name].ask(np.random.default_rng(0), **words)


def run(
  tmp_path,
  task_name,
  answer_fn,
  image_u8=PHOTO,
  question=None,
  about=None,
  **kwargs,
):
  """Paths of the answer that `answer_fn` of source and prompt paints."""
  task, question = TASKS[task_name], question or ask(task_name)
  image = None
  if image_u8 is not None:
    image = tmp_path / 'photo.png'
    Image.fromarray(image_u8).save(image)

  def answer_photos(photos):
    for asked in photos:
      source = None if asked.photo is None else asked.photo.source
      painted = np.asarray(answer_fn(source, question.prompt), np.float32)
      yield asked, painted, outputs.decode_value(task, painted, question.aux)

  prepared = PreparedRequest(
    task,
    question,
    answer_photos,
    lambda h, w: outputs.make_grid(h, w, size=32, patch=8),
    about or {},
  )
  ((_, paths),) = predict.predict_all(
    prepared, [image], out_dir=tmp_path / 'out', **kwargs
  )
  return paths


def load(path):
  return np.asarray(Image.open(path))


@pytest.mark.parametrize(
  'height, width, expected',
  [
    (480, 640, (64, 88)),
    (640, 480, (88, 64)),
    (64, 64, (64, 64)),
    (48, 90, (64, 120)),
    (100, 400, (64, 256)),
    (10, 80, (32, 256)),
    (10, 4000, (8, 256)),
    (1, 1, (64, 64)),
  ],
)
def test_grid_keeps_aspect_and_fits_patches(height, width, expected):
  assert outputs.make_grid(height, width, size=64, patch=8) == expected


def test_answer_sees_the_photo_on_the_grid(tmp_path):
  seen = []

  def answer(source, prompt):
    seen.append((source, prompt))
    return source

  run(tmp_path, 'depth', answer, np.full((HEIGHT, WIDTH, 3), 51, np.uint8))
  source, prompt = seen[0]
  assert source.shape == (32, 64, 3) and source.dtype == np.float32
  np.testing.assert_allclose(source, 0.2, atol=1e-6)
  assert prompt == ask('depth').prompt


def test_depth_comes_back_in_meters(tmp_path):
  meters = np.full((32, 64), 2.0, np.float32)
  meters[:, 32:] = 7.5
  meters[:8] = np.inf
  paths = run(
    tmp_path,
    'depth',
    lambda source, prompt: depth_codec.encode(meters),
    about={'checkpoint': 'runs/a', 'versions': {'jax': '1'}},
  )
  depth_m = np.load(paths['values'])
  assert depth_m.dtype == np.float32 and depth_m.shape == (HEIGHT, WIDTH)
  np.testing.assert_allclose(depth_m[14:, :43], 2.0, rtol=1e-4)
  np.testing.assert_allclose(depth_m[14:, 47:], 7.5, rtol=1e-4)
  assert np.all(np.isinf(depth_m[:12])) and np.all(np.isfinite(depth_m[12:]))
  # Never a color of another depth on the border, only meters in between.
  assert np.all((depth_m[12:] >= 1.999) & (depth_m[12:] <= 7.501))
  assert load(paths['painted']).shape == (32, 64, 3)
  np.testing.assert_array_equal(
    load(paths['painted']),
    pictures.to_u8(np.asarray(depth_codec.encode(meters))),
  )
  picture = load(paths['picture'])
  assert picture.shape[1] == outputs.VIEW_EDGE  # and a scale bar below
  assert picture.shape[0] > outputs.VIEW_EDGE * HEIGHT // WIDTH
  assert tuple(picture[5, 5]) == pictures.SKY
  facts = json.loads(paths['json'].read_text())
  assert facts['checkpoint'] == 'runs/a' and facts['versions'] == {'jax': '1'}
  assert facts['photo_size'] == [HEIGHT, WIDTH]
  assert facts['painted_size'] == [32, 64]
  assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
    'photo_depth.json',
    'photo_depth.npy',
    'photo_depth.png',
    'photo_depth_painted.png',
  ]


def test_normals_stay_unit_across_an_edge(tmp_path):
  normals = np.zeros((32, 64, 3), np.float32)
  normals[:, :32] = (0, 0, 1)
  normals[:, 32:] = (0, 1, 0)
  paths = run(tmp_path, 'normals', lambda s, p: normals_codec.encode(normals))
  value = np.load(paths['values'])
  assert value.shape == (HEIGHT, WIDTH, 3) and value.dtype == np.float32
  np.testing.assert_allclose(np.linalg.norm(value, axis=-1), 1.0, atol=1e-5)
  np.testing.assert_allclose(
    value[:, :43], [[[0, 0, 1]] * 43] * HEIGHT, atol=1e-3
  )
  np.testing.assert_allclose(
    value[:, 47:], [[[0, 1, 0]] * 43] * HEIGHT, atol=1e-3
  )


def test_normals_have_no_direction_where_no_surface_is_painted(tmp_path):
  painted = np.array(normals_codec.encode(np.full((32, 64, 3), (0, 0, 1.0))))
  painted[:8] = (1, 0, 1)  # a sky
  paths = run(tmp_path, 'normals', lambda s, p: painted)
  value = np.load(paths['values'])
  np.testing.assert_array_equal(value[: HEIGHT // 4], 0)
  np.testing.assert_allclose(np.linalg.norm(value[HEIGHT // 4 :], axis=-1), 1)
  facts = json.loads(paths['json'].read_text())
  assert facts['no_surface_share'] == pytest.approx(0.25)
  assert 'zero where there is no surface' in facts['values']
  picture = load(paths['picture'])
  assert tuple(picture[5, 5]) == pictures.NOTHING


@pytest.mark.parametrize(
  'task_name, words, names',
  [
    ('semantic', {'classes': ('floor', 'sphere')}, ('floor', 'sphere')),
    ('referring', {'phrases': ('red box',)}, ('red box',)),
    ('instance', {'category': 'box'}, ()),
  ],
)
def test_labels_follow_the_palette(tmp_path, task_name, words, names):
  question = ask(task_name, **words)
  labels = np.zeros((32, 64), np.int32)
  labels[8:24, 16:32] = 1
  if task_name != 'referring':
    labels[8:24, 40:56] = 2
  palette = np.asarray(question.aux['palette'])
  paths = run(
    tmp_path,
    task_name,
    lambda s, p: palette[labels],
    question=question,
  )
  value = np.load(paths['values'])
  assert value.dtype == np.int32
  np.testing.assert_array_equal(
    value, resizing.resize_labels(labels, (HEIGHT, WIDTH))
  )
  assert set(np.unique(value)) == set(np.unique(labels))
  legend = json.loads(paths['json'].read_text())['legend']
  assert list(legend) == list(names)
  for row, name in enumerate(names, 1):
    np.testing.assert_array_equal(legend[name], pictures.to_u8(palette[row]))
  assert load(paths['picture']).shape[1] == outputs.VIEW_EDGE


def test_labels_are_resized_exactly():
  labels = np.arange(6, dtype=np.int32).reshape(2, 3)
  big = resizing.resize_labels(labels, (4, 6))
  np.testing.assert_array_equal(big, np.kron(labels, np.ones((2, 2), int)))
  np.testing.assert_array_equal(resizing.resize_labels(big, (2, 3)), labels)


def test_edit_has_the_photo_s_size_and_generation_needs_no_photo(tmp_path):
  painted = np.full((32, 64, 3), 0.4, np.float32)
  question = ask('edit', instruction='make the box blue')
  paths = run(tmp_path, 'edit', lambda s, p: painted, question=question)
  assert load(paths['picture']).shape == (HEIGHT, WIDTH, 3)
  assert np.all(load(paths['picture']) == 102) and 'values' not in paths
  sources = []
  paths = run(
    tmp_path,
    'generate',
    lambda s, p: sources.append(s) or painted,
    image_u8=None,
    question=ask('generate', caption='a red box'),
  )
  assert sources == [None]
  assert load(paths['picture']).shape == (32, 64, 3)


@pytest.mark.parametrize(
  'task_name, image_u8, prompt, message',
  [
    ('depth', None, 'how far?', 'needs an image'),
    ('generate', PHOTO, 'a box', 'words only'),
    ('edit', PHOTO, ' ', 'prompt is empty'),
  ],
)
def test_mistakes_are_named(tmp_path, task_name, image_u8, prompt, message):
  with pytest.raises(errors.UserError, match=message):
    run(
      tmp_path,
      task_name,
      lambda source, prompt: pytest.fail('asked in spite of a mistake'),
      image_u8,
      base.Question(prompt, {}),
    )
  assert not (tmp_path / 'out').exists()


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
  (tmp_path / 'out').write_text('')
  with pytest.raises(errors.UserError, match='cannot write'):
    run(
      tmp_path,
      'depth',
      lambda source, prompt: pytest.fail('asked before it is known'),
    )


def test_an_answer_to_something_else_is_not_replaced(tmp_path):
  painted = np.full((32, 64, 3), 0.4, np.float32)

  def edit(words, **kwargs):
    question = ask('edit', instruction=words)
    return run(
      tmp_path, 'edit', lambda s, p: painted, question=question, **kwargs
    )

  before = edit('make the box blue')['painted'].read_bytes()
  assert edit('make the box blue')['painted'].read_bytes() == before
  painted = painted / 2
  with pytest.raises(errors.UserError, match=r'of something else.*--overwrite'):
    edit('make the box red')
  assert (tmp_path / 'out' / 'photo_edit_painted.png').read_bytes() == before
  assert (
    edit('make the box red', overwrite=True)['painted'].read_bytes() != before
  )


@pytest.mark.parametrize(
  'caption', ['a red box', '赤い箱', '../../etc', 'x' * 500]
)
def test_a_generated_picture_is_named_for_its_prompt(tmp_path, caption):
  painted = np.full((32, 64, 3), 0.4, np.float32)
  names = set()
  for seed in (0, 1):
    paths = run(
      tmp_path,
      'generate',
      lambda s, p: painted,
      image_u8=None,
      question=ask('generate', caption=caption),
      about={'seed': seed},
    )
    assert 'picture' not in paths or paths['picture'] == paths['painted']
    assert paths['painted'].parent == tmp_path / 'out'
    assert len(paths['painted'].name) < 80
    names.add(paths['painted'].name)
  assert len(names) == 2


def test_nothing_found_is_said(tmp_path, capsys):
  question = ask('referring', phrases=('the red box',))
  black = np.zeros((32, 64, 3), np.float32)
  black[:] = question.aux['palette'][0]
  run(
    tmp_path,
    'referring',
    lambda s, p: black,
    question=question,
  )
  assert 'nothing found: the red box' in capsys.readouterr().err
