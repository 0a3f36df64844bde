"""Rate of the scenes: images a second with all labels, and CPU time an image.

  python -m perf.scenes [--size 64] [--number 512] [--rounds 7]

Host sampling and the copy to numpy are included, compilation is not. Which
share of a training's CPU time the scenes take is in `results.json` of every
evaluated run, by phase.
"""

import time
from typing import Any

from perf import run, timing
from vbanana_jax.scenes import render, world


def measure(
  size: int = 64, number: int = 512, rounds: int = 7
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

  def to_ms(seconds: list[float]) -> dict[str, float]:
    return timing.summarize([1e3 * s / number for s in seconds])

  levels = {
    name: {
      'images_per_s': timing.summarize([number / s for s in both['wall']]),
      'cpu_ms_per_image': to_ms(both['cpu']),
      'sampling_cpu_ms_per_image': to_ms(sampled[name][-rounds:]),
    }
    for name, both in times.items()
  }
  return {'tables': {'levels': levels}, 'size': size, 'number': number}


if __name__ == '__main__':
  run.run_main(measure, quick={'size': 32, 'number': 64, 'rounds': 1})
