"""Measurements: their clock, options, files and tables; what each computes."""

import importlib
import itertools
import json
import os
import pathlib
import runpy
import sys
import time

import jax
import numpy as np
import pytest

from perf import (
  __main__ as runner,
)
from perf import (
  ceiling,
  check_docs,
  data_pipeline,
  labeled_records,
  run,
  sampler,
  tables,
  timing,
  train_step,
  workload,
)
from vbanana_jax import models
from vbanana_jax.errors import UserError
from vbanana_jax.training import weights

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
  rates = timing.summarize_rates(times['theirs'], 30)
  assert rates['images_per_s'] == {'median': 12.0, 'min': 5.0, 'max': 15.0}


def measure(
  folder: pathlib.Path = pathlib.Path('.'),
  sizes: tuple[int, ...] = (1, 2),
  name: str = '',
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


def test_every_measurement_is_found_and_takes_what_its_suite_says():
  found = runner.find_measurements()
  assert {'train_step', 'ceiling', 'codecs'} <= set(found)
  assert not {'timing', 'workload', 'run', '__main__'} & set(found)
  for words in (*found.values(), *runner.ACCELERATOR.values()):
    module, *options = words.split()
    measure = importlib.import_module(f'perf.{module}').measure
    assert run.make_parser(measure, '').parse_args([*options, '--quick'])


@pytest.mark.parametrize('name', ['__main__', 'train_step'])
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
  monkeypatch.setattr(sys, 'argv', ['x', 'ceiling', 'codecs', '--quick'])
  with pytest.raises(SystemExit, match='failed: ceiling: exit code 1'):
    runner.main()
  assert ran == [
    ['-m', f'perf.{name}', '--quick'] for name in ('ceiling', 'codecs')
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


def test_a_folder_goes_on_until_it_is_done(tmp_path):
  (tmp_path / 'ceiling.json').write_text('{}')
  suite = {'ceiling': 'ceiling', 'wide': 'train_step --widths 768'}
  words = ['-m', 'perf.train_step', '--widths', '768']
  commands = runner.build_commands(suite, tmp_path, quick=False)
  output = ['--output', str(tmp_path / 'wide.json')]
  assert commands == {'wide': [*words, *output]}
  commands = runner.build_commands(suite, None, quick=True)
  assert commands['wide'] == ['-m', 'perf.train_step', '--quick']


def test_without_pytorch_one_line_says_what_to_install(monkeypatch):
  monkeypatch.setattr(train_step, 'has_torch', lambda: False)
  with pytest.raises(UserError, match=r'pip install .*\[perf\]'):
    train_step.measure()


def test_ceiling_is_that_of_the_best_shape():
  products = {
    'float32 2x2x2': ceiling.Product(lambda: None, 1e9),
    'float32 4x4x4': ceiling.Product(lambda: None, 8e9),
  }
  times = {
    'float32 2x2x2': {'wall': [0.5, 0.5], 'cpu': [1, 1]},
    'float32 4x4x4': {'wall': [1.0, 2.0], 'cpu': [1, 1]},
    'a step': {'wall': [9.0, 9.0], 'cpu': [1, 1]},
  }
  found = ceiling.find_ceilings(products, times)['float32']
  assert found['best_shape'] == '4x4x4'
  rate = found['gflops_per_s']
  assert (rate['min'], rate['max']) == (4.0, 8.0)


def test_products_are_repeated_until_there_is_enough_to_time(
  monkeypatch, set_processor
):
  set_processor('amx_bf16')
  built = ceiling.build_products(((8, 8, 8),), 4 * 2 * 8**3)
  product = built['bfloat16 8x8x8']
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
  asked = ['torch eager float32', 'torch eager bfloat16']

  def build_rivals(config, modes):
    assert modes == asked[: len(types)]
    names = train_step.OURS, train_step.STEP, *modes
    return {name: lambda: 1 for name in names}, {}

  monkeypatch.setattr(train_step, 'build_rivals', build_rivals)
  monkeypatch.setattr(ceiling, 'CPU_SHAPES', ((8, 8, 8),))
  monkeypatch.setattr(train_step, '_CEILING_FLOPS', 1e3)
  config = workload.make_config(32, batch_size=2, image_size=16)
  found = train_step.measure_one(config, 2, asked, 60.0)
  assert list(found['ceilings']) == types and found['rounds'] == 2
  assert found['passes']['ours']['time_over_ours']['median'] == 1
  assert found['left_out'] == ({asked[1]: ceiling.EMULATED} if emulated else {})


def test_batch_sizes_end_with_the_memory(monkeypatch):
  def measure_one(config, rounds, modes, most_s):
    if config['batch_size'] > 4:
      raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory')
    return {'passes': {'ours': {'step_ms': 1}}, 'ceilings': {}}

  monkeypatch.setattr(train_step, 'measure_one', measure_one)
  found = train_step.measure((32,), (2, 4, 8, 16), twins=False)
  labels = [f'32, batch of {b}' for b in (2, 4, 8)]
  assert list(found['tables']['passes']) == [f'{x}: ours' for x in labels[:2]]
  assert list(found['networks']) == labels
  assert found['networks'][labels[2]] == 'out of memory'


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
  from perf import torch_training

  config, _, params, batch, network = twin
  found = torch_training.check(
    network, config, params, batch, train_step.make_passes
  )
  assert found['loss'] > 0 and len(found) == 4
  network.blocks[0].attention.q_norm.weight.data *= 1.5
  with pytest.raises(ValueError, match='something else'):
    torch_training.check(network, config, params, batch, train_step.make_passes)


def test_rates_by_workers(monkeypatch):
  make_sources = data_pipeline.make_sources
  monkeypatch.setattr(
    data_pipeline,
    'make_sources',
    lambda folder: {'photographs': make_sources(folder)['photographs']},
  )
  rates = data_pipeline.measure((1, 2), 1, images=16, photographs=4)
  assert list(rates['tables']['scenes']) == ['quick', 'full']
  rows = rates['tables']['rates']
  assert list(rows) == ['photographs, 1 worker', 'photographs, 2 workers']
  assert all(row['images_per_s']['min'] > 0 for row in rows.values())


def test_labeled_records_are_prepared_and_read():
  result = labeled_records.measure(number=2, rounds=1, threads=1)
  rows = result['tables']['rates']
  assert list(rows)[-1] == 'preparing' and 'and all labels, varied' in rows
  assert all(row['images_per_s']['min'] > 0 for row in rows.values())
  sizes = result['bytes_per_record']
  assert max(sizes, key=sizes.get) == 'and all labels'


def test_the_sampler_shows_what_it_compared(monkeypatch):
  class Program:
    """Paints nothing, at once."""

    def lower(self, params, batch):
      return self

    def compile(self):
      return lambda params, batch: np.zeros(1)

  monkeypatch.setattr(sampler.jax, 'jit', lambda _: Program())
  found = sampler.measure(1, steps=2, rounds=1, rate_steps=(0, 1), width=32)
  assert found['text_length'] == 16 < found['longest_text']
  assert list(found['tables']['rates']) == ['one pass', '1 step']
  assert list(found['tables']['ratios'])[1] == 'guided / not'
