"""What every size costs on slices of TPUs, by `vbanana plan`'s own functions.

  python -m perf.plan [--minutes 60] [--no-compile]

Writes the JSON after every cell. What is there already is kept, so that several
sittings fill it. On an idle core a cell takes 10 to 30 s to be estimated; some
are compiled to the end too, which takes one to two minutes each for 16 chips
and ten and more for 256. Needs the [plan] extra.
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
from vbanana_jax.plan.text import to_size, to_time
from vbanana_jax.plan.topologies import CHIPS, TOPOLOGIES, Topology
from vbanana_jax.runtime import logs
from vbanana_jax.sharding import PRESETS
from vbanana_jax.training import flops

# Side of the pictures and of a patch; of sizes that are not here, 256 and 16.
PICTURES = {
  'smoke': (32, 8), 'nano': (64, 8), 'mini': (64, 8), 'small': (128, 8),
}  # fmt: skip
EXAMPLES_A_CHIP = 8
LARGEST_TENSOR = 4
# Size, preset and topology of what is compiled to the end.
COMPILED = (
  *((size, 'fsdp', 'v5e-16') for size in SIZES),
  *((size, 'dp', 'v5e-16') for size in ('nano', 'base')),
  ('base', 'fsdp_tp', 'v5e-16'),
  *(('base', 'fsdp', name) for name in ('v6e-16', 'v5p-16', 'v5e-256')),
  *(('xl', 'fsdp', name) for name in ('v5e-256', 'v6e-256', 'v5p-256')),
  ('xl', 'fsdp_tp', 'v5e-256'),
)
# All cells, in the order of the tables.
CELLS = [
  (size, preset, name)
  for size in SIZES
  for preset in PRESETS
  for name, topology in TOPOLOGIES.items()
  if topology.count >= 16
]


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
        found[cell['size'], cell['preset'], cell['topology']] = cell
  for key in sorted(CELLS, key=lambda key: key not in COMPILED):
    compiled = compile and key in COMPILED
    done = key in found and (not compiled or 'needed' in found[key])
    if not done and time.monotonic() < end:
      found[key] = plan_cell(*key, compiled=compiled)
      timing.say(f'{" ".join(key)}: {found[key]}')
      yield make_result(found)
  yield make_result(found)


def make_config(size: str, preset: str, topology: Topology) -> dict[str, Any]:
  """The quickstart's config at another size, for a slice.

  There is as much `fsdp` as the weights divide into; `replica` takes the rest.

  Raises:
    UserError: the heads cannot be shared at all.
  """
  shape, tensor = SIZES[size], 1
  if preset == 'fsdp_tp':
    tensor = math.gcd(shape['heads'], shape['text_heads'], LARGEST_TENSOR)
    if tensor == 1:
      raise UserError('its heads cannot be shared')
  fsdp = math.gcd(shape['width'], shape['text_width'], topology.count // tensor)
  fsdp = 1 if preset == 'dp' else fsdp
  config = load_config('quickstart').to_dict()
  config['image_size'], patch = PICTURES.get(size, (256, 16))
  config['model'].update(size=size, patch=patch)
  config['sharding'] = preset
  replica = topology.count // tensor // fsdp
  config['mesh'] = {'replica': replica, 'fsdp': fsdp, 'tensor': tensor}
  config['batch_size'] = EXAMPLES_A_CHIP * topology.count
  return config


def plan_cell(
  size: str, preset: str, name: str, *, compiled: bool
) -> dict[str, Any]:
  """One cell, as plan.json keeps it; sizes are bytes a chip."""
  topology = TOPOLOGIES[name]
  cell = {'topology': name, 'size': size, 'preset': preset}
  try:
    config = make_config(size, preset, topology)
    made = programs.Programs(config, topology)
  except UserError as error:
    return {**cell, 'refused': str(error)}
  batch = config['batch_size']
  weight, twice = map(made.estimate_train_step_memory, (batch, 2 * batch))
  an_example = (twice - weight) / batch * made.shares
  limit = topology.chip.hbm_bytes
  rows = batch / made.shares + (limit - weight) / an_example
  cell |= {
    'mesh': config['mesh'],
    'batch_size': batch,
    'weighed': round(weight),
    'an_example': round(an_example),
    'largest_batch_by_the_line': max(0, int(rows)) * made.shares,
    'flops_by_hand': flops.count_step_flops(config).total,
  }
  if compiled:
    step = made.compile_train_step(batch)
    cell |= {'fits': step.fits, 'needed': round(step.needed)}
    if step.fits:
      line = roofline.make_roofline(step.costs, topology.chip)
      cell |= {
        'flops_a_chip': step.costs.flops,
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
  return cell


def make_result(found: dict[tuple[str, str, str], dict]) -> dict[str, Any]:
  """The cells, and tables of what was compiled and of what all weigh."""
  compiled, weighed = {}, {kind: {} for kind in CHIPS}
  for key in CELLS:
    size, preset, name = key
    cell = found.get(key, {})
    if 'seconds' in cell:
      compiled[f'{name}, {size}, {preset}'] = describe_compiled(cell)
    row = weighed[TOPOLOGIES[name].kind].setdefault(f'{size}, {preset}', {})
    row[name] = None if 'refused' in cell else ''
    if 'weighed' in cell:
      largest = cell['largest_batch_by_the_line']
      row[name] = f'{to_size(cell["weighed"])}; {largest:,}'
  cells = [found[key] for key in CELLS if key in found]
  return {
    'tables': {'compiled': compiled, **weighed},
    'examples_a_chip': EXAMPLES_A_CHIP,
    'cells': cells,
  }


def describe_compiled(cell: dict[str, Any]) -> dict[str, Any]:
  """A row of the table of what was compiled to the end."""
  sent, seconds = cell['sent'].values(), max(cell['seconds'].values())
  by_hand = cell['flops_by_hand'] / TOPOLOGIES[cell['topology']].count
  return {
    'batch': cell['batch_size'],
    'memory_a_chip': to_size(cell['needed']),
    'sent_a_chip': to_size(sum(kind['bytes'] for kind in sent)),
    'exchanges': sum(kind['count'] for kind in sent),
    'predicted_step': to_time(seconds),
    'largest_term': cell['largest'],
    'examples/s at best': round(cell['batch_size'] / seconds),
    'by hand / in program': timing.shorten(by_hand / cell['flops_a_chip'], 2),
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'minutes': 0.5, 'compile': False})
