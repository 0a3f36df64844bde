"""Where a train step's time goes, operation by operation, as text.

  python -m perf.profile_step [--width 256] \
    [--output perf/results/profile_step.txt]

Our forward and backward pass on one core, where operations follow each other,
under the profiler; each operation of the trace is looked up in the compiled
program, whose text says what it does and for which part of the network. Of an
accelerator its own operations are counted; the host has one core there too, so
that compiling takes longer.
"""

import argparse
import collections
import contextlib
import gzip
import json
import os
import pathlib
import re
import tempfile
from collections.abc import Iterable
from typing import Any

import jax

from perf import timing, train_step, workload
from vbanana_jax.plan import hlo
from vbanana_jax.training import flops, weights

_TRACE_FLAG = '--xla_cpu_enable_xprof_traceme=true'
# The first that is found in a fusion names it.
_KINDS = {
  'matrix products': {'dot', 'convolution'},
  'reductions': {'reduce', 'reduce-window'},
  'random numbers': {'rng-bit-generator', 'shift-right-logical'},
  'exponentials': {'exponential', 'logistic', 'tanh', 'power'},
  'gathers and scatters': {'gather', 'scatter', 'dynamic-update-slice'},
  'joins, slices, copies, transposes': {
    'concatenate', 'slice', 'pad', 'copy', 'transpose', 'dynamic-slice',
  },
  'conversions': {'convert'},
}  # fmt: skip
_OTHER = 'elementwise'
_ARITHMETIC = {'add', 'multiply', 'subtract', 'divide', 'rsqrt', 'select'}
_MOVES = ('joins, slices, copies, transposes', 'conversions')
_LARGEST = 25


def measure(
  width: int = 256, *, batch_size: int | None = None, steps: int = 3
) -> dict[str, Any]:
  """Milliseconds a step by kind, part of the network and operation.

  Returns:
    `ratios`, the share of each kind; `kinds`, `parts` and `operations`, in ms;
    `gflops` of a step and `wall_ms`, its time without the profiler.
  """
  config = workload.make_config(
    width, batch_size=batch_size or train_step.BATCH_SIZES[width]
  )
  model = weights.build_network(config)
  params = jax.device_put(workload.make_random_params(model, config))
  batch = jax.device_put(workload.make_batch(config))
  run = jax.jit(train_step.make_passes(model, config))
  run = run.lower(params, batch).compile()
  times = timing.interleave({'passes': lambda: run(params, batch)}, steps)
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder, create_perfetto_trace=True):
      for _ in range(steps):
        jax.block_until_ready(run(params, batch))
    events = load_events(pathlib.Path(folder))
  found = add_up(events, hlo.parse_module(run.as_text()), steps)
  total = sum(found['kinds'].values())
  counted = flops.count_step_flops(config)
  return {
    'ratios': {
      f'share of {kind}': timing.shorten(ms / total, 3)
      for kind, ms in found['kinds'].items()
    },
    **found,
    'gflops': timing.shorten(counted.useful / 1e9),
    'wall_ms': timing.summarize_times(times)['passes']['wall_ms'],
    'model': config['model'],
    'batch_size': config['batch_size'],
    'policy': str(model.precision),
  }


def load_events(folder: pathlib.Path) -> list[dict[str, Any]]:
  """The operations in a trace: those events that name one of a program."""
  (path,) = folder.rglob('perfetto_trace.json.gz')
  with gzip.open(path) as file:
    events = json.load(file)['traceEvents']
  return [
    event
    for event in events
    if event.get('ph') == 'X' and 'hlo_op' in event.get('args', {})
  ]


