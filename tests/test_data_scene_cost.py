"""The scenes' share of a training is counted from the mixture and the clock."""

import pytest

from vbanana_jax.config import load_config
from vbanana_jax.data import build, scene_cost


def test_scenes_of_an_example():
  pretrain = load_config('quickstart:pretrain').to_dict()
  assert build.count_renderings(pretrain) == {
    'quick': 1.5
  }  # every second one is an edit
  photos = load_config('captions').to_dict()
  assert build.count_renderings(photos) == {'quick': pytest.approx(1 / 3)}


def test_richer_scenes_take_longer():
  quick, full = (
    scene_cost.measure_scene(name, 16) for name in ('quick', 'full')
  )
  assert 0 < quick < full < 1
