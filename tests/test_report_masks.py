"""Labels can be told from any photo, and letters read below any picture."""

import numpy as np
import pytest
from PIL import Image

from vbanana_jax.drawing import masks, strips
from vbanana_jax.report import answers
from vbanana_jax.tasks import TASKS

EDGE = 600
BOX = (slice(150, 300), slice(100, 250)), (slice(150, 300), slice(250, 500))
PHOTOS = {
  'black': np.zeros((EDGE, EDGE, 3), np.uint8),
  'white': np.full((EDGE, EDGE, 3), 255, np.uint8),
  'grey': np.full((EDGE, EDGE, 3), 128, np.uint8),
  'noise': np.random.default_rng(0).integers(
    0, 256, (EDGE, EDGE, 3), dtype=np.uint8
  ),
}
COLORS = {
  'black': (0, 0, 0),
  'white': (255, 255, 255),
  'grey': (128, 128, 128),
  'red': (255, 0, 0),
}


def make_labels():
  labels = np.full((EDGE, EDGE), -1)
  labels[BOX[0]], labels[BOX[1]] = 0, 1
  return labels


def contrast_across(picture, row, column, reach=6):
  """The least contrast of what lies at both sides to the line between."""
  window = picture[row, column - reach : column + reach]
  sides = window[[0, -1]]
  return min(masks.measure_contrast(window, side).max() for side in sides)


@pytest.mark.parametrize('photo', PHOTOS)
@pytest.mark.parametrize('color', COLORS)
def test_a_region_stands_out_of_any_photo_and_of_its_twin(photo, color):
  twins = np.array([COLORS[color]] * 2, np.uint8)
  picture = masks.draw_labels(PHOTOS[photo], make_labels(), twins)
  for column in (100, 250, 500):  # photo to region, region to region, and back
    for row in (180, 222, 290):
      assert contrast_across(picture, row, column) >= masks.LEAST_CONTRAST
  # The very color of the prompt, beside the line.
  exact = np.all(picture[150:300, 100:500] == COLORS[color], -1)
  assert exact.sum() > 1000


def test_contrast_is_that_of_the_standard():
  black, white = np.uint8([0, 0, 0]), np.uint8([255, 255, 255])
  assert masks.measure_contrast(black, white) == pytest.approx(21)
  # Of the grey that WCAG's texts call the lightest for words on white.
  gray = np.uint8([118, 118, 118])
  assert masks.measure_contrast(gray, white) == pytest.approx(4.54, abs=0.01)
  every = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
  best = np.maximum(
    masks.measure_contrast(every, black), masks.measure_contrast(every, white)
  )
  assert best.min() >= masks.LEAST_CONTRAST


def test_what_has_no_label_stays_photo_in_gray():
  picture = masks.draw_labels(PHOTOS['noise'], make_labels(), np.eye(3) * 255)
  np.testing.assert_array_equal(picture[:140], masks.dim(PHOTOS['noise'])[:140])
  nothing = masks.draw_labels(PHOTOS['noise'], make_labels(), np.zeros((0, 3)))
  np.testing.assert_array_equal(nothing, masks.dim(PHOTOS['noise']))
  for name in ('black', 'white'):
    ground = masks.dim(PHOTOS[name])[0, 0]
    assert 30 < ground[0] < 200 and np.ptp(ground) == 0


@pytest.mark.parametrize('photo', PHOTOS)
def test_instances_are_numbered_and_none_is_gray(photo):
  ids = make_labels() + 1
  colors = masks.make_instance_colors(64)
  assert np.ptp(colors.astype(int), axis=1).min() >= 60
  assert len(np.unique(colors, axis=0)) == 64
  plain = masks.draw_labels(PHOTOS[photo], ids - 1, colors)
  numbered = masks.write_numbers(plain, ids - 1)
  for box in BOX:
    written = np.any(plain[box] != numbered[box], -1)
    ys, xs = np.nonzero(written)
    assert len(ys) > 30
    # In the middle, white on black.
    middle = [axis.stop - axis.start for axis in box]
    assert np.ptp(ys) < middle[0] / 2 and np.ptp(xs) < middle[1] / 2
    found = numbered[box][written]
    assert found.max() == 255 and found.min() == 0
  drawn = answers.draw(
    TASKS['instance'], ids, PHOTOS[photo], np.zeros((0, 3)), ()
  )
  assert len(drawn) > EDGE  # a legend
  for color in colors[:2]:
    assert np.all(drawn[EDGE:] == color, axis=-1).sum() > 20


