"""Weights that travel, and networks that come with the package."""

import json
import re
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy
import untrained
import yaml
from flax import traverse_util
from PIL import Image
from test_architecture import MACHINE_PATH

import vbanana_jax as vb
from vbanana_jax import cli, networks
from vbanana_jax.drawing import pictures
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import held_out
from vbanana_jax.training import (
  exported_weights,
  init_from,
  provenance,
  public_record,
  setup,
  trained_folders,
  weights,
)

pytestmark = pytest.mark.usefixtures('quick_compilation')

NAME = networks.DEFAULT


def export(run, out, *more):
  argv = ['export', '--format', 'safetensors', '--workdir', str(run)]
  return cli.main([*argv, '--out', str(out), *map(str, more)])


def write_results(path, run, value=0.25):
  row = {
    'task': 'depth', 'metric': 'delta1', 'value': value,
    'interval': [0.125, 0.5], 'constant': 0.375, 'better': 'max', 'n': 16,
  }  # fmt: skip
  results = {
    'rows': [row], 'by_count': {}, 'phases': {}, 'seconds': 1.0,
    'seconds_train_eval': 1.0, 'versions': {}, 'prompts': {},
    'config': provenance.load_run_json(run)['config'],
    'eval_set': 'eval_of_a_test', 'level': 'quick', 'untrained': [],
    'elsewhere': [],
    'weights': f'{trained_folders.identify(run)}, scored at nowhere',
  }  # fmt: skip
  path.write_text(json.dumps(results))
  return path


@pytest.fixture(scope='module')
def folder(untrained_run, tmp_path_factory):
  """A folder of networks with one in it, exported; tests only read it."""
  root = tmp_path_factory.mktemp('networks')
  path = write_results(root / 'results.json', untrained_run)
  assert export(untrained_run, root / NAME, '--results', path) == 0
  return root


@pytest.fixture
def shipped(folder, monkeypatch):
  """The same, as if it came with the package."""
  monkeypatch.setattr(networks, 'FOLDER', folder)
  return folder / NAME


@pytest.fixture
def copy(folder, tmp_path):
  return shutil.copytree(folder / NAME, tmp_path / 'copy')


def load_flat(run):
  return traverse_util.flatten_dict(weights.load_run(run).params, sep='.')


def test_weights_come_back_as_the_nearest_bfloat16(folder, untrained_run):
  before, after = load_flat(untrained_run), load_flat(folder / NAME)
  assert before.keys() == after.keys()
  for name, leaf in after.items():
    nearest = before[name].astype(jax.numpy.bfloat16).astype(np.float32)
    assert leaf.dtype == np.float32
    np.testing.assert_array_equal(leaf, nearest)
  header = safetensors.safe_open(
    folder / NAME / exported_weights.WEIGHTS, framework='np'
  )
  assert header.metadata() == {'format': 'flax'}
  assert set(header.keys()) == set(before)


def test_the_same_weights_are_the_same_bytes(folder, untrained_run, tmp_path):
  for number, run in enumerate((untrained_run, folder / NAME)):
    assert export(run, tmp_path / str(number)) == 0
    for name in ('model.safetensors', 'run.json', 'metrics.jsonl'):
      there = (tmp_path / str(number) / name).read_bytes()
      assert there == (folder / NAME / name).read_bytes(), name


def test_the_card_says_what_is_known(folder, untrained_run):
  text = (folder / NAME / 'README.md').read_text()
  _, header, body = text.split('---\n', 2)
  said = yaml.safe_load(header)
  assert said['license'] == 'apache-2.0'
  ((entry,),) = (index['results'] for index in said['model-index'])
  assert entry['metrics'][0]['value'] == 0.25
  assert entry['dataset']['name'] == 'eval_of_a_test, level quick'
  assert '| depth | delta1 ↑ | 0.25 | 0.125 to 0.5 | 0.375 | 16 |' in body
  assert 'before they were rounded to bfloat16' in body
  assert 'which the program draws (seed 0): no license' in body
  about = json.loads((folder / NAME / 'config.json').read_text())
  assert f'{about["parameters"]:,} parameters' in body
  config = about['config']
  record = provenance.load_run_json(folder / NAME)
  assert record['config'] == json.loads(json.dumps(config))
  assert weights.find_trained_tasks(config) == weights.find_trained_tasks(
    provenance.load_run_json(untrained_run)['config']
  )


