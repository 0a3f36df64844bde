"""What training would cost on more and more chips, by a model on paper.

  python -m perf.scaling [--output perf/results/scaling.json]

A step's FLOPs, memory traffic and exchanged bytes in closed form, over the
published peaks of a chip: a roofline. Nothing is measured on a chip. Where
perf/results/plan.json has the same step as the compiler of TPUs made it,
the model stands beside it, as a ratio. Where the result is the committed one,
docs/figures/scaling.svg is drawn too.
"""

import argparse
import functools
import math
import pathlib
import statistics
from typing import Any

import jax

from perf import plan_page, plan_table, scaling_figure, timing
from vbanana_jax import models
from vbanana_jax.config import load_config
from vbanana_jax.models import SIZES
from vbanana_jax.plan.topologies import CHIPS, TOPOLOGIES
from vbanana_jax.training import flops, weights
from vbanana_jax.training.state import make_params

# Chips of one kind that are wired together; by the model alone beyond 256.
COUNTS = {
  'v5e': (16, 32, 64, 128, 256),
  'v6e': (16, 32, 64, 128, 256),
  'v5p': (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8960),
}
DRAWN = ('base', 'xl')
TOGETHER = 8192  # examples of a step, however many chips share them
# Bytes: of a bfloat16 and of a float32.
_HALF, _WHOLE = 2, 4
# Float32 numbers of a weight that an update reads and writes: weight, average
# and momentum both ways, and the gradient.
_UPDATE = 7
# Times that a block's pictures go to memory and back, forward and backward, if
# nothing compiled says otherwise.
DEFAULT_PASSES = 100.0


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  jax.config.update('jax_platforms', 'cpu')
  result = measure()
  path = timing.save('scaling', result, output=args.output)
  print(path)
  if path.resolve().parent == timing.RESULTS.resolve():
    scaling_figure.save(result)


def load_cells() -> list[dict[str, Any]]:
  """Those of plan.json that were compiled to the end."""
  if not plan_page.RESULTS.exists():
    return []
  return [c for c in plan_page.load_results()['cells'] if 'seconds' in c]


def measure(cells: list[dict[str, Any]] | None = None) -> dict[str, Any]:
  """The model everywhere, and beside compiled steps.

  Args:
    cells: as of `load_cells`, which is asked if they are not given.

  Returns:
    `ratios` of model to compiled over all cells; `passes`, the one number that
    is fitted to them; `compiled`, cell by cell; `predicted`, every size on
    every slice with the batch of plan.json; `together`, with one batch for all.
  """
  cells = load_cells() if cells is None else cells
  passes = fit_passes(cells)
  compiled = [compare(cell, passes) for cell in cells]
  quantities = ('flops', 'memory_bytes', 'sent_bytes', 'seconds')
  return {
    'ratios': {
      f'model over compiled: {name}': timing.summarize(
        [cell['ratios'][name] for cell in compiled]
      )
      for name in quantities
      if compiled
    },
    'note': 'a roofline of published peaks; nothing was measured on a chip',
    'passes': timing.shorten(passes),
    'fitted_to': len(cells),
    'examples_a_chip': plan_table.EXAMPLES_A_CHIP,
    'compiled': compiled,
    'predicted': [
      predict(size, 'fsdp', kind, chips, passes=passes)
      for kind, counts in COUNTS.items()
      for size in SIZES
      if size != 'smoke'
      for chips in counts
    ],
    'examples_together': TOGETHER,
    'together': [
      predict(size, 'fsdp', kind, chips, passes=passes, batch_size=TOGETHER)
      for kind, counts in COUNTS.items()
      for size in DRAWN
      for chips in counts
      if chips <= TOGETHER
    ],
  }


def predict(
  size: str,
  preset: str,
  kind: str,
  chips: int,
  *,
  passes: float = DEFAULT_PASSES,
  batch_size: int | None = None,
) -> dict[str, Any]:
  """One training step, a chip's part of it, at the chip's peaks.

  Args:
    size: of the network.
    preset: of the sharding.
    kind: of chip.
    chips: how many.
    passes: of a block's pictures through memory; see `fit_passes`.
    batch_size: examples of all chips; those of plan.json if not given.
  """
  mesh = plan_table.make_mesh_sizes(size, preset, chips)
  batch_size = batch_size or plan_table.EXAMPLES_A_CHIP * chips
  step = count(size, mesh, batch_size)
  chip = CHIPS[kind]
  memory = step['weight_bytes'] + passes * step['picture_bytes']
  terms = {
    'compute': step['flops'] / chip.flops,
    'memory': memory / chip.hbm_bytes_a_second,
    'exchange': step['sent_bytes'] / chip.ici_bytes_a_second,
  }
  seconds = max(terms.values())
  return {
    'size': size,
    'preset': preset,
    'kind': kind,
    'chips': chips,
    'batch_size': batch_size,
    'flops': step['flops'],
    'memory_bytes': round(memory),
    'sent_bytes': round(step['sent_bytes']),
    'seconds': seconds,
    'largest': max(terms, key=terms.get),
    'mfu': timing.shorten(step['useful_flops'] / chip.flops / seconds),
    'chip_seconds_per_1000': timing.shorten(
      1000 * chips * seconds / batch_size
    ),
  }


