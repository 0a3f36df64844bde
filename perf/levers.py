"""What each lever of the train step is worth: the step without it over ours.

  python -m perf.levers [--size nano] [--rounds 7] [--output JSON]

Every variant is the whole step of the quickstart's tuning with one thing put
back to the plain way; all take turns in one process, with the pages that it was
given. Large pages are asked for when a process starts, so that for them two
processes take turns, each with many steps in a row. `fused` is of products
alone, which the network does not put side by side: three and two that read the
same rows, against one with their weights in one matrix.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from perf import timing, train_step, workload
from vbanana_jax import cli, keys, models
from vbanana_jax.config import load_config
from vbanana_jax.models import attention, layers, numerics
from vbanana_jax.training import optim, weights

OURS = 'ours'
PAGES = 'glibc.malloc.hugetlb='
_STEPS_IN_A_ROW = 10
# Rows, width and hidden width of the products of `fused`, by size.
_SHAPES = {'nano': (3072, 256, 704), 'smoke': (256, 32, 128)}
_PRODUCTS = 20  # in a row: one is over too soon
_scan, _build_optimizer, _jit = nn.scan, optim.build_optimizer, jax.jit


def _scan_rolled(*args: Any, **kwargs: Any) -> Any:
  return _scan(*args, **{**kwargs, 'unroll': 1})


def _optimize_in_float32(config, total_steps, precision, mesh):
  wide = dataclasses.replace(precision, matmul_dtype='float32')
  return _build_optimizer(config, total_steps, wide, mesh)


def _optimize_together(config, total_steps, precision, mesh):
  del mesh
  return _build_optimizer(config, total_steps, precision)


def _jit_without_donation(*args: Any, **kwargs: Any) -> Any:
  return _jit(*args, **{**kwargs, 'donate_argnums': ()})


def _attend_derived(q, k, v, mask, matmul_dtype):
  return attention._attend_forward(q, k, v, mask, matmul_dtype)[0]


# What is put in which module's place while the step is traced.
PLAIN: dict[str, tuple[Any, str, Any]] = {
  "attention's gradient derived by JAX": (
    attention, '_attend_by_head', _attend_derived,
  ),
  "SwiGLU's gradient derived by JAX": (
    layers, '_swiglu', layers._swiglu.__wrapped__,
  ),
  "Muon's products in float32": (
    optim, 'build_optimizer', _optimize_in_float32,
  ),
  "Muon's matrices of a kind together": (
    optim, 'build_optimizer', _optimize_together,
  ),
  'blocks scanned': (nn, 'scan', _scan_rolled),
  'without donation': (jax, 'jit', _jit_without_donation),
}  # fmt: skip
# What is wide where our own products are narrow.
WIDE = ('float32 products', "Muon's products in float32")
REMAT = {'remat: dots': 'dots', 'remat: full': 'full'}


def measure(size: str = 'nano', *, rounds: int = 7) -> dict[str, Any]:
  """Times of all variants, of large pages, and of products side by side.

  Args:
    size: of the network; the rest is the quickstart's tuning.
    rounds: turns that each variant has.
  """
  config = make_config(size)
  steps = build_steps(config)
  times = timing.interleave(steps, rounds, in_a_row=train_step.IN_A_ROW)
  temporaries = {name: step.count_temporaries() for name, step in steps.items()}
  names = [name for name in times if name != OURS]
  return {
    'ratios': {
      **{name: timing.compare(times, name, OURS) for name in names},
      'pages of 4 KiB': measure_pages(size, rounds),
    },
    'cpu_time_ratios': {
      name: timing.compare(times, name, OURS, 'cpu') for name in names
    },
    'temporaries_ratios': {
      name: timing.shorten(temporaries[name] / temporaries[OURS], 3)
      for name in names
    },
    'left_out': find_left_out(),
    'temporaries_mb': timing.shorten(temporaries[OURS] / 1e6),
    'fused': measure_fused(*_SHAPES.get(size, _SHAPES['nano']), rounds=rounds),
    'times': timing.summarize_times(times),
    'model': config['model'],
    'batch_size': config['batch_size'],
  }


def make_config(size: str) -> dict[str, Any]:
  """The quickstart's tuning with a network of this size."""
  config = load_config('quickstart:tune').to_dict()
  config['model']['size'] = size
  return config


def find_left_out() -> dict[str, str]:
  """Variants that are our own step on this processor, with the reason."""
  if numerics.build_precision().matmul_dtype != 'float32':
    return {}
  reason = 'products are of float32 here: the CPU has no bfloat16 instructions'
  return dict.fromkeys(WIDE, reason)


