"""Whether the data keeps up: images a second, from drawing to the device.

  python -m perf.data_pipeline [--workers 1 2 4] [--rounds 5]

The whole path: drawing or reading and decoding, encoding the task, the
tokenizer, batches, and the transfer to the device. Numbers of workers take
turns. Then the scenes alone, with all labels, up to numpy arrays. What a
training waited is in its `metrics.jsonl`, and `vbanana evaluate` prints it.
"""

import copy
import functools
import pathlib
import tempfile
from typing import Any

import jax

from perf import pictures, run, tables, timing
from vbanana_jax import sharding
from vbanana_jax.config import load_config
from vbanana_jax.data import build, stream
from vbanana_jax.scenes import render, world


def measure(
  workers: tuple[int, ...] = (1, 2, 4),
  rounds: int = 5,
  images: int = 960,
  photographs: int = 256,
) -> dict[str, Any]:
  """Rates of all sources by workers.

  Args:
    workers: numbers of threads.
    rounds: turns of each.
    images: of a turn.
    photographs: how many random pictures stand for them.
  """
  rates = {}
  with tempfile.TemporaryDirectory() as scratch:
    prepared = pictures.prepare_pictures(pathlib.Path(scratch), photographs)
    for name, config in make_sources(prepared).items():
      feeds = {
        f'{name}, {n} worker{"s" * (n > 1)}': Feed(config, threads=n)
        for n in workers
      }
      times = timing.interleave(
        {label: lambda f=feed: f.take(images) for label, feed in feeds.items()},
        rounds,
      )
      rates |= {
        label: timing.summarize_rates(both, images)
        for label, both in times.items()
      }
  return {
    'tables': {'rates': rates, 'scenes': measure_scenes(images, rounds)},
    'photographs': f'{photographs} of 500x375, every fourth a PNG',
  }


def measure_scenes(number: int, rounds: int) -> tables.Table:
  """Rates of all levels, which take turns, so many scenes in each."""

  def draw(level) -> None:
    scenes = [world.sample_scene(level, 0, index) for index in range(number)]
    render.render_scenes(scenes, 64, 64)

  levels = world.LEVELS.items()
  times = timing.interleave(
    {name: functools.partial(draw, level) for name, level in levels}, rounds
  )
  return {
    name: timing.summarize_rates(both, number) for name, both in times.items()
  }


def make_sources(prepared: pathlib.Path) -> dict[str, dict[str, Any]]:
  """Configs whose data are scenes alone, and photographs alone."""
  tune = load_config('quickstart:tune').to_dict()
  full, photos = copy.deepcopy(tune), copy.deepcopy(tune)
  full['sources']['scenes']['level'] = 'full'
  photos['sources']['photos'] = {'kind': 'records', 'path': str(prepared)}
  photos['mixture'] = {'generate@photos': 1.0}
  return {'quick scenes': tune, 'full scenes': full, 'photographs': photos}


class Feed:
  """Batches of a config on the device, each turn from further on.

  A turn begins with an empty stream: nothing was read while others had theirs.
  """

  def __init__(self, config: dict[str, Any], *, threads: int):
    self._config = config
    self._threads = threads
    self._mixture = build.build_mixture(config)
    self._mesh = sharding.build_mesh(config['mesh'])
    self._step = 0

  def take(self, images: int) -> None:
    """Puts so many images on the device, rounded up to whole batches."""
    config = self._config
    steps = -(-images // config['batch_size'])
    batches = stream.build_stream(
      self._mixture,
      stream.make_settings(
        config, short_text_length=None, threads=self._threads
      ),
      start_step=self._step,
      end_step=self._step + steps,
    )
    self._step += steps
    for batch in batches:
      jax.block_until_ready(sharding.put_batch(batch, self._mesh))


if __name__ == '__main__':
  run.run_main(
    measure,
    quick={'workers': (1, 2), 'rounds': 1, 'images': 96, 'photographs': 16},
  )
