"""Imports are proven and whole, or leave nothing; exports give them back."""

import json
import math
import os
import shutil

import jax.numpy as jnp
import klein_files
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from vbanana_jax import cli
from vbanana_jax.config import load_config
from vbanana_jax.errors import UserError
from vbanana_jax.klein import (
  assembly,
  exporter,
  imported,
  importer,
  sources,
  stored,
  vendor,
)
from vbanana_jax.runtime import paths, workdir_lock
from vbanana_jax.training import checkpoint
from vbanana_jax.training.state import TrainState

STATES = ','.join(map(str, klein_files.states()))
TRANSFORMER = 'transformer/diffusion_pytorch_model.safetensors'
PUBLISHED = klein_files.load_json('published_keys')


def silent(total):
  return lambda count: None


def load_files(folder):
  return {
    path.relative_to(folder).as_posix(): path.read_bytes()
    for path in sorted(folder.rglob('*'))
    if path.is_file()
  }


def run(*words):
  return cli.main([str(word) for word in words])


@pytest.fixture(scope='module')
def single_file(tmp_path_factory):
  """The vendor's file with the same weights as the snapshot's."""
  return klein_files.write_single_file(tmp_path_factory.mktemp('vendor'))


@pytest.fixture(scope='module')
def snap(tmp_path_factory):
  """The snapshot, its transformer in one file."""
  folder = tmp_path_factory.mktemp('snap') / 'snapshot'
  shutil.copytree(klein_files.SNAPSHOT, folder)
  if files := sorted((folder / TRANSFORMER).parent.glob('*-of-*')):
    tensors = {}
    for path in files:
      tensors |= safetensors.numpy.load_file(path)
      path.unlink()
    (folder / f'{TRANSFORMER}.index.json').unlink()
    metadata = {'format': 'pt'}
    safetensors.numpy.save_file(tensors, folder / TRANSFORMER, metadata)
  return folder


@pytest.fixture(scope='module')
def whole(tmp_path_factory, snap):
  """An import; tests only read it."""
  out = tmp_path_factory.mktemp('import') / 'klein'
  assert run(
    'import', 'klein', snap, '--states', STATES, '--out', out
  ) == 0  # fmt: skip
  return out


@pytest.fixture
def copy(tmp_path, snap):
  """A snapshot that may be damaged, in a folder of its own."""
  return shutil.copytree(snap, tmp_path / 'place' / 'snapshot')


def test_an_import_says_what_was_proven(whole, snap):
  manifest = imported.load_manifest(whole)
  assert manifest['family'] == 'klein'
  assert manifest['states'] == list(klein_files.states())
  opened = imported.open_import(whole, klein_files.EXACT)
  assert manifest['tokenizer'] == opened.tokenizer.hash
  for name, part in manifest['parts'].items():
    tensors = stored.list_tensors(snap / name, opened.parts[name].stem)
    assert part['tensors'] == len(tensors) == part['used'] + len(part['dead'])
    assert set(part['dead']) < set(tensors)
    used = tensors.keys() - set(part['dead'])
    count = sum(math.prod(tensors[key].shape) for key in used)
    assert part['weights'] == count
  hashes = {name: entry['sha256'] for name, entry in manifest['files'].items()}
  assert imported.verify(whole, lambda count: None) == hashes
  assert set(hashes) == set(load_files(snap))


def test_the_same_contents_have_one_fingerprint(whole, copy, tmp_path):
  """Whenever and wherever they were downloaded."""
  os.utime(copy / TRANSFORMER, (0, 0))
  source = sources.open_source(copy, states=klein_files.states())
  other = importer.import_snapshot(source, tmp_path / 'klein', silent)
  manifest = imported.load_manifest(whole)
  assert other['fingerprint'] == manifest['fingerprint']
  assert other['made_from'] != manifest['made_from']


def test_an_import_is_exported_byte_for_byte(whole, tmp_path, snap):
  out = tmp_path / 'back'
  words = ('export', '--format', 'diffusers', '--workdir', whole, '--out', out)
  assert run(*words) == 0
  assert load_files(out) == load_files(snap)


