"""Pieces for an accelerator: their order and end, and what a CPU can run."""

import importlib
import json
import os
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perf import (
  accelerator,
  accelerator_steps,
  accelerator_training,
  timing,
  train_step,
  workload,
)
from vbanana_jax import keys, models
from vbanana_jax.diffusion import paths
from vbanana_jax.training import weights
from vbanana_jax.training.step import make_sample_fn


def test_pieces_for_an_accelerator_know_how_far_they_are(tmp_path):
  assert {'ceiling', 'step_1024', 'tune', 'tests'} <= set(
    accelerator.list_pieces()
  )
  for content, state in (({}, 'done'), ({'unfinished': 1}, 'unfinished')):
    (tmp_path / 'tune.json').write_text(json.dumps(content))
    assert accelerator.read_state(tmp_path, 'tune') == state
  assert accelerator.read_state(tmp_path, 'rate') == 'to do'


def test_a_piece_waits_for_what_it_needs(tmp_path, monkeypatch):
  def run(name, folder, **how):
    ran.append(name)
    content = {'unfinished': 1} if name == 'tests' else {}
    if name != 'pretrain':
      (folder / f'{name}.json').write_text(json.dumps(content))
    return int(name == 'pretrain')

  ran = []
  monkeypatch.setattr(accelerator, 'run_apart', run)
  failed = accelerator.run_all(tmp_path, tiny=True, minutes=1, all_minutes=60)
  assert failed == ['pretrain', 'tests']  # the second is never finished
  assert 'rate' in ran and not {'tune', 'scores'} & set(ran)
  assert ran.count('tests') > 1


def test_nothing_outlives_a_piece(tmp_path):
  path = tmp_path / 'pid'
  script = f'sleep 60 & echo $! >{path}; wait'
  assert accelerator.run_group(['bash', '-c', script], 0.5) == 'too slow'
  for _ in range(50):
    if not is_running(int(path.read_text())):
      break
    time.sleep(0.1)
  else:
    pytest.fail('it runs still')
  assert accelerator.run_group(['bash', '-c', 'exit 3'], 20) == 3


def is_running(pid):
  """Whether a process is there and is no zombie that nobody buries."""
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  status = pathlib.Path(f'/proc/{pid}/stat')
  return not status.exists() or status.read_text().split()[2] != 'Z'


def test_a_rate_is_that_after_the_first_steps():
  rows = [
    {'step': 10, 'seconds': 30.0, 'waited': 29.0},
    {'step': 40, 'seconds': 40.0, 'waited': 30.0},
    {'step': 80, 'seconds': 60.0, 'waited': 35.0},
  ]
  assert accelerator_training.find_rate(rows, 8, 40) == (16.0, 0.25)


def test_what_only_a_twin_cannot_do_is_left_out():
  def fail(text):
    raise RuntimeError(text)

  pytest.importorskip('torch')
  calls = {
    'ours': lambda: 1,
    'torch eager': lambda: fail('CUDA out of memory. Tried to allocate'),
    'torch compiled': lambda: fail('no compiler\nmore'),
  }
  twins = {'torch eager', 'torch compiled'}
  first, left_out = train_step.call_first(calls, twins)
  assert set(first) == set(calls) == {'ours'}
  assert left_out['torch compiled'] == 'no compiler'
  for name, text in (('torch eager', 'wrong shape'), ('ours', 'out of memory')):
    with pytest.raises(RuntimeError, match=text):
      train_step.call_first({name: lambda text=text: fail(text)}, twins)


@pytest.fixture
def room(tmp_path):
  return accelerator_steps.Room(tmp_path, True, time.monotonic() + 60)


def test_attention_without_a_gpu_is_left_out(room):
  found = accelerator_steps.measure_attention(room)
  assert 'cuDNN is not detected' in found['left_out']


@pytest.mark.parametrize('fault', [None, 'no kernel', 'wrong'])
def test_attention_is_asked_for_what_cudnn_can_do(room, monkeypatch, fault):
  attend = jax.nn.dot_product_attention

  def stand_in(q, k, v, *, mask, implementation):
    if implementation == 'cudnn':
      assert mask.shape == (*q.shape[::2], q.shape[1], k.shape[1])
      assert not k.shape[1] % 2
      if fault == 'no kernel':
        raise RuntimeError(fault)
      v = v + 1 if fault == 'wrong' else v
    return attend(q, k, v, mask=mask)

  monkeypatch.setattr(jax.nn, 'dot_product_attention', stand_in)
  if fault:
    error = RuntimeError if fault == 'no kernel' else ValueError
    with pytest.raises(error, match=r'no kernel|something else'):
      accelerator_steps.measure_attention(room)
    return
  found = accelerator_steps.measure_attention(room)
  assert found['ratios']['ours over cudnn']['median'] > 0
  assert found['shapes']['kv'][1] % 2  # or nothing was padded


