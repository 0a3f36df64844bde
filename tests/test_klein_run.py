"""A tiny FLUX.2 klein is trained, stopped, resumed, scored and asked."""

import json
import re
import signal

import jax
import klein_files
import numpy as np
import pytest
from PIL import Image
from test_resume import (
  assert_close_run,
  assert_same_run,
  load_losses,
  load_state,
)
from trainings import STEPS

from vbanana_jax import cli, families
from vbanana_jax.config import load_config
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import retention
from vbanana_jax.klein import adapter_files
from vbanana_jax.models import numerics
from vbanana_jax.training import checkpoint, weights

pytestmark = pytest.mark.usefixtures('quick_compilation')
SPLIT = ('--config.mesh.replica=2', '--config.mesh.fsdp=4')
WHOLE = ('--config.mesh.replica=-1', '--config.mesh.fsdp=1')
LORA = {'rank': 4, 'alpha': 4.0, 'targets': 'attention', 'path': ''}
TEXT = 256  # tokens; the tiny vocabulary needs many
KEPT = '--config.eval.retention.prompts=a red box; a blue room'


@pytest.fixture(scope='module')
def snapshot(tmp_path_factory):
  return klein_files.make_import(tmp_path_factory.mktemp('import') / 'klein')


@pytest.fixture(scope='module')
def base(snapshot):
  """Arguments of a training."""
  return (
    '--config=klein_full:smoke',
    f'--config.model.snapshot={snapshot}',
    f'--config.model.max_text={TEXT}',
    f'--config.data.text_length={TEXT}',
    '--config.sources.scenes.level=quick',
    f'--config.length={STEPS} steps',
    '--config.save_every=4 steps',
    '--config.log_every=1 steps',
    '--config.optim.adam_learning_rate=0.001',
    '--config.eval.constant_scenes=8',
    '--config.eval.limit=8',
    '--config.eval.vision_steps=0',
    '--config.eval.sampled_limit=0',
  )


@pytest.fixture(scope='module')
def train(trainings, base):
  """Trains in a workdir; returns the exit code and stderr."""

  def run(workdir, *args, fault='', **options):
    fault = f'multiply_in_float32;{fault}'
    return trainings.run(workdir, *args, base=base, fault=fault, **options)

  return run


@pytest.fixture(scope='module')
def run(train, tmp_path_factory):
  """A workdir trained without interruption; tests only read it."""
  workdir = tmp_path_factory.mktemp('klein')
  code, error = train(workdir, KEPT, *SPLIT)
  assert code == 0, error
  return workdir


def load_small_config(folder, **model):
  config = load_config('klein_full:smoke').to_dict()
  config['model'] |= {'snapshot': str(folder)} | model
  return config


def test_the_loss_falls_and_only_the_transformer_is_stored(run):
  losses = [row['loss'] for row in load_losses(run).values()]
  assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])
  with checkpoint.Checkpoints(run) as checkpoints:
    stored = {name.partition('/')[0] for name in checkpoints.load_shapes()}
    assert stored == {'transformer'}
    assert set(checkpoints.load_manifest()) == {'tokenizer', 'snapshot'}


def test_the_snapshot_paints_before_and_the_run_after(run):
  kept = retention.load_kept(run)
  assert int(kept.step) == STEPS and kept.loss_after != kept.loss
  assert 0 < retention.find_distance(kept) < 0.5


def test_a_killed_run_goes_on_to_the_same_bits(train, run, tmp_path):
  fault = f'die_in_step 6 {tmp_path}/checkpoints/4'
  code, error = train(tmp_path, *SPLIT, fault=fault)
  assert code == -signal.SIGKILL, error
  code, error = train(tmp_path, *SPLIT)
  assert code == 0, error
  assert_same_run(run, tmp_path)


def test_one_device_trains_like_eight(train, run, tmp_path):
  code, error = train(tmp_path, *WHOLE, devices=1)
  assert code == 0, error
  assert_close_run(run, tmp_path)


