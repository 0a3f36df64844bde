"""Counts what a compiled program does: products, memory traffic, exchanges.

The compiler's own cost analysis counts the body of a loop once, however often
it turns. Here every loop counts as often as its condition says.
"""

import dataclasses
import math

from vbanana_jax.plan.collectives import (
  KINDS,
  CollectiveCost,
  make_collective_cost,
)
from vbanana_jax.plan.hlo import (
  Instruction,
  Module,
  Shape,
  parse_module,
  read_aliases,
  read_branches,
)
from vbanana_jax.plan.products import count_product, find_kernel

# They name, group or wait for what another instruction makes.
_FREE = {
  'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'after-all',
  'partition-id', 'replica-id', 'optimization-barrier',
}  # fmt: skip
_NO_TRAFFIC = ('AllocateBuffer', 'ConcatBitcast')
_PICKS = ('dynamic-slice', 'slice', 'gather')


@dataclasses.dataclass(frozen=True)
class Costs:
  """What one chip does in one run of a program.

  Attributes:
    flops: of matrix products.
    hbm_bytes: read from and written to its memory.
    exchanges: by kind.
    unknown_trip_counts: loops whose trip count the program does not say; they
      count once.
    kernels: calls of kernels written apart from the compiler, by name.
  """

  flops: float = 0.0
  hbm_bytes: float = 0.0
  exchanges: dict[str, CollectiveCost] = dataclasses.field(default_factory=dict)
  unknown_trip_counts: int = 0
  kernels: dict[str, int] = dataclasses.field(default_factory=dict)

  @property
  def sent_bytes(self) -> float:
    """Of all exchanges."""
    return sum(exchange.bytes for exchange in self.exchanges.values())

  def add(self, other: 'Costs', times: int = 1) -> 'Costs':
    """These costs and `times` the others."""
    exchanges = dict(self.exchanges)
    for kind, more in other.exchanges.items():
      had = exchanges.get(kind, CollectiveCost())
      exchanges[kind] = CollectiveCost(
        had.count + times * more.count, had.bytes + times * more.bytes
      )
    kernels = {
      name: self.kernels.get(name, 0) + times * other.kernels.get(name, 0)
      for name in self.kernels | other.kernels
    }
    return Costs(
      self.flops + times * other.flops,
      self.hbm_bytes + times * other.hbm_bytes,
      exchanges,
      self.unknown_trip_counts + other.unknown_trip_counts,
      kernels,
    )


def count_costs(text: str) -> Costs:
  """What the program in the text of `compiled.as_text()` does on each chip."""
  module = parse_module(text)
  return _Counter(module).count(module.entry)


