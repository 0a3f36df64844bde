"""A task that no other file knows: trained, scored, asked, read, exported."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vbanana_jax import cli
from vbanana_jax.evaluation import held_out
from vbanana_jax.tasks import TASKS

TASK = TASKS['albedo']


@pytest.fixture(scope='module')
def workdir(tmp_path_factory, quick_compilation):
  folder = tmp_path_factory.mktemp('albedo')
  train = f'train --config quickstart:tune,smoke --workdir {folder}'.split()
  changes = {
    **{f'mixture.{name}': float(name == 'albedo') for name in TASKS},
    'eval.every': '3 steps',
    'eval.watch': 8,
  }
  flags = [f'--config.{key}={value}' for key, value in changes.items()]
  assert cli.main([*train, *flags]) == 0
  for verb in ('evaluate', 'report'):
    assert cli.main([verb, '--workdir', str(folder)]) == 0
  return folder


@pytest.fixture
def photo(tmp_path):
  rng = np.random.default_rng(0)
  Image.fromarray(rng.integers(0, 255, (24, 40, 3), np.uint8)).save(
    tmp_path / 'photo.png'
  )
  return tmp_path / 'photo.png'


def test_the_exact_answer_scores_best_and_the_photo_does_not():
  (batch,) = held_out.make_frozen_batches(TASK, 'full', 8, 8, max_text=64)
  aux = {name: jnp.asarray(leaf) for name, leaf in batch['aux'].items()}
  valid = jnp.asarray(batch['valid'])

  def score(prediction):
    states = TASK.score(prediction, aux, valid)
    return TASK.summarize({k: np.asarray(v).sum(0) for k, v in states.items()})

  exact = score(TASK.decode(jnp.asarray(batch['target']), aux))
  assert exact['mae'] == 0 and exact['psnr'] == pytest.approx(100)
  copied = score(TASK.constant_prediction((1.0, 0.0), aux))
  grey = score(TASK.constant_prediction((0.0, 0.5), aux))
  assert 0.02 < copied['mae'] < grey['mae'] < 0.5
  off = score({'albedo': jnp.asarray(batch['target']) + 0.1})
  assert off['mae'] == pytest.approx(0.1, abs=1e-5)
  assert off['psnr'] == pytest.approx(20, abs=1e-3)


def test_the_sky_does_not_count():
  (batch,) = held_out.make_frozen_batches(TASK, 'full', 8, 8, max_text=64)
  valid_px = batch['aux']['valid_px']
  assert 0 < valid_px.mean() < 1
  np.testing.assert_array_equal(batch['weight_px'], valid_px)
  assert not batch['target'][~valid_px].any()


def test_it_is_trained_scored_and_reported(workdir):
  results = json.loads((workdir / 'results.json').read_text())
  rows = {r['metric']: r for r in results['rows'] if r['task'] == 'albedo'}
  assert set(rows) == {'mae', 'psnr'} and rows['mae']['n'] == 16
  assert 0 < rows['mae']['constant'] < rows['mae']['value']  # hardly trained
  assert results['by_count']['albedo']
  scores = (workdir / 'scores.jsonl').read_text()
  assert 'albedo/mae' in scores
  page = (workdir / 'report.html').read_text()
  assert 'base color' in page and TASK.note.partition(';')[0] in page


def test_it_answers_about_a_photo(workdir, photo, tmp_path):
  argv = f'predict {photo} --task albedo --workdir {workdir} --out'.split()
  assert cli.main([*argv, str(tmp_path / 'out')]) == 0
  value = np.load(tmp_path / 'out' / 'photo_albedo.npy')
  assert value.shape == (24, 40, 3) and value.dtype == np.float32
  facts = json.loads((tmp_path / 'out' / 'photo_albedo.json').read_text())
  assert facts['values'] == TASK.value.unit


def test_foreign_pictures_are_read(photo, tmp_path):
  argv = ['decode', str(photo), '--task', 'albedo', '--out', str(tmp_path)]
  assert cli.main(argv) == 0
  value = np.load(tmp_path / 'photo_albedo.npy')
  with Image.open(photo) as picture:
    np.testing.assert_allclose(255 * value, np.asarray(picture), atol=1e-4)


def test_an_export_answers_with_its_values(workdir, photo, tmp_path):
  served, out = tmp_path / 'served', tmp_path / 'out'
  argv = f'export --workdir {workdir} --task albedo --platforms cpu'.split()
  assert cli.main([*argv, '--out', str(served)]) == 0
  argv = f'predict {photo} --exported {served} --out {out}'.split()
  assert cli.main(argv) == 0
  assert np.load(out / 'photo_albedo.npy').shape == (24, 40, 3)


def test_passes_are_voted_on():
  value = np.full((2, 3, 3), 0.4, np.float32)
  passes = [value, value + 0.02, value + 0.5]
  voted = TASK.value.vote(passes)
  np.testing.assert_allclose(voted, 0.42)
  agreed = TASK.value.measure_agreement(passes, voted)
  np.testing.assert_allclose(agreed, 2 / 3, rtol=1e-6)


@pytest.mark.parametrize('verb', ['predict', 'export', 'decode'])
def test_help_lists_it(verb, capsys):
  with pytest.raises(SystemExit):
    cli.main([verb, '--help'])
  assert 'albedo' in capsys.readouterr().out