def test_no_folder_of_a_machine_is_told(tmp_path, untrained_run):
  """Nor is what a run began from lost: a list of tasks, and its training."""
  begun = tmp_path / 'a'
  begun.mkdir()
  untrained.save_run(begun, 'normals')
  run = shutil.copytree(untrained_run, tmp_path / 'b')
  record = json.loads((run / 'run.json').read_text())
  config = record['config']
  config['init_from'] = str(begun)
  config['mixture'] = {'depth@own': 1.0}
  config['sources']['own'] = {'kind': 'records', 'path': '/data/my rooms'}
  config['eval']['protocols'] = 'nyuv2_depth=/data/nyuv2'
  record['command'] = [f'{tmp_path}/vbanana', f'--config.init_from={begun}']
  sources = {'own': {'kind': 'records', 'license': 'CC0', 'count': 3}}
  record['data'] = {'sources': sources}
  (run / 'run.json').write_text(json.dumps(record))
  assert export(run, tmp_path / 'out') == 0
  for path in (tmp_path / 'out').iterdir():
    if path.name != 'model.safetensors':
      text = path.read_text()
      assert str(tmp_path) not in text and '/data' not in text
      assert not MACHINE_PATH.search(text)
  about = exported_weights.load_about(tmp_path / 'out')
  first, second = about['trainings']
  assert (first['name'], second['name']) == ('a', 'b')
  assert second['command'] == ['vbanana', '--config.init_from=a']
  for kind in ('', 'scenes', 'records'):
    mine = weights.find_trained_tasks(config, kind)
    assert weights.find_trained_tasks(about['config'], kind) == mine
  card = (tmp_path / 'out' / 'README.md').read_text()
  assert 'license: other' in card and 'own, 3 records: license CC0' in card


@pytest.mark.parametrize(
  'value, said',
  [
    ('/a/b c/d', 'd'),
    ('--workdir=/a/b', '--workdir=b'),
    ('~/runs/x/', 'x'),
    ('gs://bucket/runs/x', 'x'),
    ('../data/x', 'x'),
    ('a=/b/c,d=/e/f', 'a=c,d=f'),
    ('runs/quickstart/tune', 'runs/quickstart/tune'),
    ('loss/depth and/or 1 / 2', 'loss/depth and/or 1 / 2'),
    (['C:\\runs\\x', {'k': 3}], ['x', {'k': 3}]),
  ],
)
def test_places_of_a_machine_lose_their_folders(value, said):
  assert public_record.strip_places(value) == said


def damage(copy, what):
  path = copy / 'model.safetensors'
  data = path.read_bytes()
  if what == 'cut short':
    path.write_bytes(data[:-1])
  elif what == 'other bytes':
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
  elif what == 'gone':
    path.unlink()
  elif what == 'record':
    (copy / 'run.json').write_text(
      (copy / 'run.json').read_text().replace('depth', 'depht')
    )
  elif what == 'foreign':
    (copy / 'config.json').write_text('{"architectures": ["Other"]}')
  elif what == 'no list':
    about = json.loads((copy / 'config.json').read_text())
    (copy / 'config.json').write_text(json.dumps({**about, 'files': {}}))
  else:
    replace(copy, {'float': safetensors.numpy.save({'a': np.zeros(2)}),
                   'no tensors': b'no tensors'}[what])  # fmt: skip


def replace(copy, data):
  """Other weights, in a config.json that agrees with them."""
  (copy / 'model.safetensors').write_bytes(data)
  about = json.loads((copy / 'config.json').read_text())
  about['files'] |= exported_weights.list_files({'model.safetensors': data})
  (copy / 'config.json').write_text(json.dumps(about))


