"""EfficientNet-Lite0: equal to PyTorch's; and sets of photographs compared."""

import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from vbanana_jax import cli, networks, sharding
from vbanana_jax.errors import DamagedError
from vbanana_jax.evaluation import (
  evaluators,
  feature_space,
  picture_sets,
  results,
)
from vbanana_jax.metrics import efficientnet, generation
from vbanana_jax.tasks import TASKS

with np.load(
  Path(__file__).parent / 'oracles' / 'efficientnet_lite0.npz'
) as golden:
  GOLDEN = dict(golden)
PICTURES = GOLDEN['pictures_u8']  # [3 56 56 3]
features_of = jax.jit(efficientnet.features)


@pytest.fixture(scope='module')
def layers():
  return feature_space.load_layers()


def enlarge(times):
  return PICTURES.repeat(times, axis=1).repeat(times, axis=2)


@pytest.mark.parametrize(
  'case, pictures_u8',
  [
    ('same', enlarge(4)),
    ('up', PICTURES),
    ('down', enlarge(7)[:, :350]),
  ],
)
def test_features_are_pytorchs(layers, case, pictures_u8):
  rgb = efficientnet.resize(pictures_u8.astype(np.float32) / 255)
  assert rgb.shape == (3, 224, 224, 3)
  found = np.asarray(features_of(layers, rgb))
  want = GOLDEN[case]
  error = np.linalg.norm(found - want, axis=1) / np.linalg.norm(want, axis=1)
  assert found.shape == (3, efficientnet.FEATURES) and error.max() < 3e-5
  # The pictures themselves are much farther apart than that.
  assert np.linalg.norm(want[0] - want[1]) > 0.3 * np.linalg.norm(want[0])


def test_a_picture_of_the_networks_size_keeps_its_pixels():
  rgb = enlarge(4).astype(np.float32) / 255
  np.testing.assert_array_equal(efficientnet.resize(rgb), rgb)


def test_features_of_any_number_of_pictures(layers):
  """As many as asked for, in order, whatever the devices share at a time."""
  space = feature_space.FeatureSpace(sharding.build_mesh())
  pictures = enlarge(4)
  some = np.asarray(features_of(layers, pictures.astype(np.float32) / 255))
  found = space.find(pictures[i % 3] for i in range(11))
  assert found.shape == (11, efficientnet.FEATURES)
  np.testing.assert_allclose(found, some[np.arange(11) % 3], atol=1e-4)
  assert space.find([]).shape == (0, efficientnet.FEATURES)


def test_other_weights_are_refused(tmp_path):
  data = feature_space.PATH.read_bytes()
  path = tmp_path / 'model.safetensors'
  for spoiled, says in (
    (data[:-2], 'has 7016062 of 7016064 bytes: install'),
    (data[:-2] + b'\0\1', 'has other bytes than this version lists: install'),
  ):
    path.write_bytes(spoiled)
    with pytest.raises(DamagedError, match=says):
      feature_space.load_layers(path)


def test_the_weights_are_no_network_that_is_asked():
  assert efficientnet.SPACE not in networks.list_networks()
  about = (feature_space.PATH.parent / 'README.md').read_text()
  script = Path(__file__).parent.parent / 'launch' / 'make_efficientnet.py'
  (origin,) = [x for x in about.split('`') if len(x) == 64]
  assert origin in script.read_text()


def test_held_out_captions_are_compared_in_this_space_too():
  """Painted and real rows as they come, without the padding of batches."""
  mesh, task = sharding.build_mesh(), TASKS['generate']
  few = picture_sets.HeldOutSets(task, picture_sets.LEAST - 1, mesh)
  vision = picture_sets.HeldOutSets(TASKS['depth'], 512, mesh)
  assert few.look is vision.look is None and few.measure() == {}
  sets = picture_sets.HeldOutSets(task, picture_sets.LEAST, mesh)
  rgb = enlarge(4).astype(np.float32) / 255
  batch = {'target': rgb, 'valid': np.array([True, True, False])}
  sets.look(rgb[::-1], batch)
  sets.look(rgb[[1, 0, 2]], batch)
  found = sets.measure()
  kid, fd = (found[f'{name}_efficientnet_lite0'] for name in ('kid', 'fd'))
  assert kid[1][0] < kid[0] < kid[1][1] and fd[0] > 0
  space = feature_space.FeatureSpace(mesh)
  real = space.find(enlarge(4)[[0, 1, 0, 1]])
  painted = space.find(enlarge(4)[[2, 1, 1, 0]])
  assert kid[0] == pytest.approx(generation.kid(real, painted), abs=1e-4)
  scores = evaluators.Scores('generate', 4, {}, {}, {}, {}, rgb)
  first, second = results.make_rows('generate@16', scores, {}, found)
  assert (first['metric'], second['metric']) == tuple(found)
  assert first['interval'] == kid[1] and second['interval'] == [None, None]


@pytest.fixture
def sets(tmp_path, monkeypatch):
  """painted/ of three pictures, and photos.zip of two of them, larger."""
  monkeypatch.chdir(tmp_path)
  Path('painted/more').mkdir(parents=True)
  Path('painted/answer.json').write_text('{}')
  for i, picture in enumerate(PICTURES):
    Image.fromarray(picture).save(f'painted/{"more/" * (i == 2)}{i}.png')
  with zipfile.ZipFile('photos.zip', 'w') as archive:
    for i, picture in enumerate(enlarge(5)[:2]):
      Image.fromarray(np.pad(picture, ((0, 0), (30, 30), (0, 0)))).save('x.png')
      archive.write('x.png', f'deep/{i}.png')
  return tmp_path


def compare_sets(*more):
  words = ['evaluate', '--predictions', 'painted', '--real', 'photos.zip']
  return cli.main([*words, *more])


def test_generated_pictures_are_compared_with_photographs(sets, capsys):
  assert compare_sets() == 0
  told = capsys.readouterr().out
  assert '3 pictures in painted, 2 in photos.zip' in told
  assert '2 are too few for 1,280 features' in told
  found = json.loads(Path('painted/distances_photos.json').read_text())
  assert (found['n_predictions'], found['n_real']) == (3, 2)
  kid, fd = (
    found['metrics'][f'{name}_efficientnet_lite0'] for name in ('kid', 'fd')
  )
  low, high = kid['interval']
  assert low < kid['value'] < high
  assert fd['value'] > 0 and fd['interval'] == [None, None]
  assert compare_sets() == 0  # the same again, in place of the first
  again = json.loads(Path('painted/distances_photos.json').read_text())
  assert again['metrics'] == found['metrics']


def test_sets_that_cannot_be_compared(sets, capsys):
  def fails(says, *argv):
    assert cli.main(['evaluate', *argv]) == 2
    assert says in capsys.readouterr().err
    assert not list(sets.rglob('distances_*'))

  painted = ('--predictions', 'painted')
  fails('gone: no such folder or zip', *painted, '--real', 'gone')
  fails('are both painted', *painted, '--real', 'painted')
  fails('--real goes with', '--real', 'photos.zip')
  fails(
    '--real goes with', *painted, '--real', 'photos.zip', '--protocol', 'sintel'
  )
  Path('few').mkdir()
  Image.fromarray(PICTURES[0]).save('few/one.png')
  fails('few: 1 pictures in it', *painted, '--real', 'few')
  Path('few/two.png').write_bytes(Path('few/one.png').read_bytes()[:99])
  fails('few/two.png: damaged picture', *painted, '--real', 'few')
