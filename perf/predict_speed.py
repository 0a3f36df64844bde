"""One-pass depth of a photograph, and folders of them.

  python -m perf.predict_speed [--rounds 9]

The photograph has 640x480 pixels; a network of the quickstart's size looks at
it on a grid of 256x192 and the answer, decoded, comes back at full size. This
is on one core, in a process that may use no other. Then on all cores, on a grid
of 64x48: a folder answered with reading and writing beside the painting,
against one photograph after the other.
"""

import os
import pathlib
import tempfile
from typing import Any

from PIL import Image

import vbanana_jax as vb
from perf import pictures, run, start_up, timing
from vbanana_jax import predict
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.request import PredictRequest

_SIZE, _PHOTOS = 256, 16


def keep_to(cores: set[int]) -> None:
  """Every thread of this process, those of XLA's pool among them."""
  for thread in pathlib.Path('/proc/self/task').iterdir():
    os.sched_setaffinity(int(thread.name), cores)


def time_one_core(workdir: pathlib.Path, rounds: int) -> timing.Times:
  """Seconds from pixels to meters; the whole process keeps to one core."""
  model, photo = vb.open(workdir), pictures.make_photo()
  before = os.sched_getaffinity(0)
  keep_to({min(before)})
  try:
    return timing.interleave(
      {'answer': lambda: model.ask('depth', photo, size=_SIZE).value}, rounds
    )['answer']
  finally:
    keep_to(before)


def measure(rounds: int = 9) -> dict[str, Any]:
  """Seconds on one core, and the ratio of a folder."""
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    workdir = start_up.make_run(folder / 'run')
    one_core = time_one_core(workdir, rounds)
    predictor = Predictor(workdir)
    images = [folder / f'{number}.jpg' for number in range(_PHOTOS)]
    for number, image in enumerate(images):
      Image.fromarray(pictures.make_photo(number)).save(image)

    def answer(images):
      prepared = predictor.prepare(PredictRequest('depth'))
      return list(
        predict.predict_all(
          prepared, images, out_dir=folder / 'out', overwrite=True
        )
      )

    times = timing.interleave(
      {
        'overlapped': lambda: answer(images),
        'in turn': lambda: [answer([image]) for image in images],
      },
      max(1, rounds // 3),
    )
  return {
    'tables': {
      'one_core': {
        'depth of one photograph': {
          'seconds': timing.summarize(one_core['wall']),
          'cpu_seconds': timing.summarize(one_core['cpu']),
        }
      },
      'ratios': {
        'folder in turn / overlapped': {
          'ratio': timing.compare(times, 'in turn', 'overlapped')
        },
      },
    },
    'photo': [pictures.HEIGHT, pictures.WIDTH],
    'long_edge': _SIZE,
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'rounds': 1})
