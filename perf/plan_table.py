"""What every size costs on slices of TPUs, by `vbanana plan`'s own functions.

  python -m perf.plan_table [--minutes 60] [--no-compile]

Writes perf/results/plan.json after every cell and the tables of
docs/plan.md at the end. What is there already is kept, so that several
sittings fill it. On an idle core a cell takes 10 to 30 s to be weighed; some
are compiled to the end too, which takes one to two minutes each for 16 chips
and ten and more for 256, and is left out with --no-compile. Needs the [plan]
extra.
"""

import argparse
import importlib.metadata
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import jax

from perf import plan_page
from vbanana_jax.config import load_config
from vbanana_jax.errors import UserError
from vbanana_jax.models import SIZES
from vbanana_jax.plan import programs, roofline
from vbanana_jax.plan.topologies import TOPOLOGIES, Topology
from vbanana_jax.sharding import PRESETS
from vbanana_jax.training import flops, provenance

# Side of the pictures and of a patch.
PICTURES = {
  'smoke': (32, 8),
  'nano': (64, 8),
  'mini': (64, 8),
  'small': (128, 8),
  'base': (256, 16),
  'large': (256, 16),
  'xl': (256, 16),
}
EXAMPLES_A_CHIP = 8
LARGEST_TENSOR = 4
# Compiled to the end; all others are weighed.
COMPILED = (
  ('v5e-16', 'base', 'fsdp'),
  ('v5e-16', 'nano', 'dp'),
  ('v5e-16', 'base', 'dp'),
  ('v5e-16', 'base', 'fsdp_tp'),
  ('v6e-16', 'base', 'fsdp'),
  ('v5p-16', 'base', 'fsdp'),
  *(('v5e-16', size, 'fsdp') for size in SIZES if size != 'base'),
  ('v5e-256', 'base', 'fsdp'),
  ('v5e-256', 'xl', 'fsdp'),
  ('v6e-256', 'xl', 'fsdp'),
  ('v5p-256', 'xl', 'fsdp'),
  ('v5e-256', 'xl', 'fsdp_tp'),
)


