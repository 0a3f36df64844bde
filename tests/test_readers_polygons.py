"""Polygons: closed forms, COCO's and OpenCV's rules, damage."""

import numpy as np
import pytest

from vbanana_jax.benchmark.readers import polygons, rle


def show(mask):
  return [''.join('.#'[value] for value in row) for row in mask.astype(int)]


def test_coco_rectangle_covers_its_pixels():
  mask = polygons.draw_coco([[1, 1, 4, 1, 4, 3, 1, 3]], 4, 6)
  assert show(mask) == ['......', '.###..', '.###..', '......']


def test_coco_triangle_by_hand():
  # Column c is sampled at c + 0.5: the slope y = x enters below row c + 0.5,
  # and the first row whose center is not above it is c.
  mask = polygons.draw_coco([[0, 0, 4, 4, 0, 4]], 4, 4)
  assert show(mask) == ['#...', '##..', '###.', '####']


def test_coco_polygons_are_united_not_added():
  left, right = [0, 0, 3, 0, 3, 2, 0, 2], [2, 0, 5, 0, 5, 2, 2, 2]
  both = polygons.draw_coco([left, right], 2, 6)
  assert show(both) == ['#####.', '#####.']
  assert not polygons.draw_coco([], 2, 6).any()


def test_coco_hole_of_a_crossing_outline():
  # A bow tie: the rule counts crossings, so both halves are inside.
  mask = polygons.draw_coco([[0, 0, 6, 4, 6, 0, 0, 4]], 4, 6)
  np.testing.assert_array_equal(mask, mask[:, ::-1])
  assert mask[1:3, 0].all() and not mask[:, 2:4].all(axis=0).any()


def test_coco_outside_is_cut_off():
  whole = polygons.draw_coco([[-3, -2, 9, -2, 9, 7, -3, 7]], 5, 6)
  assert whole.all()


@pytest.mark.parametrize('seed', range(4))
def test_equals_coco_tools(seed):
  coco = pytest.importorskip('pycocotools.mask')
  rng = np.random.default_rng(seed)
  for k in range(3, 60):
    height, width = (int(n) for n in rng.integers(3, 50, 2))
    low, high = (0.0, 1.0) if k % 2 else (-0.5, 1.5)
    outline = rng.uniform(low, high, (k % 12 + 3, 2)) * (width, height)
    if k % 3 == 0:
      outline = np.round(outline, k % 2)  # exact halves and corners
    parts = [outline.ravel().tolist(), [0, 0, 3, 0, 3, 2]]
    theirs = coco.merge(coco.frPyObjects(parts, height, width))
    ours = polygons.draw_coco(parts, height, width)
    assert rle.encode_rle(ours)['counts'].encode() == theirs['counts']


def test_opencv_outline_is_included():
  mask = polygons.draw_opencv([[1, 1], [4, 1], [4, 2.9], [1, 2]], 4, 6)
  assert show(mask) == ['......', '.####.', '.####.', '......']


def test_opencv_lines_and_dots():
  assert show(polygons.draw_opencv([[1.9, 0]], 2, 3)) == ['.#.', '...']
  # Halves go towards the left end, whichever way the line is drawn.
  for points in ([[0, 0], [4, 2]], [[4, 2], [0, 0]]):
    mask = polygons.draw_opencv(points, 3, 5)
    assert show(mask) == ['##...', '..##.', '....#']


def test_opencv_triangle_by_hand():
  # Inside: columns from ceil(row / 2) on, up to 6; the outline adds the
  # nearest pixel of the slope, halves towards its left end (the upper one).
  mask = polygons.draw_opencv([[0, 0], [6, 0], [6, 3]], 4, 7)
  assert show(mask) == ['#######', '..#####', '....###', '......#']


def test_opencv_fills_by_crossings():
  # The inner square of one line runs inside of the outer: a hole.
  ring = [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0], [2, 2], [2, 6], [6, 6],
          [6, 2], [2, 2]]  # fmt: skip
  mask = polygons.draw_opencv(ring, 9, 9)
  assert mask[0].all() and mask[7, 1:].all() and not mask[3:6, 3:6].any()


@pytest.mark.parametrize(
  'points, rows',
  [
    (
      [[1.9, 0.4], [13.2, 3.8], [9.5, 8.1], [7.7, 2.2], [0, 7]],
      [
        '.###...........',
        '.#######.......',
        '.###########...',
        '.#############.',
        '#####...#####..',
        '####....####...',
        '###.....####...',
        '#........##....',
        '.........#.....',
      ],
    ),
    (
      [[6, 0], [9, 7], [0, 2], [12, 3], [2, 7]],
      [
        '......#......',
        '.....##......',
        '########.....',
        '.####..######',
        '...##...###..',
        '...######....',
        '...###.###...',
        '..##.....#...',
      ],
    ),
  ],
)
def test_as_drawn_by_opencv(points, rows):
  # Printed from polylines and fillPoly of OpenCV 4.14.
  assert show(polygons.draw_opencv(points, len(rows), len(rows[0]))) == rows


@pytest.mark.parametrize('draw', ['coco', 'opencv'])
def test_both_rules_agree_inside_of_a_disc(draw):
  angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
  outline = 20 + 15 * np.stack([np.cos(angle), np.sin(angle)], -1)
  if draw == 'coco':
    mask = polygons.draw_coco([outline.ravel()], 40, 40)
  else:
    mask = polygons.draw_opencv(outline, 40, 40)
  rows, columns = np.indices((40, 40)) + 0.5
  radius = np.hypot(rows - 20, columns - 20)
  assert mask[radius < 13.5].all() and not mask[radius > 16.5].any()
  assert mask.sum() == pytest.approx(np.pi * 15**2, rel=0.08)


@pytest.mark.parametrize(
  'outline',
  [
    [0, 0, 1, 1],
    [0, 0, 1, 1, 2],
    [0, 0, 1, 1, float('nan'), 0],
    [0, 0, 1, 1, 1e9, 0],
    [0, 0, 1, 1, -7, 0],
    ['a', 0, 1, 1, 2, 2],
  ],
)
def test_damaged_polygons(outline):
  with pytest.raises(ValueError):
    polygons.draw_coco([outline], 4, 6)
  points = [outline[i : i + 2] for i in range(0, len(outline), 2)]
  if len(outline) != 4:
    with pytest.raises(ValueError):
      polygons.draw_opencv(points, 4, 6)
