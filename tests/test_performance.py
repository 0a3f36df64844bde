"""Benchmarks of data, checkpoints, starts and scaling; the page of all."""

import json
import sys
import xml.etree.ElementTree

import jax
import numpy as np
import pytest

from perf import (
  checkpoints,
  data_pipeline,
  levers,
  many_records,
  performance_page,
  pictures,
  sampler,
  scaling,
  scaling_figure,
  start_up,
  timing,
)
from vbanana_jax.config import load_config

PAGE = performance_page.PAGE.read_text()
NAMES = performance_page.find_names(PAGE)


def test_page_equals_the_committed_results():
  assert performance_page.fill(PAGE) == PAGE


def test_page_has_a_place_for_every_table():
  assert set(performance_page.SECTIONS) <= set(NAMES)
  assert len(NAMES) == len(set(NAMES))
  # A table that its page lacks, though there are results.
  begin, end = '<!-- scenes -->', '<!-- end of scenes -->'
  before, after = PAGE.split(begin)[0], PAGE.split(end)[1]
  page = f'{before}{begin}\n\n{performance_page.MISSING}\n\n{end}{after}'
  assert performance_page.fill(page) == PAGE != page


@pytest.mark.parametrize('name', NAMES)
def test_every_committed_result_has_its_tables(name):
  text = performance_page.make_section(name)
  if (timing.RESULTS / f'{name}.json').exists():
    assert '| --- |' in text and performance_page.MISSING not in text
  else:
    assert text == performance_page.MISSING


def test_the_model_is_fitted_to_all_compiled_cells():
  result = json.loads((timing.RESULTS / 'scaling.json').read_text())
  assert result['fitted_to'] == len(scaling.load_cells()) > 0
  assert len(result['compiled']) == result['fitted_to']


def test_figure_equals_the_committed_result():
  path = timing.RESULTS / 'scaling.json'
  if not path.exists():
    pytest.skip('not measured yet')
  result = json.loads(path.read_text())
  assert scaling_figure.draw_figure(result) == scaling_figure.PATH.read_text()


