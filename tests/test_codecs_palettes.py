"""Palettes: separation, notations, and nearest colours against an oracle."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vbanana_jax.codecs import palettes
from vbanana_jax.errors import UserError

GOLDEN = np.load(Path(__file__).parent / 'oracles' / 'semantic.npz')
decode_nearest = jax.jit(palettes.decode_nearest)


def least_gap(colours):
  colours = np.asarray(colours, np.float64)
  gaps = np.linalg.norm(colours[:, None] - colours, axis=-1)
  return gaps[np.triu_indices(len(colours), 1)].min()


def test_named_colours_and_backgrounds_are_far_apart():
  assert len(palettes.NAMED) >= 16
  assert set(palettes.BACKGROUNDS) < set(palettes.NAMED)
  assert least_gap(list(palettes.NAMED.values())) >= 127


@pytest.mark.parametrize('notation', palettes.NOTATIONS)
def test_notations_are_read_back(notation):
  for colour in palettes.NAMED.values():
    text = palettes.format_colour(colour, notation)
    assert palettes.parse_colour(text) == colour


def test_notations_of_the_paper():
  parse = palettes.parse_colour
  assert palettes.format_colour((128, 192, 0), 'hex') == '#80c000'
  assert palettes.format_colour((128, 192, 0), 'tuple') == '(128, 192, 0)'
  assert palettes.format_colour((128, 192, 0), 'angle') == '<128, 192, 0>'
  assert parse('#10aa05') == (16, 170, 5)
  assert parse('<125,0, 125>') == (125, 0, 125)
  assert parse('RGB(88, 50, 82)') == (88, 50, 82)
  assert parse(' "Gray"') == palettes.NAMED['grey']


@pytest.mark.parametrize('text', ['', 'mauve', '#12345', '(1, 2)', '(1,2,256)'])
def test_unreadable_colours_are_named(text):
  with pytest.raises(UserError, match='colour'):
    palettes.parse_colour(text)


def test_colours_without_names_and_unknown_notations_are_refused():
  with pytest.raises(ValueError, match='no name'):
    palettes.format_colour((1, 2, 3), 'name')
  with pytest.raises(ValueError, match='notation'):
    palettes.format_colour((0, 0, 0), 'hsv')


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
  assert len({colour for draw in draws for colour in draw}) > 30
  again = palettes.farthest_point_palette(
    8, np.random.default_rng(3), avoid=[white]
  )
  assert again == draws[3]
  with pytest.raises(ValueError, match='distinct'):
    palettes.farthest_point_palette(126)


def test_nearest_equals_the_oracle():
  rgb, palette = GOLDEN['rgb'].astype(int), GOLDEN['palette'].astype(int)
  index, distance = decode_nearest(
    rgb / np.float32(255), palette / np.float32(255)
  )
  squared = np.square(rgb[:, None] - palette).sum(-1)
  best = np.sort(squared, axis=-1)
  tie = best[:, 0] == best[:, 1]
  np.testing.assert_array_equal(index[~tie], GOLDEN['nearest'][~tie])
  want = np.sqrt(GOLDEN['nearest_d2'])
  np.testing.assert_allclose(distance * 255, want, rtol=1e-5, atol=1e-4)


def test_invalid_entries_are_never_chosen_and_palettes_are_per_example():
  rgb = jnp.asarray([[[1.0, 0, 0]], [[0, 0.9, 0]]])
  palette = jnp.eye(3)[jnp.asarray([[0, 1, 2], [1, 0, 2]])]
  valid = jnp.asarray([[False, True, True], [True, True, True]])
  index, distance = jax.vmap(decode_nearest)(rgb, palette, valid)
  np.testing.assert_array_equal(index, [[1], [0]])
  np.testing.assert_allclose(distance, [[2**0.5], [0.1]], rtol=1e-6)
  index, distance = decode_nearest(rgb, palette[0], jnp.zeros(3, bool))
  assert np.all(index == 0) and np.all(np.isinf(distance))


def test_distance_has_finite_gradients():
  slope = jax.grad(lambda rgb: decode_nearest(rgb, jnp.eye(3))[1])
  assert np.isfinite(slope(jnp.asarray([1.0, 0, 0]))).all()
