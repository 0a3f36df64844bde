"""A run that was trained split is scored and asked split."""

import contextlib
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from untrained import save_run

from vbanana_jax import evaluate, predict, sharding
from vbanana_jax.evaluation import gallery_file
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.request import PredictRequest
from vbanana_jax.models import numerics
from vbanana_jax.training import weights

pytestmark = pytest.mark.usefixtures('quick_compilation')

SCENES = 11  # which eight devices cannot share
# Preset, mesh of eight devices, and the parts of a split weight.
SPLITS = {
  'dp': ({'replica': 8, 'fsdp': 1, 'tensor': 1}, 1),
  'fsdp': ({'replica': 2, 'fsdp': 4, 'tensor': 1}, 4),
  'fsdp_tp': ({'replica': 2, 'fsdp': 2, 'tensor': 2}, 4),
}


@contextlib.contextmanager
def devices(count):
  """As on a machine with so many."""
  found = jax.devices()[:count]
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, 'devices', lambda *_: found)
    yield


@pytest.fixture(scope='module', autouse=True)
def float32():
  """Products of bfloat16 magnify what another order of sums makes."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(numerics, '_cpu_has_bf16', lambda: False)
    yield


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """The same weights as runs of three presets."""
  folder = tmp_path_factory.mktemp('runs')
  first, *others = (folder / preset for preset in SPLITS)
  first.mkdir()
  save_run(first)
  for run in others:
    shutil.copytree(first, run)
  for preset, (mesh, _) in SPLITS.items():
    set_config(folder / preset, mesh=mesh, sharding=preset)
  return folder


def set_config(run, **sections):
  record = json.loads((run / 'run.json').read_text())
  record['config'] |= sections
  record['config']['eval'] |= {'limit': SCENES, 'batch_size': SCENES}
  (run / 'run.json').write_text(json.dumps(record))


@pytest.mark.parametrize('preset', SPLITS)
def test_each_device_reads_its_part_of_the_weights(runs, preset, capsys):
  mesh, parts = SPLITS[preset]
  loaded = weights.load_run(runs / preset)
  assert dict(loaded.mesh.shape) == mesh
  said = capsys.readouterr().err
  assert said.endswith(f'devices are {sharding.describe_mesh(mesh)}\n')
  blocks = jax.tree.leaves(loaded.params['blocks'])
  largest = max(blocks, key=lambda x: x.size)
  assert largest.addressable_data(0).size * parts == largest.size
  with devices(1):
    whole = weights.load_run(runs / 'dp').params
  jax.tree.map(np.testing.assert_array_equal, loaded.params, whole)


@pytest.mark.parametrize(
  'count, own, found',
  [
    (8, {'replica': 1, 'fsdp': 64, 'tensor': 1}, 'replica 1, fsdp 8, tensor 1'),
    (8, {'replica': 1, 'fsdp': 4, 'tensor': 4}, 'replica 1, fsdp 4, tensor 2'),
    (6, {'replica': 1, 'fsdp': -1, 'tensor': 1}, 'replica 3, fsdp 2, tensor 1'),
    (1, {'replica': 2, 'fsdp': 2, 'tensor': 2}, 'replica 1, fsdp 1, tensor 1'),
  ],
)
def test_other_devices_get_the_most_similar_mesh(
  runs, tmp_path, count, own, found, capsys
):
  run = shutil.copytree(runs / 'fsdp_tp', tmp_path / 'run')
  set_config(run, mesh=own)
  with devices(count):
    mesh = weights.load_run(run).mesh
  assert sharding.describe_mesh(mesh.shape) == found
  told = f'are {found}: {sharding.describe_mesh(own)} does not fit\n'
  assert capsys.readouterr().err.endswith(told)


def test_one_device_that_fits_goes_without_saying(runs, tmp_path, capsys):
  run = shutil.copytree(runs / 'dp', tmp_path / 'run')
  set_config(run, mesh={'replica': 1, 'fsdp': -1, 'tensor': 1})
  with devices(1):
    weights.load_run(run)
  assert not capsys.readouterr().err


def evaluate_run(run, task, pictures=None):
  """Results, and pictures by scene; painted anew unless they are given."""
  with pytest.MonkeyPatch.context() as patch:
    painted = {}
    patch.setattr(
      gallery_file,
      'make_gallery',
      lambda batch, rgb, n: painted.update(zip(batch['index'].tolist(), rgb)),
    )
    if pictures is not None:
      patch.setattr(
        evaluate,
        'make_sample_fn',
        lambda *_, **__: lambda params, batch: pictures[batch['index']],
      )
    found = evaluate.evaluate(run, tasks=[task])
  stacked = np.stack([painted[k] for k in range(SCENES)])
  return {key: found[key] for key in ('rows', 'by_count')}, stacked


@pytest.fixture(scope='module')
def alone(runs):
  """What one device paints, by task."""
  with devices(1):
    return {
      task: evaluate_run(runs / 'dp', task)[1] for task in ('depth', 'semantic')
    }


@pytest.mark.parametrize(
  'preset, task', [('dp', 'depth'), ('fsdp', 'semantic'), ('fsdp_tp', 'depth')]
)
def test_the_same_pictures_have_the_scores_of_one_device(
  runs, alone, preset, task
):
  found, painted = evaluate_run(runs / preset, task)
  np.testing.assert_allclose(painted, alone[task], atol=1e-3, rtol=0)
  assert np.std(painted) > 0.1
  with devices(1):
    same, _ = evaluate_run(runs / 'dp', task, jax.numpy.asarray(painted))
  assert found == same
  assert {row['n'] for row in found['rows']} == {SCENES}


def answer(run, photos, out):
  """Painted answers of one photo, then of all."""
  predictor, request = Predictor(run), PredictRequest('depth')
  found = []
  for asked in (photos[:1], photos):
    rows = predictor.count_rows()
    prepared = predictor.prepare(request, rows=rows)
    paths = dict(
      predict.predict_all(
        prepared, asked, out_dir=out / str(len(asked)), rows=rows
      )
    )
    found += [np.array(Image.open(paths[photo]['painted'])) for photo in asked]
  return found


def test_photos_are_answered_as_on_one_device(runs, tmp_path):
  photos = []
  for k in range(3):
    photos.append(tmp_path / f'{k}.png')
    rgb = np.random.default_rng(k).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(rgb).save(photos[-1])
  split = answer(runs / 'fsdp_tp', photos, tmp_path / 'split')
  with devices(1):
    whole = answer(runs / 'dp', photos, tmp_path / 'whole')
  for one, other in zip(split, whole, strict=True):
    assert np.std(one) > 20
    assert np.abs(one.astype(int) - other).max() <= 1
