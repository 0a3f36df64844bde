"""What a plan says, part by part, for a person to read."""

from vbanana_jax import families
from vbanana_jax.plan.compiler import Bounds
from vbanana_jax.plan.costs import Costs
from vbanana_jax.plan.memory import Memory
from vbanana_jax.plan.programs import Program, Programs, count_bytes
from vbanana_jax.plan.roofline import make_roofline
from vbanana_jax.plan.topologies import Topology

NOTE = (
  'Memory and programs are what the compiler makes for these chips. Times are '
  'a roofline of published peaks; nothing was measured on a chip.'
)


def describe_slice(programs: Programs) -> str:
  """The slice and the run."""
  config, topology = programs.config, programs.topology
  mesh = ', '.join(
    f'{axis} {size}' for axis, size in programs.mesh.shape.items()
  )
  return (
    f'{topology.name}: {topology.count} chip{"s" * (topology.count > 1)}, '
    f'{topology.layout} '
    f'(the cloud calls it {topology.accelerator})\n'
    f'{families.label(config)}, {config["image_size"]} px in patches of '
    f'{programs.model.config.patch}, batch of {config["batch_size"]}, '
    f'{config["data"]["text_length"]} tokens; {config["sharding"]}: {mesh}\n'
  )


def describe_estimate(programs: Programs, analytic: families.StepFlops) -> str:
  """What needs no compiler: the state's bytes and the products' time."""
  topology = programs.topology
  share = analytic.total / topology.count / topology.chip.flops
  return (
    f'before compiling: weights, their average and the optimizer take '
    f'{to_size(count_bytes(programs.state))} a chip of '
    f'{to_size(topology.chip.hbm_bytes)}\n'
    f'FLOPs a step by hand, all chips: {to_flops(analytic.total)} (forward '
    f'{to_flops(analytic.forward)}, backward '
    f'{to_flops(analytic.backward)}, again '
    f'{to_flops(analytic.again)}, Muon {to_flops(analytic.muon)}): '
    f'{to_time(share)} at least, if shared by all'
  )


def describe_bounds(bounds: Bounds) -> str:
  """What a program may take on this machine."""
  return (
    f'a program is given up if compiling it takes more than '
    f'{to_size(bounds.bytes)} of memory here (--memory) or '
    f'{bounds.seconds / 60:g} minutes (--minutes)'
  )


def describe_weight(programs: Programs, weight: float) -> str:
  """The training step before it is compiled."""
  return (
    f'training step, weighed: {to_size(weight)} a chip of '
    f'{to_size(programs.topology.chip.hbm_bytes)}; compiled it takes more '
    '(a tenth, from size base on)'
  )


def describe_slice_weight(topology: Topology, weight: float) -> str:
  """The training step on a smaller slice."""
  limit = topology.chip.hbm_bytes
  verdict = 'may fit' if weight < limit else 'does not fit'
  return f'{topology.name}: {to_size(weight)} a chip, weighed; {verdict}'


def describe_smallest(programs: Programs, smallest: Topology | None) -> str:
  """The end of the search for it."""
  batch = programs.config['batch_size']
  if smallest is None:
    kind = programs.topology.kind
    return f'a batch of {batch} fits on no {kind} slice up to this one'
  return f'the smallest slice for a batch of {batch}: {smallest.name}'


def describe_train_step(
  programs: Programs,
  step: Program,
  memory: Memory | None,
  analytic: families.StepFlops,
) -> str:
  """The compiled step; `memory` is None if it does not fit."""
  topology = programs.topology
  limit = to_size(topology.chip.hbm_bytes)
  if memory is None:
    return (
      f'\ntraining step does not fit: {to_size(step.needed)} a chip of {limit}'
    )
  share = analytic.total / topology.count / step.costs.flops
  line = make_roofline(step.costs, topology.chip)
  peak = topology.count * topology.chip.flops
  useful = (analytic.forward + analytic.backward) / line.seconds / peak
  return '\n'.join(
    [
      '',
      *_describe_memory(memory),
      f'in the program, a chip: {to_flops(step.costs.flops)}, of which by hand '
      f'{share:.0%}; by the compiler, each loop once: '
      f'{to_flops(step.compiler_flops)}',
      _describe_attention(step.costs),
      *_describe_time('training step', topology, step),
      f'  {programs.config["batch_size"] / line.seconds:,.0f} examples a second'
      f' and {useful:.0%} of the peak at best, if the hosts make them as fast',
    ]
  )