@pytest.mark.parametrize(
  'what, says',
  [
    ('cut short', r'model\.safetensors has \d+ of \d+ bytes: bring it back'),
    ('other bytes', 'model.safetensors has other bytes than config.json'),
    ('gone', 'model.safetensors cannot be read'),
    ('record', 'run.json has other bytes than config.json lists'),
    ('foreign', 'config.json is not of an export of weights: its format is'),
    ('no list', 'config.json does not list model.safetensors'),
    ('float', 'has tensors of F64, not BF16'),
    ('no tensors', 'is no file of tensors'),
  ],
)
def test_a_damaged_export_is_one_line(what, says, copy, capsys, tmp_path):
  damage(copy, what)
  argv = ['predict', '--prompt', 'a', '--workdir', str(copy)]
  code = cli.main([*argv, '--out', str(tmp_path / 'out')])
  error = capsys.readouterr().err
  (line,) = (x for x in error.splitlines() if x.startswith('vbanana: '))
  assert code in (2, 5) and re.search(says, line)
  assert 'Traceback' not in error and not (tmp_path / 'out').exists()


def test_weights_of_another_network_are_told(copy):
  shape = {'head.kernel': np.zeros((2, 2), jax.numpy.bfloat16)}
  replace(copy, safetensors.numpy.save(shape))
  with pytest.raises(UserError, match='does not fit this model'):
    weights.load_run(copy)


def test_a_training_begins_with_a_network(shipped, tmp_path):
  config = {**provenance.load_run_json(shipped)['config'], 'init_from': NAME}
  setup.check_feasible(config, tmp_path)
  fresh = jax.tree.map(jax.numpy.zeros_like, weights.load_run(shipped).params)
  manifest = weights.make_manifest(config)
  run = trained_folders.to_folder(config['init_from'])
  params, report = init_from.load_matching(run, fresh, manifest)
  count = len(jax.tree.leaves(fresh))
  assert f'step 1: {count} of {count} arrays loaded' in report
  flat = traverse_util.flatten_dict(params, sep='.')
  for name, leaf in load_flat(shipped).items():
    np.testing.assert_array_equal(flat[name], leaf)
  with pytest.raises(
    UserError, match=r'holds no checkpoint.* come scenes-nano'
  ):
    setup.check_feasible({**config, 'init_from': 'scenes-nan'}, tmp_path)


