"""The whole train step by batch size, until memory or time is out.

  python -m perf.mfu [--width 768] [--batch-sizes 32 64 128 256 512]

MFU counts both passes once and nothing else: what the optimizer multiplies
takes time and earns nothing. The step runs on all devices, so that the peak is
of all of them, and the ceiling that of one times their number.
"""

import time
from typing import Any

import jax

from perf import ceiling, run, timing, train_step, workload
from vbanana_jax import sharding
from vbanana_jax.training import flops, weights

_TURN_S = 2.0  # of steps between two looks at the clock
_MOST_STEPS = 200  # of a turn
_GROWTH = 2.5  # seconds of a batch size over those of half of it, at most


def measure(
  width: int = 768,
  batch_sizes: tuple[int, ...] = (32, 64, 128, 256, 512),
  optimizers: tuple[str, ...] = ('muon', 'adamw'),
  image_size: int = 256,
  patch: int = 16,
  minutes: float = 7.0,
) -> dict[str, Any]:
  """Milliseconds, images a second, and shares of the peak and the ceiling.

  Args:
    width: of the network; see `workload.SIZES`.
    batch_sizes: examples of all devices together, ascending.
    optimizers: of `config.optim.name`.
    image_size: side of the pictures in pixels.
    patch: side of a token in pixels.
    minutes: no batch size begins that could take longer.
  """
  end = time.monotonic() + 60 * minutes
  on_cpu = jax.default_backend() == 'cpu'
  products = {
    name: product
    for name, product in ceiling.build_products(
      **({'shapes': ceiling.SMALL_SHAPES, 'least_flops': 1e9} if on_cpu else {})
    ).items()
    if name.startswith(f'jax {ceiling.find_types()[-1]}')
  }
  table, longest, left_out = {}, 0.0, {}
  for optimizer in optimizers:
    for batch_size in batch_sizes:
      label = f'{optimizer}, {batch_size}'
      began = time.monotonic()
      if began + _GROWTH * longest > end:
        left_out[label] = 'no time left'
        continue
      config = workload.make_config(
        width,
        batch_size=batch_size,
        image_size=image_size,
        patch=patch,
        optimizer=optimizer,
      )
      try:
        table[label] = time_step(config, products)
      except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):
          raise
        left_out[label] = 'out of memory'
        break
      longest = max(longest, time.monotonic() - began)
      timing.say(f'{label}: {table[label]}')
  return {
    'tables': {'batches': table},
    'left_out': left_out,
    'width': width,
    'image_size': image_size,
    'patch': patch,
  }


def time_step(
  config: dict[str, Any], products: dict[str, ceiling.Product]
) -> dict[str, float]:
  """A row: the median of three turns of steps, beside the products."""
  model = weights.build_network(config)
  step = train_step.Step(config, model, workload.make_batch(config))
  jax.block_until_ready(step())
  began = time.perf_counter()
  jax.block_until_ready(step())
  once = time.perf_counter() - began
  turn = min(_MOST_STEPS, max(1, round(_TURN_S / once)))

  def run_turn():
    return [step() for _ in range(turn)][-1]

  times = timing.interleave(
    {'step': run_turn, **{k: p.call for k, p in products.items()}}, 3
  )
  seconds = timing.summarize(times['step']['wall'])['median'] / turn
  achieved = flops.count_step_flops(config).useful / seconds
  (top,) = ceiling.find_ceilings(products, times).values()
  best = top['gflops_per_s']['median'] * 1e9 * jax.device_count()
  row = {
    'step_ms': timing.shorten(1e3 * seconds),
    'images_per_s': timing.shorten(config['batch_size'] / seconds),
    'tflops_per_s': timing.shorten(achieved / 1e12),
    'ceiling_share': timing.shorten(achieved / best),
  }
  if peak := flops.find_peak(sharding.build_mesh()):
    row['mfu_share'] = timing.shorten(achieved / peak)
  return row


if __name__ == '__main__':
  run.run_main(
    measure,
    quick={'width': 256, 'batch_sizes': (2,), 'image_size': 64, 'patch': 8},
  )
