"""Pictures depict, and charts are XML."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from vbanana_jax import errors
from vbanana_jax.codecs import normals as normals_codec
from vbanana_jax.drawing import masks, pictures
from vbanana_jax.report import answers, charts
from vbanana_jax.runtime import files, logs
from vbanana_jax.tasks import TASKS


def test_ramp_is_evenly_light():
  srgb = pictures.ramp(np.linspace(0, 1, 64)) / 255.0
  linear = np.where(
    srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4
  )
  lightness = np.cbrt(linear @ [0.2126, 0.7152, 0.0722])
  assert np.all(np.diff(lightness) > 0)
  assert lightness[0] < 0.3 and lightness[-1] > 0.9


def test_depth_is_brighter_near_and_pale_blue_in_the_sky():
  depth_m = np.array([[1.0, 2.0, 4.0, np.inf, np.nan]], np.float32)
  picture = pictures.draw_depth(depth_m, (1.0, 4.0))
  assert picture.dtype == np.uint8 and picture.shape == (1, 5, 3)
  np.testing.assert_array_equal(picture[0, 0], pictures.ramp(1.0))
  np.testing.assert_array_equal(picture[0, 1], pictures.ramp(0.5))
  np.testing.assert_array_equal(picture[0, 2], pictures.ramp(0.0))
  assert tuple(picture[0, 3]) == pictures.SKY
  assert tuple(picture[0, 4]) == pictures.NOTHING


def test_depth_range_ignores_sky_and_survives_nothing_but_sky():
  near, far = pictures.depth_range_m(np.array([[2.0, 2.0, np.inf, np.nan]]))
  assert near == 2.0 and far > near
  near, far = pictures.depth_range_m(np.full((2, 2), np.inf))
  assert 0 < near < far


def test_scale_bar_runs_from_near_to_far_and_is_written_on():
  picture = np.zeros((10, 400, 3), np.uint8)
  strip = pictures.with_scale(picture, (1.0, 8.0))[10:]
  row = strip[10]
  ink = np.flatnonzero(np.any(row != row[0], axis=-1))
  near, far = row[ink[0] + 1].astype(int), row[ink[-1] - 1].astype(int)
  assert near.sum() > 600 > 200 > far.sum()
  assert (strip[-12:].min(-1) < 100).any()  # numbers below


@pytest.mark.parametrize(
  'range_m', [(0.3, 80.0), (1.0, 8.0), (2.0, 2.3), (5.0, 5.5)]
)
def test_scale_has_ticks_inside_the_range(range_m):
  ticks = pictures._ticks(range_m)
  assert len(ticks) >= 2
  assert all(range_m[0] <= tick <= range_m[1] for tick in ticks)


def test_normals_are_drawn_in_the_colors_they_are_painted_in():
  axes = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]], np.float32)
  picture = pictures.draw_normals(axes)[0]
  painted = pictures.to_u8(np.asarray(normals_codec.encode(axes)))[0]
  np.testing.assert_array_equal(picture[:3], painted[:3])
  expected = [[0, 128, 128], [128, 255, 128], [128, 128, 255]]
  np.testing.assert_array_equal(picture[:3], expected)
  assert tuple(picture[3]) == pictures.NOTHING


def test_error_maps_are_dark_where_right_and_bright_where_wrong():
  truth = np.array([[2.0, 2.0, np.inf]])
  picture = pictures.draw_depth_error(np.array([[2.0, 4.0, 1.0]]), truth)[0]
  np.testing.assert_array_equal(picture[0], pictures.ramp(0.0))
  np.testing.assert_array_equal(picture[1], pictures.ramp(1.0))
  assert tuple(picture[2]) == pictures.NOTHING
  up, right = np.array([0.0, 1, 0]), np.array([1.0, 0, 0])
  picture = pictures.draw_normals_error(
    np.stack([[up, up]]), np.stack([[up, right]])
  )[0]
  np.testing.assert_array_equal(picture[0], pictures.ramp(0.0))
  np.testing.assert_array_equal(picture[1], pictures.ramp(1.0))


def test_colors_that_a_legend_names_are_those_of_the_drawing():
  named = dict(pictures.list_depth_colors((1.0, 8.0)))
  depth_m = np.array([[1.0, 2.0, 5.0, 8.0, np.inf]], np.float32)
  drawn = pictures.draw_depth(depth_m, (1.0, 8.0))[0]
  for name, color in zip(('1 m', '2 m', '5 m', '8 m', 'sky'), drawn):
    assert named[name] == tuple(color)
  assert dict(pictures.list_normal_colors())['up'] == (128, 255, 128)
  truth = np.array([[2.0, 2.0]])
  drawn = pictures.draw_depth_error(np.array([[2.0, 3.0]]), truth)[0]
  named = dict(TASKS['depth'].value.list_error_colors())
  assert [named['0% off'], named['50% off']] == [tuple(c) for c in drawn]
  ids = np.array([[0, 1, 1, 3]])
  names = [name for name, _ in TASKS['instance'].value.list_colors(
    ids, np.zeros((0, 3), np.uint8), (), None)]  # fmt: skip
  assert names == ['1', '3']


def test_upscale_repeats_pixels():
  picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
  big = pictures.upscale(picture, 7)
  assert big.shape == (8, 8, 3)
  np.testing.assert_array_equal(big[::4, ::4], picture)
  np.testing.assert_array_equal(big[3, 3], picture[0, 0])


def test_charts_are_xml_with_a_line_a_series():
  chart = charts.Chart(
    'loss < 1 & falling',
    {
      'generate': [(s, 2.0 / (s + 1)) for s in range(1000)],
      'depth & co': [(0, 1.0), (500, float('nan')), (999, 0.01)],
      'one': [(10, 0.5)],
      'none': [],
    },
    log_y=True,
  )
  svg = ElementTree.fromstring(charts.draw_chart(chart))
  lines = [e for e in svg.iter() if e.tag.endswith('polyline')]
  assert len(lines) == 2
  assert max(len(e.get('points').split()) for e in lines) <= 300
  places = [
    tuple(map(float, place.split(',')))
    for line in lines
    for place in line.get('points').split()
  ]
  _, _, width, height = map(float, svg.get('viewBox').split())
  assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
  assert places[0][1] < places[200][1]  # it falls, and SVG's y points down
  texts = [e.text for e in svg.iter() if e.tag.endswith('text')]
  assert 'loss < 1 & falling' in texts and 'depth & co' in texts


def test_levels_are_dashed_across_the_chart_and_in_its_range():
  curve = [(0, 0.2), (10, 0.4)]
  for level in (0.05, 0.9):
    svg = ElementTree.fromstring(
      charts.draw_chart(charts.Chart('t', {'a': curve}, levels={'b': level}))
    )
    (dashed,) = (e for e in svg.iter() if e.get('stroke-dasharray'))
    y = float(dashed.get('d').split()[1].partition('H')[0])
    (line,) = (e for e in svg.iter() if e.tag.endswith('polyline'))
    ys = [float(place.split(',')[1]) for place in line.get('points').split()]
    # y points down: a high level lies above both ends of the curve.
    assert y > max(ys) if level < 0.2 else y < min(ys)
    assert 0 < y < float(svg.get('viewBox').split()[3])
    assert dashed.get('stroke') != line.get('stroke')
    assert 'b' in [e.text for e in svg.iter() if e.tag.endswith('text')]


@pytest.mark.parametrize('log_y', [False, True])
@pytest.mark.parametrize(
  'points', [[], [(0, 1.0)], [(0, 3.0), (5, 3.0)], [(0, 1.0), (1, 1.0001)]]
)
def test_charts_of_little_are_drawn_too(points, log_y):
  svg = charts.draw_chart(charts.Chart('t', {'a': points}, log_y))
  assert ElementTree.fromstring(svg) is not None
  assert 'nan' not in svg and 'inf' not in svg


def test_axis_ticks_are_round():
  ticks, place = charts._axis([0.0, 1234.0], 0.0, 100.0)
  assert ticks == [0.0, 500.0, 1000.0]
  assert place(0.0) == 0.0 and place(1234.0) == 100.0


def test_curves_skip_a_torn_line_and_name_a_bad_one(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  path.write_text(
    '{"step": 1, "loss": 2, "note": "x"}\n{"step": 2, "loss": 1}\n'
    '{"step": 2, "loss": 1.5}\n{"step": 3, "lo'
  )
  assert charts.make_curves(logs.load_metrics(path)) == {
    'loss': [(1, 2), (2, 1.5)]
  }
  path.write_text('{"loss": 2}\n')
  with pytest.raises(errors.UserError, match='line 1'):
    logs.load_metrics(path)


def test_an_axis_begins_at_zero_where_heights_are_compared():
  curve = [(0, 40.0), (10, 42.0)]
  places = []
  for from_zero in (False, True):
    chart = charts.Chart('speed', {'a': curve}, from_zero=from_zero)
    svg = ElementTree.fromstring(charts.draw_chart(chart))
    (line,) = (e for e in svg.iter() if e.tag.endswith('polyline'))
    places.append([float(p.split(',')[1]) for p in line.get('points').split()])
  (low, high), (near, nearer) = places
  assert low - high > 10 * (near - nearer) > 0


def test_a_run_has_one_color_in_all_charts():
  colors = {'a': '#111111', 'b': '#222222'}
  chart = charts.Chart('t', {'b': [(0, 1), (1, 2)]}, colors=colors)
  svg = ElementTree.fromstring(charts.draw_chart(chart))
  (line,) = (e for e in svg.iter() if e.tag.endswith('polyline'))
  assert line.get('stroke') == '#222222'


def test_example_compares_like_with_like():
  source = np.full((8, 8, 3), 0.5, np.float32)
  truth = np.full((8, 8), 2.0, np.float32)
  asked = {
    'prompt': 'which?',
    **dict.fromkeys(('source', 'target'), source),
    'valid_px': np.ones((8, 8), bool),
    'aux': {'palette': np.array([[0, 0, 0], [0, 1, 0]], np.float32)},
  }
  sure = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
  given = {
    'a': answers.Answer(source, np.full((8, 8), 4.0, np.float32), sure),
    'b': answers.Answer(source, truth),
  }
  example = answers.make_example(TASKS['depth'], asked, given, truth)
  assert list(example.pictures) == ['input', 'truth']
  shown = example.answers['a']
  assert list(shown) == ['painted', 'decoded', 'error', 'confidence']
  np.testing.assert_array_equal(shown['error'][4, 4], pictures.ramp(1.0))
  np.testing.assert_array_equal(shown['confidence'][-1, -1], pictures.ramp(1.0))
  # Of both on one scale, which is said in meters.
  truth_u8 = example.pictures['truth']
  np.testing.assert_array_equal(example.answers['b']['decoded'], truth_u8)
  assert '2 m' in dict(example.keys['truth, decoded'])
  assert '50% off' in dict(example.keys['error'])
  for task_name in ('semantic', 'instance'):
    labels, none = np.ones((8, 8), np.int32), np.zeros((8, 8), np.int32)
    given = {'': answers.Answer(source, labels)}
    names = [('box', (0, 255, 0))]
    task = TASKS[task_name]
    example = answers.make_example(task, asked, given, none, names)
    # The prompt's color; of instances, which have none, one of our own.
    own = masks.make_instance_colors(1)[0]
    color = {'semantic': (0, 255, 0), 'instance': own}[task_name]
    drawn = example.answers['']['decoded'][50, 50].astype(int)
    drawn = drawn[np.asarray(color) > 0] - drawn.min()
    assert drawn > 100
    error = example.answers['']['error']
    assert tuple(error[4, 4]) == pictures.WRONG
  assert not example.keys['truth, decoded']  # no instance is there


def test_generation_shows_what_was_painted_and_held_out():
  picture = np.zeros((8, 8, 3), np.float32)
  asked = {'prompt': 'a box', 'source': None, 'target': picture}
  given = {'': answers.Answer(picture)}
  example = answers.make_example(TASKS['generate'], asked, given)
  assert list(example.pictures) == ['held out']
  assert list(example.answers['']) == ['painted']


def test_write_atomic_leaves_no_litter_and_names_a_bad_place(tmp_path):
  path = files.write_atomic(tmp_path / 'a' / 'x.json', json.dumps(1).encode())
  files.write_atomic(path, b'2')
  assert path.read_text() == '2'
  assert [p.name for p in path.parent.iterdir()] == ['x.json']
  with pytest.raises(errors.UserError, match='cannot write'):
    files.write_atomic(path / 'below' / 'y', b'3')