def make_mesh_sizes(size: str, preset: str, chips: int) -> dict[str, int]:
  """As much `fsdp` as the weights divide into; `replica` takes the rest.

  Raises:
    UserError: the heads cannot be shared at all.
  """
  shape = SIZES[size]
  tensor = 1
  if preset == 'fsdp_tp':
    tensor = math.gcd(shape['heads'], shape['text_heads'], LARGEST_TENSOR)
    if tensor == 1:
      raise UserError('its heads cannot be shared')
  fsdp = math.gcd(shape['width'], shape['text_width'], chips // tensor)
  if preset == 'dp':
    fsdp = 1
  return {
    'replica': chips // tensor // fsdp, 'fsdp': fsdp, 'tensor': tensor
  }  # fmt: skip


def make_config(size: str, preset: str, topology: Topology) -> dict[str, Any]:
  """The quickstart's config at another size, for a slice."""
  config = load_config('quickstart').to_dict()
  config['image_size'], patch = PICTURES[size]
  config['model'].update(size=size, patch=patch)
  config['sharding'] = preset
  config['mesh'] = make_mesh_sizes(size, preset, topology.count)
  config['batch_size'] = EXAMPLES_A_CHIP * topology.count
  return config


def list_cells() -> Iterator[tuple[str, str, str]]:
  """Topology, size and preset of every cell, the most telling first."""
  names = [n for n, t in TOPOLOGIES.items() if t.count >= 16]
  yield from COMPILED
  far_first = sorted(names, key=lambda n: TOPOLOGIES[n].count not in (16, 256))
  for name in far_first:
    for size in reversed(SIZES):
      for preset in PRESETS:
        if (name, size, preset) not in COMPILED:
          yield name, size, preset


def measure(
  name: str,
  size: str,
  preset: str,
  *,
  compiled: bool,
  an_example: float | None,
) -> dict:
  """One cell, as plan.json keeps it; sizes are bytes a chip.

  Args:
    name: of the topology.
    size: of the network.
    preset: of the sharding.
    compiled: whether to compile the step, or to weigh it alone.
    an_example: bytes that one more example takes on its chip; weighed if not
      known from another slice of these chips.
  """
  topology = TOPOLOGIES[name]
  cell = {'topology': name, 'size': size, 'preset': preset}
  began = time.process_time()
  try:
    config = make_config(size, preset, topology)
    made = programs.Programs(config, topology)
  except UserError as error:
    return {**cell, 'refused': str(error)}
  batch = config['batch_size']
  weight = made.estimate_train_step_memory(batch)
  if an_example is None:
    more = made.estimate_train_step_memory(2 * batch)
    an_example = (more - weight) / batch * made.shares
  limit = topology.chip.hbm_bytes
  rows = batch / made.shares + (limit - weight) / an_example
  largest = max(0, int(rows)) * made.shares
  cell |= {
    'mesh': config['mesh'],
    'batch_size': batch,
    'state': programs.count_bytes(made.state),
    'weighed': round(weight),
    'an_example': round(an_example),
    'limit': round(limit),
    'largest_batch_by_the_line': largest,
    'flops_by_hand': flops.count_step_flops(config).total,
  }
  if compiled:
    step = made.compile_train_step(batch)
    cell |= {'fits': step.fits, 'needed': round(step.needed)}
    if step.fits:
      line = roofline.make_roofline(step.costs, topology.chip)
      cell |= {
        'temporaries': round(step.temporaries),
        'code': round(step.code),
        'flops_a_chip': step.costs.flops,
        'flops_a_chip_by_the_compiler': step.compiler_flops,
        'hbm_traffic': round(step.costs.hbm_bytes),
        'sent': {
          kind: {'count': exchange.count, 'bytes': round(exchange.bytes)}
          for kind, exchange in sorted(step.costs.exchanges.items())
        },
        'seconds': {
          'compute': line.compute,
          'memory': line.memory,
          'exchange': line.exchange,
        },
        'largest': line.largest,
      }
  jax.clear_caches()
  return {**cell, 'core_seconds': round(time.process_time() - began, 1)}


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--minutes', type=float, default=60.0)
  parser.add_argument('--no-compile', action='store_true')
  args = parser.parse_args()
  jax.config.update('jax_platforms', 'cpu')
  end = time.monotonic() + 60 * args.minutes
  found = {}
  if plan_page.RESULTS.exists():
    for cell in plan_page.load_results()['cells']:
      found[cell['topology'], cell['size'], cell['preset']] = cell
  wanted = list(list_cells())
  for key in wanted:
    compiled = key in COMPILED and not args.no_compile
    done = key in found and (not compiled or 'needed' in found[key])
    if done or time.monotonic() > end:
      continue
    cell = measure(
      *key, compiled=compiled, an_example=find_example(found, *key)
    )
    print(json.dumps(cell), flush=True)
    found[key] = cell
    save(list(found.values()), len(wanted))
  if found:
    plan_page.main()


def find_example(
  found: dict, name: str, size: str, preset: str
) -> float | None:
  """What an example takes on a chip of this kind, if it was weighed before."""
  kind = TOPOLOGIES[name].kind
  for (other, *rest), cell in found.items():
    same = TOPOLOGIES[other].kind == kind and rest == [size, preset]
    if same and 'an_example' in cell:
      return cell['an_example']
  return None


def save(cells: list[dict], wanted: int) -> None:
  """Writes plan.json."""
  result = {
    'command': 'python -m perf.plan_table',
    'examples_a_chip': EXAMPLES_A_CHIP,
    'cells_wanted': wanted,
    'cells': cells,
    'versions': {
      **provenance.get_versions(),
      'libtpu': importlib.metadata.version('libtpu'),
    },
    'git': provenance.get_git_state(),
  }
  plan_page.RESULTS.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
