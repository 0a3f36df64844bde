"""Writes the tables of docs/performance.md from what was measured.

  python -m benchmarks.performance_page

Each table stands between two markers that name its benchmark; a test fails
where page and results differ.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks import plan_page, readme, timing
from vbanana_jax.models import SIZES
from vbanana_jax.plan.text import to_flops, to_size, to_time

PAGE = readme.ROOT / 'docs' / 'performance.md'
MISSING = '*Not measured yet.*'
# Slices that the page names; the JSON and the figure have all.
_SHOWN = (16, 64, 256, 1024, 8960)


def main() -> None:
  PAGE.write_text(fill(PAGE.read_text()))


def fill(page: str) -> str:
  """The page with the tables of all results that there are."""
  for name in re.findall(r'<!-- (\w+) -->', page):
    begin, end = f'<!-- {name} -->', f'<!-- end of {name} -->'
    before, rest = page.split(begin)
    _, after = rest.split(end)
    page = f'{before}{begin}\n\n{make_section(name)}\n\n{end}{after}'
  return page


def make_section(name: str) -> str:
  """Tables of one benchmark, with the command and the machine below them."""
  path = timing.RESULTS / f'{name}.json'
  if not path.exists():
    return MISSING
  result = json.loads(path.read_text())
  make = SECTIONS.get(name, make_ratios)
  return '\n\n'.join(filter(None, [make(result), describe_source(result)]))


def describe_source(result: dict[str, Any]) -> str:
  """How to repeat it, and where it was measured."""
  machine = result.get('machine') or result.get('versions') or {}
  said = [
    f'`{result["command"]}`' if 'command' in result else '',
    machine.get('cpu') or machine.get('device') or '',
    f'{machine["usable_cores"]} cores' if 'usable_cores' in machine else '',
    *(f'{key} {machine[key]}' for key in ('jax', 'torch') if key in machine),
  ]
  if 'load_average' in machine:
    said.append(f'load average {machine["load_average"][0]} at the end')
  return '; '.join(filter(None, said))


def make_ratios(result: dict[str, Any]) -> str:
  """The ratios of a result: median, least and most where there were rounds."""
  lines = [
    [name, to_text(value), to_range(value)]
    for name, value in flatten(result['ratios'])
  ]
  return tabulate(['', 'median', 'least to most'], lines)


def flatten(ratios: dict[str, Any], above: str = '') -> Iterator[tuple]:
  """Names and numbers or summaries of ratios, nested at will."""
  for name, value in ratios.items():
    if isinstance(value, dict) and 'median' not in value:
      yield from flatten(value, f'{above}{name}: ')
    else:
      yield above + name, value


def make_data(result: dict[str, Any]) -> str:
  """Waiting by config, then rates by workers."""
  waiting = [
    [
      f'`{name}`',
      f'**{to_percent(run["waited"])}**',
      f'**{to_percent(run["drawn"])}**',
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
      f'{to_text(cell["images_per_s"])} ({to_range(cell["images_per_s"])})',
      to_text(cell['cpu_ms_per_image']),
    ]
    for name, rate in result['rates'].items()
    for workers, cell in rate['workers'].items()
  ]
  return '\n\n'.join(
    [
      tabulate(
        [
          'training', 'waiting for data', 'CPU time drawing scenes', 'a step',
          'CPU an image', 'CPU a scene',
        ],
        waiting,
      ),
      tabulate(
        ['source', 'workers', 'images a second', 'CPU ms an image'], rates
      ),
    ]
  )  # fmt: skip


def make_records(result: dict[str, Any]) -> str:
  """A line a number of records."""
  return tabulate(
    ['records', 'to the first batch', 'memory, all shards open', 'images/s'],
    [
      [
        f'{int(count):,}',
        f'{cell["start_ms"]:.0f} ms',
        f'{cell["resident_mb"]:.0f} MB',
        f'{to_text(cell["images_per_s"])} ({to_range(cell["images_per_s"])})',
      ]
      for count, cell in result['records'].items()
    ],
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
  """The peak of a size, and growth over many steps."""
  peak, growth = result['peak'], result['growth']
  return tabulate(
    ['', 'MB'],
    [
      [
        f'peak, {peak["size"]}, batches of {peak["batch_size"]}',
        f'{peak["now"]["peak_mb"]:,}',
      ],
      [
        f'smoke, steps {growth["steps"] // 5} to {2 * growth["steps"] // 5}',
        f'{growth["early_mb"]:,}',
      ],
      [
        f'smoke, the last fifth of {growth["steps"]}',
        f'{growth["late_mb"]:,} ({to_percent(growth["growth"])} more)',
      ],
    ],
  )


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
  return '\n\n'.join(
    [
      f'**Compiled, and the model over it** ({result["fitted_to"]} steps; '
      f'{result["passes"]:.0f} passes of pictures through memory, fitted to '
      'them: of a single step, memory agrees by construction)',
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
    ]
  )  # fmt: skip


def make_named(key: str) -> Callable[[dict[str, Any]], str]:
  """A line for each dict under `key`, of results without ratios."""

  def make(result: dict[str, Any]) -> str:
    if 'ratios' in result:
      return make_ratios(result)
    rows = result[key]
    head = list(next(iter(rows.values())))
    lines = [
      [name, *(to_text(row[column]) for column in head)]
      for name, row in rows.items()
    ]
    return tabulate(['', *(name.replace('_', ' ') for name in head)], lines)

  return make


SECTIONS = {
  'data_pipeline': make_data,
  'many_records': make_records,
  'checkpoints': make_checkpoints,
  'start_up': make_start_up,
  'memory': make_memory,
  'scaling': make_scaling,
  'scenes': make_named('levels'),
  'eval_step': make_named('tasks'),
}


def to_text(value: Any) -> str:
  """A number, or the median of a summary, to three digits."""
  if isinstance(value, dict):
    value = value['median']
  if isinstance(value, bool) or not isinstance(value, int | float):
    return str(value)
  return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def to_range(value: Any) -> str:
  """Least to most of a summary; nothing of a number."""
  if not isinstance(value, dict):
    return ''
  return f'{to_text(value["min"])} to {to_text(value["max"])}'


def to_percent(share: float) -> str:
  """As in 2.5 %."""
  return f'{100 * share:.2g} %' if abs(share) < 0.1 else f'{100 * share:.0f} %'


def tabulate(head: list[str], lines: Iterable[list[str]]) -> str:
  """A Markdown table."""
  return plan_page.to_markdown([head, ['---'] * len(head), *lines])


if __name__ == '__main__':
  main()
