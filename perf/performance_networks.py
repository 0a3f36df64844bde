"""Tables of docs/performance.md about the network: steps, sampling, answers.

Each function takes a result as its JSON has it and returns Markdown.
"""

from typing import Any

from perf.performance_tables import make_ratios
from perf.performance_text import (
  join,
  tabulate,
  to_percent,
  to_range,
  to_spread,
  to_text,
)

_OURS = 'ours'


def make_train_step(result: dict[str, Any]) -> str:
  """By width: rivals' passes over ours, shares of the ceiling, the ceilings."""
  rivals, ceilings, left_out = [], [], []
  for width, found in result['widths'].items():
    kind = found.get('ceiling_type', 'bfloat16')
    shares = found[f'share_of_{kind}_ceiling']
    batch = str(found['batch_size'])
    rivals.append(
      [width, batch, _OURS, '1', '', '1', _show_share(shares, _OURS)]
    )
    for label, ratio in found['ratios'].items():
      name = label.removesuffix(f' over {_OURS}')
      processor = found['cpu_time_ratios'].get(label, '')
      rivals.append(
        [
          width, batch, name, f'**{to_text(ratio)}**', to_range(ratio),
          to_text(processor), _show_share(shares, name),
        ]
      )  # fmt: skip
    ceilings += [
      [width, name, to_spread(rate), rate['shape']]
      for name, rate in found['gflops_per_s'].items()
      if 'shape' in rate
    ]
    left_out += [
      f'{width}, {name}: {why}' for name, why in found['left_out'].items()
    ]
  return join(
    tabulate(
      [
        'width', 'batch', 'passes', 'time over ours', 'least to most',
        'CPU time over ours', f'share of our {kind} ceiling',
      ],
      rivals,
    ),
    'The ceilings of the same processes:',
    tabulate(['width', 'products', 'GFLOP/s', 'best shape'], ceilings),
    f'Left out: {"; ".join(left_out)}.' if left_out else '',
  )  # fmt: skip


def _show_share(shares: dict[str, Any], name: str) -> str:
  return to_percent(shares[name]) if name in shares else ''


def make_dit(result: dict[str, Any]) -> str:
  """Ratios, and how large both networks are."""
  both = ('ours', 'diffusers')
  sizes = [
    [label, *(f'{result[key][side]:,}' for side in both)]
    for label, key in (
      ('parameters', 'parameters'),
      ('GFLOP of passes, a batch', 'gflops_of_passes'),
      ('blocks', 'blocks'),
      ('tokens of the instruction', 'text_tokens'),
    )
  ]
  tokens = f'{result["image_tokens"]:,}'
  return join(
    make_ratios(result),
    tabulate(['', *both], [*sizes, ['tokens of the picture', tokens, tokens]]),
  )


def make_levers(result: dict[str, Any]) -> str:
  """How many times as much a step takes without each of them."""
  processor = result['cpu_time_ratios']
  memory = result['temporaries_ratios']
  levers = [
    [
      name,
      f'**{to_text(ratio)}**',
      to_range(ratio),
      to_text(processor.get(name, '')),
      to_text(memory.get(name, '')),
    ]
    for name, ratio in result['ratios'].items()
  ]
  fused = [
    [name, f'**{to_text(ratio)}**', to_range(ratio)]
    for name, ratio in result['fused'].items()
  ]
  return join(
    tabulate(
      ['with this instead', 'time', 'least to most', 'CPU time', 'temporaries'],
      levers,
    ),
    f'Temporaries are 1 for {to_text(result["temporaries_mb"])} MB.',
    'Products side by side, by themselves:',
    tabulate(['', 'apart over together', 'least to most'], fused),
  )


def make_ceiling(result: dict[str, Any]) -> str:
  """GFLOP/s by library and type."""
  return tabulate(
    ['products', 'GFLOP/s', 'best shape'],
    [
      [name, to_spread(rate), rate['shape']]
      for name, rate in result['gflops_per_s'].items()
    ],
  )


def make_eval_step(result: dict[str, Any]) -> str:
  """A line a task."""
  return tabulate(
    [
      'task',
      'painting, ms',
      'the whole, ms',
      'beyond painting',
      'least to most',
    ],
    [
      [
        name,
        to_text(cell['paint_ms']),
        to_text(cell['whole_ms']),
        f'**{to_percent(cell["share"])}**',
        to_range(cell['share'], to_percent),
      ]
      for name, cell in result['tasks'].items()
    ],
  )


def make_profile(result: dict[str, Any]) -> str:
  """A line a kind of operation."""
  return tabulate(
    ['kind', 'ms a step', 'share'],
    [
      [kind, to_text(ms), to_percent(result['ratios'][f'share of {kind}'])]
      for kind, ms in result['kinds'].items()
    ],
  )


def make_sampler(result: dict[str, Any]) -> str:
  """Ratios, largest differences, and images a second by steps."""
  differences = [
    [name, f'{value:.1e}']
    for name, value in result['largest_difference'].items()
  ]
  rates = [
    ['one pass' if steps == '0' else steps, to_spread(rate)]
    for steps, rate in result['images_per_second'].items()
  ]
  return join(
    f'{result["steps"]} steps, batches of {result["batch"]}, '
    f'{result["image_size"]}x{result["image_size"]} pixels, an instruction of '
    f'{result["prompt_tokens"]} tokens padded to {result["text_length"]}:',
    make_ratios(result),
    tabulate(['what differs from the painter', 'by at most'], differences),
    tabulate(['steps', 'images a second'], rates),
  )


def make_predict(result: dict[str, Any]) -> str:
  """The depth answer on one core, then batches and folders."""
  seconds = result['one_core_seconds']
  height, width = result['photo']
  return join(
    f'Depth of a {width}x{height} photograph, looked at with '
    f'{result["long_edge"]} pixels on the long edge, on one core: '
    f'**{to_spread(seconds["wall"])} s** ({to_text(seconds["cpu"])} s of CPU '
    'time).',
    make_ratios(result),
  )


def make_cold_start(result: dict[str, Any]) -> str:
  """Seconds of whole processes, ratios, and the parts of a warm one."""
  processor = result['cpu_seconds']
  return join(
    tabulate(
      ['the process', 'seconds', 'CPU seconds'],
      [
        [name, to_spread(value), to_text(processor[name])]
        for name, value in result['seconds'].items()
      ],
    ),
    make_ratios(result),
    tabulate(
      ['parts of a warm one', 'seconds'],
      [
        [name, to_spread(value)]
        for name, value in result['parts_of_warm'].items()
      ],
    ),
  )  # fmt: skip


def make_codecs(result: dict[str, Any]) -> str:
  """Milliseconds of the decoders, and hilbertmap's time over ours."""
  speed = result['speed']
  times = tabulate(
    ['decoder', 'ms a megapixel'],
    [[name, to_text(ms)] for name, ms in speed['milliseconds'].items()],
  )
  ratio = speed.get('times_faster_than_hilbertmap')
  said = ratio and (
    f'hilbertmap takes **{to_text(ratio)} times** as long as ours '
    f'({to_text(ratio["least"])} times at least).'
  )
  return join(times, said or '')


def make_instances(result: dict[str, Any]) -> str:
  """Seconds of the two decoders; their ratio, where it was taken by rounds."""
  rows = result['one_megapixel']
  return join(
    tabulate(
      ['decoder', 'seconds a megapixel', 'instances found', 'there are'],
      [
        [
          name,
          to_text(row['seconds']),
          str(row['count']),
          str(row['true']),
        ]
        for name, row in rows.items()
      ],
    ),
    make_ratios(result) if 'ratios' in result else '',
  )
