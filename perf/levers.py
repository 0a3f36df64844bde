"""What each lever of the train step is worth: the step without it over ours.

  python -m perf.levers [--size nano] [--rounds 7]

Every variant is the whole step of the quickstart's tuning with one thing put
back to the plain way; all take turns in one process, with the pages that it was
given.
"""

import dataclasses
from typing import Any
from unittest import mock

import flax.linen as nn
import jax

from perf import run, timing, train_step, workload
from vbanana_jax.config import load_config
from vbanana_jax.models import attention, layers, numerics
from vbanana_jax.training import optim, weights

OURS = 'ours'
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


def measure(size: str = 'nano', rounds: int = 7) -> dict[str, Any]:
  """Times, CPU times and temporaries of all variants over ours.

  Args:
    size: of the network; the rest is the quickstart's tuning.
    rounds: turns that each variant has.
  """
  config = make_config(size)
  steps = build_steps(config)
  times = timing.interleave(steps, rounds, in_a_row=train_step.IN_A_ROW)
  temporaries = {name: step.count_temporaries() for name, step in steps.items()}
  levers = {
    name: {
      'time': timing.compare(times, name, OURS),
      'cpu_time': timing.compare(times, name, OURS, 'cpu'),
      'temporaries': timing.shorten(temporaries[name] / temporaries[OURS], 3),
    }
    for name in times
    if name != OURS
  }
  return {
    'tables': {'levers': levers},
    'left_out': find_left_out(),
    'temporaries_mb': timing.shorten(temporaries[OURS] / 1e6),
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


def build_step(config: dict[str, Any], model: Any = None) -> train_step.Step:
  """The compiled step on a batch of noise; its state goes on by itself."""
  model = model or weights.build_network(config)
  return train_step.Step(config, model, workload.make_batch(config))


if __name__ == '__main__':
  run.run_main(measure, quick={'size': 'smoke', 'rounds': 2})
