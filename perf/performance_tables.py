"""Tables of docs/performance.md about data, disks, memory and chips on paper.

Each function takes a result as its JSON has it and returns Markdown.
"""

from typing import Any

from perf.performance_text import (
  flatten,
  join,
  tabulate,
  to_percent,
  to_range,
  to_spread,
  to_text,
)
from vbanana_jax.models import SIZES
from vbanana_jax.plan.text import to_flops, to_size, to_time

# Slices that the page names; the JSON and the figure have all.
_SHOWN = (16, 64, 256, 1024, 8960)


def make_ratios(result: dict[str, Any]) -> str:
  """The ratios of a result: median, least and most where there were rounds."""
  return tabulate(
    ['', 'median', 'least to most'],
    [
      [name, to_text(value), to_range(value)]
      for name, value in flatten(result['ratios'])
    ],
  )


def make_data(result: dict[str, Any]) -> str:
  """Waiting by config, then rates by workers."""
  waiting = [
    [
      f'`{name}`',
      f'**{to_percent(run["waited"])}**',
      f'**{to_percent(run["drawn"])}**',
      f'{run["from_step"]} to {run["to_step"]}',
      f'{run["step_ms"]:,.0f} ms',
      f'{run["cpu_ms_per_image"]:.3g} ms',
      f'{run["scene_cpu_ms"]:.3g} ms',
    ]
    for name, run in result['waiting'].items()
  ]
  rates = [
    [
      name,
      workers,
      to_spread(cell['images_per_s']),
      to_text(cell['cpu_ms_per_image']),
    ]
    for name, rate in result['rates'].items()
    for workers, cell in rate['workers'].items()
  ]
  return join(
    tabulate(
      [
        'training', 'waiting for data', 'CPU time drawing scenes', 'steps',
        'a step', 'CPU an image', 'CPU a scene',
      ],
      waiting,
    ),
    tabulate(
      ['source', 'workers', 'images a second', 'CPU ms an image'], rates
    ),
  )  # fmt: skip


def make_quickstart(
  result: dict[str, Any], before: dict[str, Any] | None = None
) -> str:
  """A line a phase of a whole run, beside an earlier one's where there is one.

  Args:
    result: of the quickstart, with its `phases`.
    before: likewise, of an older version.
  """
  older = before['phases'] if before else {}
  lines = []
  for name, phase in result['phases'].items():
    drawn = phase.get('drawing_cpu_seconds')
    line = [
      name, str(phase['step']), f'{phase["seconds"]:.0f} s',
      f'{phase["compile_seconds"]:.0f} s',
      f'**{to_percent(phase["waited"] / phase["seconds"])}**',
      'not measured' if drawn is None else
      f'**{to_percent(drawn / phase["cpu_seconds"])}**',
    ]  # fmt: skip
    if name in older:
      seconds = older[name]['seconds']
      line += [f'{seconds:.0f} s', f'{seconds / phase["seconds"]:.2f}']
    lines.append(line)
  head = [
    'phase', 'steps', 'time', 'compilation, beside it', 'waiting for data',
    'CPU time drawing scenes',
  ]  # fmt: skip
  head += ['time before', 'before over now'] if older else []
  seconds = result['seconds_train_eval']
  whole = f'Training and evaluation, without compilation: {seconds:.0f} s'
  if before and 'seconds_train_eval' in before:
    whole += f', before {before["seconds_train_eval"]:.0f} s'
  return join(tabulate(head, lines), f'{whole}.')


def make_scenes(result: dict[str, Any]) -> str:
  """A line a level."""
  return tabulate(
    ['level', 'images a second', 'CPU ms an image', 'of it sampling, ms'],
    [
      [
        level,
        to_spread(cell['images_per_s']),
        to_spread(cell['cpu_ms_per_image']),
        to_spread(cell['sampling_cpu_ms_per_image']),
      ]
      for level, cell in result['levels'].items()
    ],
  )


def make_records(result: dict[str, Any]) -> str:
  """A line a number of records, and the ratios of most to fewest."""
  return join(
    tabulate(
      ['records', 'to the first batch', 'memory, all shards open', 'images/s'],
      [
        [
          f'{int(count):,}',
          f'{cell["start_ms"]:.0f} ms',
          f'{cell["resident_mb"]:.0f} MB',
          to_spread(cell['images_per_s']),
        ]
        for count, cell in result['records'].items()
      ],
    ),
    make_ratios(result),
  )


