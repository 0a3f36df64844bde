"""Measurements: their clock, options, files and tables; what each computes."""

import itertools
import json
import os
import pathlib
import runpy
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perf import (
  __main__ as runner,
)
from perf import (
  accelerator,
  attention,
  ceiling,
  check_docs,
  checkpoints,
  data_pipeline,
  levers,
  mfu,
  pictures,
  run,
  sampler,
  start_up,
  tables,
  timing,
  train_step,
  workload,
)
from vbanana_jax import keys, models
from vbanana_jax.config import load_config
from vbanana_jax.diffusion import paths
from vbanana_jax.errors import UserError
from vbanana_jax.training import weights
from vbanana_jax.training.step import make_sample_fn

SPREAD = {'median': 1.5, 'min': 1.25, 'max': 1.75}


@pytest.fixture
def clock(monkeypatch):
  """A clock that stands still but where a test moves it."""
  now = [0.0]
  monkeypatch.setattr(timing.time, 'perf_counter', lambda: now[0])
  return now


def test_rivals_take_turns_and_go_backwards_every_other_round():
  order = []
  functions = {name: lambda name=name: order.append(name) for name in 'ab'}
  times = timing.interleave(functions, 3, warm_up=1)
  assert ''.join(order) == 'baabbaab'
  assert {name: len(both['wall']) for name, both in times.items()} == {
    'a': 3,
    'b': 3,
  }


def test_several_calls_in_a_row_follow_one_that_does_not_count(clock):
  took = itertools.chain([50.0], itertools.repeat(2.0))

  def call():
    clock[0] += next(took)

  times = timing.interleave({'a': call}, 1, warm_up=0, in_a_row=3)
  assert times['a']['wall'] == [2.0] and clock[0] == 56.0


def test_no_round_begins_when_the_time_is_over(clock, capsys):
  def call():
    clock[0] += 10.0

  times = timing.interleave({'a': call}, 9, most_s=25)
  assert times['a']['wall'] == [10.0, 10.0]  # and one that warms up
  assert '2 of 9 rounds' in capsys.readouterr().err
  assert len(timing.interleave({'a': call}, 9, most_s=0)['a']['wall']) == 1


def test_ratios_are_taken_within_a_round():
  # The second round was three times slower for everybody.
  times = {
    'ours': {'wall': [1.0, 3.0, 1.0], 'cpu': [2.0, 2.0, 2.0]},
    'theirs': {'wall': [2.0, 6.0, 2.5], 'cpu': [1.0, 1.0, 1.0]},
  }
  found = timing.compare(times, 'theirs', 'ours')
  assert found == {'median': 2.0, 'min': 2.0, 'max': 2.5}
  assert timing.compare(times, 'theirs', 'ours', 'cpu')['median'] == 0.5
  wall = timing.summarize_times(times)['theirs']['wall_ms']
  assert wall == {'median': 2500.0, 'min': 2000.0, 'max': 6000.0}


def measure(
  folder: pathlib.Path,
  sizes: tuple[int, ...] = (1, 2),
  name: str | None = None,
  deep: bool = True,
):
  """Stands for a measurement."""
  if name == 'wrong':
    raise UserError('choose another name')
  rows = {str(folder): {'largest': max(sizes), 'found_share': 0.25 * deep}}
  return {'tables': {'rows': rows}, 'name': name}


@pytest.fixture
def folders(monkeypatch, tmp_path):
  monkeypatch.setattr(run, 'RESULTS', tmp_path / 'whole')
  monkeypatch.setattr(run, 'OTHER_RESULTS', tmp_path / 'other')
  monkeypatch.setattr(run.cli, 'use_compilation_cache', lambda: None)
  return tmp_path


def start(monkeypatch, *words):
  monkeypatch.setattr(sys, 'argv', ['x', *words])
  run.run_main(measure, quick={'sizes': (7,)})


