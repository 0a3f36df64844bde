"""Every depth and normals protocol names a reader that can serve it."""

import pytest

from vbanana_jax.benchmark import protocols
from vbanana_jax.benchmark.readers import READERS

COUNTS = {
  'nyuv2_depth': 654,
  'kitti_eigen_depth': 652,
  'kitti_official_depth': 1000,
  'eth3d_depth': 454,
  'ibims1_depth': 100,
  'diode_indoor_depth': 325,
  'nuscenes_depth': 6019,
  'vkitti2_depth': 2126,
  'nyuv2_normals': 654,
  'scannet_normals': 300,
  'diode_indoor_normals': 325,
  'vkitti2_normals': 1000,
}


@pytest.mark.parametrize('name, count', COUNTS.items())
def test_protocol_fits_its_reader(name, count):
  protocol = protocols.load_protocol(f'{name}_v1')
  reader = READERS[protocol.reader]
  assert protocol.title == f'{name}_v1'
  assert protocol.count == count
  assert protocol.task == reader.task
  assert protocol.split in reader.splits
  assert protocol.verified <= reader.verified
  assert protocol.known_difference
  if protocol.task == 'depth':
    assert protocol.pooling == 'image'
    nearest_m, farthest_m = protocol.clamp_m
    assert 0 < nearest_m <= protocol.near_m < protocol.cap_m <= farthest_m
  else:
    assert protocol.pooling == 'pixel'


@pytest.mark.parametrize('name', READERS)
def test_readers_say_where_their_data_is(name):
  reader = READERS[name]
  assert reader.source and reader.license and reader.layout and reader.splits
  assert isinstance(reader.verified, bool)
  assert reader.__doc__ and 'Source:' in reader.__doc__
