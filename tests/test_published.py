"""The published numbers are the printed ones; the table shows them beside ours.

Averages that the paper prints are recomputed from its own rows, so a slip of
a digit shows.
"""

import copy

import numpy as np
import pytest

from vbanana_jax.benchmark import protocols
from vbanana_jax.report import published

PAPER = 'Vision Banana'
ROWS = published.load_published()
DEPTH = ('nyuv2', 'ibims1', 'eth3d', 'diode_indoor', 'kitti_eigen', 'nuscenes')
SUBSETS = (
  'metaclip_nps', 'sa1b_nps', 'crowded', 'fg_food', 'fg_sports_equipment',
  'attributes', 'wiki_common',
)  # fmt: skip
METRICS = {
  'delta1', 'abs_rel', 'mean_deg', 'median_deg', 'miou', 'ciou', 'giou',
  'pmf1', 'cgf1', 'il_mcc',
}  # fmt: skip
RESULT = {
  'protocol': 'nyuv2_depth',
  'version': 1,
  'n': 654,
  'complete': True,
  'predictions': 'painted/nyuv2',
  'passes': 3,
  'metrics': {
    'delta1': {'value': 0.6123, 'interval': [0.6011, 0.6254]},
    'abs_rel': {'value': 0.2, 'interval': [None, None]},
  },
  'single_pass': {'delta1': {'value': 0.5987, 'interval': [0.59, 0.61]}},
  'versions': {'jax': '0.10.2'},
  'git': {'commit': '0123456789abcdef', 'changed': 'yes'},
  'ids_sha256': '0' * 64,
  'known_difference': 'Raw depth is scored.',
}


def get(system, benchmark, metric):
  (row,) = [
    row for row in ROWS if (row.system, row.benchmark) == (system, benchmark)
  ]
  return row.metrics[metric]


@pytest.mark.parametrize(
  'system, sets, metric, mean, places',
  [
    (PAPER, DEPTH, 'delta1', 0.882, 3),
    (PAPER, DEPTH, 'abs_rel', 0.116, 3),
    ('UniK3D', DEPTH, 'delta1', 0.823, 3),
    ('UniK3D', DEPTH, 'abs_rel', 0.156, 3),
    ('MoGe-2', DEPTH, 'delta1', 0.802, 3),
    ('MoGe-2', DEPTH, 'abs_rel', 0.144, 3),
    ('Depth Pro', DEPTH, 'delta1', 0.715, 2),  # .7157, cut off
    (PAPER, (*DEPTH[:3], 'nuscenes'), 'delta1', 0.865, 3),
    ('DepthLM-7B', (*DEPTH[:3], 'nuscenes'), 'delta1', 0.855, 3),
    (PAPER, ('nyuv2', *DEPTH[2:5]), 'delta1', 0.929, 3),
    ('Depth Anything 3', ('nyuv2', *DEPTH[2:5]), 'delta1', 0.918, 3),
  ],
)
def test_depth_means_are_the_printed_ones(system, sets, metric, mean, places):
  values = [get(system, f'{name}_depth', metric) for name in sets]
  assert abs(np.mean(values) - mean) <= 0.51 * 10.0**-places + 1e-9


@pytest.mark.parametrize(
  'system, mean, median',
  [
    (PAPER, 15.549, 9.300),
    ('Marigold', 19.606, 11.828),
    ('DSINE', 17.017, 10.190),
    ('StableNormal', 17.168, 10.028),
    ('Lotus-2', 16.558, None),
  ],
)
def test_normals_means_are_the_printed_ones(system, mean, median):
  sets = [f'{name}_normals' for name in ('nyuv2', 'diode_indoor', 'scannet')]
  values = [get(system, name, 'mean_deg') for name in sets]
  np.testing.assert_allclose(np.mean(values), mean, atol=1.1e-3)
  if median is not None:
    values = [get(system, name, 'median_deg') for name in sets]
    np.testing.assert_allclose(np.mean(values), median, atol=1.1e-3)


@pytest.mark.parametrize(
  'system', [r.system for r in ROWS if r.benchmark.endswith('crowded_instance')]
)
def test_saco_averages_are_means_over_the_subsets(system):
  for metric, slack in (('pmf1', 1e-3), ('cgf1', 1e-3), ('il_mcc', 0.011)):
    values = [get(system, f'saco_gold_{s}_instance', metric) for s in SUBSETS]
    average = get(system, 'saco_gold_instance', metric)
    np.testing.assert_allclose(np.mean(values), average, atol=slack)


def test_cgf1_is_the_product_of_its_parts_on_every_subset():
  for row in ROWS:
    if row.benchmark.startswith('saco_gold_') and len(row.metrics) == 3:
      if row.benchmark != 'saco_gold_instance':  # a mean of products
        product = row.metrics['pmf1'] * row.metrics['il_mcc']
        np.testing.assert_allclose(row.metrics['cgf1'], product, atol=6e-3)


def test_headlines_of_the_paper():
  for benchmark, metric, value in (
    ('cityscapes_semantic', 'miou', 0.699),
    ('refcocog_umd_val_referring', 'ciou', 0.738),
    ('vkitti2_normals', 'mean_deg', 29.063),
  ):
    assert get(PAPER, benchmark, metric) == value
  gated = f'{PAPER} + Gemini 3.1 Flash-Lite'
  assert get(gated, 'saco_gold_instance', 'cgf1') == 0.475
  assert get(
    f'{PAPER} + Gemini 2.5 Pro', 'reasonseg_val_referring', 'giou'
  ) == (0.793)