def test_a_number_stands_inside_a_bent_region_and_on_a_speck():
  labels = np.full((100, 100), -1)
  labels[10:90, 10:90] = 0
  labels[30:90, 30:90] = -1  # an L: its mean lies outside
  labels[70, 70] = 3
  middles = masks._find_middles(labels)
  x, y, room = middles[0]
  assert labels[int(y), int(x)] == 0 and 5 < room < 16
  assert middles[3][:2] == pytest.approx((70, 70), abs=1)
  big = np.full((1000, 3000), -1)
  big[5, 7] = 0
  assert masks._find_middles(big)[0][:2] == (7, 5)


@pytest.mark.parametrize('edge', [64, 600, 6000])
def test_sizes_follow_the_picture(edge):
  """Seen whole on a screen of 1000 pixels, letters have at least 14."""
  labels = np.zeros((edge // 4, edge), np.int32)
  labels[: edge // 8, : edge // 2] = 1
  photo = np.full((*labels.shape, 3), 128, np.uint8)
  palette = np.array([(255, 0, 0)], np.uint8)
  drawn = answers.draw(TASKS['semantic'], labels, photo, palette, ['cat'])
  width = drawn.shape[1]
  assert width >= 512
  strip = drawn[width // 4 :]
  ink = np.flatnonzero((strip[:, width // 20 :].min(-1) < 100).any(1))
  assert np.ptp(ink) * 1000 / width > 14
  line = np.all(drawn[: width // 4] == 255, -1).any(1)
  assert line.any()
  across = np.all(drawn[width // 16, : width // 4 * 3] == 255, -1).sum()
  assert across == 2 * masks.measure_line(drawn.shape) >= width / 1000


def test_legend_wraps_and_shows_the_colors():
  picture = np.zeros((4, 200, 3), np.uint8)
  entries = [(f'a long class name {i}', (10 * i, 200, 3)) for i in range(6)]
  whole = strips.with_legend(picture, entries)
  assert whole.shape[1] == 200 and whole.shape[0] > 6 * 12
  for _, color in entries:
    assert np.all(whole == color, axis=-1).sum() > 20
  assert strips.with_legend(picture, []) is picture


@pytest.mark.parametrize('name', ['of the very ' * 30 + 'last', 'W' * 300])
def test_a_name_of_any_length_stays_on_the_paper(name):
  font = strips.load_font(20)
  lines = strips._break_lines(name, font, 150)
  assert ''.join(lines).replace(' ', '') == name.replace(' ', '')
  assert max(map(font.getlength, lines)) <= 150
  drawn = strips.with_legend(
    np.zeros((4, 200, 3), np.uint8), [(name, (1,) * 3)]
  )
  assert (drawn[4:, -1] == strips.PAPER).all()


def test_one_phrase_has_the_color_of_its_prompt():
  palette = np.array([(0, 0, 255)], np.uint8)
  labels = make_labels() + 1
  labels[labels > 1] = 0
  drawn = answers.draw(
    TASKS['referring'], labels, PHOTOS['grey'], palette, ['a cat']
  )
  assert np.all(drawn[:EDGE] == (0, 0, 255), -1).sum() > 500
  assert np.all(drawn[EDGE:] == (0, 0, 255), -1).sum() > 50


def test_nothing_found_is_said():
  nothing, something = np.zeros((4, 4), int), np.eye(4, dtype=int)
  assert (
    TASKS['referring'].value.tell(nothing, ['a cat']) == 'nothing found: a cat'
  )
  assert TASKS['instance'].value.tell(nothing, []) == 'nothing found'
  for task, value in (('instance', something), ('depth', nothing)):
    assert TASKS[task].value.tell(value, []) is None
  up = np.broadcast_to(np.float32((0, 1, 0)), (10, 10, 3)).copy()
  assert TASKS['normals'].value.tell(up, []) is None
  up[:3] = 0
  assert '30.0% of it is painted in' in TASKS['normals'].value.tell(up, [])


def test_numbers_need_no_more_than_a_picture():
  assert Image.fromarray(
    masks.write_numbers(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), int))
  ).size == (1, 1)
