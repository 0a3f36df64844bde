"""One-pass depth of a photograph, and folders of them.

  python -m perf.predict_speed [--rounds 9]

The photograph has 640x480 pixels; a network of the quickstart's size looks at
it on a grid of 256x192 and the answer, decoded, comes back at full size. This
is on one core, in a process that may use no other. Then on all cores:
photographs painted one by one and eight at once, and a folder answered with
reading and writing beside the painting, against doing one after the other.
"""

import os
import pathlib
import tempfile
from typing import Any

import numpy as np
from PIL import Image

from perf import pictures, run, start_up, timing
from vbanana_jax import predict, resizing
from vbanana_jax.inference import engine, outputs
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.inference.request import PredictRequest, build_question

_SIZE, _ROWS, _PHOTOS = 256, 8, 16
_REQUEST = PredictRequest('depth')
_ONE_PASS = engine.SamplerConfig(0, 0)


def answer_once(predictor, photo_u8: np.ndarray) -> np.ndarray:
  """Meters at the photograph's size: shrink, paint, decode, resize."""
  task, question = build_question(_REQUEST, 'quick')
  patch = predictor.model.config.patch
  grid = outputs.make_grid(*photo_u8.shape[:2], size=_SIZE, patch=patch)
  canvas = predictor.make_canvas(
    task, outputs.shrink_photo(photo_u8, grid), question.prompt, _SIZE, None
  )
  (painted,) = predictor.box.paint(_ONE_PASS, [canvas])
  value = outputs.decode_value(task, painted, question.aux)
  return resizing.resize_depth(value, photo_u8.shape[:2])


def keep_to(cores: set[int]) -> None:
  """Every thread of this process, those of XLA's pool among them."""
  for thread in pathlib.Path('/proc/self/task').iterdir():
    os.sched_setaffinity(int(thread.name), cores)


def time_one_core(predictor, rounds: int) -> timing.Times:
  """Seconds from pixels to meters; the whole process keeps to one core."""
  photo, before = pictures.make_photo(), os.sched_getaffinity(0)
  keep_to({min(before)})
  try:
    return timing.interleave(
      {'answer': lambda: answer_once(predictor, photo)}, rounds
    )['answer']
  finally:
    keep_to(before)


def time_rows(predictor, rounds: int) -> dict[str, timing.Times]:
  """The same pictures painted one by one and at once."""
  rng = np.random.default_rng(0)
  task, question = build_question(_REQUEST, 'quick')
  edge = predictor.config['image_size']
  canvases = [
    predictor.make_canvas(
      task, rng.random((edge, edge, 3), np.float32), question.prompt, edge, None
    )
    for _ in range(_ROWS)
  ]

  def paint(rows):
    return list(predictor.box.paint_all(_ONE_PASS, iter(canvases), rows=rows))

  return timing.interleave(
    {'one by one': lambda: paint(1), 'at once': lambda: paint(_ROWS)}, rounds
  )


def time_folder(predictor, folder: pathlib.Path, rounds: int):
  """A folder at once, and its photographs one command's work after another."""
  images = [folder / f'{number}.jpg' for number in range(_PHOTOS)]
  for number, image in enumerate(images):
    Image.fromarray(pictures.make_photo(number)).save(image)

  def answer(images, out):
    prepared = predictor.prepare(_REQUEST)
    return list(
      predict.predict_all(
        prepared, images, out_dir=folder / out, overwrite=True
      )
    )

  return timing.interleave(
    {
      'overlapped': lambda: answer(images, 'a'),
      'in turn': lambda: [answer([image], 'b') for image in images],
    },
    rounds,
  )


def measure(rounds: int = 9) -> dict[str, Any]:
  """Seconds on one core, and ratios of batches and folders."""
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    predictor = Predictor(start_up.make_run(folder / 'run'))
    one_core = time_one_core(predictor, rounds)
    rows = time_rows(predictor, rounds)
    folders = time_folder(predictor, folder, max(1, rounds // 3))
  ratios = {
    'one by one / eight at once': timing.compare(rows, 'one by one', 'at once'),
    'folder in turn / overlapped': timing.compare(
      folders, 'in turn', 'overlapped'
    ),
  }
  return {
    'tables': {
      'one_core': {
        'depth of one photograph': {
          'seconds': timing.summarize(one_core['wall']),
          'cpu_seconds': timing.summarize(one_core['cpu']),
        }
      },
      'ratios': {name: {'ratio': ratio} for name, ratio in ratios.items()},
    },
    'photo': [pictures.HEIGHT, pictures.WIDTH],
    'long_edge': _SIZE,
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'rounds': 1})