def test_sampling_is_timed_without_pytorch(
  room, monkeypatch, quick_compilation
):
  monkeypatch.setattr(
    accelerator_steps.importlib.util, 'find_spec', lambda name: None
  )
  found = accelerator_steps.measure_sampling(room)
  assert set(found['pictures_per_s']) == {'ours, 0 steps', 'ours, 2 steps'}
  assert found['left_out'] == {'torch': 'PyTorch is not installed'}
  assert list(found['ratios']) == ['ours, 2 steps over one pass']


@pytest.fixture
def twin(room):
  """Config, our network, weights, a batch, and the twin of it."""
  pytest.importorskip('torch')
  from perf import torch_twin

  config = accelerator_steps.make_config(room, 768, 2)
  model = weights.build_network(config).clone(precision=models.Precision())
  params = workload.make_random_params(model, config)
  batch = workload.make_batch(config)
  return config, model, params, batch, torch_twin.build(model.config, params)


def test_the_twin_has_our_loss_and_gradient(twin, quick_compilation):
  from perf.torch_twin import equality

  config, _, params, batch, network = twin
  found = equality.check(network, config, params, batch, train_step.make_passes)
  assert found['loss'] > 0 and len(found) == 6

  def repeat(share):
    """Passes that give what was found, and as they are timed so much of it."""

    def make_passes(model, config):
      near = 1.0 if model.precision == models.Precision() else share
      values = near * found['loss'], {'all': near * found['gradient_norm']}
      return lambda params, batch: values

    return make_passes

  assert equality.check(network, config, params, batch, repeat(1.01))
  with pytest.raises(ValueError, match='something else'):
    equality.check(network, config, params, batch, repeat(1.03))
  network.blocks[0].attention.q_norm.weight.data *= 1.5
  with pytest.raises(ValueError, match='something else'):
    equality.check(network, config, params, batch, repeat(1.0))


@pytest.mark.parametrize('steps', [0, 3])
def test_the_twin_paints_our_picture(twin, quick_compilation, steps):
  from perf.torch_twin import sampling, training

  _, model, params, batch, network = twin
  cloud = keys.make_example_keys(keys.make_key(0, 'sample'), batch['index'])
  noise = paths.make_noise(cloud, batch['source'].shape[1:], jnp.ones(2))
  painter = sampling.Painter(
    network, training.to_torch(batch), autocast=False, compiled=False
  )
  theirs = painter.paint(steps, training.to_torch(noise)).numpy()
  ours = jax.jit(make_sample_fn(model, seed=0, steps=steps))(params, batch)
  assert np.ptp(theirs) > 0.5
  np.testing.assert_allclose(theirs, ours, atol=1e-3)


@pytest.mark.parametrize('words, place', [([], 'whole'), (['--tiny'], 'other')])
def test_only_a_whole_run_replaces_published_numbers(
  words, place, monkeypatch, tmp_path
):
  monkeypatch.setattr(timing, 'RESULTS', tmp_path / 'whole')
  monkeypatch.setattr(timing, 'OTHER_RESULTS', tmp_path / 'other')
  monkeypatch.setattr(sys, 'argv', ['benchmark', *words])
  path = timing.save('x', {'ratios': {}})
  assert path == tmp_path / place / 'x.json' and path.exists()


@pytest.mark.parametrize(
  'name, words, needed',
  [
    ('sparse_depth', ['--data=no.zip', '--checkpoint=no'], 'no zip there'),
    ('retention', ['--runs=no'], 'train it first'),
    ('published_outputs', ['--data=no'], 'no prompts.json there'),
  ],
)
def test_a_benchmark_names_what_it_needs(
  name, words, needed, monkeypatch, capsys
):
  monkeypatch.setattr(sys, 'argv', [name, *words])
  with pytest.raises(SystemExit) as ended:
    importlib.import_module(f'perf.{name}').main()
  assert ended.value.code == 2
  assert needed in capsys.readouterr().err
