"""Pieces of `benchmarks.accelerator` that time compiled functions."""

import dataclasses
import importlib.util
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks import ceiling, timing, train_step, workload
from vbanana_jax import flops, models, weights
from vbanana_jax.step import make_painter

WIDTHS = (768, 1024, 1280)
# The network of width 1280 of JiT, which no config of ours names.
_WIDE = {
  'width': 1280,
  'depth': 32,
  'heads': 10,
  'bottleneck': 256,
  'text_width': 768,
  'text_depth': 6,
  'text_heads': 6,
}
# Dense bfloat16, as published.
_PEAK_FLOPS = {'H200': 989e12, 'H100': 989e12, 'A100': 312e12}
_BATCH_SIZES = (32, 64, 128, 256, 512)
_TWIN_BATCH_SIZES = {768: 128, 1024: 64, 1280: 32}
_SAMPLER_STEPS = (0, 10, 50)
_TURN_S = 2.0  # of steps between two looks at the clock


@dataclasses.dataclass(frozen=True)
class Room:
  """Where a piece works.

  Attributes:
    folder: of JSON files, and of what a piece goes on from.
    tiny: shapes that a CPU can do.
    minutes: that a piece may take.
  """

  folder: pathlib.Path
  tiny: bool
  minutes: float


def make_config(
  room: Room, width: int, batch_size: int, optimizer: str = 'muon'
) -> dict[str, Any]:
  """256x256 px in patches of 16; of a tiny one 32x32 in patches of 8."""
  models.SIZES.setdefault('w1280', _WIDE)
  workload.SIZES.setdefault(1280, 'w1280')
  if room.tiny:
    return workload.make_config(
      32, batch_size=2, image_size=32, optimizer=optimizer
    )
  return workload.make_config(
    width,
    batch_size=batch_size,
    image_size=256,
    patch=16,
    optimizer=optimizer,
  )


def find_peak() -> float | None:
  """Published FLOP/s of this device, where we know them."""
  kind = jax.devices()[0].device_kind
  peaks = [peak for name, peak in _PEAK_FLOPS.items() if name in kind]
  return peaks[0] if peaks else None


def measure_ceiling(room: Room) -> dict[str, Any]:
  """Matrix products."""
  tiny = {'shapes': ((64, 64, 64),), 'least_flops': 1e6}
  return ceiling.measure(rounds=5, **(tiny if room.tiny else {}))


def measure_step(room: Room, width: int) -> dict[str, Any]:
  """The whole train step by batch size, until memory or time is out.

  MFU counts both passes once and nothing else: what the optimizer multiplies
  takes time and earns nothing.
  """
  tiny = {'shapes': ((64, 64, 64),), 'least_flops': 1e6}
  products = ceiling.build_products(**(tiny if room.tiny else {}))
  products = {k: p for k, p in products.items() if k.startswith('jax bfloat16')}
  end = time.monotonic() + 60 * 0.7 * room.minutes
  found: dict[str, Any] = {}
  for optimizer in ('muon', 'adamw'):
    for batch_size in _BATCH_SIZES[: 1 if room.tiny else None]:
      if time.monotonic() > end:
        found[f'{optimizer} {batch_size}'] = 'no time left'
        continue
      config = make_config(room, width, batch_size, optimizer)
      try:
        cell = _time_step(config, products)
      except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):
          raise
        found[f'{optimizer} {batch_size}'] = 'out of memory'
        break
      found[f'{optimizer} {batch_size}'] = cell
      timing.say(f'{width}, {optimizer}, batch of {batch_size}: {cell}')
  ratios = {}
  for share in ('mfu', 'share_of_ceiling'):
    cells = {
      label: cell[share]
      for label, cell in found.items()
      if isinstance(cell, dict) and share in cell
    }
    if cells:
      label = max(cells, key=cells.get)
      ratios[f'{width}: {share}, {label}'] = cells[label]
  peak = find_peak()
  return {'ratios': ratios, 'batches': found, 'peak_flops': peak}


def _time_step(config, products) -> dict[str, float]:
  model = weights.build_network(config)
  step = train_step.build_step(config, model, workload.make_batch(config))
  jax.block_until_ready(step())
  began = time.perf_counter()
  jax.block_until_ready(step())
  turn = max(1, round(_TURN_S / (time.perf_counter() - began)))

  def run_turn():
    for _ in range(turn):
      metrics = step()
    return metrics

  turn = min(turn, 200)
  times = timing.interleave(
    {'step': run_turn, **{k: p.call for k, p in products.items()}}, 3
  )
  seconds = [wall / turn for wall in times['step']['wall']]
  useful = flops.count_step_flops(config).useful
  median = timing.summarize(seconds)['median']
  top = ceiling.find_ceilings(products, times)['jax bfloat16']['median'] * 1e9
  cell = {
    'step_ms': timing.shorten(1e3 * median),
    'images_per_s': timing.shorten(config['batch_size'] / median),
    'tflops_per_s': timing.shorten(useful / median / 1e12),
    'share_of_ceiling': timing.shorten(useful / median / top),
  }
  if peak := find_peak():
    cell['mfu'] = timing.shorten(useful / median / peak)
  return cell


def measure_twin(room: Room, width: int) -> dict[str, Any]:
  """Passes against the twin's, in turns on this device."""
  if importlib.util.find_spec('torch') is None:
    return {'ratios': {}, 'left_out': 'PyTorch is not installed'}
  # Two libraries share the memory; said before JAX has its devices.
  os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
  import torch

  on_device = train_step.find_torch_device()
  if on_device == 'cuda' and not torch.cuda.is_available():
    return {'ratios': {}, 'left_out': 'this PyTorch sees no GPU'}
  config = make_config(room, width, _TWIN_BATCH_SIZES[width])
  return train_step.measure_width(config, 5, compiled=not room.tiny)


def measure_sampling(room: Room) -> dict[str, Any]:
  """Pictures a second of the painter, by steps; 0 is the one-pass answer."""
  config = make_config(room, 768, 64)
  model = weights.build_network(config)
  params = jax.device_put(workload.make_random_params(model, config))
  batch = jax.device_put(workload.make_batch(config))
  steps = (0, 2) if room.tiny else _SAMPLER_STEPS
  calls: dict[str, Callable] = {}
  for number in steps:
    paint = jax.jit(make_painter(model, seed=0, steps=number))
    calls[f'{number} steps'] = lambda paint=paint: paint(params, batch)
  times = timing.interleave(calls, 5)
  last = f'{steps[-1]} steps'
  return {
    'ratios': {f'{last} over one pass': timing.compare(times, last, '0 steps')},
    'pictures_per_s': {
      name: timing.summarize(
        (config['batch_size'] / np.array(both['wall'])).tolist()
      )
      for name, both in times.items()
    },
    'model': config['model'],
    'batch_size': config['batch_size'],
    'image_size': config['image_size'],
  }