def test_every_row_is_complete_and_in_our_units():
  seen = set()
  for row in ROWS:
    assert row.metrics and set(row.metrics) <= METRICS
    for name, value in row.metrics.items():
      low, high = (5.0, 40.0) if name.endswith('_deg') else (0.0, 1.0)
      assert low < value < high, (row.system, row.benchmark, name)
    assert row.source and row.difference.endswith('.')
    assert row.intrinsics in (None, 'none', 'training', 'inference')
    assert (row.intrinsics is None) != row.benchmark.endswith('_depth')
    assert (row.system, row.benchmark) not in seen
    seen.add((row.system, row.benchmark))
  names = {title.rpartition('_v')[0] for title in protocols.list_protocols()}
  assert {r.benchmark for r in ROWS} <= names | {'saco_gold_instance'}


def test_headlines_of_protocols_are_what_was_published():
  for title in protocols.list_protocols():
    protocol = protocols.load_protocol(title)
    metrics = {
      metric
      for row in ROWS
      if row.benchmark == protocol.name
      for metric in row.metrics
    }
    assert metrics <= set(protocol.headline), title


def test_table_without_results_says_so_for_every_benchmark():
  table = published.make_protocol_table(ROWS, [])
  blocks = table.split('\n\n')[:-1]
  assert len(blocks) == len({row.benchmark for row in ROWS})
  assert all('\nours: not measured here' in block for block in blocks)
  assert max(len(line) for line in table.splitlines()) <= 100
  for row in ROWS:
    (block,) = [b for b in blocks if b.split()[0] == row.benchmark]
    (line,) = [x for x in block.splitlines() if x.startswith(f'{row.system}  ')]
    for value in row.metrics.values():
      assert f' {value:.6g}' in line
    assert f' {line[-1]}: {row.difference} ' in ' '.join(block.split())


def test_our_result_stands_first_with_interval_and_provenance():
  table = published.make_protocol_table(ROWS, [RESULT])
  (block,) = [b for b in table.split('\n\n') if b.startswith('nyuv2_depth')]
  lines = block.splitlines()
  assert lines[1].split()[:5] == ['ours,', '3', 'passes', '0.612', '0.200']
  assert lines[2].split() == [
    '95',
    '%',
    'interval',
    *'0.601 to 0.625 -'.split(),
  ]
  assert lines[3].startswith('ours, first pass alone') and '0.599' in lines[3]
  assert lines[5].startswith(PAPER)
  text = ' '.join(block.split())
  for fact in (
    'protocol version 1', 'n 654', 'painted/nyuv2', 'commit 0123456789,',
    'changed', 'jax 0.10.2', 'a: Raw depth is scored.', 'a: our protocol',
    'arXiv 2604.20329v3, table 6',
  ):  # fmt: skip
    assert fact in text, fact
  assert 'not measured here' not in block
  assert 'PARTIAL' not in table
  assert max(len(line) for line in table.splitlines()) <= 100


def test_what_was_scored_stands_before_what_was_not():
  other = {**RESULT, 'protocol': 'mine', 'headline': ['delta1']}
  table = published.make_protocol_table(ROWS, [other, RESULT])
  names = [block.split()[0] for block in table.split('\n\n')]
  assert names[:2] == ['mine', 'nyuv2_depth'] and len(names) > 10
  rivals = published.find_rivals(ROWS, [other, RESULT])
  assert rivals == [row for row in ROWS if row.benchmark == 'nyuv2_depth']
  alone = published.make_protocol_table([], [other])
  assert alone.startswith('mine ') and 'their authors' not in alone


def test_decoder_and_date_are_shown_where_the_result_has_them():
  result = {
    **RESULT,
    'decoder': {'name': 'paper', 'tau': 14},
    'date': '2027-01-02T03:04:05',
  }
  text = ' '.join(published.make_protocol_table((), [result]).split())
  assert 'decoder paper' in text and '2027-01-02 03:04:05' in text


def test_partial_results_and_benchmarks_without_rivals():
  result = copy.deepcopy(RESULT)
  result |= {
    'protocol': 'kitti_official_depth',
    'complete': False,
    'passes': 1,
    'single_pass': None,
    'headline': ['delta1', 'rmse'],
    'predictions': 'long/' * 40,
  }
  result['metrics']['rmse'] = {'value': 123.456, 'interval': [100.0, 200.25]}
  table = published.make_protocol_table(ROWS[:2], [result, RESULT])
  assert max(len(line) for line in table.splitlines()) <= 100
  blocks = table.split('\n\n')
  (block,) = [b for b in blocks if b.startswith('kitti_official_depth')]
  assert 'ours, 1 pass (PARTIAL)' in block and 'not comparable' in block
  assert 'first pass alone' not in block
  assert '123.5' in block and '100.0 to 200.2' in block
  assert block.splitlines()[0].split()[1:] == ['delta1', 'rmse']


def test_marks():
  marks = {(row.system, row.benchmark): row.marks for row in ROWS}
  assert marks[PAPER, 'nyuv2_depth'] == ''
  assert marks['Depth Anything 3', 'nyuv2_depth'] == 'I'
  assert marks['UniK3D', 'nyuv2_depth'] == 'i'
  assert marks['DepthLM-7B', 'nuscenes_depth'] == 'TI'
  assert marks['Lotus-2', 'vkitti2_normals'] == 'T'
  assert marks['Lotus-2', 'nyuv2_normals'] == ''
  assert marks['SAM 3 + Llama 3.2', 'saco_gold_instance'] == 'TM'


def test_markdown_has_the_same_rows():
  text = published.make_protocol_markdown(ROWS, [RESULT])
  assert text.count('### ') == len({row.benchmark for row in ROWS})
  assert '| Vision Banana | 0.948 | 0.081 |  | b |' in text
  assert '| ours, 3 passes | 0.612 | 0.200 |  | a |' in text
  for line in text.splitlines():
    if line.startswith('|'):
      assert line.endswith('|')
