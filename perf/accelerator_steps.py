"""Pieces of `perf.accelerator` that time compiled functions."""

import dataclasses
import importlib.util
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from perf import ceiling, timing, train_step, workload
from vbanana_jax import models
from vbanana_jax.training import flops, weights
from vbanana_jax.training.step import make_sample_fn

WIDTHS = (768, 1024, 1280)
# The widest that is timed, which no config of ours names. Its heads are of 128,
# as those of `large` and `xl`; JiT's of this width has 16 of 80.
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
_NEAR = 1e-2  # relative, of losses in bfloat16
_GROWTH = 2.5  # seconds of a batch size over those of half of it, at most


@dataclasses.dataclass(frozen=True)
class Room:
  """Where a piece works.

  Attributes:
    folder: of JSON files, and of what a piece goes on from.
    tiny: shapes that a CPU can do.
    end: of its time, as `time.monotonic` counts.
  """

  folder: pathlib.Path
  tiny: bool
  end: float


def make_config(
  room: Room, width: int, batch_size: int, optimizer: str = 'muon'
) -> dict[str, Any]:
  """256x256 px in patches of 16; of a tiny one 32x32 in patches of 8."""
  if room.tiny:
    return workload.make_config(
      32, batch_size=2, image_size=32, optimizer=optimizer
    )
  if width == _WIDE['width']:
    models.SIZES['w1280'] = _WIDE
    workload.SIZES[width] = 'w1280'
  return workload.make_config(
    width,
    batch_size=batch_size,
    image_size=256,
    patch=16,
    optimizer=optimizer,
  )


def find_peak() -> float | None:
  """Published FLOP/s of all devices here, where we know them."""
  kind = jax.devices()[0].device_kind
  peaks = [peak for name, peak in _PEAK_FLOPS.items() if name in kind]
  return peaks[0] * jax.device_count() if peaks else None


def measure_ceiling(room: Room) -> dict[str, Any]:
  """Matrix products."""
  tiny = {'shapes': ((64, 64, 64),), 'least_flops': 1e6}
  return ceiling.measure(rounds=5, **(tiny if room.tiny else {}))


def measure_step(room: Room, width: int) -> dict[str, Any]:
  """The whole train step by batch size, until memory or time is out.

  MFU counts both passes once and nothing else: what the optimizer multiplies
  takes time and earns nothing. The step runs on all devices, so that the peak
  is of all of them, and the ceiling that of one times their number.
  """
  tiny = {'shapes': ((64, 64, 64),), 'least_flops': 1e6}
  products = ceiling.build_products(**(tiny if room.tiny else {}))
  products = {k: p for k, p in products.items() if k.startswith('jax bfloat16')}
  found: dict[str, Any] = {}
  took: dict[tuple[str, int], float] = {}
  for optimizer in ('muon', 'adamw'):
    for batch_size in _BATCH_SIZES[: 1 if room.tiny else None]:
      known = [s for (_, b), s in took.items() if b <= batch_size]
      began = time.monotonic()
      if began + _GROWTH * max(known, default=0.0) > room.end:
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
      took[optimizer, batch_size] = time.monotonic() - began
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
  step = train_step.Step(config, model, workload.make_batch(config))
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
  top *= jax.device_count()
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
  """Passes against the twin's, in turns on one device."""
  if obstacle := _prepare_twin():
    return {'ratios': {}, 'left_out': obstacle}
  config = make_config(room, width, _TWIN_BATCH_SIZES[width])
  return train_step.measure_width(config, 5, compiled=not room.tiny)


def _prepare_twin() -> str:
  """Makes place for PyTorch beside JAX; why it cannot run here, or ''."""
  if importlib.util.find_spec('torch') is None:
    return 'PyTorch is not installed'
  # Two libraries share the memory of one device; said before JAX has it.
  os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
  os.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')
  import torch

  on_device = train_step.find_torch_device()
  if on_device == 'cuda' and not torch.cuda.is_available():
    return 'this PyTorch sees no GPU'
  return ''


