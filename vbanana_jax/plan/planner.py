"""A config's cost on a slice, shown as it is found, the cheap part first."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from vbanana_jax.errors import UserError
from vbanana_jax.plan import text
from vbanana_jax.plan.compiler import Bounds, Compiler, NotKnown
from vbanana_jax.plan.memory import make_memory
from vbanana_jax.plan.programs import Program, Programs, count_bytes
from vbanana_jax.plan.topologies import Topology, smaller_topologies
from vbanana_jax.training import flops

# A batch is the largest that fits if one larger by this share does not.
_TOLERANCE = 0.05


@dataclasses.dataclass(frozen=True)
class Weights:
  """A training step, weighed; bytes a chip.

  Attributes:
    one: of the config's batch.
    slope: that one more example of the whole batch adds.
  """

  one: float
  slope: float


def show_plan(
  config: Mapping[str, Any],
  topology: Topology,
  *,
  bounds: Bounds,
  show: Callable[[str], None],
  search: bool = True,
  say: Callable[[str], None] = lambda line: None,
) -> None:
  """Shows what a config's programs cost, and what could not be found out.

  Args:
    config: see `configs/base.py`.
    topology: the slice.
    bounds: of what each program may take on this machine.
    show: told every result as soon as it is there.
    search: also look for the largest batch and the smallest slice.
    say: told what is being compiled.

  Raises:
    UserError: what `train` would refuse on these devices; libtpu is missing.
  """
  programs = Programs(config, topology)
  batch_size = config['batch_size']
  analytic = flops.count_step_flops(config)
  show(text.describe_slice(programs))
  show(text.describe_estimate(programs, analytic))
  show(text.describe_bounds(bounds))
  with Compiler(config, topology, bounds) as compiler:
    finder = _Finder(programs, compiler, bounds, show)
    say(f'weighing the training step, batch of {batch_size}')
    weights = finder.estimate_memory(search)
    slices = finder.weigh_slices() if search else []
    say(f'compiling the training step, batch of {batch_size}')
    step = finder.attempt(
      'the training step', lambda: compiler.compile_train_step(batch_size)
    )
    if step is not None:
      memory = None
      if step.fits:
        slope = weights.slope if weights and search else None
        memory = make_memory(programs, step, slope)
      show(text.describe_train_step(programs, step, memory, analytic))
    task = programs.exam_task.name
    for name, compile_one in (
      ('painter, one pass', compiler.compile_painter),
      (f'eval step, {task}', compiler.compile_eval_step),
    ):
      say(f'compiling the {name}')
      program = finder.attempt(f'the {name}', compile_one)
      if program is not None:
        show(text.describe_program(programs, name, program))
    if search:
      say('compiling for the smallest slice')
      finder.show_smallest(slices, step)
      if weights:
        say('weighing and compiling for the largest batch')
        finder.show_largest(weights, step)


class _Finder:
  """The searches, each of which may end without an answer."""

  def __init__(
    self,
    programs: Programs,
    compiler: Compiler,
    bounds: Bounds,
    show: Callable[[str], None],
  ):
    self._programs = programs
    self._compiler = compiler
    self._bounds = bounds
    self._show = show
    self._config = programs.config
    self._batch_size = programs.config['batch_size']
    self._limit = programs.topology.chip.hbm_bytes
    self._unit = programs.shares * programs.config['accumulate']

  def attempt(self, what: str, make: Callable[[], Any]) -> Any:
    """What it makes; None, and a line, if that cannot be known."""
    try:
      return make()
    except NotKnown as error:
      self._show(f'{what}: not known, {error}')
    return None

  def estimate_memory(self, twice: bool) -> Weights | None:
    """The training step; `twice` tells what an example adds."""
    size, estimate_memory = (
      self._batch_size,
      self._compiler.estimate_train_step_memory,
    )

    def make() -> Weights:
      one = estimate_memory(size)
      self._show(text.describe_weight(self._programs, one))
      slope = (estimate_memory(2 * size) - one) / size if twice else 0.0
      if twice:
        rows = self._guess(Weights(one, slope))
        line = max(0, int(rows) // self._unit * self._unit)
        self._show(f'the largest batch by a straight line: about {line}')
      return Weights(one, slope)

    return self.attempt('weight of the training step', make)

  def _guess(self, weights: Weights) -> float:
    room = self._limit - weights.one
    return self._batch_size + room / max(weights.slope, 1.0)

  def weigh_slices(self) -> list[Topology]:
    """Smaller slices on which the step weighs little enough."""
    found = []
    for smaller in smaller_topologies(self._programs.topology)[:-1]:
      try:
        state = count_bytes(Programs(self._config, smaller).state)
        weight = state
        if state < smaller.chip.hbm_bytes:
          with Compiler(self._config, smaller, self._bounds) as compiler:
            weight = compiler.estimate_train_step_memory(self._batch_size)
      except (UserError, NotKnown) as error:
        self._show(f'{smaller.name}: passed over, {error}')
        continue
      self._show(text.describe_slice_weight(smaller, weight))
      if weight < smaller.chip.hbm_bytes:
        found.append(smaller)
    return found

  def show_smallest(self, slices: list[Topology], step: Program | None) -> None:
    """The first of the slices that the step is compiled for."""
    for smaller in slices:
      with Compiler(self._config, smaller, self._bounds) as compiler:
        program = self.attempt(
          f'the training step on {smaller.name}',
          lambda: compiler.compile_train_step(self._batch_size),
        )
      if program is not None and program.fits:
        self._show(text.describe_smallest(self._programs, smaller))
        return
    if step is not None:
      own = self._programs.topology if step.fits else None
      self._show(text.describe_smallest(self._programs, own))

  def show_largest(self, weights: Weights, step: Program | None) -> None:
    """The largest batch, weighed and then compiled."""
    estimate_memory = self._compiler.estimate_train_step_memory
    scale, code = 1.0, 0.0
    if step is not None and step.fits:  # by how much weighing says too little
      scale, code = (step.needed - step.code) / weights.one, step.code
    known = functools.cache(lambda size: scale * estimate_memory(size) + code)
    largest = self.attempt(
      'the largest batch',
      lambda: find_largest_batch(
        known, self._limit, unit=self._unit, guess=self._guess(weights)
      ),
    )
    if largest is None:
      return
    self._show(f'the largest batch that fits, weighed: {largest}')
    compiled = self.attempt(
      'the largest batch, compiled',
      lambda: confirm_batch(
        self._compiler.compile_train_step, largest, unit=self._unit
      ),
    )
    if compiled is not None:
      self._show(
        f'the largest batch that fits, compiled: {compiled} (within 5 %)'
        if compiled
        else 'no batch fits'
      )


def find_largest_batch(
  estimate_memory: Callable[[int], float],
  limit: float,
  *,
  unit: int,
  guess: float,
) -> int:
  """The largest batch that weighs little enough, within 5 %; 0 if none does.

  Args:
    estimate_memory: bytes a chip of a step with a batch.
    limit: bytes of a chip.
    unit: what a batch has to be a multiple of.
    guess: where to look first.
  """
  low, high = 0, math.inf  # weigh little enough, and too much
  size, factor = guess, 1 + _TOLERANCE
  while high - low > max(unit, _TOLERANCE * low):
    size = max(round(size / unit) * unit, low + unit)
    size = size if size < high else int(high) - unit
    if estimate_memory(size) <= limit:
      low = size
    else:
      high = size
    if low and high < math.inf:
      size = (low + high) / 2
    else:
      size = low * factor if low else high / factor
      factor **= 2
  return low


def confirm_batch(
  compile_step: Callable[[int], Program], largest: int, *, unit: int
) -> int:
  """The largest batch that compiles, from a weighed one down; 0 if none.

  Args:
    compile_step: the step with a batch.
    largest: the batch to begin with.
    unit: what a batch has to be a multiple of.
  """
  while largest and not compile_step(largest).fits:
    largest = int(largest / (1 + _TOLERANCE)) // unit * unit
  return largest
