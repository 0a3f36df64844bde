"""The whole journey at smoke size, through the command itself."""

import json

import numpy as np
import painted
import pytest
from PIL import Image

from vbanana_jax import cli

pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('journey')
  commands = [
    f'train --config quickstart:pretrain,smoke --workdir {folder}/pretrain',
    f'train --config quickstart:tune,smoke --workdir {folder}/tune '
    f'--config.init_from={folder}/pretrain '
    '--config.eval.retention.prompts=a_room',
    f'evaluate --workdir {folder}',
    f'report --workdir {folder}',
  ]
  for command in commands:
    assert cli.main(command.split()) == 0
  return folder


def test_results_have_a_row_for_every_task(workdir):
  results = json.loads((workdir / 'results.json').read_text())
  tasks = {row['task'] for row in results['rows']}
  assert tasks == {
    'depth',
    'normals',
    'semantic',
    'referring',
    'instance',
    'instance@2',
    'generate@2',
    'edit',
  }
  for row in results['rows']:
    assert row['n'] == (8 if row['task'] == 'generate@2' else 16)
  headline = next(r for r in results['rows'] if r['metric'] == 'delta1')
  assert headline['constant'] is not None
  names = {r['metric'] for r in results['rows'] if r['task'] == 'generate@2'}
  assert {'fd_random_conv', 'kid_random_conv', 'recall_random_conv'} <= names
  assert results['seconds_train_eval'] > 0
  assert set(results['phases']) == {'pretrain', 'tune'}
  for phase in results['phases'].values():
    assert 0 < phase['drawing_cpu_seconds'] < phase['cpu_seconds']


def test_another_network_reads_what_was_generated(workdir, tmp_path, capsys):
  command = f'evaluate --workdir {workdir} --tasks generate --out {tmp_path}'
  assert cli.main([*command.split(), '--reader', f'{workdir}/tune']) == 0
  table = capsys.readouterr().out
  assert 'facts of 8 captions' in table and 'relation' in table
  results = json.loads((tmp_path / 'results_generate.json').read_text())
  everything, *kinds = results['obedience']['generate@2']
  assert everything['asked'] == sum(row['asked'] for row in kinds) > 8
  for side in ('held', 'floor', 'ceiling'):
    assert 0 <= everything[side] <= 1
  row = next(r for r in results['rows'] if r['metric'] == 'obedience')
  assert row['value'] == everything['reached']
  assert 'read by' in results['weights']


def test_report_is_one_file_with_every_gallery(workdir):
  page = (workdir / 'report.html').read_text()
  for name in (
    'depth', 'instance@2', 'generate@2', 'data:image/png', 'waiting for data',
    'retention tune', 'retention/loss',
  ):  # fmt: skip
    assert name in page
  assert 'http://' not in page.replace('http://www.w3.org', '')


@pytest.mark.parametrize(
  'words,ending',
  [
    ('--task depth', '.npy'),
    ('--task semantic --classes floor,sphere', '.npy'),
    ('--prompt recolor', '_edit.png'),
  ],
)
def test_predict_takes_a_photo_of_any_aspect(workdir, tmp_path, words, ending):
  photo = tmp_path / 'photo.png'
  rng = np.random.default_rng(0)
  Image.fromarray(rng.integers(0, 255, (30, 50, 4), np.uint8)).save(photo)
  out = tmp_path / 'out'
  command = f'predict {photo} {words} --workdir {workdir} --out {out}'
  assert cli.main([*command.split(), '--steps', '1']) == 0
  found = [path for path in out.iterdir() if path.name.endswith(ending)]
  assert len(found) == 1
  if ending == '.npy':
    assert np.load(found[0]).shape == (30, 50)


def test_predict_paints_from_words(workdir, tmp_path):
  argv = ['predict', '--prompt', 'a red sphere', '--workdir', str(workdir)]
  assert cli.main([*argv, '--out', str(tmp_path), '--steps', '2']) == 0
  (painted,) = tmp_path.glob('*.png')
  assert painted.name.startswith('a-red-sphere-')
  with Image.open(painted) as picture:
    assert picture.size == (32, 32)
  facts = json.loads(next(tmp_path.glob('*.json')).read_text())
  assert (facts['steps'], facts['guidance'], facts['seed']) == (2, 1.0, 0)
  assert facts['sampler'] == 'euler'
  assert facts['size'] == 32 and facts['step'] > 0
  # The same command again is harmless; other words are another picture.
  before = painted.read_bytes()
  assert cli.main([*argv, '--out', str(tmp_path), '--steps', '2']) == 0
  assert painted.read_bytes() == before
  argv[2] = 'a blue box'
  assert cli.main([*argv, '--out', str(tmp_path), '--steps', '2']) == 0
  assert len(list(tmp_path.glob('*.png'))) == 2


def test_predict_samples_with_either_sampler(workdir, tmp_path):
  found = {}
  for sampler in ('euler', 'heun'):
    out = tmp_path / sampler
    words = f'--workdir {workdir} --steps 2 --sampler {sampler} --out {out}'
    assert cli.main(['predict', '--prompt', 'a box', *words.split()]) == 0
    facts = json.loads(next(out.glob('*.json')).read_text())
    assert facts['sampler'] == sampler
    found[sampler] = next(out.glob('*.png')).read_bytes()
  assert found['euler'] != found['heun']


def test_a_run_answers_a_benchmark_and_is_scored(workdir, tmp_path, capsys):
  data, out = tmp_path / 'data', tmp_path / 'out'
  protocol = painted.write_benchmark('normals', data)
  asked = f'--protocol {protocol.name} --data {data}'
  paint = f'predict {asked} --workdir {workdir} --out {out} --passes 2'
  assert cli.main(paint.split()) == 0
  pictures = sorted(path.name for path in out.glob('*.png'))
  assert pictures == sorted(
    f'test-{name}{turn}.png' for name in painted.NAMES for turn in ('', '@1')
  )
  first = (out / pictures[0]).stat().st_mtime_ns
  assert cli.main(paint.split()) == 0  # nothing is painted twice
  assert (out / pictures[0]).stat().st_mtime_ns == first
  capsys.readouterr()
  assert cli.main(f'{paint} --size 24'.split()) == 2  # pictures are not mixed
  error = capsys.readouterr().err.splitlines()[-1]
  assert 'size 32 there and 24 here' in error and '--overwrite' in error
  whole = (out / pictures[0]).read_bytes()
  (out / pictures[0]).write_bytes(whole[:99])
  assert cli.main(paint.split()) == 0
  assert (out / pictures[0]).read_bytes() == whole
  assert '1 pictures that are not as' in capsys.readouterr().err
  score = f'evaluate --predictions {out} {asked} --passes 2 --partial'
  assert cli.main(score.split()) == 0
  path = out / f'scores_{protocol.title}_2_passes.json'
  found = json.loads(path.read_text())
  assert found['n'] == 2 and found['passes'] == 2
  assert 0 < found['metrics']['mean_deg']['value'] < 180
  assert found['painted']['settings']['size'] == 32
  weights = found['painted']['settings']['weights']
  printed = capsys.readouterr().out
  assert 'first pass' in printed
  assert f'painted by {workdir / "tune"} (weights {weights}, size 32' in printed

  repaint = paint.replace(str(workdir), f'{workdir}/pretrain')
  assert cli.main(repaint.split()) == 2
  assert f'weights {weights} there' in capsys.readouterr().err
  assert cli.main([*repaint.split(), '--overwrite']) == 0
  assert (out / pictures[0]).read_bytes() != whole