def test_an_adapter_is_trained_stopped_and_shared_alone(train, tmp_path):
  small = ('--config.model.lora.rank=3', '--config.model.lora.targets=blocks')
  whole, split = tmp_path / 'whole', tmp_path / 'split'
  code, error = train(whole, *small, *WHOLE, devices=1)
  assert code == 0, error
  losses = [row['loss'] for row in load_losses(whole).values()]
  assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])
  with checkpoint.Checkpoints(whole) as checkpoints:
    stored = {name.partition('/')[0] for name in checkpoints.load_shapes()}
    assert stored == {'lora'}
  code, _ = train(split, *small, *SPLIT, fault='get_signal SIGTERM 5')
  assert code == 75
  code, error = train(split, *small, *SPLIT)
  assert code == 0, error
  assert_close_run(split, whole)

  # What others load is the average, alpha 16 over rank 3.
  part = klein_files.open_snapshot().parts['transformer']
  wanted = load_state(split).ema_params['lora']
  for layout in ('peft', 'diffusers'):
    args = ['export', '--format', layout, '--workdir', str(split)]
    assert cli.main([*args, '--out', str(tmp_path / layout)]) == 0
    found = adapter_files.read(
      tmp_path / layout, part.rows, part.make_abstract()
    )
    assert found.scale == 16 / 3
    jax.tree.map(
      np.testing.assert_array_equal, dict(found.factors), dict(wanted)
    )
    assert cli.main([*args, '--out', str(tmp_path / layout)]) == 2


def test_the_trained_network_is_scored_and_asked(run, tmp_path, capsys):
  workdir = str(run)
  args = ['evaluate', '--workdir', workdir, '--tasks', 'depth']
  assert cli.main(args) == 0
  assert re.search(r'^depth +delta1 +0\.\d', capsys.readouterr().out, re.M)
  Image.fromarray(np.full((50, 70, 3), 90, np.uint8)).save(tmp_path / 'a.png')
  out = tmp_path / 'answers'
  args = ['predict', str(tmp_path / 'a.png'), '--task', 'depth']
  assert cli.main([*args, '--workdir', workdir, '--out', str(out)]) == 0
  args = ['predict', '--prompt', 'a red box', '--steps', '2', '--guidance=2']
  assert cli.main([*args, '--workdir', workdir, '--out', str(out)]) == 0
  written = {path.suffix for path in out.rglob('*')}
  assert {'.png', '.npy'} <= written, sorted(out.rglob('*'))


def test_another_snapshot_than_that_of_the_training_is_refused(
  run, monkeypatch
):
  family = families.FAMILIES['klein']
  describe = type(family).describe
  monkeypatch.setattr(
    type(family),
    'describe',
    lambda self, model: {**describe(self, model), 'snapshot': 'other'},
  )
  with pytest.raises(UserError, match=r'another snapshot .*model\.snapshot'):
    weights.load_run(run)


@pytest.mark.parametrize(
  'change, message',
  [
    ({'snapshot': ''}, r'model\.snapshot is empty: .*import klein'),
    ({'snapshot': 'gone'}, 'gone is no import'),
    ({'max_text': 3}, r'max_text is 3: the form .* alone has'),
    ({'remat': 'some'}, r"model\.remat is 'some': choose of none"),
    ({'lora': {**LORA, 'targets': 'all'}}, "targets is 'all': choose of"),
    (
      {'family': 'pixels', 'lora': LORA},
      'rank is 4: only the family klein has adapters',
    ),
    ({'family': 'gan'}, r"model\.family is 'gan': choose of pixels, klein"),
  ],
)
def test_mistakes_in_the_model_are_named(snapshot, change, message):
  config = load_small_config(snapshot, **change)
  with pytest.raises(UserError, match=message):
    weights.build_network(config)
  if 'snapshot' in change:
    with pytest.raises(UserError, match=message):
      families.load_tokenizer(config)


