"""A prepared TFDS data set as a source: exact labels, and no TensorFlow."""

import shutil
import subprocess
import sys

import frozen_tfds
import numpy as np
import pytest

from vbanana_jax.data import bad_records, sources, tfds_source
from vbanana_jax.errors import UserError

SIZE = 16


@pytest.fixture(scope='module')
def frozen(tmp_path_factory):
  data_dir = tmp_path_factory.mktemp('tfds')
  name = frozen_tfds.freeze_scenes(
    data_dir, level='quick', seed=3, n=5, size=SIZE
  )
  return name, data_dir


def test_frozen_scenes_come_back(frozen):
  name, data_dir = frozen
  source = tfds_source.TfdsSource(
    name, data_dir, 'train', SIZE, labels=tfds_source.LABELS
  )
  fresh = sources.SceneSource('quick', 3, SIZE)
  assert len(source) == 5
  keys_found = set()
  for row in range(5):
    example = source[row]
    # TFDS stores rows in its own order: find the scene by its depth.
    twin = next(
      k
      for k in range(5)
      if np.array_equal(fresh[k]['depth_m'], example['depth_m'])
    )
    keys_found.add(twin)
    for key in tfds_source.LABELS:
      np.testing.assert_array_equal(example[key], fresh[twin][key])
      assert example[key].dtype == fresh[twin][key].dtype
    error = np.abs(example['rgb'] - fresh[twin]['rgb']).max()
    assert error <= 0.5 / 255 + 1e-6
    assert all(example['captions'])
  assert keys_found == set(range(5))


def test_pictures_are_resized_and_labels_picked(frozen):
  name, data_dir = frozen
  whole = tfds_source.TfdsSource(name, data_dir, 'train', SIZE)
  small = tfds_source.TfdsSource(
    name, data_dir, 'train', (SIZE // 4, SIZE // 2)
  )
  assert small.labels == {'rgb', 'captions', 'depth_m', 'normals'}
  assert small[0]['rgb'].shape == (4, 8, 3)
  # Of every second row and column in the middle half.
  picked = whole[0]['depth_m'][SIZE // 4 + 1 : -SIZE // 4 : 2, 1::2]
  np.testing.assert_array_equal(small[0]['depth_m'], picked)


def test_clear_errors(frozen):
  name, data_dir = frozen
  with pytest.raises(UserError, match="no feature 'photo'"):
    tfds_source.TfdsSource(name, data_dir, 'train', 8, image='photo')
  with pytest.raises(UserError, match='not known'):
    tfds_source.TfdsSource('no_such_set', data_dir, 'train', 8)
  with pytest.raises(UserError, match="split 'night'"):
    tfds_source.TfdsSource(name, data_dir, 'night', 8)


def test_bad_records_and_missing_files(frozen, tmp_path):
  name, good_dir = frozen
  data_dir = shutil.copytree(good_dir, tmp_path / 'tfds')
  (path,) = data_dir.rglob('*.array_record*')
  content = bytearray(path.read_bytes())
  content[400] ^= 4  # in the first record: they begin after 64 bytes
  path.write_bytes(content)
  plain = tfds_source.TfdsSource(name, data_dir, 'train', SIZE)
  log = bad_records.BadRecordLog(tmp_path)
  source = bad_records.ReplacingSource(
    plain, name='frozen', allowed='1 records', seed=5, max_text=160, log=log
  )
  found = [source[k]['index'] for k in range(5)]
  (bad,) = log.load('frozen')
  assert [k for k in range(5) if found[k] != k] == [bad]
  with pytest.raises(bad_records.BadRecordError) as caught:
    plain[bad]
  assert f'{path} record {bad}: ' in str(caught.value)
  path.unlink()
  ((reason, count),) = tfds_source.TfdsSource(
    name, data_dir, 'train', SIZE
  ).lost
  assert reason == f'{path}: file missing' and count == 5


def test_no_tensorflow_is_imported(frozen):
  name, data_dir = frozen
  code = (
    'import sys; from vbanana_jax.data import tfds_source;'
    f's = tfds_source.TfdsSource({name!r}, {str(data_dir)!r}, "train", 8);'
    's[0]; assert "tensorflow" not in sys.modules'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