def test_options_are_the_arguments_of_the_function(
  folders, monkeypatch, capsys
):
  words = '--folder=a --sizes 3 4 --no-deep --name n'.split()
  start(monkeypatch, *words)
  assert '| a | 4 | 0 % |' in capsys.readouterr().out
  saved = json.loads((folders / 'other' / 'test_perf.json').read_text())
  assert list(saved)[:2] == ['command', 'tables'] and saved['name'] == 'n'
  assert saved['command'] == 'python -m perf.test_perf ' + ' '.join(words)
  machine = saved['machine']
  assert {'device', 'usable_cores', 'load_average', 'jax'} <= set(machine)
  assert 'commit' in saved['git']
  start(
    monkeypatch, '--folder=a', '--quick', '--output', str(folders / 'b.json')
  )
  saved = json.loads((folders / 'b.json').read_text())
  assert saved['tables']['rows']['a'] == {'largest': 7, 'found_share': 0.25}
  assert saved['command'].endswith('--folder=a --quick')
  with pytest.raises(SystemExit, match=r'perf\.test_perf: choose another'):
    start(monkeypatch, '--folder=a', '--name=wrong')
  with pytest.raises(SystemExit):
    start(monkeypatch)
  assert '--folder' in capsys.readouterr().err


@pytest.mark.parametrize(
  'words, place', [([], 'whole'), (['--quick'], 'other')]
)
def test_only_a_whole_run_replaces_published_numbers(
  words, place, monkeypatch, folders
):
  monkeypatch.setattr(sys, 'argv', ['x', *words])
  path = run.save('x', {'tables': {}})
  assert path == folders / place / 'x.json' and path.exists()


def test_a_table_shows_what_rows_have():
  text = tables.make_table(
    {
      'a': {'step_ms': SPREAD, 'done_share': 0.004, 'of': 12345},
      'b': {'of': None, 'kind': 'new'},
    }
  )
  assert text.splitlines() == [
    '|  | step ms | done share | of | kind |',
    '| --- | --- | --- | --- | --- |',
    '| a | 1.5 (1.25 to 1.75) | 0.4 % | 12,345 |  |',
    '| b |  |  | - | new |',
  ]
  result = {'tables': {'one': {}, 'wrong_share': {'a': {'b': 0.5}}}}
  assert '| a | 50 % |' in tables.make_tables(result, ['wrong_share'])


def test_documents_are_checked_and_written(folders, monkeypatch):
  monkeypatch.setattr(sys, 'argv', ['x'])
  monkeypatch.setenv('GLIBC_TUNABLES', 'a=1')
  monkeypatch.delenv('XLA_FLAGS', raising=False)
  run.save('ceiling', {'tables': {'rows': {'a': {'b': SPREAD}}, 'more': {}}})
  run.save('unnamed', {'tables': {}})
  page = folders / 'page.md'
  page.write_text(
    'before\n<!-- table ceiling rows -->\n<!-- end -->\nafter '
    '`perf/results/gone.json`, `python -m perf.nothing`\n'
  )
  found = '\n'.join(check_docs.check([page], write=False))
  for wrong in (
    'perf/nothing.py',
    '+| a | 1.5',
    'gone.json is named',
    'unnamed',
  ):
    assert wrong in found
  check_docs.check([page], write=True)
  text = page.read_text()
  assert '| a | 1.5 (1.25 to 1.75) |' in text and text.startswith('before\n')
  assert '`GLIBC_TUNABLES=a=1 python -m perf.ceiling`; ' in text
  left = check_docs.check([page], write=False)
  assert len(left) == 3 and not any(line.startswith('+') for line in left)


def test_every_measurement_is_found(capsys, monkeypatch):
  found = runner.find_measurements()
  assert {'train_step', 'ceiling', 'scenes', 'codecs'} <= set(found)
  assert not {'timing', 'workload', 'accelerator', 'run'} & set(found)
  assert found['published_outputs'][1] == ['data']
  assert all(about.endswith(('.', '?')) for about, _ in found.values())
  measured = {words.split()[0] for words in accelerator.PIECES.values()}
  assert measured <= set(found)


