"""Benchmarks: their clock and arithmetic, the table, and that each is found."""

import json
import runpy
import sys
import time

import jax
import pytest

from perf import (
  __main__ as table,
)
from perf import (
  ceiling,
  performance_networks,
  profile_step,
  timing,
  train_step,
  workload,
)
from vbanana_jax import models
from vbanana_jax.plan import hlo
from vbanana_jax.training import weights

MODULE = """\
HloModule step

%fused (p: f32[8,4], q: f32[4,2]) -> f32[8,2] {
  %p = f32[8,4]{1,0} parameter(0)
  %q = f32[4,2]{1,0} parameter(1)
  ROOT %d = f32[8,2]{1,0} dot(%p, %q), lhs_contracting_dims={1}
}

ENTRY %main (a: f32[8,4], b: f32[4,2]) -> f32[8,2] {
  %a = f32[8,4]{1,0} parameter(0)
  %b = f32[4,2]{1,0} parameter(1)
  %many = f32[8,2]{1,0} fusion(%a, %b), kind=kLoop, calls=%fused, \
metadata={op_name="jit(lose)/transpose(jvp(DiT))/blocks/mlp/dot_general"}
  ROOT %sum = f32[8,2]{1,0} add(%many, %many), \
metadata={op_name="jit(lose)/jvp(DiT)/text/blocks/add"}
}
"""


def test_rivals_take_turns_and_go_backwards_every_other_round():
  order = []
  functions = {name: lambda name=name: order.append(name) for name in 'ab'}
  times = timing.interleave(functions, 3, warm_up=1)
  assert ''.join(order) == 'baabbaab'
  assert {name: len(both['wall']) for name, both in times.items()} == {
    'a': 3,
    'b': 3,
  }


def test_several_calls_in_a_row_follow_one_that_does_not_count():
  order = []

  def call():
    order.append('a')
    if len(order) == 1:
      time.sleep(0.2)

  times = timing.interleave({'a': call}, 1, warm_up=0, in_a_row=3)
  assert len(order) == 4 and times['a']['wall'][0] < 0.1


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


def test_results_say_where_they_are_from(tmp_path, monkeypatch):
  monkeypatch.setattr(
    sys, 'argv', ['x', '--width', '8', '--output', str(tmp_path)]
  )
  path = timing.save('some', {'ratios': {'a': 2}}, output=tmp_path / 'a.json')
  saved = json.loads(path.read_text())
  assert list(saved)[:2] == ['command', 'ratios']
  assert saved['command'] == 'python -m perf.some --width 8'
  assert {'device', 'usable_cores', 'load_average', 'jax'} <= set(
    saved['machine']
  )
  assert 'commit' in saved['git']


def test_every_benchmark_is_found():
  found = table.find_benchmarks()
  assert {'train_step', 'ceiling', 'scenes', 'codecs'} <= set(found)
  assert not {'timing', 'workload', '__main__', 'accelerator'} & set(found)
  assert found['published_outputs'].needs == ('--data',)
  assert not found['readme'].runs_alone  # it writes a page
  assert found['train_step'].is_quick and found['train_step'].runs_alone
  assert all(one.about.endswith(('.', '?')) for one in found.values())
  assert len(table.format_list(found).splitlines()) == len(found)