def build_steps(config: dict[str, Any]) -> dict[str, train_step.Step]:
  """Our compiled step and all variants that differ from it, by name."""
  left_out = find_left_out()
  steps = {OURS: build_step(config)}
  if 'float32 products' not in left_out:
    model = weights.build_network(config)
    precision = dataclasses.replace(model.precision, matmul_dtype='float32')
    steps['float32 products'] = build_step(
      config, model.clone(precision=precision)
    )
  for name, (module, attribute, plain) in PLAIN.items():
    if name in left_out:
      continue
    timing.say(f'compiles: {name}')
    with mock.patch.object(module, attribute, plain):
      steps[name] = build_step(config)
  for name, remat in REMAT.items():
    timing.say(f'compiles: {name}')
    changed = {**config['model'], 'remat': remat}
    steps[name] = build_step({**config, 'model': changed})
  return steps


def measure_fused(
  rows: int, width: int, hidden: int, *, rounds: int
) -> dict[str, dict[str, float]]:
  """Products of the same rows one by one, over their time as one product.

  Forward and backward by `numerics.dot`, with a gradient for each result.

  Args:
    rows: of what is multiplied.
    width: its columns, and those of queries, keys and values.
    hidden: columns of an MLP's gate, and of its other half.
    rounds: turns of each.
  """
  matmul_dtype = numerics.build_precision().matmul_dtype
  calls = {}
  for name, columns in (
    ('q, k, v', (width,) * 3),
    ('gate, up', (hidden,) * 2),
  ):
    x, *kernels = _draw((rows, width), *((width, n) for n in columns))
    gradients = _draw(*((rows, n) for n in columns))
    ends = list(itertools.accumulate(columns))[:-1]
    together = jnp.concatenate(kernels, axis=1)

    def multiply_apart(x, kernels):
      return [numerics.dot(x, kernel, matmul_dtype) for kernel in kernels]

    def multiply_together(x, kernel, ends=ends):
      return jnp.split(numerics.dot(x, kernel, matmul_dtype), ends, axis=1)

    calls[name, 'apart'] = _pull_back(multiply_apart, x, kernels, gradients)
    calls[name, 'together'] = _pull_back(
      multiply_together, x, together, gradients
    )
  times = timing.interleave(calls, rounds)
  return {
    name: timing.compare(times, (name, 'apart'), (name, 'together'))
    for name, _ in list(calls)[::2]
  }


def _draw(*shapes: tuple[int, int]) -> list[jax.Array]:
  rng = keys.make_rng(0, 'benchmark')
  return [
    jnp.asarray(rng.standard_normal(shape, dtype=np.float32))
    for shape in shapes
  ]


def _pull_back(multiply, x, kernels, gradients) -> Callable[[], Any]:
  """Results of `multiply` and gradients of its inputs, many times."""

  @jax.jit
  def run(x, kernels, gradients):
    results, pull = jax.vjp(multiply, x, kernels)
    return results, pull(gradients)

  return lambda: [run(x, kernels, gradients) for _ in range(_PRODUCTS)]


def build_step(config: dict[str, Any], model: Any = None) -> train_step.Step:
  """The compiled step on a batch of noise; its state goes on by itself."""
  model = model or weights.build_network(config)
  return train_step.Step(config, model, workload.make_batch(config))


def measure_pages(size: str, rounds: int) -> dict[str, float]:
  """Small pages' time over large ones', steps following each other."""
  with contextlib.ExitStack() as stack:
    processes = {
      large: stack.enter_context(_start(size, f'{PAGES}{large}'))
      for large in (0, 1)
    }
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(rounds):
      for large, process in processes.items():
        process.stdin.write('\n')
        process.stdin.flush()
        times[large].append(json.loads(process.stdout.readline()))
    for process in processes.values():
      process.stdin.close()
  return timing.summarize([a / b for a, b in zip(times[0], times[1])])


def _start(size: str, pages: str) -> subprocess.Popen:
  process = subprocess.Popen(
    [sys.executable, '-m', 'perf.levers', '--size', size, '--serve'],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, 'GLIBC_TUNABLES': pages},
  )
  process.stdout.readline()  # it is ready
  return process


def serve(size: str) -> None:
  """Seconds of a step of many, for every line that comes."""
  step = build_step(make_config(size))
  jax.block_until_ready([step() for _ in range(3)])
  print('ready', flush=True)
  for _ in sys.stdin:
    times = timing.interleave(
      {'step': step}, 1, warm_up=0, in_a_row=_STEPS_IN_A_ROW
    )
    print(times['step']['wall'][0], flush=True)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--size', choices=models.SIZES, default='nano')
  parser.add_argument('--rounds', type=int, default=7)
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  parser.add_argument('--serve', action='store_true', help=argparse.SUPPRESS)
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  cli.use_compilation_cache()
  if args.serve:
    serve(args.size)
    return
  if args.quick:
    args.size, args.rounds = 'smoke', 2
  result = measure(args.size, rounds=args.rounds)
  timing.print_ratios('levers', result)
  for name, reason in result['left_out'].items():
    print(f'{name} is left out: {reason}')
  for name, ratio in result['fused'].items():
    print(f'{name} apart / together: {timing.format_ratio(ratio)}')
  if args.output:
    timing.save('levers', result, output=args.output)


if __name__ == '__main__':
  main()
