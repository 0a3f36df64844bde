"""Tables of the performance page, of results with known numbers."""

from perf import __main__ as table
from perf import performance_networks as networks
from perf import performance_tables as tables

SPREAD = {'median': 1.5, 'min': 1.25, 'max': 1.75}


def test_rivals_by_width_with_their_ceilings():
  found = {
    'ratios': {
      'torch eager over ours': SPREAD,
      'ours, whole step over ours': 2,
    },
    'cpu_time_ratios': {'torch eager over ours': SPREAD},
    'share_of_bfloat16_ceiling': {'ours': 0.5, 'torch eager': 0.25},
    'gflops_per_s': {
      'ours': SPREAD,
      'jax bfloat16': {**SPREAD, 'shape': '8x8x8'},
    },
    'left_out': {'torch compiled': 'no compiler'},
    'batch_size': 8,
  }
  text = networks.make_train_step({'widths': {'256': found}})
  assert (
    '| 256 | 8 | torch eager | **1.5** | 1.25 to 1.75 | 1.5 | 25 % |' in text
  )
  assert '| 256 | 8 | ours, whole step | **2** |  |  |  |' in text
  assert '| 256 | jax bfloat16 | 1.5 (1.25 to 1.75) | 8x8x8 |' in text
  assert 'Left out: 256, torch compiled: no compiler.' in text


def test_both_networks_sizes_stand_beside_the_ratios():
  both = {'ours': 7_000_000, 'diffusers': 6_900_000}
  text = networks.make_dit(
    {
      'ratios': {'256: diffusers over ours': SPREAD},
      'parameters': both,
      'gflops_of_passes': both,
      'blocks': both,
      'text_tokens': both,
      'image_tokens': 64,
    }
  )
  assert '| parameters | 7,000,000 | 6,900,000 |' in text
  assert '| 256: diffusers over ours | 1.5 | 1.25 to 1.75 |' in text


def test_levers_with_products_side_by_side():
  text = networks.make_levers(
    {
      'ratios': {'blocks scanned': SPREAD, 'pages of 4 KiB': SPREAD},
      'cpu_time_ratios': {'blocks scanned': SPREAD},
      'temporaries_ratios': {'blocks scanned': 0.5},
      'temporaries_mb': 500.0,
      'fused': {'q, k, v': SPREAD},
    }
  )
  assert '| blocks scanned | **1.5** | 1.25 to 1.75 | 1.5 | 0.5 |' in text
  assert '| pages of 4 KiB | **1.5** | 1.25 to 1.75 |  |  |' in text
  assert '| q, k, v | **1.5** | 1.25 to 1.75 |' in text


def test_seconds_of_answers_and_processes():
  text = networks.make_predict(
    {
      'ratios': {'one by one / eight at once': SPREAD},
      'one_core_seconds': {'wall': SPREAD, 'cpu': SPREAD},
      'photo': [480, 640],
      'long_edge': 256,
    }
  )
  assert '640x480' in text and '**1.5 (1.25 to 1.75) s**' in text
  text = networks.make_cold_start(
    {
      'ratios': {'cold / warm': SPREAD},
      'seconds': {'cold': 9.0, 'warm': SPREAD},
      'cpu_seconds': {'cold': 9.5, 'warm': SPREAD},
      'parts_of_warm': {'decode': SPREAD},
    }
  )
  assert '| cold | 9 | 9.5 |' in text
  assert '| warm | 1.5 (1.25 to 1.75) | 1.5 |' in text


def test_phases_before_and_now():
  phase = {
    'step': 100, 'seconds': 50.0, 'cpu_seconds': 90.0, 'waited': 0.5,
    'compile_seconds': 9.0,
  }  # fmt: skip
  now = {
    'phases': {'tune': {**phase, 'drawing_cpu_seconds': 9.0}},
    'seconds_train_eval': 70.0,
  }
  before = {'phases': {'tune': {**phase, 'seconds': 100.0}}}
  text = tables.make_quickstart(now, before)
  assert '| tune | 100 | 50 s | 9 s | **1 %** | **10 %** | 100 s | 2.00 |' in (
    text
  )
  assert 'not measured' in tables.make_quickstart(
    {**before, 'seconds_train_eval': 1.0}
  )


def test_no_ratio_is_left_out_of_the_terminals_table():
  ratios = {f'{k}': SPREAD for k in range(20)} | {'deep': {'er': 2}}
  found = table.find_headlines({'ratios': ratios})
  assert len(found) == 21 and found['deep: er'] == 2
  assert '1.5 (1.25 to 1.75)' in table.format_table({'a': {'ratios': ratios}})