def _describe_attention(costs: Costs) -> str:
  calls = sum(
    count for name, count in costs.kernels.items() if name.startswith('splash')
  )
  if calls:
    return f'attention in blocks, by the splash kernel: {calls} calls'
  return 'attention whole: all scores of a head at once'


def _describe_memory(memory: Memory) -> list[str]:
  rows = {
    'parameters': memory.parameters,
    'their average': memory.averaged,
    'optimizer': memory.optimizer,
    'frozen parts': memory.frozen,
    'batch': memory.batch,
    'padding of these': memory.padding,
    'activations': memory.activations,
    'temporaries': memory.temporaries,
    'program': memory.code,
  }
  if memory.activations is None:
    rows['activations and temporaries'] = memory.temporaries
    del rows['activations'], rows['temporaries']
  for name in ('their average', 'frozen parts'):
    if not rows[name]:
      del rows[name]
  share = memory.total / memory.limit
  return [
    f'training step, a chip: {to_size(memory.total)} of '
    f'{to_size(memory.limit)} ({share:.0%})',
    *(f'  {name:28}{to_size(size):>12}' for name, size in rows.items()),
  ]


def describe_program(programs: Programs, name: str, program: Program) -> str:
  """A program of the held-out set."""
  topology = programs.topology
  batch = programs.config['eval']['batch_size']
  head = (
    f'\n{name}, batch of {batch}: {to_size(program.needed)} a chip of '
    f'{to_size(topology.chip.hbm_bytes)}'
  )
  if not program.fits:
    return f'{head}, which does not fit'
  return '\n'.join(
    [
      f'{head}, {to_flops(program.costs.flops)}',
      *_describe_time(name, topology, program),
    ]
  )


def _describe_time(
  name: str, topology: Topology, program: Program
) -> list[str]:
  line = make_roofline(program.costs, topology.chip)
  exchanges = [
    f'  {kind:22}{to_size(exchange.bytes):>12} sent a chip, {exchange.count} x'
    for kind, exchange in program.costs.exchanges.items()
  ]
  lines = [
    *exchanges,
    f'{name}, predicted: {to_time(line.seconds)} if everything overlaps, '
    f'{to_time(line.seconds_in_turn)} if nothing does; largest: {line.largest}',
    f'  compute {to_time(line.compute)}, memory {to_time(line.memory)} '
    f'({to_size(program.costs.hbm_bytes)}), exchange {to_time(line.exchange)}',
  ]
  if program.costs.unknown_trip_counts:
    lines.append(
      f'  {program.costs.unknown_trip_counts} loops without a known '
      'trip count: their bodies count once'
    )
  return lines


def to_size(count: float) -> str:
  """Bytes, as in 1.5 GiB."""
  for unit in ('B', 'KiB', 'MiB', 'GiB'):
    if abs(count) < 1024 or unit == 'GiB':
      return f'{count:.3g} {unit}' if count < 1000 else f'{count:,.0f} {unit}'
    count /= 1024
  raise AssertionError


def to_flops(count: float) -> str:
  """FLOPs, as in 1.5 TFLOP."""
  for unit in ('', 'k', 'M', 'G', 'T', 'P'):
    if count < 1000 or unit == 'P':
      return f'{count:.3g} {unit}FLOP'
    count /= 1000
  raise AssertionError


def to_time(seconds: float) -> str:
  """Seconds, as in 1.5 ms."""
  if seconds < 1e-3:
    return f'{1e6 * seconds:.3g} us'
  return f'{1e3 * seconds:.3g} ms' if seconds < 1 else f'{seconds:.3g} s'