def test_the_vendors_file_becomes_the_snapshots(single_file, tmp_path, snap):
  out = tmp_path / 'klein'
  words = ('--parts', snap, '--states', STATES, '--out', out)
  assert run('import', 'klein', single_file, *words) == 0
  golden = (snap / TRANSFORMER).read_bytes()
  assert (out / TRANSFORMER).read_bytes() == golden


def test_tensors_in_several_files_stay_in_them(copy, tmp_path):
  whole = copy / TRANSFORMER
  tensors = safetensors.numpy.load_file(whole)
  whole.unlink()
  files = {}
  for number, half in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2])):
    file = f'diffusion_pytorch_model-{number}.safetensors'
    files |= dict.fromkeys(half, file)
    part = {name: tensors[name] for name in half}
    safetensors.numpy.save_file(part, whole.with_name(file))
  index = whole.with_name(f'{whole.name}.index.json')
  index.write_text(json.dumps({'weight_map': files}))
  out, back = tmp_path / 'klein', tmp_path / 'back'
  source = sources.open_source(copy, states=klein_files.states())
  importer.import_snapshot(source, out, silent)
  exporter.export_snapshot(out, back, silent)
  assert load_files(back) == load_files(copy)


def test_tuned_weights_keep_names_shapes_types_and_order(whole, tmp_path, snap):
  opened = imported.open_import(whole, klein_files.EXACT)
  masters = opened.load('transformer', jnp.float32)
  for name, change in (('same', 0.0), ('moved', 0.01)):
    masters['head']['kernel'] = masters['head']['kernel'] + change
    tuned = exporter.Tuned(masters, name)
    exporter.export_snapshot(whole, tmp_path / name, silent, tuned)
  before, same, moved = (
    load_files(folder)
    for folder in (snap, tmp_path / 'same', tmp_path / 'moved')
  )
  assert same == before
  changed = {name for name in before if before[name] != moved[name]}
  assert changed == {TRANSFORMER}
  header = stored.read_header(snap / TRANSFORMER)
  assert moved[TRANSFORMER].startswith(header.data)
  golden, ours = (
    safetensors.numpy.load_file(folder / TRANSFORMER)
    for folder in (snap, tmp_path / 'moved')
  )
  for name, array in golden.items():
    if name == 'proj_out.weight':
      array = (array.astype('f') + np.float32(0.01)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(ours[name], array)


def save_run(workdir, snapshot, params):
  """What a training leaves of its config and its averaged weights."""
  workdir.mkdir()
  config = load_config('quickstart:smoke').to_dict()
  config['model']['snapshot'] = str(snapshot)
  (workdir / 'run.json').write_text(json.dumps({'config': config}))
  params = {'transformer': params}
  state = TrainState(jnp.int32(3), params, params, {})
  with checkpoint.Checkpoints(workdir, keep=1) as checkpoints:
    checkpoints.save(state, {})


def test_a_run_is_exported_with_its_averaged_weights(whole, snap, tmp_path):
  opened = imported.open_import(whole, klein_files.EXACT)
  masters = opened.load('transformer', jnp.float32)
  save_run(tmp_path / 'run', whole, masters)
  words = ('export', '--format', 'diffusers', '--workdir', tmp_path / 'run')
  assert run(*words, '--out', tmp_path / 'back') == 0
  assert load_files(tmp_path / 'back') == load_files(snap)


def test_a_run_of_another_import_is_not_exported(whole, tmp_path, capsys):
  kernel = {'head': {'kernel': jnp.zeros((2, 2))}}
  save_run(tmp_path / 'run', whole, kernel)
  words = ('export', '--format', 'diffusers', '--workdir', tmp_path / 'run')
  assert run(*words, '--out', tmp_path / 'back') == 2
  assert 'is it the import that the run began from' in capsys.readouterr().err
  assert not (tmp_path / 'back').exists()


def test_weights_of_another_network_are_not_exported(whole, tmp_path):
  tuned = exporter.Tuned({'head': {'kernel': np.zeros((2, 2))}}, 'none')
  with pytest.raises(UserError, match='not those of the import'):
    exporter.export_snapshot(whole, tmp_path / 'back', silent, tuned)
  assert not list(tmp_path.iterdir())


def edit_tensors(change):
  def edit(copy):
    path = copy / TRANSFORMER
    tensors = safetensors.numpy.load_file(path)
    change(tensors)
    safetensors.numpy.save_file(tensors, path)

  return edit


def rename(tensors):
  tensors['proj_on.weight'] = tensors.pop('proj_out.weight')


def widen(tensors):
  tensors['proj_out.weight'] = tensors['proj_out.weight'].astype('f')


def quantize(tensors):
  tensors['proj_out.weight'] = tensors['proj_out.weight'].astype('i1')


def cut(tensors):
  tensors['proj_out.weight'] = tensors['proj_out.weight'][:-1].copy()


def spoil(tensors):
  array = tensors['single_transformer_blocks.1.attn.to_out.weight']
  array[-1, -1] = np.nan


def truncate(copy):
  path = copy / TRANSFORMER
  path.write_bytes(path.read_bytes()[:-2])


def point_elsewhere(copy):
  path = copy / 'text_encoder' / 'model.safetensors.index.json'
  index = json.loads(path.read_text())
  places = index['weight_map']
  first, *_, last = sorted(places)
  places[first] = places[last]
  path.write_text(json.dumps(index))


def distill(copy):
  path = copy / 'model_index.json'
  values = json.loads(path.read_text())
  path.write_text(json.dumps({**values, 'is_distilled': True}))


MISTAKES = {
  'missing': (
    edit_tensors(lambda tensors: tensors.pop('proj_out.weight')),
    'transformer lacks proj_out.weight',
  ),
  'extra': (
    edit_tensors(lambda t: t.update({'proj.weight': np.zeros((2, 2), 'f')})),
    'transformer has proj.weight, unknown here',
  ),
  'misshapen': (edit_tensors(cut), 'proj_out.weight is ['),
  'misnamed': (edit_tensors(rename), 'transformer lacks proj_out.weight'),
  'wider type': (
    edit_tensors(widen),
    'proj_out.weight is stored as F32 and the other weights as BF16',
  ),
  'no type': (edit_tensors(quantize), 'proj_out.weight is stored as I8'),
  'not a number': (
    edit_tensors(spoil),
    'single_transformer_blocks.1.attn.to_out.weight holds NaN or infinity',
  ),
  'truncated': (truncate, 'diffusion_pytorch_model.safetensors cannot be read'),
  'wrong index': (point_elsewhere, 'index.json and model-'),
  'distilled': (distill, 'is distilled (model_index.json says is_distilled)'),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(name, copy, capsys):
  change, says = MISTAKES[name]
  change(copy)
  out = copy.parent / 'klein'
  before = load_files(copy.parent)
  words = ('import', 'klein', copy, '--states', STATES, '--out', out)
  assert run(*words) == 2
  (line,) = (
    line
    for line in capsys.readouterr().err.splitlines()
    if line.startswith('vbanana: ')
  )
  assert says in line
  assert str(copy) in line
  assert load_files(copy.parent) == before
  assert [path.name for path in copy.parent.iterdir()] == ['snapshot']


def change_single(path, change):
  tensors = safetensors.numpy.load_file(path)
  change(tensors)
  safetensors.numpy.save_file(tensors, path)


@pytest.mark.parametrize(
  'name, change, says',
  [
    ('one', lambda t: t.pop('txt_in.weight'), 'lacks txt_in.weight'),
    ('one', lambda t: t.update(x=np.zeros(2, 'f')), 'has x, unknown here'),
    (
      'one',
      lambda t: t.update({'txt_in.weight': t['txt_in.weight'].T.copy()}),
      'txt_in.weight is [',
    ),
    ('flux-2-klein-4b', lambda t: None, 'is distilled'),
  ],
)
def test_a_vendors_file_that_does_not_fit(
  single_file, tmp_path, name, change, says, snap
):
  path = shutil.copy(single_file, tmp_path / f'{name}.safetensors')
  change_single(path, change)
  with pytest.raises(UserError, match=says.replace('[', r'\[')):
    sources.open_source(path, snap, klein_files.states())


def test_a_part_of_a_snapshot_is_no_vendors_file(snap):
  path = snap / TRANSFORMER
  with pytest.raises(UserError, match='name the folder with model_index'):
    sources.open_source(path, snap, klein_files.states())


@pytest.mark.parametrize('family', ['klein_4b', 'klein_9b'])
def test_every_row_of_the_vendors_file_is_read_once(family):
  tensors = PUBLISHED[f'{family}/transformer']['tensors']
  shapes = {name: tuple(shape) for name, shape in tensors.items()}
  pieces = vendor.list_pieces(shapes)
  assert pieces.keys() == shapes.keys()
  taken = {}
  for name, parts in pieces.items():
    assert sum(part.stop - part.start for part in parts) == shapes[name][0]
    for part in parts:
      taken.setdefault(part.name, []).append((part.start, part.stop))
  for spans in taken.values():
    ends = [0, *(stop for _, stop in sorted(spans))]
    assert [start for start, _ in sorted(spans)] == ends[:-1]


def test_an_interrupted_import_goes_on(tmp_path, monkeypatch, snap):
  out = tmp_path / 'klein'
  source = sources.open_source(snap, states=klein_files.states())
  monkeypatch.setattr(assembly, 'PIECE_BYTES', 1 << 14)
  read, asked = assembly._read, []

  def read_some(target, piece):
    asked.append(target.name)
    if len(asked) == 30:
      raise KeyboardInterrupt
    return read(target, piece)

  monkeypatch.setattr(assembly, '_read', read_some)
  with pytest.raises(KeyboardInterrupt):
    importer.import_snapshot(source, out, silent)
  assert not out.exists()
  assert all(path.name.startswith('.klein.') for path in tmp_path.iterdir())
  first, told = list(asked), []
  importer.import_snapshot(source, out, lambda total: told.append)
  total = sum(len(data) for data in load_files(snap).values())
  assert sum(told) == total
  again = asked[len(first) :]
  # The piece that was not written, and nothing before it.
  assert again[0] == first[-1] and not set(first[:-1]) & set(again[1:]) - {
    first[-1]
  }
  pieces = sum(len(target.pieces) for target in sources.plan(source))
  assert len(asked) == pieces + 1
  imported.verify(out, lambda count: None)
  assert [path.name for path in tmp_path.iterdir()] == ['klein']


def test_a_disk_without_room_is_named(tmp_path, monkeypatch, capsys, snap):
  monkeypatch.setattr(paths, 'get_free_bytes', lambda folder: 1000)
  words = ('--states', STATES, '--out', tmp_path / 'klein')
  assert run('import', 'klein', snap, *words) == 4
  assert '0.0 GB free and' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


def test_two_do_not_make_one_import(tmp_path, capsys, snap):
  out = tmp_path / 'klein'
  with workdir_lock.hold_out(out):
    words = ('--states', STATES, '--out', out)
    assert run('import', 'klein', snap, *words) == 2
  assert 'is being made by another process' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing(tmp_path, monkeypatch, snap):
  source = sources.open_source(snap, states=klein_files.states())

  def fail(target, piece):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(assembly, '_read', fail)
  with pytest.raises(OSError, match='No space'):
    importer.import_snapshot(source, tmp_path / 'klein', silent)
  assert not list(tmp_path.iterdir())


def test_what_is_there_stays(whole, copy, tmp_path, capsys, snap):
  before = load_files(whole)
  words = ('--states', STATES, '--out', whole)
  assert run('import', 'klein', snap, *words) == 0
  os.utime(copy / TRANSFORMER, (0, 0))
  assert run('import', 'klein', copy, *words) == 2
  assert 'holds something else already' in capsys.readouterr().err
  assert load_files(whole) == before


def test_a_changed_import_is_refused(whole, tmp_path):
  other = shutil.copytree(whole, tmp_path / 'other')
  path = other / TRANSFORMER
  data = bytearray(path.read_bytes())
  data[-1] ^= 1
  path.write_bytes(data)
  imported.open_import(other, klein_files.EXACT)  # sizes alone
  with pytest.raises(UserError, match='has other bytes than were imported'):
    imported.verify(other, lambda count: None)
  with pytest.raises(UserError, match='has other bytes than were imported'):
    exporter.export_snapshot(other, tmp_path / 'back', silent)
  assert [each.name for each in tmp_path.iterdir()] == ['other']
  path.write_bytes(data[:-1])
  with pytest.raises(UserError, match=f'has {len(data) - 1} bytes'):
    imported.open_import(other, klein_files.EXACT)
  with pytest.raises(UserError, match='is no import'):
    imported.open_import(tmp_path, klein_files.EXACT)
