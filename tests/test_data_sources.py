"""A scene's row is the same in any order, from any thread."""

import concurrent.futures

import jax
import numpy as np
import pytest

from vbanana_jax.data import sources
from vbanana_jax.errors import UserError
from vbanana_jax.scenes import render, world
from vbanana_jax.tasks.prompt_styles import PROMPT_STYLES

SIZE = 16


def build(**options):
  return sources.SceneSource('quick', 5, SIZE, **options)


def assert_equal_examples(one, other):
  assert one.keys() == other.keys()
  jax.tree.map(np.testing.assert_array_equal, one['scene'], other['scene'])
  for key in ('rgb', 'depth_m', 'normals', 'semantic', 'instance'):
    np.testing.assert_array_equal(one[key], other[key])
  assert one['edit']['instruction'] == other['edit']['instruction']
  np.testing.assert_array_equal(one['edit']['rgb'], other['edit']['rgb'])


@pytest.fixture(scope='module')
def source():
  return build(extras=['edit'])


def test_example_fields(source):
  example = source[3]
  assert example['index'] == 3 and example['style'] is PROMPT_STYLES['quick']
  assert example['rgb'].shape == (SIZE, SIZE, 3)
  assert example['rgb'].dtype == np.float32
  assert 0 <= example['rgb'].min() and example['rgb'].max() <= 1
  assert example['semantic'].max() < len(world.CLASSES)
  assert isinstance(example['edit']['instruction'], str)
  assert np.abs(example['edit']['rgb'] - example['rgb']).max() > 0.02


def test_rows_do_not_depend_on_the_order_of_access(source):
  last_first = build(extras=['edit'], keep=1)
  rows = [render.MICRO_BATCH + 1, 0, render.MICRO_BATCH, 2]
  backwards = {row: last_first[row] for row in rows}
  for row in sorted(rows):
    assert_equal_examples(source[row], backwards[row])


def test_edits_leave_the_scene_alone(source):
  plain = build()[7]
  assert plain['edit'] is None
  np.testing.assert_array_equal(plain['rgb'], source[7]['rgb'])


def test_threads_render_a_micro_batch_once(monkeypatch):
  calls = []
  render_scenes = render.render_scenes

  def counted(scenes, *shape_and_details):
    calls.append(len(scenes))
    return render_scenes(scenes, *shape_and_details)

  monkeypatch.setattr(render, 'render_scenes', counted)
  source = build()
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(source.__getitem__, range(render.MICRO_BATCH)))
  assert calls == [render.MICRO_BATCH]


def test_a_failed_micro_batch_is_tried_again():
  source = build()
  good_level, source.level = source.level, None
  with pytest.raises(AttributeError):
    source[0]
  source.level = good_level
  assert source[0]['index'] == 0


def test_even_counts():
  source = build(even_counts=True)
  most = source.level.max_objects
  counts = [int(source.scene(row).count) for row in range(2 * (most + 1))]
  assert counts == 2 * list(range(most + 1))


def test_unknown_level():
  with pytest.raises(UserError, match="level 'hard'"):
    sources.SceneSource('hard', 0, SIZE)


def test_base_colors_are_rendered_where_they_are_asked_for(source):
  with_albedo = build(extras=['albedo'])[7]
  assert source[7]['albedo'] is None and with_albedo['edit'] is None
  assert with_albedo['albedo'].shape == (SIZE, SIZE, 3)
  np.testing.assert_array_equal(with_albedo['rgb'], source[7]['rgb'])
  assert sources.find_extras(('rgb',), ('albedo', 'scene')) == {'albedo'}
