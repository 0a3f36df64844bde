"""Rate of the scenes: images a second with all labels, and CPU time an image.

  python -m perf.scenes [--size 64] [--number 512] [--rounds 7]

Host sampling and the copy to numpy are included, compilation is not.
"""

from typing import Any

from perf import run, timing
from vbanana_jax.scenes import render, world


def measure(
  size: int = 64, number: int = 512, rounds: int = 7
) -> dict[str, Any]:
  """Rates of all levels, which take turns.

  Args:
    size: pixels a side.
    number: scenes of a turn.
    rounds: turns of each level.
  """

  def draw(level) -> None:
    scenes = [world.sample_scene(level, 0, index) for index in range(number)]
    render.render_scenes(scenes, size, size)

  times = timing.interleave(
    {
      name: lambda level=level: draw(level)
      for name, level in world.LEVELS.items()
    },
    rounds,
  )
  levels = {
    name: timing.summarize_rates(both, number) for name, both in times.items()
  }
  return {'tables': {'levels': levels}, 'size': size, 'number': number}


if __name__ == '__main__':
  run.run_main(measure, quick={'size': 32, 'number': 64, 'rounds': 1})