def test_without_a_run_the_network_of_the_package_answers(
  shipped, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  photo = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
  Image.fromarray(photo).save('a.png')
  assert cli.main('predict a.png --task depth --out o'.split()) == 0
  (line,) = (
    x for x in capsys.readouterr().err.splitlines() if 'no trained run' in x
  )
  assert f'{NAME} answers, which comes with the package' in line
  model = vb.open(NAME)
  found = model.ask('depth', photo).value
  np.testing.assert_array_equal(found, np.load('o/a_depth.npy'))
  assert 'depth' in model.tasks
  with pytest.raises(UserError, match=f'with the package come {NAME}'):
    vb.open('scenes-nan')


def test_a_run_counts_for_more_than_the_package(
  shipped, untrained_run, tmp_path, monkeypatch
):
  from vbanana_jax.cli import runs

  monkeypatch.chdir(tmp_path)
  assert runs.choose_run(None) == shipped
  (tmp_path / 'runs').mkdir()
  shutil.copytree(untrained_run, tmp_path / 'runs' / 'mine')
  assert str(runs.choose_run(None)) == 'runs/mine'
  shutil.copytree(untrained_run, tmp_path / NAME)
  assert str(trained_folders.to_folder(NAME)) == NAME


def test_a_package_without_networks_says_what_to_do(tmp_path, monkeypatch):
  from vbanana_jax.cli import runs

  monkeypatch.setattr(networks, 'FOLDER', tmp_path)
  monkeypatch.chdir(tmp_path)
  assert networks.list_networks() == []
  with pytest.raises(UserError, match=r'there are: none$'):
    networks.find(NAME)
  with pytest.raises(UserError, match='no trained run under runs/: make one'):
    runs.choose_run(None)
  with pytest.raises(UserError, match=r'or with vbanana train$'):
    trained_folders.find_run(tmp_path / 'gone')


def test_what_is_not_exported(untrained_run, folder, tmp_path, capsys):
  """Each is refused in one line, and changes nothing."""
  klein, later = tmp_path / 'klein', tmp_path / 'later'
  for run, section, key, value in (
    (klein, 'model', 'snapshot', 'imports/klein'),
    (later, 'optim', 'warmup', 0.5),
  ):
    shutil.copytree(untrained_run, run)
    record = json.loads((run / 'run.json').read_text())
    record['config'][section][key] = value
    (run / 'run.json').write_text(json.dumps(record))
  there = shutil.copytree(folder / NAME, tmp_path / 'there')
  results = write_results(tmp_path / 'results.json', untrained_run)
  text = results.read_text().replace(' at step 1', ' at step 2')
  results.write_text(text)
  before = {path: path.read_bytes() for path in there.iterdir()}
  for run, out, more, says in (
    (klein, 'out', (), 'began from published weights'),
    (untrained_run, 'klein', ('--overwrite',), 'is the workdir of a run'),
    (later, 'there', (), 'config.json is of something else (config.optim'),
    (later, 'out', ('--task', 'depth'), 'writes weights alone'),
    (later, 'out', ('--results', results), 'is of other weights ('),
  ):
    assert export(run, tmp_path / out, *more) == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = (x for x in lines if x.startswith('vbanana: '))
    assert says in line
  assert not (tmp_path / 'out').exists()
  assert before == {path: path.read_bytes() for path in there.iterdir()}
  assert export(later, there, '--overwrite') == 0
  assert provenance.load_run_json(there)['config']['optim']['warmup'] == 0.5


def test_an_export_stays_as_it_is(copy, capsys):
  for argv in (
    ['evaluate', '--workdir', str(copy)],
    ['train', '--config', 'quickstart:smoke', '--workdir', str(copy)],
  ):
    assert cli.main(argv) == 2
    assert 'is an export of weights, and stays' in capsys.readouterr().err


def test_results_of_the_export_itself_are_told_apart(copy, tmp_path, capsys):
  """Those that are found in a workdir and are of others are left out."""
  out = tmp_path / 'out'
  write_results(copy / 'results_depth.json', copy)
  other = write_results(copy / 'results.json', copy)
  other.write_text(other.read_text().replace(' at step 1', ' at step 2'))
  assert export(copy, out) == 0
  assert 'results.json is of other weights, and is left' in (
    capsys.readouterr().err
  )
  card = (out / 'README.md').read_text()
  assert card.count('eval_of_a_test, level quick; of these weights') == 1


def test_the_networks_of_the_package_are_of_this_code():
  """Each file is what its config.json says, and has all weights it names."""
  assert networks.list_networks() == ['scenes-nano', 'scenes-reader']
  for name in networks.list_networks():
    loaded = weights.load_run(networks.find(name))
    assert len(jax.tree.leaves(loaded.params)) > 40
    size = (networks.find(name) / exported_weights.WEIGHTS).stat().st_size
    assert size < 20e6
  reads = weights.find_trained_tasks(loaded.config)
  assert {'referring', 'instance'} <= reads


def test_a_new_installation_has_something_to_ask():
  """Depth of eight held-out scenes is better than the best constant's .39."""
  model = vb.open('scenes-nano')
  scenes = held_out.load_eval_set('quick').open_scenes(64)
  shares = []
  for row in range(8):
    example = scenes[row]
    found = model.ask('depth', pictures.to_u8(example['rgb'])).value
    ratio = found / example['depth_m']
    shares.append(np.mean(np.maximum(ratio, 1 / ratio) < 1.25))
  assert np.mean(shares) > 0.6


def test_a_network_begins_again_as_it_once_did(trainings, tmp_path):
  """The first steps of its config have the losses of the committed record.

  To rounding: processors with bfloat16 products have others in the third digit.
  """
  code, error = trainings.run(
    tmp_path,
    base=('--config=scenes_reader', '--config.eval.every='),
    fault='get_signal SIGTERM 10',
    devices=1,
  )
  assert code == 75, error
  record = networks.find('scenes-reader') / 'metrics.jsonl'
  then, now = (
    json.loads(path.read_text().splitlines()[0])
    for path in (record, tmp_path / 'metrics.jsonl')
  )
  assert now['step'] == then['step'] == 10
  for name in ('loss', *(f'loss/{task}' for task in ('referring', 'instance'))):
    assert now[name] == pytest.approx(then[name], rel=0.01)
