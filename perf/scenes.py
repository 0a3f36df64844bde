"""Rate of the scenes: images a second with all labels, and CPU time an image.

  python -m perf.scenes [--size 64] [--output results.json]

Host sampling and the copy to numpy are included, compilation is not. Which
share of a training's CPU time the scenes take is in `results.json` of every
evaluated run, by phase.
"""

import argparse
import pathlib
import time
from typing import Any

from perf import timing
from vbanana_jax.scenes import render, world


def measure(
  *, size: int = 64, number: int = 512, rounds: int = 7
) -> dict[str, Any]:
  """Rates and CPU time of all levels, which take turns.

  Args:
    size: pixels a side.
    number: scenes of a turn.
    rounds: turns of each level.
  """
  sampled: dict[str, list[float]] = {name: [] for name in world.LEVELS}

  def draw(name: str) -> None:
    began = time.process_time()
    scenes = [
      world.sample_scene(world.LEVELS[name], 0, index)
      for index in range(number)
    ]
    sampled[name].append(time.process_time() - began)
    render.render_scenes(scenes, size, size)

  times = timing.interleave(
    {name: lambda name=name: draw(name) for name in world.LEVELS}, rounds
  )
  levels = {
    name: {
      'images_per_s': timing.summarize([number / s for s in both['wall']]),
      'cpu_ms_per_image': timing.summarize(
        [1e3 * s / number for s in both['cpu']]
      ),
      'sampling_cpu_ms_per_image': timing.summarize(
        [1e3 * s / number for s in sampled[name][-rounds:]]
      ),
    }
    for name, both in times.items()
  }
  return {
    'ratios': {
      'full over quick, CPU time an image': timing.compare(
        times, 'full', 'quick', 'cpu'
      ),
      **{
        f'{name}: images a second': cell['images_per_s']
        for name, cell in levels.items()
      },
    },
    'size': size,
    'number': number,
    'levels': levels,
  }


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--size', type=int, default=64, help='pixels a side')
  parser.add_argument('--number', type=int, default=512, help='scenes a turn')
  parser.add_argument('--rounds', type=int, default=7)
  parser.add_argument('--output', type=pathlib.Path)
  args = parser.parse_args()
  result = measure(size=args.size, number=args.number, rounds=args.rounds)
  timing.print_ratios('scenes', result)
  print(timing.save('scenes', result, output=args.output))


if __name__ == '__main__':
  main()
