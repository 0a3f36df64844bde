"""A config's cost on a slice; the largest batch and the smallest slice."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from vbanana_jax import flops
from vbanana_jax.errors import UserError
from vbanana_jax.plan.programs import Program, Programs, count_bytes
from vbanana_jax.plan.topologies import Topology, smaller_topologies

# A batch is the largest that fits if one larger by this share does not.
_TOLERANCE = 0.05


@dataclasses.dataclass(frozen=True)
class Memory:
  """Bytes a chip of a training step.

  Attributes:
    parameters: weights.
    averaged: their running average.
    optimizer: moments.
    batch: examples.
    padding: that the tiles of the layout add to all of these.
    activations: of the temporaries, what grows with the batch; None unless
      a second batch was compiled.
    temporaries: the rest: gradients, gathered weights, orthogonalisation.
    code: the program.
    total: all of them.
    limit: what the chip has for a program.
  """

  parameters: float
  averaged: float
  optimizer: float
  batch: float
  padding: float
  activations: float | None
  temporaries: float
  code: float
  total: float
  limit: float


@dataclasses.dataclass(frozen=True)
class Plan:
  """What `vbanana plan` says.

  Attributes:
    topology: the slice.
    config: of the run.
    mesh: size of each axis.
    train_step: the training step at the config's batch size.
    memory: of it; None if it does not fit.
    hand: FLOPs of it from the config, all chips together.
    painter: the one-pass answer; None where it was not asked for.
    eval_step: that, decoded and scored; likewise.
    exam_task: whose answers the two are.
    largest_batch: that fits, within 5 %; 0 if none does, None if not asked.
    smallest: slice of these chips on which the config's batch fits; None if
      there is none, or not asked.
    searched: whether the two were asked for.
  """

  topology: Topology
  config: Mapping[str, Any]
  mesh: dict[str, int]
  train_step: Program
  memory: Memory | None
  hand: flops.StepFlops
  painter: Program | None
  eval_step: Program | None
  exam_task: str
  largest_batch: int | None
  smallest: Topology | None
  searched: bool


def make_plan(
  config: Mapping[str, Any],
  topology: Topology,
  *,
  search: bool = True,
  evaluation: bool = True,
  say: Callable[[str], None] = lambda line: None,
) -> Plan:
  """Compiles a config's programs for a slice and counts what they cost.

  Args:
    config: see `configs/base.py`.
    topology: the slice.
    search: also look for the largest batch and the smallest slice, which
      compiles the step several times.
    evaluation: also compile the painter and the eval step.
    say: told what is being compiled.

  Raises:
    UserError: what `train` would refuse on these devices; libtpu is missing.
  """
  programs = Programs(config, topology)
  batch_size = config['batch_size']
  if evaluation:
    programs.check_eval_batch_size()  # before minutes of compiling
  say(f'compiling the training step, batch of {batch_size}')
  step = programs.compile_train_step(batch_size)
  slope, largest, smallest = None, None, None
  if search:
    say('compiling for the largest batch and the smallest slice')
    weigh = functools.cache(programs.weigh_train_step)
    limit = topology.chip.hbm_bytes
    one = weigh(batch_size)
    slope = (weigh(2 * batch_size) - one) / batch_size
    largest = find_largest_batch(
      weigh,
      programs.compile_train_step,
      limit,
      unit=programs.shares * config['accumulate'],
      guess=batch_size + (limit - one) / max(slope, 1.0),
    )
    smallest = find_smallest(config, topology, step)
  painter = eval_step = None
  if evaluation:
    say(f'compiling painter and eval step, {programs.exam_task.name}')
    painter = programs.compile_painter()
    eval_step = programs.compile_eval_step()
  return Plan(
    topology=topology,
    config=config,
    mesh=dict(programs.mesh.shape),
    train_step=step,
    memory=make_memory(programs, step, slope) if step.fits else None,
    hand=flops.count_step_flops(config),
    painter=painter,
    eval_step=eval_step,
    exam_task=programs.exam_task.name,
    largest_batch=largest,
    smallest=smallest,
    searched=search,
  )


def make_memory(
  programs: Programs, step: Program, slope: float | None
) -> Memory:
  """Where the bytes of a training step go.

  Args:
    programs: of the config.
    step: its training step, compiled.
    slope: bytes a chip that one more example costs; None if not known.
  """
  state = programs.state
  parameters, averaged, optimizer = (
    float(count_bytes(tree))
    for tree in (state.params, state.ema_params, state.opt_state)
  )
  batch = float(count_bytes(programs.make_batch(programs.config['batch_size'])))
  activations = None
  if slope is not None:
    grown = slope * programs.config['batch_size'] - batch
    activations = min(max(grown, 0.0), step.temporaries)
  return Memory(
    parameters=parameters,
    averaged=averaged,
    optimizer=optimizer,
    batch=batch,
    padding=step.arguments - parameters - averaged - optimizer - batch,
    activations=activations,
    temporaries=step.temporaries - (activations or 0.0) + step.results,
    code=step.code,
    total=step.needed,
    limit=programs.topology.chip.hbm_bytes,
  )


def find_largest_batch(
  weigh: Callable[[int], float],
  compile_step: Callable[[int], Program],
  limit: float,
  *,
  unit: int,
  guess: float,
) -> int:
  """The largest batch that compiles, within 5 %; 0 if none does.

  Args:
    weigh: bytes a chip of a step with a batch.
    compile_step: the step itself.
    limit: bytes of a chip.
    unit: what a batch has to be a multiple of.
    guess: where to look first.
  """
  low, high = 0, math.inf  # weigh little enough, and too much
  size, factor = guess, 1 + _TOLERANCE
  while high - low > max(unit, _TOLERANCE * low):
    size = max(round(size / unit) * unit, low + unit)
    size = size if size < high else int(high) - unit
    if weigh(size) <= limit:
      low = size
    else:
      high = size
    if low and high < math.inf:
      size = (low + high) / 2
    else:
      size = low * factor if low else high / factor
      factor **= 2
  while low and not compile_step(low).fits:
    low = int(low / (1 + _TOLERANCE)) // unit * unit
  return low


def find_smallest(
  config: Mapping[str, Any], topology: Topology, step: Program
) -> Topology | None:
  """The smallest slice of a topology's chips on which the config's step fits.

  Slices that the mesh or the batch cannot use are passed over.

  Args:
    config: see `configs/base.py`.
    topology: the largest slice to look at.
    step: the training step on it.
  """
  batch_size = config['batch_size']
  for smaller in smaller_topologies(topology):
    if smaller == topology:
      break
    try:
      programs = Programs(config, smaller)
      limit = smaller.chip.hbm_bytes
      if (
        count_bytes(programs.state) < limit
        and programs.weigh_train_step(batch_size) < limit
        and programs.compile_train_step(batch_size).fits
      ):
        return smaller
    except UserError:
      continue
  return topology if step.fits else None