@pytest.mark.parametrize('name', ['__main__', 'train_step', 'accelerator'])
def test_help(name, monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', [name, '--help'])
  monkeypatch.delitem(sys.modules, f'perf.{name}', raising=False)
  with pytest.raises(SystemExit) as stop:
    runpy.run_module(f'perf.{name}', run_name='__main__')
  assert stop.value.code == 0
  assert '--' in capsys.readouterr().out


def test_a_failure_is_a_line_and_the_rest_goes_on(
  tmp_path, monkeypatch, capsys
):
  def run(benchmark, folder, **how):
    if benchmark.name == 'ceiling':
      return 'exit code 1'
    result = {'ratios': {'a': {'median': 2.0, 'min': 1.5, 'max': 3.0}}}
    (folder / f'{benchmark.name}.json').write_text(json.dumps(result))
    return 'ok'

  monkeypatch.setattr(table, 'run', run)
  monkeypatch.setattr(
    sys, 'argv', ['x', 'ceiling', 'scenes', '--folder', str(tmp_path)]
  )
  with pytest.raises(SystemExit, match='failed: ceiling'):
    table.main()
  lines = capsys.readouterr().out.splitlines()
  assert lines[1].split() == ['ceiling', 'failed', 'exit', 'code', '1']
  assert lines[2].split() == ['scenes', 'a', '2', '(1.5', 'to', '3)']


def test_a_result_without_ratios_shows_its_shares():
  result = {'tasks': {'depth': {'share': 0.04, 'paint_ms': 9}}, 'batch': 8}
  assert table.find_headlines(result) == {'tasks depth share': 0.04}


def test_without_pytorch_one_line_says_what_to_install(monkeypatch):
  monkeypatch.setattr(sys, 'argv', ['train_step'])
  monkeypatch.setattr(train_step.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(SystemExit, match=r'pip install .*\[perf\]'):
    train_step.main()


def test_ceiling_is_that_of_the_best_shape():
  assert ceiling.count_flops(2, 3, 4) == 48
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
  assert found['shape'] == '4x4x4'
  assert (found['min'], found['max']) == (4.0, 8.0)


def test_no_round_begins_when_the_time_is_over(monkeypatch, capsys):
  now = [0.0]
  monkeypatch.setattr(timing.time, 'perf_counter', lambda: now[0])

  def call():
    now[0] += 10.0

  times = timing.interleave({'a': call}, 9, most_s=25)
  assert times['a']['wall'] == [10.0, 10.0]  # and one that warms up
  assert '2 of 9 rounds' in capsys.readouterr().err
  assert len(timing.interleave({'a': call}, 9, most_s=0)['a']['wall']) == 1


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
  found = ceiling.measure(1, shapes=((8, 8, 8),), least_flops=1e3)
  assert {f'jax {name}' for name in types} <= set(found['gflops_per_s'])
  assert list(found['left_out']) == (['bfloat16'] if emulated else [])
  assert not emulated or 'bfloat16' not in str(found['gflops_per_s'])

  def build_rivals(config, compiled):
    twins = {'torch eager float32': lambda: 1}
    if not emulated:
      twins['torch eager bfloat16'] = lambda: 1
    return lambda: 1, lambda: 1, {}, twins

  monkeypatch.setattr(train_step, 'build_rivals', build_rivals)
  monkeypatch.setattr(ceiling, 'CPU_SHAPES', ((8, 8, 8),))
  config = workload.make_config(32, batch_size=2, image_size=16)
  monkeypatch.setattr(train_step, '_CEILING_FLOPS', 1e3)
  found = train_step.measure_width(config, 2, compiled=False)
  assert found['ceiling_type'] == types[-1] and found['rounds'] == 2
  assert set(found[f'share_of_{types[-1]}_ceiling']) == {
    'ours', *(f'torch eager {name}' for name in types)
  }  # fmt: skip
  assert set(found['left_out'].values()) == (
    {ceiling.EMULATED} if emulated else set()
  )
  assert emulated == ('torch eager bfloat16' in found['left_out'])
  kind = f'share of our {types[-1]} ceiling'
  text = performance_networks.make_train_step({'widths': {'32': found}})
  assert kind in text and emulated == ('would emulate' in text)


def test_a_profile_knows_kinds_and_parts():
  events = [
    {'args': {'hlo_op': 'many'}, 'dur': 4000.0},
    {'args': {'hlo_op': 'sum'}, 'dur': 1000.0},
    {'args': {'hlo_op': 'of another program'}, 'dur': 9000.0},
  ]
  found = profile_step.add_up(events, hlo.parse_module(MODULE), steps=2)
  assert found['kinds'] == {'matrix products': 2.0, 'elementwise': 0.5}
  assert found['parts'] == {
    'image blocks, mlp, backward': 2.0,
    'text blocks, norms, modulation, rest, forward': 0.5,
  }


def test_random_weights_and_batches_fit_the_network():
  config = workload.make_config(32, batch_size=2, image_size=16)
  model = weights.build_network(config)
  params = workload.make_random_params(model, config)
  assert models.count_parameters(params) > 0
  batch = workload.make_batch(config)
  assert batch['tokens'].shape == (2, config['data']['text_length'])
  assert batch['target'].shape == (2, 16, 16, 3)
  assert workload.get_width(config) == 32