def test_a_run_without_an_adapter_has_none_to_write(run, tmp_path, capsys):
  args = ['export', '--format', 'peft', '--workdir', str(run)]
  assert cli.main([*args, '--out', str(tmp_path / 'out')]) == 2
  assert 'has no adapter' in capsys.readouterr().err


def test_a_training_begins_with_an_adapter(snapshot):
  folder = klein_files.FOLDER / 'lora' / 'peft'
  fitting = {**LORA, 'rank': 3, 'alpha': 6.0, 'path': str(folder)}

  def load(**section):
    model = load_small_config(snapshot, lora={**fitting, **section})['model']
    return families.FAMILIES['klein'].load_parts(model, {'lora': None}, 0)

  part = klein_files.open_snapshot().parts['transformer']
  golden = adapter_files.read(folder, part.rows, part.make_abstract())
  jax.tree.map(
    np.testing.assert_array_equal, load()['lora'], dict(golden.factors)
  )
  for section, message in (
    ({'rank': 4}, 'with rank 3, and .* with rank 4'),
    ({'targets': 'blocks'}, 'changes 6 kinds of matrices'),
    ({'alpha': 3.0}, r'set config.model.lora.alpha=6'),
    ({'path': 'gone'}, 'gone has neither'),
  ):
    with pytest.raises(UserError, match=message):
      load(**section)


def test_pictures_that_do_not_divide_into_tokens_are_named(snapshot):
  config = load_small_config(snapshot) | {'image_size': 40}
  with pytest.raises(UserError, match=r'40, which does not divide .* of 16'):
    weights.build_network(config)


def test_instructions_have_no_token_0_and_keep_their_form(snapshot):
  config = load_small_config(snapshot)
  tokenizer = families.load_tokenizer(config)
  prompts = klein_files.open_snapshot().tokenizer
  ids = tokenizer.encode('a red box', TEXT)
  count = tokenizer.count('a red box')
  assert (ids[:count] > 0).all() and not ids[count:].any()
  np.testing.assert_array_equal(
    ids[:count] - 1, prompts.encode('a red box', TEXT)[:count]
  )
  manifest = weights.make_manifest(config)
  assert manifest['tokenizer'] == prompts.hash
  assert json.loads((snapshot / 'import.json').read_text())['fingerprint'] in (
    manifest.values()
  )


@pytest.fixture
def fill(base, monkeypatch, capsys):
  """Fills a cache as the trainings multiply; returns what is printed."""
  monkeypatch.setattr(numerics, '_cpu_has_bf16', lambda: False)

  def run(folder, *args):
    more = (*SPLIT, f'--config.model.text_cache={folder}', *args)
    assert cli.main(['cache', *base, *more]) == 0
    return capsys.readouterr().out

  return run


def test_a_training_from_text_states_made_ahead_is_the_same(
  train, run, fill, tmp_path
):
  folder, workdir = tmp_path / 'caches' / 'text', tmp_path / 'run'
  cached = (*SPLIT, f'--config.model.text_cache={folder}')
  code, error = train(workdir, *cached)
  assert code == 2
  assert re.search(
    r'text lacks text states of the examples from 0 on: .*vbanana cache .*'
    r'--examples 0:96',
    error,
  )
  # A part of them, and the training up to there.
  assert '64 examples' in fill(folder, '--examples=0:64')
  code, error = train(workdir, *cached)
  assert code == 2
  assert 'saved at step 8 of 12' in error and 'once vbanana cache has' in error
  # All of them: those that are there are not made again.
  times = {path: path.stat().st_mtime_ns for path in folder.glob('??/*')}
  fill(folder)
  assert all(path.stat().st_mtime_ns == time for path, time in times.items())
  assert f'{folder}: 0 of ' in fill(folder)
  code, error = train(workdir, *cached)
  assert code == 0, error
  # The same states in programs of another shape: their last bits differ.
  assert_close_run(run, workdir, tolerance=1e-5)
  # Who is asked later has its text encoder.
  assert 'text_encoder' in weights.load_run(workdir).params
