"""The demo page without its framework: limits, turns, and what is shown."""

import base64
import json
import socket
import sys
import threading
import types
import zipfile

import numpy as np
import odd_files
import pytest
from PIL import Image

import vbanana_jax as vb
from vbanana_jax import cli
from vbanana_jax.demo import asking, bundles, page, server, shown
from vbanana_jax.errors import UserError

pytestmark = pytest.mark.usefixtures('quick_compilation')

LIMITS = asking.Limits()


@pytest.fixture(scope='module')
def asker(untrained_run):
  return asking.Asker(vb.open(untrained_run))


@pytest.fixture
def photo(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
  Image.fromarray(pixels).save(tmp_path / 'photo.png')
  return str(tmp_path / 'photo.png')


def read_floats(view):
  values = np.frombuffer(base64.b64decode(view['values']), '<f4')
  shape = (view['height'], view['width'], view['channels'])
  return values.reshape(shape)


def test_depth_goes_to_the_browser_in_meters(asker, photo):
  answered = asker.ask(asking.Asked('depth', photo))
  view = json.loads(json.dumps(shown.make_view(answered)))
  assert view['viewer'] == 'meters' and view['labels'] == []
  np.testing.assert_array_equal(
    read_floats(view)[..., 0], answered.answer.value
  )
  sure = np.frombuffer(base64.b64decode(view['confidence']), np.uint8)
  np.testing.assert_allclose(
    sure / 255, answered.answer.confidence.ravel(), atol=1 / 255
  )
  near, far = view['range']
  assert 0 < near < far
  assert np.ptp(np.sum(view['ramp'], axis=1)) > 300  # bright to dark


def test_normals_have_three_numbers_a_pixel(asker, photo):
  view = shown.make_view(asker.ask(asking.Asked('normals', photo)))
  assert view['viewer'] == 'directions' and view['range'] is None
  assert read_floats(view).shape == (30, 40, 3)


def test_labels_have_names_colors_and_confidence(asker, photo):
  words = 'floor, wall , sphere'
  answered = asker.ask(asking.Asked('semantic', photo, words))
  listed = shown.list_labels(answered)
  answer = answered.answer
  assert answer.names == ('floor', 'wall', 'sphere')
  assert listed, 'a network that nobody trained paints every color'
  for row in listed:
    where = answer.value == row['label']
    assert row['name'] == answer.names[row['label'] - 1]
    assert row['color'] == answer.palette[row['label'] - 1].tolist()
    assert row['share'] == where.mean()
    assert row['confidence'] == pytest.approx(answer.confidence[where].mean())


def test_instances_are_numbered(asker, photo):
  answered = asker.ask(asking.Asked('instance', photo))
  labels = np.zeros((30, 40), np.int32)
  labels[:, :10], labels[:, 30:] = 1, 2
  answer = types.SimpleNamespace(
    task='instance', value=labels, names=(), palette=np.zeros((0, 3)),
    confidence=np.full(labels.shape, 0.5),
  )  # fmt: skip
  listed = shown.list_labels(answered._replace(answer=answer))
  assert [row['name'] for row in listed] == ['1', '2']
  assert listed[0]['color'] != listed[1]['color']


def test_pictures_are_answers_too(asker, photo):
  edited = asker.ask(asking.Asked('edit', photo, 'make it red', steps=1))
  view = shown.make_view(edited)
  assert view['viewer'] == 'picture' and 'values' not in view
  made = asker.ask(asking.Asked('generate', photo, 'a red ball', 3, 1))
  assert made.photo_u8 is None and shown.make_view(made)['photo'] is None
  other = asker.ask(asking.Asked('generate', None, 'a red ball', 4, 1))
  assert not np.array_equal(made.answer.painted, other.answer.painted)


def test_words_of_a_stranger_stay_words(asker):
  words = '<script>alert(1)</script> {{value}} ${value}'
  made = asker.ask(asking.Asked('generate', None, words, 0, 1))
  written = shown.write_answer(made, 'answers/a"b')
  assert '<script' not in written and '&lt;script&gt;' in written
  assert 'a&quot;b' in written
  assert '<b>' not in shown.write_error('<b>')


@pytest.mark.parametrize(
  'asked, says',
  [
    (asking.Asked('depth'), 'drop one, take a photograph, or draw'),
    (asking.Asked('depth', 'gone/a.png'), 'a.png is no longer here'),
    (asking.Asked('generate', words=' '), 'write what to do, as in: a room'),
    (asking.Asked('semantic', words=','), 'write what to look for, as in'),
    (asking.Asked('depth', seed=-1), 'seed -1: give a number from 0'),
    (asking.Asked('depth', steps=101), 'steps 101: give a number from 0'),
  ],
)
def test_mistakes_are_said_in_the_words_of_the_page(asker, asked, says):
  with pytest.raises(UserError, match=says) as caught:
    asker.ask(asked)
  assert '--' not in str(caught.value)


def test_odd_files_are_pictures_or_named(tmp_path):
  found = odd_files.make_odd_files()
  refused = set()
  assert len(found) > 100
  for name, content in found.items():
    path = tmp_path / name
    path.write_bytes(content)
    try:
      photo_u8, _ = asking.load_photo(str(path), LIMITS)
    except UserError as error:
      assert str(error).startswith(f'{name}: ') and '\n' not in str(error)
      assert str(tmp_path) not in str(error)
      refused.add(name)
    else:
      assert photo_u8.dtype == np.uint8 and photo_u8.ndim == 3
      assert 1 <= max(photo_u8.shape[:2]) <= asking.LONG_EDGE
  assert set(odd_files.TEXTS) <= refused
  assert {name for name in found if name.startswith('vast')} <= refused
  named = {f'{kind.lower()}_named.txt' for kind in odd_files.KINDS}
  assert not refused & {*named, 'animation.gif', 'png_1x1.png', 'CMYK.jpeg'}


def test_large_files_are_refused_and_large_pictures_shrunk(tmp_path):
  path = tmp_path / 'noise.bmp'
  pixels = np.zeros((700, 1400, 3), np.uint8)
  pixels[:, 700:] = 255
  Image.fromarray(pixels).save(path)
  photo_u8, size = asking.load_photo(str(path), LIMITS)
  assert size == (700, 1400) and photo_u8.shape == (512, 1024, 3)
  with pytest.raises(UserError, match=r'noise\.bmp: .* at most 1048576'):
    asking.load_photo(str(path), asking.Limits(megabytes=1))


class Echo:
  """A model that answers with the words, and tells how many ask at once."""

  tasks = ('generate',)

  def __init__(self):
    self.now = self.most = 0
    self.go_on = threading.Event()

  def ask(self, task, image, *, prompt, **options):
    self.now += 1
    self.most = max(self.most, self.now)
    self.go_on.wait()
    self.now -= 1
    return types.SimpleNamespace(prompt=prompt, painted=np.zeros((8, 8, 3)))


def test_two_at_once_get_their_own_answers_in_turn():
  model = Echo()
  asker = asking.Asker(model)
  found = {}

  def ask(words):
    answered = asker.ask(asking.Asked('generate', words=words))
    found[words] = answered.answer.prompt

  threads = [
    threading.Thread(target=ask, args=(f'user {k}',)) for k in range(8)
  ]
  for thread in threads:
    thread.start()
  model.go_on.set()
  for thread in threads:
    thread.join()
  assert found == {f'user {k}': f'user {k}' for k in range(8)}
  assert model.most == 1


def test_a_question_that_takes_too_long_is_given_up():
  model = Echo()
  asker = asking.Asker(model, asking.Limits(seconds=0.01))
  with pytest.raises(UserError, match=r'no answer within 0\.01 seconds'):
    asker.ask(asking.Asked('generate', words='slow'))
  model.go_on.set()
  patient = asking.Asker(model)
  found = patient.ask(asking.Asked('generate', words='next'))
  assert found.answer.prompt == 'next'


def test_programs_are_forgotten_before_they_fill_the_memory(monkeypatch):
  monkeypatch.setattr(asking, '_MOST_PROGRAMS', 2)
  cleared = []
  monkeypatch.setattr(asking.jax, 'clear_caches', lambda: cleared.append(1))
  model = Echo()
  model.go_on.set()
  asker = asking.Asker(model)
  for steps, times in ((1, 0), (2, 0), (1, 0), (3, 1), (3, 1), (4, 1), (1, 2)):
    asker.ask(asking.Asked('generate', words='a', steps=steps))
    assert len(cleared) == times


def test_scenes_differ_and_come_again(asker):
  first, again, other = (asker.draw_scene(seed) for seed in (1, 1, 2))
  np.testing.assert_array_equal(first, again)
  assert first.shape == (256, 256, 3) and not np.array_equal(first, other)


def test_a_bundle_has_the_files_of_predict(asker, photo, tmp_path):
  kept = bundles.Bundles(tmp_path, keep=2)
  answered = asker.ask(asking.Asked('depth', photo))
  names = [kept.add(answered) for _ in range(3)]
  assert kept.find(names[0]) is None and not (tmp_path / names[0]).exists()
  assert kept.find('../photo.png') is None
  with zipfile.ZipFile(kept.find(names[2])) as bundle:
    assert sorted(bundle.namelist()) == [
      'answer_depth.json', 'answer_depth.npy', 'answer_depth.png',
      'answer_depth_painted.png', 'picture.png',
    ]  # fmt: skip
    with bundle.open('answer_depth.npy') as file:
      np.testing.assert_array_equal(np.load(file), answered.answer.value)
    assert photo not in bundle.read('answer_depth.json').decode()


def test_tasks_that_need_a_picture_alone_come_first():
  ordered = page.sort_tasks(vb.TASKS)
  assert ordered[0] == 'depth' and ordered[-1] == 'generate'
  assert set(ordered) == set(vb.TASKS)
  assert not page.describe_words('depth')['visible']
  assert page.describe_words('edit')['visible']


def test_a_taken_port_is_named():
  with socket.socket() as taken:
    taken.bind(('127.0.0.1', 0))
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(UserError, match=f'--port {port}.*choose another'):
      server.listen('127.0.0.1', port)


def test_what_is_not_installed_is_named(untrained_run, monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, 'gradio', None)
  assert cli.main(['demo', '--workdir', str(untrained_run)]) == 2
  error = capsys.readouterr().err
  assert error.count('\n') == 1 and "pip install 'vbanana-jax[demo]'" in error
