"""Rate of the scenes: images a second with all labels, and CPU time an image.

  python -m benchmarks.scenes [--size 64] [--run runs/quickstart/tune] \
    [--output results.json]

Host sampling and the copy to numpy are included, compilation is not. With a
trained run, also which share of that training's CPU time the scenes took.
"""

import argparse
import json
import os
import pathlib
import time

import jax

from vbanana_jax import logs
from vbanana_jax.scenes import render, world


def measure(level: world.Level, size: int, number: int) -> dict[str, float]:
  """Best of three passes over `number` scenes of one level."""
  rates = []
  for attempt in range(4):  # the first compiles
    wall, cpu = time.perf_counter(), time.process_time()
    scenes = [world.sample_scene(level, 0, index) for index in range(number)]
    sampled = time.process_time() - cpu
    render.render_scenes(scenes, size, size)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if attempt:
      rates.append((wall, cpu, sampled))
  wall, cpu, sampled = (min(column) for column in zip(*rates))
  return {
    'images_per_s': round(number / wall, 1),
    'cpu_ms_per_image': round(1e3 * cpu / number, 3),
    'sampling_cpu_ms_per_image': round(1e3 * sampled / number, 3),
  }


def measure_share(run: pathlib.Path, levels: dict) -> dict[str, float]:
  """CPU time of the scenes within the CPU time of a training process."""
  config = logs.load_json(run / 'run.json')['config']
  last = logs.load_metrics(run / 'metrics.jsonl')[-1]
  images = last['step'] * config['batch_size']
  trained_ms = 1e3 * last['cpu_seconds'] / images
  scene_ms = levels[config['data']['level']]['cpu_ms_per_image']
  return {
    'training_cpu_ms_per_image': round(trained_ms, 2),
    'scenes_share': round(scene_ms / trained_ms, 4),
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--size', type=int, default=64, help='pixels a side')
  parser.add_argument('--number', type=int, default=512, help='scenes a pass')
  parser.add_argument('--run', type=pathlib.Path, help='trained run of scenes')
  parser.add_argument('--output', help='JSON file to write')
  args = parser.parse_args()
  result = {
    'size': args.size,
    'number': args.number,
    'jax': jax.__version__,
    'device': jax.devices()[0].device_kind,
    'cores': len(os.sched_getaffinity(0)),
    'levels': {
      name: measure(level, args.size, args.number)
      for name, level in world.LEVELS.items()
    },
  }
  if args.run:
    result['training'] = measure_share(args.run, result['levels'])
  text = json.dumps(result, indent=2)
  print(text)
  if args.output:
    with open(args.output, 'w') as file:
      file.write(text + '\n')


if __name__ == '__main__':
  main()