def test_a_section_without_a_special_table_shows_its_ratios(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(timing, 'RESULTS', tmp_path)
  monkeypatch.setattr(sys, 'argv', ['benchmark'])
  monkeypatch.delenv('XLA_FLAGS', raising=False)
  monkeypatch.setenv('GLIBC_TUNABLES', 'a=1')
  assert performance_page.make_section('other') == performance_page.MISSING
  spread = {'median': 1.5, 'min': 1.25, 'max': 1.75}
  result = {'ratios': {'cached text': spread, 'deeper': {'steps': 50}}}
  timing.save('other', result, 'python -m perf.other')
  text = performance_page.make_section('other')
  assert '| cached text | 1.5 | 1.25 to 1.75 |' in text
  assert '| deeper: steps | 50 |  |' in text
  assert '`GLIBC_TUNABLES=a=1 python -m perf.other`; ' in text


def save_and_show(name, result, tmp_path, monkeypatch):
  monkeypatch.setattr(timing, 'RESULTS', tmp_path)
  monkeypatch.setattr(sys, 'argv', ['benchmark'])
  timing.save(name, result)
  return performance_page.make_section(name)


def test_rates_by_workers(tmp_path, monkeypatch):
  prepared = pictures.prepare_pictures(tmp_path, 4)
  config = data_pipeline.make_sources(prepared, 'smoke')['photographs']
  rate = data_pipeline.measure_rates(config, (1, 2), rounds=1, images=16)
  assert rate['workers']['1']['images_per_s']['min'] > 0
  result = {'waiting': {}, 'rates': {'photographs': rate}}
  text = save_and_show('data_pipeline', result, tmp_path, monkeypatch)
  assert '| photographs | 2 | ' in text


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
  monkeypatch.setattr(
    data_pipeline.scene_cost, 'measure_scene', lambda *_: 1e-3
  )
  config = load_config('quickstart:tune,smoke').to_dict()
  found = data_pipeline.measure_waiting(config, tmp_path / 'run', 64)
  assert (found['from_step'], found['to_step']) == (40, 48)
  assert found['waited'] == pytest.approx(0.1)
  assert found['step_ms'] == 1000
  result = {'waiting': {'tune': found}, 'rates': {}}
  text = save_and_show('data_pipeline', result, tmp_path, monkeypatch)
  assert '| `tune` | **10 %** | ' in text
  with pytest.raises(ValueError, match='64 or more'):
    data_pipeline.measure_waiting(config, tmp_path / 'run', 56)


def test_the_sampler_shows_what_it_compared(tmp_path, monkeypatch):
  config = load_config('quickstart').to_dict()
  monkeypatch.setattr(sampler, 'build', lambda run: (config, None, None))
  monkeypatch.setattr(sampler, 'make_sample_fn', lambda *_, **how: len(how))
  monkeypatch.setattr(
    sampler, 'make_wasteful_painter', lambda *_, **how: len(how)
  )
  monkeypatch.setattr(sampler.jax, 'jit', lambda _: FakeProgram())
  result = sampler.measure(b=1, steps=2, rounds=1)
  assert result['text_length'] == 16 >= result['prompt_tokens']
  text = save_and_show('sampler', result, tmp_path, monkeypatch)
  assert '| one pass | ' in text and 'padded to 16' in text
  assert '| text recomputed / computed once | ' in text


class FakeProgram:
  """Paints nothing, at once."""

  def lower(self, params, batch):
    return self

  def compile(self):
    return lambda params, batch: np.zeros(1)


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


def test_products_side_by_side():
  found = levers.measure_fused(16, 8, 16, rounds=1)
  assert set(found) == {'q, k, v', 'gate, up'}
  assert all(ratio['median'] > 0 for ratio in found.values())


def test_reference_runs_are_the_configs_with_pictures(tmp_path):
  runs = data_pipeline.make_runs(tmp_path)
  assert runs['quickstart:tune']['data']['level'] == 'quick'
  assert runs['quickstart:tune, full scenes']['data']['level'] == 'full'
  assert runs['photos']['data']['photos'] == str(tmp_path)


def test_more_records_than_there_are(tmp_path, monkeypatch):
  result = many_records.measure(
    counts=(16, 1600), rounds=1, records_a_shard=8, images=48
  )
  assert set(result['records']) == {'16', '1600'}
  text = save_and_show('many_records', result, tmp_path, monkeypatch)
  assert '| 1,600 | ' in text


def test_saves_and_restores(tmp_path, monkeypatch):
  result = checkpoints.measure(sizes=('smoke',), rounds=1, folder=tmp_path)
  cell = result['sizes']['smoke']
  assert 0 < cell['blocking_share']['median'] < 1
  assert cell['megabytes'] > 4e-6 * 2 * cell['parameters']
  assert not list(tmp_path.iterdir())
  text = save_and_show('checkpoints', result, tmp_path, monkeypatch)
  assert '| smoke | 2 MB | ' in text


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


def test_exchanged_bytes_of_one_case_by_hand():
  # docs/plan.md: gradients of 7,297,024 weights, summed over 16 chips.
  whole = {'replica': 16, 'fsdp': 1, 'tensor': 1}
  step = scaling.count('nano', whole, 256)
  assert step['sent_bytes'] == 54_727_680
  assert step['flops'] == pytest.approx(74_194_853_888)
  # Split: gathered twice at two bytes, summed once at four.
  split = scaling.count('nano', {'replica': 1, 'fsdp': 16, 'tensor': 1}, 256)
  assert split['sent_bytes'] == 15 / 16 * 8 * 7_297_024
  assert split['flops'] < step['flops']


def test_the_fitted_number_is_that_of_the_compiled_step():
  mesh = {'replica': 1, 'fsdp': 16, 'tensor': 1}
  step = scaling.count('base', mesh, 128)
  cell = {
    'topology': 'v5e-16', 'size': 'base', 'preset': 'fsdp', 'mesh': mesh,
    'batch_size': 128, 'flops_a_chip': 2 * step['flops'],
    'hbm_traffic': step['weight_bytes'] + 70 * step['picture_bytes'],
    'sent': {'all-reduce': {'count': 1, 'bytes': step['sent_bytes']}},
    'seconds': {'compute': 1.0, 'memory': 0.5, 'exchange': 0.1},
    'largest': 'compute',
  }  # fmt: skip
  result = scaling.measure([cell])
  assert result['passes'] == pytest.approx(70)
  ratios = result['compiled'][0]['ratios']
  assert ratios['memory_bytes'] == pytest.approx(1)
  assert ratios['sent_bytes'] == pytest.approx(1)
  assert ratios['flops'] == pytest.approx(0.5)


def test_a_fixed_batch_costs_more_on_more_chips():
  result = scaling.measure([])
  assert 'ratios' in result and not result['compiled']
  costs = [
    row['chip_seconds_per_1000']
    for row in result['together']
    if (row['size'], row['kind']) == ('base', 'v5p')
  ]
  assert costs == sorted(costs) and costs[-1] > 1.5 * costs[0]
  assert all(0 < row['mfu'] <= 1 for row in result['predicted'])
  figure = xml.etree.ElementTree.fromstring(scaling_figure.draw_figure(result))
  lines = [node for node in figure.iter() if node.tag.endswith('polyline')]
  assert len(lines) == 12
