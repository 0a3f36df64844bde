"""Photographs on the surfaces of scenes: labels and words stay true."""

import numpy as np
import pytest
from byte_files import make_png
from byte_files import write as write_files
from prepared import prepare_images

from vbanana_jax.cli import config_flags
from vbanana_jax.data import build, scene_photos, sources
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import processes
from vbanana_jax.scenes import details, render, world

SIZE = 24
FULL = world.LEVELS['full']


def _photo(number, block=10):
  """Blocks of random colors, so large that they are seen from afar."""
  rng = np.random.default_rng(number)
  blocks = rng.integers(0, 256, (60 // block, 60 // block, 3), np.uint8)
  return blocks.repeat(block, 0).repeat(block, 1)


class Photos:
  """Twenty photographs; counts how often one is read."""

  def __init__(self):
    self.reads = 0

  def __len__(self):
    return 20

  def __getitem__(self, row):
    self.reads += 1
    return {'rgb': _photo(row).astype(np.float32) / 255}


def _make_source(photos=None, **options):
  return sources.SceneSource('full', 3, SIZE, photos=photos, **options)


def _make_details(table, chosen):
  return details.Details(np.stack(table), np.array(chosen, np.int32))


def test_labels_are_those_of_plain_scenes_and_colors_are_not():
  plain = _make_source(extras=['albedo'])
  varied = _make_source(
    scene_photos.ScenePhotos(Photos(), 0), extras=['albedo']
  )
  changed = 0
  for index in range(8):
    for key in ('depth_m', 'normals', 'semantic', 'instance'):
      np.testing.assert_array_equal(plain[index][key], varied[index][key])
    difference = np.abs(plain[index]['rgb'] - varied[index]['rgb'])
    changed += difference.mean() > 0.02
    sky = np.isinf(plain[index]['depth_m'])
    assert (varied[index]['albedo'][sky] == 0).all()
    rgb = varied[index]['rgb']
    assert rgb.min() >= 0 and rgb.max() <= 1
  assert changed >= 6


def test_a_flat_detail_changes_nothing():
  scenes = [world.sample_scene(FULL, 0, k) for k in range(3)]
  flat = _make_details([details.make_flat()], [[0] * details.KINDS] * 3)
  plain = render.render_scenes(scenes, SIZE, SIZE)
  same = render.render_scenes(scenes, SIZE, SIZE, flat)
  np.testing.assert_allclose(plain.rgb, same.rgb, atol=1e-5)


def test_each_kind_of_surface_has_its_own_photograph():
  scene = world.sample_scene(FULL, 0, 1, count=6)
  plain = render.render_scenes([scene], 48, 48)
  named = world.SURFACES.index
  table = [details.make_flat(), details.make_detail(_photo(1))]
  assert not scene.outdoor
  for kind, there in (
    (0, plain.semantic == named('floor')),
    (1, plain.semantic == named('wall')),
    (2, plain.semantic == named('ceiling')),
    (3, plain.instance > 0),
  ):
    chosen = [[int(k == kind) for k in range(details.KINDS)]]
    seen = render.render_albedos([scene], 48, 48, _make_details(table, chosen))
    differs = (seen != render.render_albedos([scene], 48, 48)).any(-1)
    assert not (differs & ~there).any()
    if there.any():
      assert differs[there].mean() > 0.9


def test_a_detail_keeps_the_mean_color_and_fades_to_it():
  rgb_u8 = np.zeros((64, 64, 3), np.uint8)
  rgb_u8[:32], rgb_u8[32:] = (200, 90, 10), (100, 110, 30)
  detail = details.make_detail(rgb_u8)
  assert detail.shape == (details.LEVELS, details.SIDE, details.SIDE, 3)
  np.testing.assert_allclose(detail.mean((1, 2)), 1, atol=1e-3)
  assert detail[0, 0, 0, 0] > 1 > detail[0, -1, 0, 0]
  assert (details.make_detail(0 * rgb_u8) == 1).all()
  noise = details.make_detail(_photo(0, block=1))
  spread = noise.std((1, 2, 3))
  assert (np.diff(spread) < 0).all() and spread[-1] < 0.2 * spread[0]


def test_a_detail_is_looked_up_where_it_lies():
  ramp = np.linspace(50, 250, details.SIDE).astype(np.uint8)
  rgb_u8 = np.broadcast_to(ramp[None, :, None], (details.SIDE, details.SIDE, 3))
  found = _make_details(
    [details.make_flat(), details.make_detail(rgb_u8)], [1, 0, 0, 0]
  )
  u = np.array([0.01, 1.0, 1.99, 2.01, 3.0, 3.99, -1.0], np.float32)
  same = 0 * u

  def look(kind, width=1e-3):
    kinds = np.full(len(u), kind)
    return np.stack(details.look_up(found, kinds, u, same, same + width), -1)

  values = look(0)[:, 0]
  assert values[0] < values[1] < values[2]
  np.testing.assert_allclose(values[3:6], values[2::-1], rtol=1e-3)
  np.testing.assert_allclose(values[6], values[1], rtol=1e-3)
  assert (look(1) == 1).all()
  far = look(0, 10.0)[:, 0]
  assert np.ptp(far) < np.ptp(values)


def test_pixels_do_not_depend_on_the_order_of_access():
  one = _make_source(scene_photos.ScenePhotos(Photos(), 0))
  other = _make_source(scene_photos.ScenePhotos(Photos(), 0))
  later = other[70]['rgb']
  for index in (3, 40, 70):
    np.testing.assert_array_equal(one[index]['rgb'], other[index]['rgb'])
  np.testing.assert_array_equal(one[70]['rgb'], later)
  seeded = _make_source(scene_photos.ScenePhotos(Photos(), 1))
  assert np.abs(seeded[3]['rgb'] - one[3]['rgb']).mean() > 0.01


def test_few_photographs_are_read_for_many_scenes():
  photos = Photos()
  source = _make_source(scene_photos.ScenePhotos(photos, 0))
  for index in range(render.MICRO_BATCH):
    source[index]
  assert photos.reads <= 8


def test_an_edit_leaves_the_other_surfaces_as_they_were():
  source = _make_source(scene_photos.ScenePhotos(Photos(), 0), extras=['edit'])
  plain = _make_source(extras=['edit'])
  for index in range(6):
    pairs = [row[index] for row in (source, plain)]
    same = [
      (np.abs(row['rgb'] - row['edit']['rgb']).max(-1) < 1e-4).mean()
      for row in pairs
    ]
    assert same[0] > same[1] - 0.1


@pytest.fixture
def folder(tmp_path):
  files = {f'photos/{k}.png': make_png(_photo(k)) for k in range(5)}
  write_files(tmp_path, files)
  prepare_images(tmp_path / 'photos', tmp_path / 'records')
  return tmp_path / 'records'


def test_a_source_of_scenes_names_a_source_of_photographs(folder, monkeypatch):
  told = []
  monkeypatch.setattr(processes, 'log', told.append)
  config = config_flags.load(
    'quickstart:smoke',
    [
      '--config.sources.photos.kind=records',
      f'--config.sources.photos.path={folder}',
      '--config.sources.scenes.textures=photos',
    ],
  )
  mixed = build.build_mixture(config)
  assert all(entry.source.photos for entry in mixed.entries)
  assert mixed.entries[0].source[0]['rgb'].shape[-1] == 3
  assert not told  # that nothing uses the photographs
  described = build.describe_data(config)['sources']
  assert described['scenes']['textures'] == 'photos'
  assert described['photos']['count'] == 5


@pytest.mark.parametrize('name', ['gone', 'scenes'])
def test_textures_of_no_photographs_are_refused(name):
  config = config_flags.load(
    'quickstart:smoke', [f'--config.sources.scenes.textures={name}']
  )
  with pytest.raises(UserError, match=f'textures is {name!r}, which is no'):
    build.build_mixture(config)
