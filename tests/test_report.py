"""Pictures depict, charts are XML, and the page is whole and escaped."""

import base64
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from vbanana_jax import errors
from vbanana_jax.codecs import normals as normals_codec
from vbanana_jax.drawing import masks, pictures
from vbanana_jax.report import answers, charts, page
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


def make_report(rng, examples=2, edge=16):
  pictures_ = {
    caption: rng.integers(0, 256, (edge, edge, 3)).astype(np.uint8)
    for caption in ('input', 'painted', '<decoded>')
  }
  return page.Report(
    title='run <b>1</b>',
    summary='a & b',
    rows=[
      page.Row('depth', 'delta1', 0.8, 0.3, 512, 'max', (0.78, 0.82)),
      page.Row('depth', 'abs_rel', 0.5, 0.4, 512, 'min'),
      page.Row('generate', 'frechet', 1.0, None, 64, 'min'),
    ],
    seconds={'pretrain': 125.0, 'evaluate': 3.0},
    curves=[charts.Chart('loss', {'loss': [(0, 1.0), (1, 0.5)]})],
    galleries={
      'depth': [page.Example('<script>alert(1)</script>', pictures_)] * examples
    },
    notes={'depth': 'near is bright & far is dark.'},
    color_distance={'depth': {'mean': 1.5, 'p95': 4.0}, 'edit': {}},
    config={'model': {'width': 256}, 'path': '<x>'},
    versions={'jax': '0.10'},
  )


def decode_images(text):
  uris = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
  return [
    np.asarray(Image.open(io.BytesIO(base64.b64decode(uri)))) for uri in uris
  ]


def test_page_is_escaped_self_contained_and_holds_every_picture(tmp_path):
  report = make_report(np.random.default_rng(0))
  path = page.write_report(tmp_path / 'runs' / 'report.html', report)
  text = path.read_text()
  assert '<script' not in text and '&lt;script&gt;' in text
  assert 'run &lt;b&gt;1&lt;/b&gt;' in text and '&lt;x&gt;' in text
  assert 'model.width' in text and '2 min 5 s' in text
  assert not re.search(r'(src|href)="(?!data:)', text)
  images = decode_images(text)
  expected = list(report.galleries['depth'][0].pictures.values())
  assert len(images) == 6
  for image, picture in zip(images, expected):
    np.testing.assert_array_equal(image, picture)
  assert [p.name for p in path.parent.iterdir()] == ['report.html']


def test_scores_know_which_end_is_better():
  text = page.make_page(make_report(np.random.default_rng(0)))
  assert re.search(r'class="better">0\.8', text)
  assert re.search(r'class="worse">0\.5', text)
  # A score without a constant to beat is neither.
  row = page.Row('depth', 'delta1', 0.875, None, 8, 'max')
  text = page.make_page(page.Report('t', 's', rows=[row]))
  assert '<td>0.875' in text and 'class="better"' not in text


def test_page_stays_small_and_says_what_it_left_out(monkeypatch):
  monkeypatch.setattr(page, 'MAX_BYTES', 420_000)
  report = make_report(np.random.default_rng(0), examples=9, edge=32)
  text = page.make_page(report)
  shown = text.count('<article>')
  assert 0 < shown < 9 and f'{9 - shown} more left out' in text
  assert len(text) < 420_000


def test_empty_report_is_a_page():
  assert '<h1>t</h1>' in page.make_page(page.Report('t', 's'))


def test_pictures_of_another_type_are_refused():
  with pytest.raises(ValueError, match='float32'):
    page.make_data_uri(np.zeros((4, 4, 3), np.float32))


def test_example_compares_like_with_like():
  source = np.full((8, 8, 3), 0.5, np.float32)
  truth = {'depth_m': np.full((8, 8), 2.0, np.float32)}
  prediction = {'depth_m': np.full((8, 8), 4.0, np.float32)}
  asked = {
    'prompt': 'which?',
    **dict.fromkeys(('source', 'painted', 'target'), source),
    'valid_px': np.ones((8, 8), bool),
    'aux': {'palette': np.array([[0, 0, 0], [0, 1, 0]], np.float32)},
  }
  example = answers.make_example(TASKS['depth'], asked, prediction, truth)
  captions = list(example.pictures)
  assert captions[0] == 'input' and 'm' in captions[2]
  np.testing.assert_array_equal(
    example.pictures['error'][4, 4], pictures.ramp(1.0)
  )
  for task_name, key in (('semantic', 'row'), ('instance', 'ids')):
    labels = {key: np.ones((8, 8), np.int32)}
    truth = {key: np.zeros((8, 8), np.int32)}
    example = answers.make_example(TASKS[task_name], asked, labels, truth)
    # The prompt's color; of instances, which have none, one of our own.
    color = {'row': (0, 255, 0), 'ids': masks.make_instance_colors(1)[0]}
    drawn = example.pictures['decoded'][50, 50].astype(int)
    drawn = drawn[np.asarray(color[key]) > 0] - drawn.min()
    assert drawn > 100
    assert tuple(example.pictures['error'][4, 4]) == pictures.WRONG


def test_generation_shows_what_was_painted_and_held_out():
  picture = np.zeros((8, 8, 3), np.float32)
  asked = {
    'prompt': 'a box', 'source': None, 'painted': picture, 'target': picture,
  }  # fmt: skip
  example = answers.make_example(TASKS['generate'], asked)
  assert list(example.pictures) == ['painted', 'held out']


def test_write_atomic_leaves_no_litter_and_names_a_bad_place(tmp_path):
  path = files.write_atomic(tmp_path / 'a' / 'x.json', json.dumps(1).encode())
  files.write_atomic(path, b'2')
  assert path.read_text() == '2'
  assert [p.name for p in path.parent.iterdir()] == ['x.json']
  with pytest.raises(errors.UserError, match='cannot write'):
    files.write_atomic(path / 'below' / 'y', b'3')
