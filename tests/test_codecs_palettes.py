"""Palettes: separation, notations, and nearest colors against an oracle."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import assert_same_in_all_forms
from PIL import ImageColor

from vbanana_jax.codecs import palettes
from vbanana_jax.errors import UserError

GOLDEN = np.load(Path(__file__).parent / 'oracles' / 'semantic.npz')
decode_nearest = jax.jit(palettes.decode_nearest)
confidence = jax.jit(palettes.confidence)


@jax.jit
def read_picture(rgb, palette):
  """Confidence of a picture that is judged by all of it."""
  _, distance = palettes.decode_nearest(rgb, palette)
  foreign = palettes.measure_foreign(distance)
  return palettes.confidence(rgb, palette, foreign=foreign)


def least_gap(colors):
  colors = np.asarray(colors, np.float64)
  gaps = np.linalg.norm(colors[:, None] - colors, axis=-1)
  return gaps[np.triu_indices(len(colors), 1)].min()


def test_named_colors_and_backgrounds_are_far_apart():
  assert len(palettes.NAMED) >= 16
  assert set(palettes.BACKGROUNDS) < set(palettes.NAMED)
  assert least_gap(list(palettes.NAMED.values())) >= 69


@pytest.mark.parametrize('notation', palettes.NOTATIONS)
def test_notations_are_read_back(notation):
  for color in palettes.NAMED.values():
    text = palettes.format_color(color, notation)
    assert palettes.parse_color(text) == color


def test_notations_of_the_paper():
  parse = palettes.parse_color
  assert palettes.format_color((128, 192, 0), 'hex') == '#80c000'
  assert palettes.format_color((128, 192, 0), 'tuple') == '(128, 192, 0)'
  assert palettes.format_color((128, 192, 0), 'angle') == '<128, 192, 0>'
  assert parse('#10aa05') == (16, 170, 5)
  assert parse('<125,0, 125>') == (125, 0, 125)
  assert parse('RGB(88, 50, 82)') == (88, 50, 82)
  assert parse(' "Gray"') == palettes.NAMED['grey']


def test_color_names_are_those_of_css():
  # Pillow's list is CSS's, made independently of ours.
  assert len(ImageColor.colormap) == 148
  for name in ImageColor.colormap:
    want = ImageColor.getrgb(name)
    assert palettes.parse_color(name) == want
    if name in palettes.NAMED:
      assert palettes.NAMED[name] == want
  assert set(palettes.NAMED) < set(ImageColor.colormap)


def test_spellings_of_css_names():
  parse = palettes.parse_color
  assert parse('light sky-blue') == (135, 206, 250)
  assert parse('LightSlateGray') == (119, 136, 153)
  assert parse('rebecca purple') == (102, 51, 153)
  assert parse('Spring Green') == parse('spring-green') == (0, 255, 127)
  assert parse('hot pink') == (255, 105, 180)
  assert parse('dark gray') == (169, 169, 169)


def test_phrases_of_prompts_are_read():
  parse = palettes.parse_color
  assert parse('pure yellow') == parse('solid yellow') == (255, 255, 0)
  assert parse('white color') == parse('white color') == (255, 255, 255)
  assert parse('#0f8') == parse('0x0f8') == parse('0x00FF88') == (0, 255, 136)


@pytest.mark.parametrize(
  ('text', 'reason'),
  [
    ('light purple', r'mediumpurple \(147, 112, 219\)'),
    ('bright red', r'red \(255, 0, 0\)'),
    ('pale light-purple', 'no name of CSS'),
    ('dark teal', r'teal \(0, 128, 128\)'),
    ('periwinkle', 'no name of CSS'),
    ('rose', 'no name of CSS'),
    ('lavendar', r'lavender \(230, 230, 250\)'),
    ('#40ffc', '5 hexadecimal digits; write six'),
    ('#40ffcg', 'hexadecimal digits, 0 to 9 and a to f'),
    ('0x', 'hexadecimal digits, 0 to 9 and a to f'),
    ('(1, 2, 256)', 'levels go from 0 to 255'),
  ],
)
def test_refusals_say_what_is_wrong(text, reason):
  with pytest.raises(UserError, match=reason) as refused:
    palettes.parse_color(text)
  assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
  'text',
  [
    '', 'mauve', '#12345', '(1, 2)', '(1,2,256)', 'light', 'light mauve',
    'color', 'purple light', 'the red',
  ],
)  # fmt: skip
def test_unreadable_colors_are_named(text):
  with pytest.raises(UserError, match='color'):
    palettes.parse_color(text)


def test_colors_without_names_and_unknown_notations_are_refused():
  with pytest.raises(ValueError, match='no name'):
    palettes.format_color((1, 2, 3), 'name')
  with pytest.raises(ValueError, match='notation'):
    palettes.format_color((0, 0, 0), 'hsv')


def test_farthest_point_palette():
  assert least_gap(palettes.farthest_point_palette(20)) >= 127
  white = (255, 255, 255)
  draws = [
    palettes.farthest_point_palette(
      8, np.random.default_rng(seed), avoid=[white]
    )
    for seed in range(20)
  ]
  assert all(least_gap([white, *draw]) >= 100 for draw in draws)
  assert len({color for draw in draws for color in draw}) > 30
  again = palettes.farthest_point_palette(
    8, np.random.default_rng(3), avoid=[white]
  )
  assert again == draws[3]


def test_palettes_of_any_size_begin_with_the_shorter_ones():
  long = palettes.farthest_point_palette(400)
  assert long[:125] == palettes.farthest_point_palette(125)
  assert len(set(long)) == 400
  # The next grid halves the step: 32 levels, 31 before 255.
  assert least_gap(long[:125]) >= 63 and least_gap(long) >= 31
  avoid = [(0, 0, 0), (17, 34, 51)]
  drawn = palettes.farthest_point_palette(
    150, np.random.default_rng(0), avoid=avoid
  )
  assert len({*drawn, *avoid}) == 152
  with pytest.raises(ValueError, match='distinct'):
    palettes.farthest_point_palette(256**3 + 1)


def test_nearest_equals_the_oracle_in_every_form():
  rgb = (GOLDEN['rgb'][:2018] / np.float32(255)).reshape(2, -1, 3)
  palette = GOLDEN['palette'] / np.float32(255)

  def states(rgb, valid):
    index, distance = palettes.decode_nearest(rgb, palette)
    found = {
      'index': index,
      'distance': distance,
      'confidence': palettes.confidence(rgb, palette),
    }
    valid = valid[:, None]
    return {key: jnp.where(valid, x, 0) for key, x in found.items()}

  assert_same_in_all_forms(states, (rgb,), atol=2e-6)
  index, distance = decode_nearest(GOLDEN['rgb'] / np.float32(255), palette)
  # Ties included: 8-bit colors are compared in whole numbers.
  np.testing.assert_array_equal(index, GOLDEN['nearest'])
  want = np.sqrt(GOLDEN['nearest_d2'])
  np.testing.assert_allclose(distance * 255, want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('entries', [5, 100])
def test_8_bit_ties_go_to_the_lowest_index(entries):
  # Few levels, so that every palette has many pixels between two colors.
  rng = np.random.default_rng(0)
  levels = np.asarray([0, 32, 64, 96, 128, 160, 192, 224])
  rgb, palette = rng.choice(levels, (4000, 3)), rng.choice(levels, (entries, 3))
  squared = np.square(rgb[:, None] - palette).sum(-1)
  assert np.mean((squared == squared.min(-1)[:, None]).sum(-1) > 1) > 0.02
  index, distance = decode_nearest(
    rgb / np.float32(255), palette / np.float32(255)
  )
  np.testing.assert_array_equal(index, squared.argmin(-1))
  np.testing.assert_allclose(
    distance * 255, np.sqrt(squared.min(-1)), rtol=1e-5, atol=1e-4
  )


def test_any_colors_are_read_as_in_float64():
  rng = np.random.default_rng(0)
  rgb = rng.uniform(-0.5, 1.5, (4000, 3)).astype(np.float32)
  palette = rng.random((5, 3)).astype(np.float32)
  gap = np.linalg.norm(rgb[:, None].astype(np.float64) - palette, axis=-1)
  index, distance = decode_nearest(rgb, palette)
  np.testing.assert_allclose(distance, gap.min(-1), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(
    gap[np.arange(4000), index], gap.min(-1), rtol=1e-4
  )


def test_void_and_radius_give_no_entry():
  black, gray = jnp.zeros(3), jnp.full(3, 0.5)
  rgb = jnp.asarray(
    [[1, 0, 0], [0.3, 0, 0], [0.5, 0, 0], [0.5, 0.9, 0], [jnp.nan, 0, 0]]
  )
  palette = jnp.eye(3)
  index, distance = decode_nearest(rgb, palette, void=black)
  # The pixel halfway to void is still red.
  np.testing.assert_array_equal(index, [0, -1, 0, 1, -1])
  np.testing.assert_allclose(distance[1:3], [0.3, 0.5], rtol=1e-6)
  index, distance = decode_nearest(rgb, palette, radius=0.5)
  np.testing.assert_array_equal(index, [0, -1, 0, -1, -1])
  np.testing.assert_allclose(distance[1], 0.7, rtol=1e-6)
  index, _ = decode_nearest(rgb, palette, void=gray, radius=0.45)
  np.testing.assert_array_equal(index, [0, -1, -1, -1, -1])
  index, _ = decode_nearest(rgb, palette)
  np.testing.assert_array_equal(index[:4], [0, 0, 0, 1])
  # An entry of the void's own color comes before it.
  index, _ = decode_nearest(rgb, jnp.zeros((1, 3)), void=black)
  np.testing.assert_array_equal(index[:4], 0)
  nothing = jnp.zeros(3, bool)
  index, _ = decode_nearest(rgb, palette, nothing, void=black)
  np.testing.assert_array_equal(index[:4], -1)


def test_invalid_entries_are_never_chosen_and_palettes_are_per_example():
  rgb = jnp.asarray([[[1.0, 0, 0]], [[0, 0.9, 0]]])
  palette = jnp.eye(3)[jnp.asarray([[0, 1, 2], [1, 0, 2]])]
  valid = jnp.asarray([[False, True, True], [True, True, True]])
  index, distance = jax.vmap(decode_nearest)(rgb, palette, valid)
  np.testing.assert_array_equal(index, [[1], [0]])
  np.testing.assert_allclose(distance, [[2**0.5], [0.1]], rtol=1e-6)
  index, distance = decode_nearest(rgb, palette[0], jnp.zeros(3, bool))
  assert np.all(index == 0) and np.all(np.isinf(distance))


def test_gradients_are_finite_and_right():
  rgb = jnp.asarray([[1.0, 0, 0], [0.5, 0, 0], [jnp.nan, 0, 0]])

  def slopes(f, *args):
    return jax.vmap(jax.grad(lambda rgb: f(rgb, *args)))(rgb)

  found = slopes(lambda *args: decode_nearest(*args)[1], jnp.eye(3))
  np.testing.assert_allclose(found, [[0] * 3, [-1, 0, 0], [0] * 3])
  assert np.isfinite(slopes(confidence, jnp.eye(3))).all()
  assert np.isfinite(slopes(confidence, jnp.eye(3), jnp.zeros(3, bool))).all()


def test_confidence_is_low_between_colors_and_far_from_all():
  palette = jnp.asarray([[1.0, 0, 0], [0, 0, 1], [0, 0.9, 0]])
  valid = jnp.asarray([True, True, False])
  share = jnp.linspace(0, 0.5, 9)[:, None]
  said = confidence(
    (1 - share) * palette[0] + share * palette[1], palette, valid
  )
  assert np.all(np.diff(said) <= 0) and said[0] > 0.99 > 0.6 > said[-1]
  # An entry that is not valid makes no pixel doubtful.
  rgb = jnp.asarray([[0.9, 0.05, 0]])
  alone = confidence(rgb, palette[:2])
  assert confidence(rgb, palette, valid) == alone > 0.7
  assert confidence(rgb, palette.at[2].set(rgb[0] + 0.08)) < alone - 0.1
  # As near to one of the legend as to another, however near.
  assert (
    confidence(jnp.full((1, 3), 0.47), jnp.asarray([[0.4] * 3, [0.54] * 3]))
    <= 0.5
  )
  assert confidence(palette, palette, jnp.zeros(3, bool)).max() == 0
  assert confidence(palette.at[0, 0].set(jnp.nan), palette)[0] == 0


def test_confidence_is_low_at_colors_that_were_not_asked_for():
  asked = ('red', 'blue', 'black')
  legend = palettes.to_rgb(palettes.NAMED[name] for name in asked)
  others = palettes.to_rgb(
    color for name, color in palettes.NAMED.items() if name not in asked
  )
  assert confidence(others, legend).max() < 0.3
  assert confidence(legend, legend).min() > 0.99
  # It only falls on the way there.
  share = np.linspace(0, 1, 64)[:, None]
  for other in others:
    said = confidence(legend[0] + share * (other - legend[0]), legend[:1])
    assert np.all(np.diff(said) <= 1e-6)


def test_a_picture_of_other_things_has_low_confidence(monkeypatch):
  monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
  from perf import paintings

  rng = np.random.default_rng(3)
  legend = palettes.to_rgb(palettes.farthest_point_palette(8, rng))
  pictures = [paintings.make_texture(rng, 96) for _ in range(8)]
  said = [read_picture(picture, legend).mean() for picture in pictures]
  assert np.mean(said) < 0.2
  answer = legend[paintings.make_labels(rng, 96, 8)]
  assert read_picture(answer, legend).mean() > 0.999
  noisy = answer + rng.normal(0, 8 / 255, answer.shape).astype(np.float32)
  assert read_picture(noisy, legend).mean() > 0.99
  # A color that was not asked for is known in the same noise.
  noisy[40:60] += 0.35 * (0.5 - answer[40:60])
  said = read_picture(noisy, legend)
  assert said[40:60].mean() < 0.5 and said[:40].mean() > 0.96


def test_colors_of_the_same_names_that_were_not_asked_for():
  # Pink and violet of CSS, where the prompt gives other numbers.
  legend = palettes.to_rgb([(0, 0, 0), (255, 128, 255), (128, 0, 255)])
  picture = np.zeros((96, 96, 3), np.float32)
  picture[10:40, 10:40] = palettes.to_rgb([(255, 192, 203)])
  picture[50:80, 50:80] = palettes.to_rgb([(238, 130, 238)])
  said = read_picture(picture, legend)
  assert said[10:40, 10:40].max() < 0.4
  # Violet is as near to the one color as noise may bring it.
  assert said[50:80, 50:80].max() < 0.95
  assert said[90:].min() > 0.99


def test_what_is_foreign_is_known_by_its_area():
  foreign = jax.jit(palettes.measure_foreign)
  distance = np.zeros((50, 70), np.float32)
  assert foreign(distance) == 0
  # Edges are thin, and noise leaves some pixel near.
  distance[:, ::4] = distance[::9] = 0.5
  distance[10:30, :] += 0.07
  assert foreign(distance) == 0
  distance[12:32, 20:60] = 0.1
  assert foreign(distance) == pytest.approx(5 * 10 / (13 * 18))
  distance[:] = np.inf  # no entry is valid, or nothing is finite
  assert foreign(distance) == 1
  assert foreign(distance[:1, :1]) == 1


def test_confidence_is_calibrated_on_fresh_noise(monkeypatch):
  monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
  from perf import confidence as measure

  name = 'palettes, nothing else painted'
  _, right, said = measure.collect(name, 12345, 60, 96)
  assert 0.93 < right.mean() < 0.99
  found = measure.calibration(said, right)
  assert found['expected_calibration_error'] < 0.012
  _, right, said = measure.collect('palettes', 12345, 60, 96)
  # Of some, a part or all is painted in what the legend does not ask for.
  assert 0.6 < right.mean() < 0.9
  found = measure.calibration(said, right)
  assert found['expected_calibration_error'] < 0.025
  for mean_said, mean_right, share in found['bins']:
    assert share < 0.01 or abs(mean_said - mean_right) < 0.15