def measure_sampling(room: Room) -> dict[str, Any]:
  """Pictures a second by steps, ours and the twin's; 0 is the one-pass answer.

  Both read the text once and go Euler's way. That their networks compute the
  same is shown before `twin_768` is timed.
  """
  obstacle = _prepare_twin()
  config = make_config(room, 768, 64)
  model = weights.build_network(config)
  host_params = workload.make_random_params(model, config)
  host_batch = workload.make_batch(config)
  params, batch = jax.device_put((host_params, host_batch))
  steps = (0, 2) if room.tiny else _SAMPLER_STEPS
  calls: dict[str, Callable] = {}
  for number in steps:
    paint = jax.jit(make_sample_fn(model, seed=0, steps=number))
    calls[f'ours, {number} steps'] = lambda paint=paint: paint(params, batch)
  rivals = {}
  if not obstacle:
    rivals = _build_twin_painters(
      model, host_params, host_batch, steps, compiled=not room.tiny
    )
  calls |= rivals
  _, left_out = train_step.call_first(calls, set(rivals))
  times = timing.interleave(calls, 5)
  last = f'ours, {steps[-1]} steps'
  return {
    'ratios': {
      f'{last} over one pass': timing.compare(times, last, 'ours, 0 steps'),
      **{
        f'{name} over ours': timing.compare(
          times, name, f'ours, {name.split(", ")[1]}'
        )
        for name in calls
        if name in rivals
      },
    },
    'pictures_per_s': {
      name: timing.summarize(
        (config['batch_size'] / np.array(both['wall'])).tolist()
      )
      for name, both in times.items()
    },
    'left_out': left_out | ({'torch': obstacle} if obstacle else {}),
    'model': config['model'],
    'batch_size': config['batch_size'],
    'image_size': config['image_size'],
  }


def _build_twin_painters(model, params, batch, steps, *, compiled: bool):
  """By name, the twin's painting in bfloat16 by autocast."""
  from perf import torch_twin
  from perf.torch_twin import sampling, training

  device = train_step.find_torch_device()
  twin = torch_twin.build(model.config, params).to(device)
  painter = sampling.Painter(
    twin, training.to_torch(batch, device), autocast=True, compiled=compiled
  )
  name = f'torch {"compiled" if compiled else "eager"} bfloat16'
  return {
    f'{name}, {number} steps': lambda number=number: painter.paint(number)
    for number in steps
  }


def measure_attention(room: Room) -> dict[str, Any]:
  """cuDNN's attention against what `models.attention` takes, both passes.

  What decides whether another implementation should be chosen: where it is
  faster, and how much of a step attention is (`step_768`). Ours has the
  network's own length, the text's tokens and the picture's; that is an odd
  number, and cuDNN, which trains with a mask at even ones alone, has one more
  key that nobody sees.

  Raises:
    ValueError: the two compute something else.
  """
  config = make_config(room, 768, 64)
  size = models.SIZES[config['model']['size']]
  b, heads, e = config['batch_size'], size['heads'], size['width']
  e //= heads
  n = (config['image_size'] // config['model']['patch']) ** 2
  text = config['data']['text_length'] + 1  # and the start
  rng = np.random.default_rng(0)
  q, k, v = (
    rng.standard_normal((b, length, heads, e)).astype(jax.numpy.bfloat16)
    for length in (n, text + n, text + n)
  )
  # Texts of all lengths come before the picture's tokens.
  used, place = rng.integers(1, text + 1, (b, 1)), np.arange(text + n)
  mask = (place < used) | (place >= text)
  odd = (text + n) % 2
  longer = [np.pad(x, ((0, 0), (0, odd), (0, 0), (0, 0))) for x in (k, v)]

  def build(implementation, *arrays):
    def lose(q, k, v, mask):
      seen = jax.numpy.broadcast_to(
        mask[:, None, None], (b, heads, n, k.shape[1])
      )
      y = jax.nn.dot_product_attention(
        q, k, v, mask=seen, implementation=implementation
      )
      return jax.numpy.mean(y.astype(jax.numpy.float32) ** 2)

    both = jax.jit(jax.value_and_grad(lose, argnums=(0, 1, 2)))
    placed = jax.device_put(arrays)
    return lambda: both(*placed)

  calls = {
    'ours': build(None, q, k, v, mask),
    'cudnn': build('cudnn', q, *longer, np.pad(mask, ((0, 0), (0, odd)))),
  }
  try:
    losses = {name: float(call()[0]) for name, call in calls.items()}
  except RuntimeError as error:
    if 'cuDNN is not detected' not in str(error):
      raise
    return {'ratios': {}, 'left_out': str(error)}
  if not np.isclose(*losses.values(), rtol=_NEAR):
    raise ValueError(f'cuDNN computes something else: {losses}')
  times = timing.interleave(calls, 20)
  return {
    'ratios': {'ours over cudnn': timing.compare(times, 'ours', 'cudnn')},
    'times': timing.summarize_times(times),
    'losses': losses,
    'shapes': {'q': q.shape, 'kv': k.shape, 'kv_cudnn': longer[0].shape},
  }
