"""A plan for a person to read."""

from vbanana_jax.plan.planner import Plan
from vbanana_jax.plan.programs import Program
from vbanana_jax.plan.roofline import make_roofline

_NOTE = (
  'Memory and programs are what the compiler makes for these chips. Times are '
  'a roofline of published peaks; nothing was measured on a chip.'
)


def make_text(plan: Plan) -> str:
  """The page that `vbanana plan` prints."""
  config, topology = plan.config, plan.topology
  mesh = ', '.join(f'{axis} {size}' for axis, size in plan.mesh.items())
  lines = [
    f'{topology.name}: {topology.count} chips, {topology.layout} '
    f'(the cloud calls it {topology.accelerator})',
    f'{config["model"]["size"]}, {config["image_size"]} px in patches of '
    f'{config["model"]["patch"]}, batch of {config["batch_size"]}, '
    f'{config["data"]["text_length"]} tokens; {config["sharding"]}: {mesh}',
    '',
    *_describe_memory(plan),
    '',
    *_describe_step(plan),
  ]
  for name, program in (
    ('painter, one pass', plan.painter),
    (f'eval step, {plan.exam_task}', plan.eval_step),
  ):
    if program is not None:
      lines += ['', *_describe_program(plan, name, program)]
  if plan.searched:
    lines += ['', *_describe_search(plan)]
  return '\n'.join([*lines, '', _NOTE])


def _describe_memory(plan: Plan) -> list[str]:
  limit = plan.topology.chip.hbm_bytes
  memory = plan.memory
  if memory is None:
    return [
      f'training step does not fit: {to_size(plan.train_step.needed)} a chip '
      f'of {to_size(limit)}'
    ]
  rows = {
    'parameters': memory.parameters,
    'their average': memory.averaged,
    'optimizer': memory.optimizer,
    'batch': memory.batch,
    'padding of these': memory.padding,
    'activations': memory.activations,
    'temporaries': memory.temporaries,
    'program': memory.code,
  }
  if memory.activations is None:
    rows['activations and temporaries'] = memory.temporaries
    del rows['activations'], rows['temporaries']
  share = memory.total / memory.limit
  return [
    f'training step, a chip: {to_size(memory.total)} of {to_size(limit)} '
    f'({share:.0%})',
    *(f'  {name:28}{to_size(size):>12}' for name, size in rows.items()),
  ]


def _describe_step(plan: Plan) -> list[str]:
  hand = plan.hand
  lines = [
    f'FLOPs a step by hand, all chips: {to_flops(hand.total)} (forward '
    f'{to_flops(hand.forward)}, backward {to_flops(hand.backward)}, again '
    f'{to_flops(hand.again)}, Muon {to_flops(hand.muon)})'
  ]
  step = plan.train_step
  if not step.fits:
    return lines
  share = hand.total / plan.topology.count / step.costs.flops
  line = make_roofline(step.costs, plan.topology.chip)
  peak = plan.topology.count * plan.topology.chip.flops
  useful = (hand.forward + hand.backward) / line.seconds / peak
  return [
    *lines,
    f'in the program, a chip: {to_flops(step.costs.flops)}, of which by hand '
    f'{share:.0%}; by the compiler, each loop once: '
    f'{to_flops(step.compiler_flops)}',
    *_describe_time('training step', plan, step),
    f'  {plan.config["batch_size"] / line.seconds:,.0f} examples a second and '
    f'{useful:.0%} of the peak at best, if the hosts make them as fast',
  ]


def _describe_program(plan: Plan, name: str, program: Program) -> list[str]:
  limit = plan.topology.chip.hbm_bytes
  batch = plan.config['eval']['batch_size']
  head = (
    f'{name}, batch of {batch}: {to_size(program.needed)} a chip of '
    f'{to_size(limit)}'
  )
  if not program.fits:
    return [f'{head}, which does not fit']
  return [
    f'{head}, {to_flops(program.costs.flops)}',
    *_describe_time(name, plan, program),
  ]


def _describe_time(name: str, plan: Plan, program: Program) -> list[str]:
  line = make_roofline(program.costs, plan.topology.chip)
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
  if program.costs.open_loops:
    lines.append(
      f'  {program.costs.open_loops} loops turn until they are done: their '
      'bodies count once'
    )
  return lines


def _describe_search(plan: Plan) -> list[str]:
  chips = plan.topology.kind
  batch = plan.config['batch_size']
  largest = (
    f'the largest batch that fits: {plan.largest_batch} (within 5 %)'
    if plan.largest_batch
    else 'no batch fits'
  )
  smallest = (
    f'the smallest slice for a batch of {batch}: {plan.smallest.name}'
    if plan.smallest
    else f'a batch of {batch} fits on no {chips} slice up to this one'
  )
  return [largest, smallest]


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
