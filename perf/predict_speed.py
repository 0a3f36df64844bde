"""One-pass depth of a photograph, and folders of them.

  python -m perf.predict_speed [--rounds 9] [--workdir RUN]

The photograph has 640x480 pixels; the quickstart's network looks at it on a
grid of 256x192 and the answer, decoded, comes back at full size. This is on
one core, in a process that may use no other. Then on all cores: photographs
painted one by one and several at once, and a folder answered with reading and
writing beside the painting, against doing one after the other. Weights are
random without a run.
"""

import os
import pathlib
import tempfile
from typing import Any

import numpy as np
from PIL import Image

from perf import cold_start, pictures, run, timing
from vbanana_jax import predict, resizing
from vbanana_jax.inference import engine, outputs
from vbanana_jax.inference.request import PredictRequest, build_question
from vbanana_jax.tasks import TASKS

_SIZE = 256
_ROWS = 8
_PHOTOS = 16
_ONE_PASS = engine.SamplerConfig(0, 0)


def answer_once(predictor, photo_u8: np.ndarray) -> np.ndarray:
  """Meters at the photograph's size: shrink, paint, decode, resize."""
  task, question = build_question(PredictRequest('depth'), 'quick')
  patch = predictor.model.config.patch
  grid = outputs.make_grid(*photo_u8.shape[:2], size=_SIZE, patch=patch)
  canvas = predictor.make_canvas(
    task, outputs.shrink_photo(photo_u8, grid), question.prompt, _SIZE, None
  )
  (painted,) = predictor.box.paint(_ONE_PASS, [canvas])
  value = outputs.decode_value(task, painted, question.aux)
  return resizing.resize_depth(value, photo_u8.shape[:2])


def time_one_core(predictor, rounds: int) -> timing.Times:
  """Seconds from pixels to meters; the whole process keeps to one core."""
  photo = pictures.make_photo()
  before = os.sched_getaffinity(0)
  keep_to({min(before)})
  try:
    times = timing.interleave(
      {'answer': lambda: answer_once(predictor, photo)}, rounds
    )
  finally:
    keep_to(before)
  return times['answer']


def keep_to(cores: set[int]) -> None:
  """Every thread of this process, those of XLA's pool among them."""
  for thread in pathlib.Path('/proc/self/task').iterdir():
    os.sched_setaffinity(int(thread.name), cores)


def time_rows(predictor, rounds: int) -> tuple[dict[str, timing.Times], float]:
  """The same pictures painted one by one and at once; largest difference."""
  rng = np.random.default_rng(0)
  edge = predictor.config['image_size']
  prompt = 'generate a metric depth map of the input image.'
  canvases = [
    predictor.make_canvas(
      TASKS['depth'],
      rng.random((edge, edge, 3), np.float32),
      prompt,
      edge,
      None,
    )
    for _ in range(_ROWS)
  ]

  def paint(rows):
    found = predictor.box.paint_all(_ONE_PASS, iter(canvases), rows=rows)
    return [painted for _, painted in found]

  times = timing.interleave(
    {'one by one': lambda: paint(1), 'at once': lambda: paint(_ROWS)}, rounds
  )
  return times, float(np.abs(np.subtract(paint(1), paint(_ROWS))).max())


def time_folder(predictor, folder: pathlib.Path, rounds: int):
  """A folder at once, and its photographs one command's work after another."""
  images = []
  for number in range(_PHOTOS):
    images.append(folder / f'{number}.jpg')
    Image.fromarray(pictures.make_photo(number)).save(images[-1])

  def answer(images, out):
    for _ in predictor.answer_all(
      PredictRequest('depth'), images, folder / out, overwrite=True
    ):
      pass

  return timing.interleave(
    {
      'overlapped': lambda: answer(images, 'a'),
      'in turn': lambda: [answer([image], 'b') for image in images],
    },
    rounds,
  )


def measure(
  rounds: int = 9, workdir: pathlib.Path | None = None
) -> dict[str, Any]:
  """Seconds on one core, and ratios of batches and folders."""
  with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    predictor = predict.Predictor(workdir or cold_start.make_run(folder / 'r'))
    one_core = time_one_core(predictor, rounds)
    rows, difference = time_rows(predictor, rounds)
    folders = time_folder(predictor, folder, max(1, rounds // 3))
  return {
    'tables': {
      'one_core': {
        'depth of one photograph': {
          'seconds': timing.summarize(one_core['wall']),
          'cpu_seconds': timing.summarize(one_core['cpu']),
        }
      },
      'ratios': {
        'one by one / eight at once': {
          'ratio': timing.compare(rows, 'one by one', 'at once')
        },
        'folder in turn / overlapped': {
          'ratio': timing.compare(folders, 'in turn', 'overlapped')
        },
      },
    },
    'photo': [pictures.HEIGHT, pictures.WIDTH],
    'long_edge': _SIZE,
    'largest_difference_eight_at_once': difference,
    'folder_photos_per_second': timing.summarize(
      [_PHOTOS / s for s in folders['overlapped']['wall']]
    ),
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'rounds': 1})
