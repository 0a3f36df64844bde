"""Writes the tables of docs/performance.md from what was measured.

  python -m perf.performance_page

Each table stands between two markers that name its benchmark; a test fails
where page and results differ.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from perf import performance_networks as networks
from perf import performance_tables as tables
from perf import performance_text as text
from perf import readme, timing

PAGE = readme.ROOT / 'docs' / 'performance.md'
MISSING = '*Not measured yet.*'


def main() -> None:
  PAGE.write_text(fill(PAGE.read_text()))


def fill(page: str) -> str:
  """The page with the tables of all results that there are."""
  for name in find_names(page):
    begin, end = f'<!-- {name} -->', f'<!-- end of {name} -->'
    before, rest = page.split(begin)
    _, after = rest.split(end)
    page = f'{before}{begin}\n\n{make_section(name)}\n\n{end}{after}'
  return page


def find_names(page: str) -> list[str]:
  """The benchmarks that have a place on the page, in its order."""
  return re.findall(r'<!-- (\w+) -->', page)


def make_section(name: str) -> str:
  """Tables of one benchmark, with the command and the machine below them."""
  path = timing.RESULTS / f'{name}.json'
  if not path.exists():
    return MISSING
  result = json.loads(path.read_text())
  make = SECTIONS.get(name, tables.make_ratios)
  return text.join(make(result), describe_source(result))


def describe_source(result: dict[str, Any]) -> str:
  """How to repeat it, and where it was measured."""
  machine = result.get('machine') or result.get('versions') or {}
  cores = machine.get('usable_cores') or result.get('cores')
  settings = [f'{k}={v}' for k, v in machine.get('settings', {}).items()]
  said = [
    f'`{" ".join([*settings, result["command"]])}`'
    if 'command' in result
    else '',
    machine.get('cpu') or machine.get('device') or result.get('device') or '',
    f'{cores} core{"" if str(cores) == "1" else "s"}' if cores else '',
    *(f'{key} {machine[key]}' for key in ('jax', 'torch') if key in machine),
  ]
  if 'load_average' in machine:
    said.append(f'load average {machine["load_average"][0]} at the end')
  return '; '.join(filter(None, said))


def make_quickstart(result: dict[str, Any]) -> str:
  """Its phases, beside those of an older version where they are kept."""
  path = timing.RESULTS / 'quickstart_before.json'
  before = json.loads(path.read_text()) if path.exists() else None
  return tables.make_quickstart(result, before)


# What is not named here shows its ratios.
SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
  'train_step': networks.make_train_step,
  'diffusers_dit': networks.make_dit,
  'levers': networks.make_levers,
  'ceiling': networks.make_ceiling,
  'profile_step': networks.make_profile,
  'eval_step': networks.make_eval_step,
  'sampler': networks.make_sampler,
  'predict_speed': networks.make_predict,
  'cold_start': networks.make_cold_start,
  'codecs': networks.make_codecs,
  'instances': networks.make_instances,
  'quickstart': make_quickstart,
  'data_pipeline': tables.make_data,
  'scenes': tables.make_scenes,
  'many_records': tables.make_records,
  'checkpoints': tables.make_checkpoints,
  'start_up': tables.make_start_up,
  'memory': tables.make_memory,
  'scaling': tables.make_scaling,
}


if __name__ == '__main__':
  main()
