"""What drawing the scenes costs a training, beside all that it does."""

import time

from vbanana_jax.scenes import render, world

_SCENES = 2 * render.MICRO_BATCH
_PASSES = 5


def measure_scene(level: str, size: int) -> float:
  """CPU seconds of this process for one scene with all labels.

  XLA draws in threads that it uses for everything else too, so that a training
  cannot tell the time of its scenes apart. Call this where nothing else runs in
  the process. The best of a few passes counts, compilation does not.

  Args:
    level: a key of `world.LEVELS`.
    size: height and width in pixels.
  """

  def draw(first: int) -> float:
    began = time.process_time()
    scenes = [
      world.sample_scene(world.LEVELS[level], 0, first + k)
      for k in range(_SCENES)
    ]
    render.render_scenes(scenes, size, size)
    return time.process_time() - began

  draw(0)
  return min(draw(_SCENES * k) for k in range(_PASSES)) / _SCENES
