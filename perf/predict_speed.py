"""One-pass depth of a photograph, and folders of them.

  python -m perf.predict_speed [--rounds 9] [--output JSON]

The photograph has 640x480 pixels; the quickstart's network looks at it on a
grid of 256x192 and the answer, decoded, comes back at full size. This is on
one core, in a process that may use no other. Then on all cores: photographs
painted one by one and several at once, and a folder answered with reading and
writing beside the painting, against doing one after the other.
"""

import argparse
import os
import pathlib
import tempfile
from typing import Any

import numpy as np
from PIL import Image

from perf import sampler, timing
from vbanana_jax import predict, resizing
from vbanana_jax.inference import engine, outputs
from vbanana_jax.inference.request import PredictRequest, build_question
from vbanana_jax.tasks import TASKS

_SIZE, _HEIGHT, _WIDTH = 256, 480, 640
_ROWS = 8
_PHOTOS = 16


def build_answerer(run: pathlib.Path | None) -> predict.Predictor:
  """Of a run, or of fresh weights of the quickstart's size."""
  predictor = predict.Predictor.__new__(predict.Predictor)
  predictor.run = run or pathlib.Path('fresh')
  predictor.config, predictor.model, predictor.params = sampler.build(run)
  predictor.box = engine.InferenceEngine(predictor.model, predictor.params)
  return predictor


def make_photo(seed: int = 0) -> np.ndarray:
  """Coarse colours with fine noise, uint8 [480 640 3]."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
  photo = Image.fromarray(coarse).resize((_WIDTH, _HEIGHT))
  return np.asarray(photo) ^ rng.integers(0, 8, (_HEIGHT, _WIDTH, 3), np.uint8)


def answer_once(predictor, photo_u8: np.ndarray) -> np.ndarray:
  """Metres at the photograph's size: shrink, paint, decode, resize."""
  task, question = build_question(PredictRequest('depth'), 'quick')
  patch = predictor.model.config.patch
  grid = outputs.make_grid(*photo_u8.shape[:2], size=_SIZE, patch=patch)
  canvas = predictor.make_canvas(
    task, outputs.shrink_photo(photo_u8, grid), question.prompt, _SIZE, None
  )
  (painted,) = predictor.box.paint(engine.SamplerConfig(0, 0), [canvas])
  value = outputs.decode_value(task, painted, question.aux)
  return resizing.resize_depth(value, photo_u8.shape[:2])


def measure_one_core(predictor, rounds: int) -> dict[str, Any]:
  """Seconds from pixels to metres; the whole process keeps to one core."""
  photo = make_photo()
  before = os.sched_getaffinity(0)
  keep_to({min(before)})
  try:
    times = timing.interleave(
      {'answer': lambda: answer_once(predictor, photo)}, rounds
    )
  finally:
    keep_to(before)
  assert answer_once(predictor, photo).shape == (_HEIGHT, _WIDTH)
  return times


def keep_to(cores: set[int]) -> None:
  """Every thread of this process, those of XLA's pool among them."""
  for thread in pathlib.Path('/proc/self/task').iterdir():
    os.sched_setaffinity(int(thread.name), cores)


def measure_rows(predictor, rounds: int) -> tuple[dict[str, Any], float]:
  """The same pictures painted one by one and at once; largest difference."""
  rng = np.random.default_rng(0)
  edge = predictor.config['image_size']
  canvases = [
    predictor.make_canvas(
      TASKS['depth'],
      rng.random((edge, edge, 3), np.float32),
      'generate a metric depth map of the input image.',
      edge,
      None,
    )
    for _ in range(_ROWS)
  ]
  way = engine.SamplerConfig(0, 0)

  def paint(rows):
    return [
      painted
      for _, painted in predictor.box.paint_all(way, iter(canvases), rows=rows)
    ]

  times = timing.interleave(
    {'one by one': lambda: paint(1), 'at once': lambda: paint(_ROWS)}, rounds
  )
  return times, float(np.abs(np.subtract(paint(1), paint(_ROWS))).max())


def measure_folder(predictor, rounds: int) -> dict[str, Any]:
  """A folder at once, and its photographs one command's work after another."""
  with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    images = []
    for number in range(_PHOTOS):
      images.append(folder / f'{number}.jpg')
      Image.fromarray(make_photo(number)).save(images[-1])

    def overlapped():
      for _ in predictor.answer_all(
        PredictRequest('depth'), images, folder / 'a'
      ):
        pass

    def in_turn():
      for image in images:
        predictor.answer(PredictRequest('depth'), image, folder / 'b')

    return timing.interleave(
      {'overlapped': overlapped, 'in turn': in_turn}, rounds
    )


def measure(
  *, rounds: int = 9, run: pathlib.Path | None = None
) -> dict[str, Any]:
  """Seconds on one core, and ratios of batches and folders."""
  predictor = build_answerer(run)
  one_core = measure_one_core(predictor, rounds)
  rows, difference = measure_rows(predictor, rounds)
  folder = measure_folder(predictor, max(1, rounds // 3))
  return {
    'ratios': {
      'one by one / eight at once': timing.compare(
        rows, 'one by one', 'at once'
      ),
      'folder in turn / overlapped': timing.compare(
        folder, 'in turn', 'overlapped'
      ),
    },
    'one_core_seconds': {
      clock: timing.summarize(seconds)
      for clock, seconds in one_core['answer'].items()
    },
    'photo': [_HEIGHT, _WIDTH],
    'long_edge': _SIZE,
    'largest_difference_eight_at_once': difference,
    'folder_photos_per_second': timing.summarize(
      [_PHOTOS / s for s in folder['overlapped']['wall']]
    ),
    'times': timing.summarize_times({**rows, **folder}),
  }


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--rounds', type=int, default=9)
  parser.add_argument('--run', type=pathlib.Path, help='fresh weights if none')
  parser.add_argument('--output', type=pathlib.Path)
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  args = parser.parse_args()
  if args.quick:
    args.rounds = 1
  result = measure(rounds=args.rounds, run=args.run)
  timing.print_ratios('predict_speed', result)
  seconds = result['one_core_seconds']
  for clock in ('wall', 'cpu'):
    print(
      f'{"predict_speed":18} {f"seconds a photo, one core, {clock}":52} '
      f'{timing.format_ratio(seconds[clock])}'
    )
  print(timing.save('predict_speed', result, output=args.output))


if __name__ == '__main__':
  main()
