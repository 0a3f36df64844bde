"""What every size costs on slices of TPUs, by `vbanana plan`'s own functions.

  python -m perf.plan [--minutes 60] [--no-compile]

Writes the JSON after every cell. What is there already is kept, so that several
sittings fill it. On an idle core a cell takes 10 to 30 s to be weighed; some
are compiled to the end too, which takes one to two minutes each for 16 chips
and ten and more for 256, and is left out with --no-compile. Needs the [plan]
extra.
"""

import math
import time
from collections.abc import Iterator
from typing import Any

import jax

from perf import run, timing
from vbanana_jax.config import load_config
from vbanana_jax.errors import UserError
from vbanana_jax.models import SIZES
from vbanana_jax.plan import programs, roofline
from vbanana_jax.plan.topologies import TOPOLOGIES, Topology
from vbanana_jax.runtime import logs
from vbanana_jax.sharding import PRESETS
from vbanana_jax.training import flops

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


def plan_cell(
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


def measure(minutes: float = 60.0, compile: bool = True) -> Iterator[dict]:
  """All results so far, after each cell; see this module.

  Args:
    minutes: after which no cell is begun.
    compile: also compile what is to be compiled.
  """
  jax.config.update('jax_platforms', 'cpu')
  end = time.monotonic() + 60 * minutes
  found = {}
  for folder in (run.RESULTS, run.OTHER_RESULTS):
    if (path := folder / 'plan.json').exists():
      for cell in logs.load_json(path)['cells']:
        found[cell['topology'], cell['size'], cell['preset']] = cell
  wanted = list(list_cells())
  for key in wanted:
    compiled = compile and key in COMPILED
    done = key in found and (not compiled or 'needed' in found[key])
    if not done and time.monotonic() < end:
      found[key] = plan_cell(
        *key, compiled=compiled, an_example=find_example(found, *key)
      )
      timing.say(f'{" ".join(key)}: {found[key]}')
      yield make_result(list(found.values()), len(wanted))
  yield make_result(list(found.values()), len(wanted))


def make_result(cells: list[dict[str, Any]], wanted: int) -> dict[str, Any]:
  """The cells, and how many of each kind there are."""
  counts = {
    'wanted': wanted,
    'compiled': sum('needed' in cell for cell in cells),
    'weighed': sum('needed' not in c and 'weighed' in c for c in cells),
    'refused': sum('refused' in cell for cell in cells),
  }
  return {
    'tables': {'cells': {'number': counts}},
    'examples_a_chip': EXAMPLES_A_CHIP,
    'cells': cells,
  }


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


if __name__ == '__main__':
  run.run_main(measure, quick={'minutes': 0.5, 'compile': False})