class _Counter:
  """Adds up a module's computations, each of them once."""

  def __init__(self, module: Module):
    self._module = module
    self._counted: dict[str, Costs] = {}

  def count(self, name: str) -> Costs:
    if name not in self._counted:
      body = self._module.computations[name]
      total, exchanges = Costs(), {}
      for instruction in body.values():
        total = total.add(self._count_one(instruction, body))
        exchanges |= self._find_exchanges(instruction, body)
      for kind, exchange in exchanges.values():
        total = total.add(Costs(exchanges={kind: exchange}))
      self._counted[name] = total
    return self._counted[name]

  def _count_one(self, one: Instruction, body: dict) -> Costs:
    if one.opcode in _FREE or one.opcode.endswith(('-done', '-update')):
      return Costs()
    if one.opcode == 'while':
      trip_count = self._count_turns(one, body)
      inside = self.count(one.read('body')).add(
        self.count(one.read('condition'))
      )
      once = Costs(unknown_trip_counts=trip_count is None)
      return once.add(inside, 1 if trip_count is None else trip_count)
    if one.opcode == 'conditional':
      branches = [self.count(name) for name in read_branches(one)]
      return max(branches, key=lambda costs: (costs.hbm_bytes, costs.flops))
    if one.opcode in ('call', 'async-start'):
      return self.count(one.read('to_apply') or one.read('calls'))
    operands = [body[name].shapes for name in one.operands if name in body]
    if one.opcode.removesuffix('-start') in KINDS:
      return Costs()  # see `_find_exchanges`
    if one.opcode == 'fusion':
      return self._count_fusion(one, operands, body)
    name = find_kernel(one)
    return Costs(
      flops=count_product(one, operands),
      hbm_bytes=_count_traffic(one, operands),
      kernels={name: 1} if name else {},
    )

  def _count_turns(self, loop: Instruction, outside: dict) -> int | None:
    """Turns of a loop that counts up to a constant in constant steps.

    The compiler unrolls some loops by two, so that a step need not be one.
    """
    condition = self._module.computations[loop.read('condition')]
    root = _find_root(condition)
    if root.opcode != 'compare' or root.read('direction') != 'LT':
      return None
    counter, bound = (condition.get(name) for name in root.operands)
    place = counter and counter.read('index')
    if place is None or _read_constant(bound) is None:
      return None
    body = self._module.computations[loop.read('body')]
    following = body[_find_root(body).operands[int(place)]]
    steps = [
      _read_constant(body.get(name))
      for name in following.operands
      if following.opcode == 'add'
    ]
    step = next((step for step in steps if step), None)
    before = outside[loop.operands[0]]
    first = 0
    if before.opcode == 'tuple':
      first = _read_constant(outside.get(before.operands[int(place)])) or 0
    return step and -(-(_read_constant(bound) - first) // step)

  def _find_exchanges(
    self, one: Instruction, body: dict
  ) -> dict[str, tuple[str, CollectiveCost]]:
    """Exchanges of an instruction, or in it, by the channel that they use.

    One that runs beside other work is written several times, where it starts,
    where it goes on and where it ends, each time with the same channel.
    """
    kind = one.opcode.removesuffix('-start')
    if kind in KINDS:
      channel = one.read('channel_id') or one.name
      return {
        channel: (
          kind,
          make_collective_cost(kind, one, body, self._module.chips),
        )
      }
    if one.opcode != 'fusion':
      return {}
    name = one.read('calls')
    found = {}
    inner = self._module.computations[name]
    for instruction in inner.values():
      found |= self._find_exchanges(instruction, inner)
    if name.startswith('all-reduce-scatter'):
      # Written as an all-reduce of which each chip keeps its part.
      return {
        channel: (
          'reduce-scatter',
          CollectiveCost(whole.count, whole.bytes / 2),
        )
        for channel, (_, whole) in found.items()
      }
    return found

  def _count_fusion(self, one: Instruction, operands, body) -> Costs:
    name = one.read('calls')
    flops = self.count(name).flops
    passed_on = set()  # results and operands that are one buffer in passing
    if self._find_exchanges(one, body):
      if one.name.startswith('async-collective-done'):
        return Costs(flops)
      passed_on = set(read_aliases(one))
    results = {place for place, _ in passed_on}
    sources = {place for _, place in passed_on}
    read = sum(
      min(self._count_read(name, place), shapes[0].bytes)
      for place, shapes in enumerate(operands)
      if place not in sources and len(shapes) == 1 and shapes[0].in_hbm
    )
    written = sum(
      size
      for place, (size, shape) in enumerate(
        zip(self._count_written(name, one.shapes), one.shapes)
      )
      if place not in results and shape.in_hbm
    )
    return Costs(flops, float(read + written))

  def _count_read(self, name: str, index: int) -> float:
    """Bytes that a fusion reads of an operand: all, or slices of it."""
    body = self._module.computations[name]
    parameter = next(
      one
      for one in body.values()
      if one.opcode == 'parameter' and one.operands[0] == str(index)
    )
    return self._count_used(body, parameter.name)

  def _count_used(self, body: dict, name: str) -> float:
    total = 0.0
    for user in body.values():
      for place, operand in enumerate(user.operands):
        if operand != name:
          continue
        if user.opcode in _PICKS and place == 0:
          total += _size(user.shapes)
        elif user.opcode == 'dynamic-update-slice' and place == 0:
          total += 0.0  # written in place
        elif user.opcode == 'bitcast':
          total += self._count_used(body, user.name)
        elif user.opcode == 'fusion':
          total += self._count_read(user.read('calls'), place)
        else:
          return math.inf
    return total

  def _count_written(self, name: str, shapes: tuple[Shape, ...]) -> list[float]:
    """Bytes that a fusion writes of each result: all, or a slice in place."""
    body = self._module.computations[name]
    root = _find_root(body)
    if root.opcode == 'tuple' and len(root.operands) == len(shapes):
      roots = [body[operand] for operand in root.operands]
    elif len(shapes) == 1:
      roots = [root]
    else:
      return [shape.bytes for shape in shapes]
    return [self._count_result(body, one) for one in roots]

  def _count_result(self, body: dict, one: Instruction) -> float:
    while one.opcode == 'bitcast' and one.operands[0] in body:
      one = body[one.operands[0]]
    if one.opcode == 'dynamic-update-slice':
      return _size(body[one.operands[1]].shapes)
    if one.opcode == 'fusion' and len(one.shapes) == 1:
      return self._count_written(one.read('calls'), one.shapes)[0]
    return _size(one.shapes)


def _find_root(body: dict[str, Instruction]) -> Instruction:
  return next(one for one in body.values() if one.is_root)


def _read_constant(one: Instruction | None) -> int | None:
  """Value of a whole number; None of anything else."""
  if one is None or one.opcode != 'constant':
    return None
  value = one.operands[0]
  return int(value) if value.lstrip('-').isdigit() else None


def _size(shapes: tuple[Shape, ...]) -> float:
  return float(sum(shape.bytes for shape in shapes))


def _count_traffic(one: Instruction, operands) -> float:
  """Bytes to and from memory of an instruction that is no fusion."""
  if one.opcode == 'custom-call' and any(
    f'"{target}"' in one.attributes for target in _NO_TRAFFIC
  ):
    return 0.0
  results, sources = one.shapes, [s for shapes in operands for s in shapes]
  if one.opcode in ('copy-start', 'slice-start'):
    # The result names its source too: (to, from) or (from, to), then a flag.
    to = one.shapes[0 if one.opcode == 'copy-start' else 1]
    return float(to.bytes * (to.in_hbm + sources[0].in_hbm))
  if one.opcode in _PICKS:
    return float(results[0].bytes * (results[0].in_hbm + sources[0].in_hbm))
  if one.opcode == 'dynamic-update-slice':
    return float(sources[1].bytes * (results[0].in_hbm + sources[1].in_hbm))
  return float(sum(s.bytes for s in (*results, *sources) if s.in_hbm))