def add_up(
  events: Iterable[dict[str, Any]], module: hlo.Module, steps: int
) -> dict[str, dict[str, float]]:
  """Milliseconds a step by `kinds`, `parts` and `operations`, longest first.

  A call, a loop or a branch is not counted itself, but what runs inside it is:
  the trace has both.
  """
  known = {
    name: one
    for body in module.computations.values()
    for name, one in body.items()
  }
  sums = {
    name: collections.Counter() for name in ('kinds', 'parts', 'operations')
  }
  for event in events:
    one = known.get(event['args']['hlo_op'])
    if one is None or one.opcode in ('call', 'while', 'conditional'):
      continue
    ms = event['dur'] / 1e3 / steps
    kind, part = find_kind(one, module), find_part(one.attributes)
    sums['kinds'][kind] += ms
    sums['parts'][part] += ms
    sums['operations'][f'{one.name}: {kind}, {part}'] += ms
  return {
    name: {key: timing.shorten(ms) for key, ms in counter.most_common()}
    for name, counter in sums.items()
  }


def find_kind(one: hlo.Instruction, module: hlo.Module) -> str:
  """What an instruction mostly does, by what is in it."""
  inside = _collect_opcodes(one, module)
  for kind, opcodes in _KINDS.items():
    # Arithmetic takes its operands from wherever they lie.
    if inside & opcodes and not (kind in _MOVES and inside & _ARITHMETIC):
      return kind
  return _OTHER


def _collect_opcodes(one: hlo.Instruction, module: hlo.Module) -> set[str]:
  inner = module.computations.get(one.read('calls') or '', {})
  found = {one.opcode}
  for instruction in inner.values():
    found |= _collect_opcodes(instruction, module)
  return found


def find_part(attributes: str) -> str:
  """The part of the network that an instruction was traced in, and the pass."""
  found = re.search(r'op_name="([^"]*)"', attributes)
  path = found[1] if found else ''
  back = 'backward' if 'transpose(' in path else 'forward'
  words = path.split('/')
  tower = 'text' if 'text' in words else 'image'
  if 'blocks' not in words:
    return f'outside blocks, {back}'
  inside = words[words.index('blocks') + 1 :]
  layer = inside[0] if len(inside) > 1 else 'norms, modulation, rest'
  layer = 'attention products' if '->' in layer else layer
  return f'{tower} blocks, {layer}, {back}'


def write_text(result: dict[str, Any]) -> str:
  """The whole profile as lines."""
  total = sum(result['kinds'].values())
  wall = result['wall_ms']['median']
  lines = [
    f'width-{workload.get_width(result)} network, batch of '
    f'{result["batch_size"]}, {result["gflops"]} GFLOP forward and backward',
    f'{wall} ms a step, {result["gflops"] / wall * 1e3:.0f} GFLOP/s; '
    f'{total:.0f} ms of operations under the profiler',
    result['policy'],
  ]
  for name in ('kinds', 'parts', 'operations'):
    lines += ['', f'{name}, ms a step']
    rows = list(result[name].items())[:_LARGEST]
    lines += [f'{ms:9.2f} {ms / total:6.1%}  {key}' for key, ms in rows]
  return '\n'.join(lines) + '\n'


def prepare_tracing() -> None:
  """One core, and a trace of every operation; before JAX has its devices."""
  flags = os.environ.get('XLA_FLAGS', '')
  os.environ['XLA_FLAGS'] = f'{flags} {_TRACE_FLAG}'.strip()
  with contextlib.suppress(OSError, AttributeError):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--width', type=int, default=256)
  parser.add_argument('--batch-size', type=int)
  parser.add_argument('--quick', action='store_true', help='a small batch')
  parser.add_argument(
    '--output', type=pathlib.Path, help='text file; JSON goes beside it'
  )
  args = parser.parse_args()
  prepare_tracing()
  batch_size = 4 if args.quick else args.batch_size
  result = measure(args.width, batch_size=batch_size)
  text = write_text(result)
  print(text)
  if args.output:
    args.output.with_suffix('.txt').write_text(text)
    result['operations'] = dict(list(result['operations'].items())[:_LARGEST])
    timing.save('profile_step', result, output=args.output.with_suffix('.json'))


if __name__ == '__main__':
  main()
