"""Varied readings stay true: one geometry for the photo and all labels."""

import numpy as np
import pytest
from byte_files import assert_refused

from vbanana_jax import labels
from vbanana_jax.data import augment, mirrored_words, photos, sources, windows

HEIGHT, WIDTH = 40, 56
SIZES = [(40, 56), (24, 24), (64, 48)]
CROPS = augment.Settings(crop_scale=(0.2, 0.9), crop_ratio=(0.7, 1.5), flip=0.5)


@pytest.fixture(scope='module')
def scene():
  """A rendered scene as a labeled picture, with its camera."""
  source = sources.SceneSource('full', 0, (HEIGHT, WIDTH), extras=['albedo'])
  row = next(
    row
    for row in map(source.__getitem__, range(32))
    if np.isfinite(row['depth_m']).mean() > 0.6 and row['instance'].max() > 1
  )
  focal = 0.5 * HEIGHT / np.tan(0.5 * float(row['scene'].camera[3]))
  keys = ('index', 'rgb', 'depth_m', 'normals', 'semantic', 'instance')
  return {
    **{key: row[key] for key in (*keys, 'albedo')},
    'intrinsics': labels.Intrinsics(focal, focal, WIDTH / 2, HEIGHT / 2),
  }


def _rng(number=0):
  return np.random.default_rng(number)


def _unproject(depth_m, camera):
  """Points (x right, y up, z forward) of all pixels, [h w 3]."""
  height, width = depth_m.shape
  x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
  return np.stack(
    [
      (x - camera.cx) / camera.fx * depth_m,
      -(y - camera.cy) / camera.fy * depth_m,
      depth_m,
    ],
    -1,
  )


def _rows_of(example):
  maps = [example[key] for key in ('semantic', 'instance', 'depth_m')]
  return {tuple(row) for row in np.stack(maps, -1).reshape(-1, 3)}


def _picked(window, size):
  """Rows and columns of the picture that the output looks at, by definition."""
  rows = window.top + (np.arange(size[0]) + 0.5) * window.height / size[0]
  columns = window.left + (np.arange(size[1]) + 0.5) * window.width / size[1]
  if window.mirrored:
    columns = columns[::-1]
  return np.floor(rows).astype(int), np.floor(columns).astype(int)