def count(size: str, mesh: dict[str, int], batch_size: int) -> dict[str, float]:
  """What one chip computes, moves and sends in a step, in closed form.

  Weights are gathered in bfloat16 for the forward and for the backward pass;
  gradients are summed in float32, and the replicas' parts of them once more.
  With `tensor`, every block sums its pictures twice each way. Of Muon's stacks
  each chip takes whole matrices, so that beyond one a chip nothing is gained.

  Returns:
    `flops`; of these `useful_flops`, the forward and backward pass; bytes of
    memory traffic for weights, `weight_bytes`, and for one pass of all blocks'
    pictures, `picture_bytes`; `sent_bytes`.
  """
  config = load_config('quickstart').to_dict()
  config['model']['size'] = size
  config['image_size'], config['model']['patch'] = plan_table.PICTURES[size]
  config['batch_size'] = batch_size
  counted = flops.count_step_flops(config)
  chips = math.prod(mesh.values())
  fsdp, tensor, replica = (mesh[axis] for axis in ('fsdp', 'tensor', 'replica'))
  shape = SIZES[size]
  parameters = count_parameters(size) / tensor
  owned = math.ceil(shape['depth'] / (fsdp * tensor)) / shape['depth']
  tokens = (config['image_size'] // config['model']['patch']) ** 2
  rows = batch_size / (replica * fsdp)
  pictures = rows * tokens * shape['width'] * shape['depth'] * _HALF
  apart = (fsdp - 1) / fsdp
  sent = (
    2 * apart * parameters * _HALF
    + apart * parameters * _WHOLE
    + 2 * (replica - 1) / replica * parameters * _WHOLE / fsdp
    + 4 * 2 * (tensor - 1) / tensor * pictures
  )
  return {
    'flops': (counted.total - counted.muon) / chips + counted.muon * owned,
    'useful_flops': (counted.forward + counted.backward) / chips,
    # Gathered weights are written and read each way, gradients once.
    'weight_bytes': 4 * parameters * _HALF
    + 2 * parameters * _WHOLE
    + _UPDATE * parameters * _WHOLE / fsdp,
    'picture_bytes': pictures / tensor,
    'sent_bytes': sent,
  }


@functools.cache
def count_parameters(size: str) -> int:
  """Of a named size, at the pictures that it is meant for."""
  config = load_config('quickstart').to_dict()
  side, config['model']['patch'] = plan_table.PICTURES[size]
  config['model']['size'] = size
  model = weights.build_network(config)
  return models.count_parameters(
    jax.eval_shape(lambda: make_params(model, size=side, seed=0))
  )


def fit_passes(cells: list[dict[str, Any]]) -> float:
  """How often blocks' pictures go through memory: the one fitted number.

  Which operations are fused is the compiler's affair; the median over compiled
  steps of what weights do not explain.
  """
  found = []
  for cell in cells:
    step = count(cell['size'], cell['mesh'], cell['batch_size'])
    rest = cell['hbm_traffic'] - step['weight_bytes']
    found.append(max(0.0, rest) / step['picture_bytes'])
  return statistics.median(found) if found else DEFAULT_PASSES


def compare(cell: dict[str, Any], passes: float) -> dict[str, Any]:
  """The model beside a step as it was compiled."""
  topology = TOPOLOGIES[cell['topology']]
  model = predict(
    cell['size'],
    cell['preset'],
    topology.kind,
    topology.count,
    passes=passes,
    batch_size=cell['batch_size'],
  )
  compiled = {
    'flops': cell['flops_a_chip'],
    'memory_bytes': cell['hbm_traffic'],
    'sent_bytes': sum(kind['bytes'] for kind in cell['sent'].values()),
    'seconds': max(cell['seconds'].values()),
  }
  useful = model['mfu'] * model['seconds'] / compiled['seconds']
  return {
    'topology': cell['topology'],
    'size': cell['size'],
    'preset': cell['preset'],
    'batch_size': cell['batch_size'],
    **compiled,
    'largest': cell['largest'],
    'mfu': timing.shorten(useful),
    'chip_seconds_per_1000': timing.shorten(
      1000 * topology.count * compiled['seconds'] / cell['batch_size']
    ),
    'ratios': {
      name: timing.shorten(model[name] / value)
      for name, value in compiled.items()
      if value
    },
  }


if __name__ == '__main__':
  main()
