"""Folders of photos, and programs without the network's code; untrained."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from vbanana_jax import cli
from vbanana_jax.diffusion import flow
from vbanana_jax.errors import UserError
from vbanana_jax.inference import engine, export, exported
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.request import PredictRequest, build_question
from vbanana_jax.tasks.prompt_styles import QUICK
from vbanana_jax.training import weights

SIZE = (24, 32)

pytestmark = pytest.mark.usefixtures('quick_compilation')


@pytest.fixture(scope='module')
def run(untrained_run):
  return untrained_run


@pytest.fixture(scope='module')
def served(run, tmp_path_factory):
  """Its depth, exported by the command."""
  out = tmp_path_factory.mktemp('served') / 'depth'
  argv = f'export --workdir {run} --task depth --size 24x32 --out {out}'
  assert cli.main(argv.split()) == 0
  return out


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  """Three photos of two grids, one of them upside down, and one damaged."""
  folder = tmp_path_factory.mktemp('photos')
  rng = np.random.default_rng(0)
  for name, shape in (
    ('a.png', (30, 40, 3)),
    ('c.jpg', (60, 80, 3)),
    ('d.webp', (50, 40, 3)),
  ):
    picture = rng.integers(0, 256, shape, np.uint8)
    Image.fromarray(picture).save(folder / name)
  whole = (folder / 'a.png').read_bytes()
  (folder / 'b.png').write_bytes(whole[: len(whole) // 2])
  (folder / 'notes.txt').write_text('not a photo')
  (folder / '.hidden.png').write_bytes(whole)
  return folder


@pytest.mark.parametrize('batch', [(), ('--batch', '2')])
def test_a_folder_is_answered_but_for_its_bad_photo(
  run, photos, batch, tmp_path, capsys
):
  argv = ['predict', '--task', 'depth', '--workdir', str(run), '--out']
  assert cli.main([*argv, str(tmp_path / 'all'), str(photos), *batch]) == 2
  said = capsys.readouterr()
  assert 'b.png: damaged' in said.err and 'Traceback' not in said.err
  assert said.err.splitlines()[-1].startswith('vbanana: 1 of 4 photos')
  endings = ('_painted.png', '.npy', '.png', '.json')
  wanted = {f'{name}_depth{ending}' for name in 'acd' for ending in endings}
  assert {path.name for path in (tmp_path / 'all').iterdir()} == wanted
  assert sorted(said.out.split()) == sorted(
    str(tmp_path / 'all' / name) for name in wanted
  )
  for name in ('a.png', 'c.jpg', 'd.webp'):
    out = tmp_path / name
    assert cli.main([*argv, str(out), str(photos / name)]) == 0
    stem = f'{name[0]}_depth'
    alone = np.load(out / f'{stem}.npy')
    together = np.load(tmp_path / 'all' / f'{stem}.npy')
    if batch:  # far colors are decoded to far depths: nearly all are equal
      close = np.isclose(alone, together, rtol=1e-3, atol=0)
      assert close.mean() > 0.98
    else:
      np.testing.assert_array_equal(alone, together)


def test_mistakes_with_folders_are_one_line(run, photos, tmp_path, capsys):
  ask = ['predict', '--task', 'depth', '--workdir', str(run)]
  out = ['--out', str(tmp_path / 'out')]
  (tmp_path / 'empty').mkdir()
  for images, says in (
    ([tmp_path / 'empty'], 'no photo'),
    ([photos / 'b.png'], 'damaged'),
  ):
    assert cli.main([*ask, *out, *map(str, images)]) == 2
    error = capsys.readouterr().err
    # Files beside the photos are named too; the mistake itself is one line.
    mistakes = [line for line in error.splitlines() if 'vbanana: ' in line]
    assert len(mistakes) == 1 and says in mistakes[0]
  assert not (tmp_path / 'out').exists()


def test_answers_are_not_written_among_the_photos(run, photos, capsys):
  before = sorted(photos.iterdir())
  ask = ['predict', '--task', 'depth', '--workdir', str(run), str(photos)]
  assert cli.main([*ask, '--out', str(photos)]) == 2
  assert 'would be taken for photos' in capsys.readouterr().err
  assert sorted(photos.iterdir()) == before


@pytest.mark.parametrize(
  'argv,says',
  [
    ('--exported x --batch 8', 'takes images and --out'),
    ('--protocol x --data y --exported z', 'needs --data, and takes neither'),
    ('--protocol x --data y --steps 4', 'needs --data, and takes neither'),
    ('--task depth --passes 3', 'goes with --protocol'),
  ],
)
def test_flags_that_would_do_nothing_are_refused(argv, says, capsys):
  assert cli.main(['predict', *argv.split()]) == 2
  assert says in capsys.readouterr().err


def make_sources(b):
  rng = np.random.default_rng(1)
  return rng.random((b, *SIZE, 3), np.float32)


def test_an_export_answers_as_the_painter(run, served):
  predictor = Predictor(run)
  task, question = build_question(PredictRequest('depth'), QUICK)
  sources = make_sources(3)
  items = [
    engine.GenerationInput(
      source, True, question.prompt, flow.noise_scale_for(max(SIZE))
    )
    for source in sources
  ]
  expected = predictor.engine.paint(engine.SamplerConfig(0, 0), items)
  found = exported.load_exported(served)(sources)
  np.testing.assert_allclose(found['painted'], expected, atol=1e-6, rtol=0)
  decoded = jax.jit(task.decode)(found['painted'], {})['depth_m']
  np.testing.assert_allclose(found['value'], decoded, rtol=1e-5)
  assert found['value'].shape == (3, *SIZE)


def test_an_export_says_what_it_is(run, served):
  manifest = json.loads((served / 'manifest.json').read_text())
  assert manifest['task'] == 'depth' and 'depth' in manifest['prompt']
  assert manifest['platforms'] == ['cpu', 'cuda', 'tpu']
  assert manifest['outputs']['value'].startswith('float32 meters')
  assert manifest['inputs']['source']['grid'] == list(SIZE)
  assert manifest['inputs']['tokens']['l'] == 16
  assert (manifest['step'], manifest['training_seed']) == (1, 0)
  params = weights.load_run(run)[2]
  stored = safetensors.numpy.load_file(served / exported.WEIGHTS)
  assert len(stored) == len(jax.tree.leaves(params))
  np.testing.assert_array_equal(stored['head'], params['head'])


@pytest.mark.parametrize(
  'wish',
  [
    PredictRequest('semantic', classes=('floor', 'box')),
    PredictRequest('instance', classes=('box',)),
    PredictRequest('generate', words='a red box', steps=2, guidance=2.0),
  ],
  ids=lambda wish: wish.task,
)
def test_other_tasks_export(run, wish, tmp_path):
  export.export_run(run, wish, tmp_path, size=(16, 16), platforms=('cpu',))
  painter = exported.load_exported(tmp_path)
  index = np.arange(2)
  found = painter(np.zeros((2, 16, 16, 3), np.float32), index=index)
  assert found['painted'].shape == (2, 16, 16, 3)
  assert np.isfinite(found['painted']).all()
  if wish.task == 'generate':
    assert set(found) == {'painted'}
    assert (found['painted'][0] != found['painted'][1]).any()
  else:
    assert found['value'].dtype == np.int32


def test_an_export_runs_without_the_network(served, photos, tmp_path):
  code = (
    'import sys, numpy as np\n'
    'from vbanana_jax import cli\n'
    'from vbanana_jax.inference import exported\n'
    f'painter = exported.load_exported({str(served)!r})\n'
    f'painter(np.zeros((2, {SIZE[0]}, {SIZE[1]}, 3)))\n'
    f'argv = ["predict", {str(photos / "a.png")!r}, "--exported",\n'
    f'  {str(served)!r}, "--out", {str(tmp_path)!r}]\n'
    'assert cli.main(argv) == 0\n'
    'for name in ("vbanana_jax.models", "flax", "orbax"):\n'
    '  assert name not in sys.modules, name\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert np.load(tmp_path / 'a_depth.npy').shape == (30, 40)


def flip(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


def write_a_later_program(folder):
  """A program that this jax cannot read, in a folder that agrees with it."""
  program = (folder / exported.PROGRAM).read_bytes()
  program = program.replace(b'ML\xefR', b'ML\xefS')  # what MLIR begins with
  (folder / exported.PROGRAM).write_bytes(program)
  manifest = json.loads((folder / exported.MANIFEST).read_text())
  manifest['sha256'][exported.PROGRAM] = exported.hash_bytes(program)
  manifest['versions']['jax'] = '9.9'
  (folder / exported.MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
  'damage,says',
  [
    (write_a_later_program, 'cannot read a program of jax 9.9'),
    (lambda folder: flip(folder / exported.PROGRAM), 'not the file'),
    (lambda folder: flip(folder / exported.WEIGHTS), 'not the file'),
    (lambda folder: (folder / exported.WEIGHTS).unlink(), 'No such file'),
    (lambda folder: (folder / 'manifest.json').unlink(), 'not an exported'),
    (lambda folder: (folder / 'manifest.json').write_text('[]'), 'not an exp'),
    (
      lambda folder: (folder / 'manifest.json').write_text(
        json.dumps({'format': exported.FORMAT})
      ),
      'has no checkpoint: export again',
    ),
    (
      lambda folder: (folder / 'manifest.json').write_text('{"format": "2"}'),
      'of the format',
    ),
  ],
)
def test_a_wrong_file_is_one_line(served, damage, says, tmp_path, capsys):
  folder = shutil.copytree(served, tmp_path / 'copy')
  damage(folder)
  argv = ['predict', 'x.jpg', '--exported', str(folder)]
  assert cli.main(argv) == 2
  error = capsys.readouterr().err
  assert says in error and error.count('\n') == 1


def test_wrong_input_is_refused(served):
  painter = exported.load_exported(served)
  with pytest.raises(UserError, match='its grid first'):
    painter(np.zeros((1, 8, 8, 3)))
  with pytest.raises(UserError, match='pad them'):
    painter(make_sources(1), tokens=np.zeros((1, 3)))
  with pytest.raises(UserError, match='each picture a number'):
    painter(make_sources(2), index=np.zeros(3))
  with pytest.raises(UserError, match='b > 0'):
    painter(make_sources(1)[:0])


@pytest.mark.parametrize(
  'more,says',
  [
    ('--size 20x32', 'patches of 8'),
    ('--platforms metal', 'choose of cpu'),
    ('--prompt x', 'does not take'),
  ],
)
def test_mistakes_in_an_export_are_one_line(run, more, says, tmp_path, capsys):
  argv = f'export --workdir {run} --task depth --out {tmp_path} {more}'
  assert cli.main(argv.split()) == 2
  error = capsys.readouterr().err
  assert says in error and error.count('\n') == 1


def test_another_export_stays(run, served, tmp_path, capsys):
  folder = shutil.copytree(served, tmp_path / 'copy')
  before = {path.name: path.read_bytes() for path in folder.iterdir()}
  argv = f'export --workdir {run} --task depth --size 24x32 --out {folder}'
  assert cli.main(argv.split()) == 0  # the same again
  capsys.readouterr()
  for more, what in (
    ('--size 16x16', 'inputs'),
    ('--steps 2', 'sampler'),
    ('--platforms cpu', 'platforms'),
    ('--task normals', 'task'),
  ):
    flag, value = more.split()
    words = argv.split()
    if flag in words:
      words[words.index(flag) + 1] = value
      more = ''
    assert cli.main([*words, *more.split()]) == 2
    error = capsys.readouterr().err
    assert f'manifest.json is of something else ({what}' in error
    assert '--overwrite' in error and error.count('\n') == 1
    now = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert now.keys() == before.keys()
    assert now['weights.safetensors'] == before['weights.safetensors']
  argv = argv.replace('--size 24x32', '--size 16x16 --platforms cpu')
  assert cli.main([*argv.split(), '--overwrite']) == 0
  assert exported.load_exported(folder).size == (16, 16)


def test_weights_of_others_are_not_written_over(run, tmp_path, capsys):
  (tmp_path / 'weights.safetensors').write_bytes(b'mine')
  argv = f'export --workdir {run} --task depth --out {tmp_path}'
  assert cli.main(argv.split()) == 2
  assert 'weights.safetensors is there, and no manif' in capsys.readouterr().err
  assert [path.read_bytes() for path in tmp_path.iterdir()] == [b'mine']