@pytest.mark.parametrize('name', ['__main__', 'train_step', 'accelerator'])
def test_help(name, monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', [name, '--help'])
  monkeypatch.delitem(sys.modules, f'perf.{name}', raising=False)
  with pytest.raises(SystemExit) as stop:
    runpy.run_module(f'perf.{name}', run_name='__main__')
  assert stop.value.code == 0
  assert '--quick' in capsys.readouterr().out


def test_a_failure_is_a_line_and_the_rest_goes_on(monkeypatch):
  ran = []

  def run_apart(words, minutes):
    ran.append(words)
    return 'exit code 1' if 'perf.ceiling' in words else ''

  monkeypatch.setattr(runner, 'run_apart', run_apart)
  monkeypatch.setattr(runner.signal, 'signal', lambda *_: None)
  monkeypatch.setattr(sys, 'argv', ['x', 'ceiling', 'scenes', '--quick'])
  with pytest.raises(SystemExit, match='failed: ceiling: exit code 1'):
    runner.main()
  assert ran == [
    ['-m', f'perf.{name}', '--quick'] for name in ('ceiling', 'scenes')
  ]


def test_nothing_outlives_a_measurement(tmp_path):
  path = tmp_path / 'pid'
  program = f"""
import subprocess
process = subprocess.Popen(['sleep', '60'])
open({str(path)!r}, 'w').write(str(process.pid))
process.wait()
"""
  assert runner.run_apart(['-c', 'import sys; sys.exit(3)'], 1) == 'exit code 3'
  assert 'stopped' in runner.run_apart(['-c', program], 0.05)
  for _ in range(100):
    if not is_running(int(path.read_text())):
      break
    time.sleep(0.1)
  else:
    pytest.fail('it runs still')


def is_running(pid):
  """Whether a process is there and is no zombie that nobody buries."""
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  status = pathlib.Path(f'/proc/{pid}/stat')
  return not status.exists() or status.read_text().split()[2] != 'Z'


def test_pieces_for_an_accelerator_are_run_until_they_are_done(tmp_path):
  (tmp_path / 'ceiling.json').write_text('{}')
  commands = accelerator.build_commands(
    ['ceiling', 'mfu_768'], tmp_path, quick=False
  )
  assert commands == {
    'mfu_768': [
      '-m', 'perf.mfu', '--width', '768', '--output',
      str(tmp_path / 'mfu_768.json'),
    ]
  }  # fmt: skip
  for name, words in accelerator.PIECES.items():
    module, *options = words.split()
    module = sys.modules.get(f'perf.{module}') or __import__(
      f'perf.{module}', fromlist=['measure']
    )
    parser = run.make_parser(module.measure, '', with_quick=True)
    assert parser.parse_args(options), name


def test_without_pytorch_one_line_says_what_to_install(monkeypatch):
  monkeypatch.setattr(run.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(UserError, match=r'pip install .*\[perf\]'):
    train_step.measure()


def test_ceiling_is_that_of_the_best_shape():
  products = {
    'jax float32 2x2x2': ceiling.Product(lambda: None, 1e9),
    'jax float32 4x4x4': ceiling.Product(lambda: None, 8e9),
  }
  times = {
    'jax float32 2x2x2': {'wall': [0.5, 0.5], 'cpu': [1, 1]},
    'jax float32 4x4x4': {'wall': [1.0, 2.0], 'cpu': [1, 1]},
    'a step': {'wall': [9.0, 9.0], 'cpu': [1, 1]},
  }
  found = ceiling.find_ceilings(products, times)['jax float32']
  assert found['best_shape'] == '4x4x4'
  rate = found['gflops_per_s']
  assert (rate['min'], rate['max']) == (4.0, 8.0)


def test_products_are_repeated_until_there_is_enough_to_time(
  monkeypatch, set_processor
):
  set_processor('amx_bf16')
  built = ceiling.build_products(((8, 8, 8),), 4 * 2 * 8**3)
  product = built['jax bfloat16 8x8x8']
  assert product.flops == 4 * 2 * 8**3
  waited = []
  monkeypatch.setattr(jax, 'block_until_ready', waited.append)
  last = product.call()
  assert last.dtype.name == 'float32'
  # All but the last, which who asked waits for.
  assert len(waited) == 3 and all(one is not last for one in waited)


def test_what_a_processor_would_emulate_is_left_out(processor, monkeypatch):
  emulated = processor == 'avx2'
  types = ['float32'] if emulated else ['float32', 'bfloat16']

  def build_rivals(config, compiled):
    twins = {'torch eager float32': lambda: 1}
    if not emulated:
      twins['torch eager bfloat16'] = lambda: 1
    return lambda: 1, lambda: 1, {}, twins

  monkeypatch.setattr(train_step, 'build_rivals', build_rivals)
  monkeypatch.setattr(ceiling, 'CPU_SHAPES', ((8, 8, 8),))
  monkeypatch.setattr(train_step, '_CEILING_FLOPS', 1e3)
  config = workload.make_config(32, batch_size=2, image_size=16)
  found = train_step.measure_width(config, 2, compiled=False)
  jax_ceilings = {n for n in found['ceilings'] if n.startswith('jax')}
  assert jax_ceilings == {f'jax {name}' for name in types}
  assert found['rounds'] == 2
  shares = {n for n, row in found['passes'].items() if 'ceiling_share' in row}
  assert shares == {'ours', *(f'torch eager {name}' for name in types)}
  assert found['passes']['ours']['time_over_ours']['median'] == 1
  assert set(found['left_out'].values()) == (
    {ceiling.EMULATED} if emulated else set()
  )


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
  left_out = train_step.call_first(calls, twins)
  assert set(calls) == {'ours'}
  assert left_out['torch compiled'] == 'no compiler'
  for name, text in (('torch eager', 'wrong shape'), ('ours', 'out of memory')):
    with pytest.raises(RuntimeError, match=text):
      train_step.call_first({name: lambda text=text: fail(text)}, twins)


def test_random_weights_and_batches_fit_the_network():
  config = workload.make_config(32, batch_size=2, image_size=16)
  model = weights.build_network(config)
  params = workload.make_random_params(model, config)
  assert models.count_parameters(params) > 0
  batch = workload.make_batch(config)
  assert batch['tokens'].shape == (2, config['data']['text_length'])
  assert batch['target'].shape == (2, 16, 16, 3)


@pytest.fixture
def twin():
  """Config, our network, weights, a batch, and the twin of it."""
  pytest.importorskip('torch')
  from perf import torch_twin

  config = workload.make_config(32, batch_size=2, image_size=32)
  model = weights.build_network(config).clone(precision=models.Precision())
  params = workload.make_random_params(model, config)
  batch = workload.make_batch(config)
  return config, model, params, batch, torch_twin.build(model.config, params)


def test_the_twin_has_our_loss_and_gradient(twin, quick_compilation):
  from perf.torch_twin import training

  config, _, params, batch, network = twin
  found = training.check(network, config, params, batch, train_step.make_passes)
  assert found['loss'] > 0 and len(found) == 6

  def repeat(share):
    """Passes that give what was found, and as they are timed so much of it."""

    def make_passes(model, config):
      near = 1.0 if model.precision == models.Precision() else share
      values = near * found['loss'], {'all': near * found['gradient_norm']}
      return lambda params, batch: values

    return make_passes

  assert training.check(network, config, params, batch, repeat(1.01))
  with pytest.raises(ValueError, match='something else'):
    training.check(network, config, params, batch, repeat(1.03))
  network.blocks[0].attention.q_norm.weight.data *= 1.5
  with pytest.raises(ValueError, match='something else'):
    training.check(network, config, params, batch, repeat(1.0))


@pytest.mark.parametrize('steps', [0, 3])
def test_the_twin_paints_our_picture(twin, quick_compilation, steps):
  from perf.torch_twin import training

  _, model, params, batch, network = twin
  noise_keys = keys.make_example_keys(
    keys.make_key(0, 'sample'), batch['index']
  )
  noise = paths.make_noise(noise_keys, batch['source'].shape[1:], jnp.ones(2))
  painter = training.Painter(
    network, training.to_torch(batch), autocast=False, compiled=False
  )
  theirs = painter.paint(steps, training.to_torch(noise)).numpy()
  ours = jax.jit(make_sample_fn(model, seed=0, steps=steps))(params, batch)
  assert np.ptp(theirs) > 0.5
  np.testing.assert_allclose(theirs, ours, atol=1e-3)


def test_attention_without_a_gpu_is_left_out():
  found = attention.measure(width=32, batch_size=2, image_size=32, patch=8)
  assert 'cuDNN is not detected' in found['left_out']


@pytest.mark.parametrize('fault', [None, 'no kernel', 'wrong'])
def test_attention_is_asked_for_what_cudnn_can_do(monkeypatch, fault):
  attend = jax.nn.dot_product_attention

  def stand_in(q, k, v, *, mask, implementation):
    if implementation == 'cudnn':
      assert mask.shape == (*q.shape[::2], q.shape[1], k.shape[1])
      assert not k.shape[1] % 2
      if fault == 'no kernel':
        raise RuntimeError(fault)
      v = v + 1 if fault == 'wrong' else v
    return attend(q, k, v, mask=mask)

  def measure():
    return attention.measure(
      width=32, batch_size=2, image_size=32, patch=8, rounds=1
    )

  monkeypatch.setattr(jax.nn, 'dot_product_attention', stand_in)
  if fault:
    error = RuntimeError if fault == 'no kernel' else ValueError
    with pytest.raises(error, match=r'no kernel|something else'):
      measure()
    return
  found = measure()
  ratio = found['tables']['ratios']['ours over cudnn']['ratio']
  assert ratio['median'] > 0
  assert found['shapes']['kv'][1] % 2  # or nothing was padded


def test_batch_sizes_end_with_the_time(monkeypatch):
  monkeypatch.setattr(mfu, 'time_step', lambda config, products: {'step_ms': 1})
  monkeypatch.setattr(mfu.ceiling, 'build_products', lambda **_: {})
  clock = itertools.count(0.0, 30.0)
  monkeypatch.setattr(mfu.time, 'monotonic', lambda: next(clock))
  found = mfu.measure(width=32, batch_sizes=(2, 4, 8, 16), minutes=3.0)
  assert list(found['tables']['batches']) == ['muon, 2', 'muon, 4']
  assert found['left_out']['muon, 8'] == 'no time left'


def test_rates_by_workers(tmp_path):
  prepared = pictures.prepare_pictures(tmp_path, 4)
  config = data_pipeline.make_sources(prepared, 'smoke')['photographs']
  rows = data_pipeline.measure_rates(config, (1, 2), rounds=1, images=16)
  assert rows[1]['images_per_s']['min'] > 0 and list(rows) == [1, 2]


def test_waiting_is_that_of_the_middle_of_a_run(tmp_path, monkeypatch):
  def train(config, workdir):
    rows = [
      # Half of the time before step 40 was waiting, a tenth after it.
      {'step': step, 'seconds': step, 'cpu_seconds': 2.0 * step,
       'waited': min(step, 40) / 2 + max(step - 40, 0) / 10}
      for step in range(8, 65, 8)
    ]  # fmt: skip
    workdir.mkdir()
    (workdir / 'metrics.jsonl').write_text(
      ''.join(json.dumps(row) + '\n' for row in rows)
    )

  monkeypatch.setattr(data_pipeline.train, 'train', train)
  monkeypatch.setattr(data_pipeline.scene_cost, 'measure_scene', lambda *_: 0.1)
  config = load_config('quickstart:tune,smoke').to_dict()
  found = data_pipeline.measure_waiting(config, tmp_path / 'run', 64)
  assert found['waiting_share'] == pytest.approx(0.1)
  assert found['step_ms'] == 1000
  with pytest.raises(ValueError, match='64 or more'):
    data_pipeline.measure_waiting(config, tmp_path / 'run', 56)


def test_reference_runs_are_the_configs_with_pictures(tmp_path):
  runs = data_pipeline.make_runs(tmp_path)
  assert runs['quickstart:tune']['data']['level'] == 'quick'
  assert runs['quickstart:tune, full scenes']['data']['level'] == 'full'
  assert runs['photos']['data']['photos'] == str(tmp_path)


def test_the_sampler_shows_what_it_compared(monkeypatch):
  class Program:
    """Paints nothing, at once."""

    def lower(self, params, batch):
      return self

    def compile(self):
      return lambda params, batch: np.zeros(1)

  monkeypatch.setattr(sampler.jax, 'jit', lambda _: Program())
  found = sampler.measure(
    1, steps=2, rounds=1, rate_steps=(0, 1), width=32, twin=False
  )
  assert found['text_length'] == 16 >= found['prompt_tokens']
  assert list(found['tables']['rates']) == ['one pass', '1 step']
  row = found['tables']['ratios']['text recomputed / computed once']
  assert row['pictures_differ_by_at_most'] == 0


def test_levers_change_the_step(monkeypatch, processor):
  texts = []

  def compile_(lowered):
    texts.append(lowered.as_text())
    return lambda state, batch: (state, {})

  monkeypatch.setattr(jax.stages.Lowered, 'compile', compile_)
  wide = ['float32 products', "Muon's products in float32"]
  names = (wide[1], "SwiGLU's gradient derived by JAX", 'without donation')
  plain = {name: levers.PLAIN[name] for name in names}
  monkeypatch.setattr(levers, 'PLAIN', plain)
  monkeypatch.setattr(levers, 'REMAT', {})
  steps = levers.build_steps(levers.make_config('smoke'))
  left_out = levers.find_left_out()
  assert list(left_out) == (wide if processor == 'avx2' else [])
  named = [levers.OURS, wide[0], *names]
  assert list(steps) == [name for name in named if name not in left_out]
  assert len(set(texts)) == len(steps)
  donated = ['tf.aliasing_output' in text for text in texts]
  assert donated == [True] * (len(texts) - 1) + [False]


def test_saves_and_restores(tmp_path):
  result = checkpoints.measure(sizes=('smoke',), rounds=1, folder=tmp_path)
  row = result['tables']['sizes']['smoke']
  assert 0 < row['the_loop_waits_ms']['median'] < row['save_ms']['median']
  assert row['state_mb'] > 1 and not list(tmp_path.iterdir())


def test_a_start_is_split_where_it_speaks():
  lines = [
    '101.0 building mixture', '101.5 making or restoring weights',
    '103.0 first batch', '104.0 compiling', '110.0 step 1 of 1', '111.0 saved',
  ]  # fmt: skip
  found = start_up.split_phases(100.0, '\n'.join(lines))
  assert found == {
    'imports': 1.0, 'data': 0.5, 'weights': 1.5, 'first batch': 1.0,
    'compilation': 6.0, 'first step': 1.0, 'whole': 11.0,
  }  # fmt: skip
  with pytest.raises(ValueError, match='no line'):
    start_up.split_phases(100.0, '\n'.join(lines[:-1]))


@pytest.mark.parametrize(
  'name, words, needed',
  [
    ('retention', ['--runs=no'], 'no run there'),
    ('published_outputs', ['--data=no'], 'no prompts.json there'),
  ],
)
def test_a_measurement_names_what_it_needs(name, words, needed, monkeypatch):
  module = __import__(f'perf.{name}', fromlist=['measure'])
  monkeypatch.setattr(sys, 'argv', [name, *words])
  monkeypatch.setattr(run.cli, 'use_compilation_cache', lambda: None)
  with pytest.raises(SystemExit, match=needed):
    run.run_main(module.measure)