@pytest.mark.parametrize('mirrored', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_points_and_normals_are_those_of_the_picture(scene, size, mirrored):
  window = windows.Window(5.3, 2.6, 41.7, 33.1, mirrored)
  seen = windows.see(scene, window, size)
  grid = np.ix_(*_picked(window, size))
  there = np.isfinite(seen['depth_m'])
  np.testing.assert_array_equal(seen['depth_m'], scene['depth_m'][grid])
  before = _unproject(scene['depth_m'], scene['intrinsics'])[grid]
  after = _unproject(seen['depth_m'], seen['intrinsics'])
  if mirrored:
    before = before * (-1, 1, 1)
  # A label is that of the pixel that holds the point: at most half a pixel
  # of the picture away from the ray, at any depth.
  away = np.abs(after - before)[there] / seen['depth_m'][there][:, None]
  half = 0.5 / scene['intrinsics'].fx
  assert away.max() <= half * 1.001
  assert away[:, 2].max() == 0.0
  normals = scene['normals'][grid] * ((-1, 1, 1) if mirrored else 1)
  np.testing.assert_array_equal(seen['normals'], normals)


def test_a_mirrored_crop_of_whole_pixels_has_exactly_the_mirrored_points(scene):
  window = windows.Window(8, 4, 30, 20, mirrored=True)
  seen = windows.see(scene, window, (20, 30))
  points = _unproject(scene['depth_m'], scene['intrinsics'])
  expected = points[4:24, 8:38][:, ::-1] * (-1, 1, 1)
  found = _unproject(seen['depth_m'], seen['intrinsics'])
  there = np.isfinite(seen['depth_m'])
  np.testing.assert_allclose(found[there], expected[there], rtol=1e-9)
  rgb = np.rint(scene['rgb'][4:24, 8:38][:, ::-1] * 255) / 255
  np.testing.assert_allclose(seen['rgb'], rgb, atol=1e-6)


def test_labels_are_picked_and_never_blended(scene):
  for number in range(20):
    seen = augment.vary(scene, CROPS, _rng(number), (24, 24))
    for key in ('depth_m', 'semantic', 'instance'):
      assert set(np.unique(seen[key])) <= set(np.unique(scene[key]))
      assert seen[key].dtype == scene[key].dtype
    # The same pixel for all of them: rows of all labels exist in the scene.
    stacked = np.stack(
      [seen['semantic'], seen['instance'], seen['depth_m']], -1
    )
    rows = {tuple(row) for row in stacked.reshape(-1, 3)}
    whole = [scene[key] for key in ('semantic', 'instance', 'depth_m')]
    assert rows <= {tuple(row) for row in np.stack(whole, -1).reshape(-1, 3)}


def test_the_photo_goes_through_the_same_window_as_its_labels():
  # Colors that say where a pixel was: the answer is known at every place.
  y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
  ramp = np.stack([x / WIDTH, y / HEIGHT, 0 * x], -1).astype(np.float32)
  example = {'index': 0, 'rgb': ramp, 'depth_m': (1 + x).astype(np.float32)}
  for number in range(10):
    seen = augment.vary(example, CROPS, _rng(number), (16, 16))
    inner = np.s_[2:-2, 2:-2]
    columns = seen['rgb'][..., 0][inner] * WIDTH
    assert np.abs(columns - (seen['depth_m'][inner] - 1)).max() < 1.2


def test_no_settings_read_the_centered_window(scene):
  plain = augment.vary(scene, augment.Settings(), _rng(), (24, 24))
  pixels = np.rint(scene['rgb'] * 255).astype(np.uint8)
  expected = photos.fit_photo(pixels, 24, 24).astype(np.float32) / 255
  np.testing.assert_allclose(plain['rgb'], expected, atol=1e-6)
  window = windows.center((HEIGHT, WIDTH), (24, 24))
  assert window == windows.Window(8, 0, 40, 40)
  again = windows.see(scene, window, (24, 24))
  for key in ('depth_m', 'normals', 'instance'):
    np.testing.assert_array_equal(plain[key], again[key])


def test_a_reading_is_a_function_of_its_rng(scene):
  settings = augment.Settings(
    crop_scale=(0.3, 1.0), flip=0.5, gamma=0.5, contrast=0.3, hue=0.1,
    blur=1.0, noise=0.05, jpeg=30,
  )  # fmt: skip
  one, same, other = (
    augment.vary(scene, settings, _rng(k), (24, 24)) for k in (1, 1, 2)
  )
  for key in ('rgb', 'depth_m', 'normals'):
    np.testing.assert_array_equal(one[key], same[key])
    assert not np.array_equal(one[key], other[key])


def test_windows_have_the_shares_and_aspects_that_were_asked_for():
  settings = augment.Settings(crop_scale=(0.3, 0.6), crop_ratio=(0.8, 1.25))
  shape, size = (300, 500), (64, 128)
  seen = []
  for number in range(200):
    window = augment._draw_any_window(shape, settings, _rng(number), size)
    stretch = window.width / window.height / 2
    largest = windows.find_largest(shape, size, stretch)
    seen.append((window.width * window.height / np.prod(largest), stretch))
    assert 0 <= window.left and window.left + window.width <= 500
    assert 0 <= window.top and window.top + window.height <= 300
  shares, stretches = np.transpose(seen)
  assert 0.3 <= shares.min() < 0.32 and 0.58 < shares.max() <= 0.6
  assert 0.8 <= stretches.min() < 0.82 and 1.22 < stretches.max() <= 1.25


def _half(left: bool) -> np.ndarray:
  mask = np.zeros((HEIGHT, WIDTH), bool)
  mask[:, : WIDTH // 2] = left
  mask[:, WIDTH // 2 :] = not left
  return mask


def _make_told(**more):
  return {
    'index': 0,
    'rgb': np.full((HEIGHT, WIDTH, 3), 0.5, np.float32),
    'phrases': (
      labels.Phrase('the car on the left', _half(True)),
      labels.Phrase('the car on the right', _half(False)),
      labels.Phrase('a red bus', np.zeros((HEIGHT, WIDTH), bool)),
    ),
    'captions': ('Left: a car.', 'two cars'),
    **more,
  }


def test_masks_words_and_classes_follow_a_mirrored_picture():
  table = labels.Classes(('left eye', 'right eye', 'nose'), (0, 1, 2))
  semantic = np.where(_half(True), 0, 1).astype(np.int32)
  semantic[0, 0] = labels.VOID
  told = _make_told(
    classes=table,
    semantic=semantic,
    instance_class=np.array([1, 2], np.int32),
    edit={'instruction': 'remove the left car', 'rgb': np.zeros((40, 56, 3))},
  )
  window = windows.Window(0, 0, WIDTH, HEIGHT, mirrored=True)
  seen = windows.see(told, window, (HEIGHT, WIDTH))
  texts = [phrase.text for phrase in seen['phrases']]
  assert texts == ['the car on the right', 'the car on the left', 'a red bus']
  np.testing.assert_array_equal(seen['phrases'][0].mask, _half(False))
  assert not seen['phrases'][2].mask.any()
  assert seen['captions'] == ('Right: a car.', 'two cars')
  assert seen['edit']['instruction'] == 'remove the right car'
  # The left half shows what was the right half, and that is a left eye now.
  expected = np.where(_half(True), 0, 1)
  expected[0, -1] = labels.VOID
  np.testing.assert_array_equal(seen['semantic'], expected)
  assert list(seen['instance_class']) == [0, 2]
  assert told['phrases'][0].text == 'the car on the left'
  alone = {**told, 'classes': labels.Classes(('left eye', 'a', 'b'), (0, 1, 2))}
  assert_refused(
    lambda: windows.see(alone, window, (8, 8)), 'left eye', 'augment.flip=0'
  )


def test_a_phrase_that_a_crop_loses_is_dropped():
  told = _make_told()
  right = windows.Window(WIDTH / 2, 0, WIDTH / 2, HEIGHT)
  kept = windows.see(told, right, (16, 16))['phrases']
  assert [p.text for p in kept] == ['the car on the right', 'a red bus']
  assert kept[0].mask.all() and not kept[1].mask.any()
  # A sixth of the left half is in the window: too little to be called by it.
  wider = windows.Window(WIDTH / 2 - WIDTH / 12, 0, WIDTH / 2, HEIGHT)
  kept = windows.see(told, wider, (16, 16))['phrases']
  assert [p.text for p in kept] == ['the car on the right', 'a red bus']
  # One row of a mask that no pixel of the output looks at.
  thin = np.zeros((HEIGHT, WIDTH), bool)
  thin[3] = True
  told['phrases'] = (labels.Phrase('a wire', thin),)
  whole = windows.Window(0, 0, WIDTH, HEIGHT)
  assert windows.see(told, whole, (5, 7))['phrases'] == ()


def test_a_reading_shows_what_some_phrase_denotes():
  mask = np.zeros((HEIGHT, WIDTH), bool)
  mask[4:10, 4:10] = True
  nothing = labels.Phrase('nothing', np.zeros((HEIGHT, WIDTH), bool))
  told = _make_told(phrases=(labels.Phrase('a cup', mask), nothing))
  settings = augment.Settings(crop_scale=(0.3, 0.6), flip=0.5)
  sides = set()
  for number in range(30):
    seen = augment.vary(told, settings, _rng(number), (24, 24))
    assert [p.text for p in seen['phrases']] == ['a cup', 'nothing']
    sides.add(bool(np.nonzero(seen['phrases'][0].mask)[1].mean() < 12))
  assert sides == {True, False}


@pytest.mark.parametrize(
  'text, mirrored',
  [
    ('the left-most cup', 'the right-most cup'),
    ('LEFT lane, Rightmost car', 'RIGHT lane, Leftmost car'),
    ('a left-handed player', 'a right-handed player'),
    ("the right's owner", "the left's owner"),
    ('right of the left chair', 'left of the right chair'),
    ('second from left', 'second from right'),
    ('one to the left behind a car', 'one to the right behind a car'),
    ('the one on the right next to it', 'the one on the left next to it'),
    ('the car is left of the tree', 'the car is right of the tree'),
    ('upright copyright leftovers left2 bright', None),
    ('right behind the bus', None),
    ('a bag left behind, all right', None),
    ('nothing left on the plate', None),
    ('two chairs at right angles', None),
    ('', None),
  ],
)  # fmt: skip
def test_left_and_right_in_words(text, mirrored):
  expected = text if mirrored is None else mirrored
  assert mirrored_words.mirror_words(text) == expected
  assert mirrored_words.mirror_words(expected) == text


@pytest.mark.parametrize(
  'settings',
  [{'gamma': 1.0}, {'brightness': 0.5}, {'contrast': 0.5}, {'saturation': 1.0},
   {'hue': 0.3}, {'blur': 2.0}, {'noise': 0.1}, {'jpeg': 10}],
  ids=str,
)  # fmt: skip
def test_each_change_of_colors_changes_the_photo_alone(scene, settings):
  plain = augment.vary(scene, augment.Settings(), _rng(), (24, 24))
  seen = augment.vary(scene, augment.Settings(**settings), _rng(1), (24, 24))
  assert np.abs(seen['rgb'] - plain['rgb']).mean() > 2e-3
  assert seen['rgb'].dtype == np.float32
  assert 0 <= seen['rgb'].min() and seen['rgb'].max() <= 1
  for key in ('depth_m', 'normals', 'albedo', 'semantic', 'instance'):
    np.testing.assert_array_equal(seen[key], plain[key])


def test_an_edited_pair_changes_alike_and_keeps_the_hues_that_words_name():
  rgb = _rng().random((HEIGHT, WIDTH, 3), np.float32)
  pair = {
    'index': 0,
    'rgb': rgb,
    'edit': {'instruction': 'leave it as it is', 'rgb': rgb},
  }
  settings = augment.Settings(
    crop_scale=(0.3, 1.0), flip=0.5, gamma=0.5, noise=0.2, blur=1.0, jpeg=20
  )
  for number in range(4):
    seen = augment.vary(pair, settings, _rng(number), (24, 24))
    np.testing.assert_array_equal(seen['rgb'], seen['edit']['rgb'])
  turned = augment.Settings(hue=0.5)
  told = _make_told(rgb=rgb)
  for example in (pair, told):
    seen = augment.vary(example, turned, _rng(), (24, 24))
    plain = augment.vary(example, augment.Settings(), _rng(), (24, 24))
    np.testing.assert_array_equal(seen['rgb'], plain['rgb'])


def test_grays_stay_gray_when_hues_turn():
  gray = np.full((8, 8, 3), 0.4, np.float32)
  seen = augment.vary(
    {'index': 0, 'rgb': gray}, augment.Settings(hue=0.5), _rng(), (8, 8)
  )
  np.testing.assert_allclose(seen['rgb'], gray, atol=3e-3)


def test_settings_are_read_from_a_config_section():
  assert augment.parse_settings({}) == augment.Settings()
  found = augment.parse_settings({'flip': 0.5, 'crop_scale': [0.5, 1.0]})
  assert found == augment.Settings(flip=0.5, crop_scale=(0.5, 1.0))
  for section, *words in [
    ({'mirror': 1}, 'augment.mirror', 'flip'),
    ({'flip': 2}, 'augment.flip', '2'),
    ({'flip': 'yes'}, 'augment.flip', 'yes'),
    ({'crop_scale': (0.5, 1.5)}, 'augment.crop_scale', '1.5'),
    ({'crop_scale': (0.9, 0.5)}, 'augment.crop_scale', 'smaller one first'),
    ({'crop_ratio': 1.0}, 'augment.crop_ratio', 'two numbers'),
    ({'jpeg': 0}, 'augment.jpeg', '100'),
    ({'noise': float('nan')}, 'augment.noise', 'nan'),
  ]:
    assert_refused(lambda s=section: augment.parse_settings(s), *words)