def make_checkpoints(result: dict[str, Any]) -> str:
  """A line a size."""
  return tabulate(
    [
      'size', 'state', 'the loop waits', 'whole save', 'restore',
      'save, MB/s', 'restore, MB/s',
    ],
    [
      [
        size,
        f'{cell["megabytes"]:,.0f} MB',
        f'{to_text(cell["blocking_ms"])} ms',
        f'{to_text(cell["save_ms"])} ms',
        f'{to_text(cell["restore_ms"])} ms',
        to_text(cell['save_mb_per_s']),
        to_text(cell['restore_mb_per_s']),
      ]
      for size, cell in result['sizes'].items()
    ],
  )  # fmt: skip


def make_start_up(result: dict[str, Any]) -> str:
  """A line a size and cache, a column a phase; seconds."""
  phases = list(next(iter(result['sizes'].values()))['cold'])
  return tabulate(
    ['seconds', 'cache', *phases],
    [
      [size, cache, *(to_text(cell[cache][name]) for name in phases)]
      for size, cell in result['sizes'].items()
      for cache in ('cold', 'warm')
    ],
  )


def make_memory(result: dict[str, Any]) -> str:
  """Peaks of a size, and growth over many steps."""
  peak = result['peak']
  peaks = [
    [
      f'{peak["size"]}, batches of {peak["batch_size"]}'
      + ('' if name == 'now' else f', {name}'),
      f'{cell["peak_mb"]:,}',
      to_text(cell.get('device_peak_mb') or '-'),
    ]
    for name, cell in peak.items()
    if isinstance(cell, dict)
  ]
  growth = [
    [
      name.replace('_', ' '),
      f'{run["steps"]:,}',
      f'{run["early_mb"]:,}',
      f'{run["late_mb"]:,}',
      f'{to_percent(run["growth"])}',
    ]
    for name, run in result['growth'].items()
  ]
  return join(
    tabulate(['peak, MB', 'host', 'device'], peaks),
    tabulate(
      [
        'smoke, MB', 'steps', 'the second fifth', 'the last fifth', 'growth',
      ],
      growth,
    ),
  )  # fmt: skip


def make_scaling(result: dict[str, Any]) -> str:
  """The model beside compiled steps, then the model alone."""
  compiled = [
    [
      cell['topology'], cell['size'], cell['preset'], to_time(cell['seconds']),
      cell['largest'], to_size(cell['sent_bytes']), to_percent(cell['mfu']),
      *(
        f'{cell["ratios"][name]:.2f}' if name in cell['ratios'] else '-'
        for name in ('seconds', 'flops', 'memory_bytes', 'sent_bytes')
      ),
    ]
    for cell in sorted(
      result['compiled'],
      key=lambda c: (list(SIZES).index(c['size']), c['preset'], c['topology']),
    )
  ]  # fmt: skip
  predicted = [
    [
      row['kind'], row['size'], f'{row["chips"]:,}', to_time(row['seconds']),
      row['largest'], to_flops(row['flops']), to_size(row['sent_bytes']),
      to_percent(row['mfu']), f'{row["chip_seconds_per_1000"]:.3g}',
    ]
    for row in result['predicted']
    if row['chips'] in _SHOWN
  ]  # fmt: skip
  return join(
    f'**Compiled, and the model over it** ({result["fitted_to"]} steps; '
    f'{result["passes"]:.0f} passes of pictures through memory, the median of '
    'what they need: of a single step, memory would agree by construction)',
    tabulate(
      [
        'slice', 'size', 'preset', 'step', 'largest', 'sent a chip', 'MFU',
        'model: step', 'FLOPs', 'memory', 'sent',
      ],
      compiled,
    ),
    f'**By the model**, `fsdp`, {result["examples_a_chip"]} examples a chip',
    tabulate(
      [
        'kind', 'size', 'chips', 'step', 'largest', 'FLOPs a chip',
        'sent a chip', 'MFU at best', 'chip-seconds of 1,000 examples',
      ],
      predicted,
    ),
  )  # fmt: skip
