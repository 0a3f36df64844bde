"""Decodes pictures that another generator published, and checks the decoding.

  python -m perf.published_outputs --data FOLDER [--drawings docs/figures]

FOLDER holds prompts.json, {"pairs": [{"task", "input", "output", "prompt"}]},
and the pictures that it names. Depth is compared with the hilbertmap package
where that is installed. Drawings are made of the decoded numbers alone.
"""

import importlib.util
import itertools
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from perf import run
from vbanana_jax import decode, resizing
from vbanana_jax.codecs import depth
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError
from vbanana_jax.report import answers
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS, prompts

_WIDTH = 300  # of drawings, pixels
_CANVAS = 90  # gray level that labels are drawn over


def compare_depth(painted_u8: np.ndarray) -> dict[str, float]:
  """Our depth beside hilbertmap's, pixel by pixel."""
  import hilbertmap

  rgb = painted_u8.astype(np.float64) / 255
  with np.errstate(divide='ignore'):
    theirs = hilbertmap.rgb_to_depth(rgb)
  ours = np.asarray(depth.decode(rgb.astype(np.float32)), np.float64)
  same = ours == theirs  # both may be infinite, or 0
  with np.errstate(invalid='ignore'):
    off = np.where(same, 0.0, np.abs(ours - theirs) / theirs)
  tied = is_tied(painted_u8)
  return {
    'pixels': int(theirs.size),
    'as near to two edges': int(tied.sum()),
    'of these, off by more than 0.1 %': int((off > 1e-3)[tied].sum()),
    'largest relative difference of all others': float(off[~tied].max()),
  }


def is_tied(painted_u8: np.ndarray) -> np.ndarray:
  """Where two edges of the walk are equally near, in whole numbers [h w].

  We take the edge nearer to black there; others what their rounding says.
  """
  level = painted_u8.astype(np.int64)
  squared = []
  for start, end in itertools.pairwise(255 * np.array(depth.CORNERS)):
    # All levels are on the edge along its own axis.
    apart = np.square(level - start) * (start == end)
    squared.append(apart.sum(-1))
  nearest, second = np.sort(np.stack(squared), axis=0)[:2]
  return nearest == second


def examine(folder: pathlib.Path, pair: dict) -> tuple[dict, np.ndarray]:
  """Facts of one published picture, and our drawing of it."""
  reading = prompts.read_prompt(pair['task'], pair['prompt'])
  painted_u8 = photos.open_photo(folder / pair['output'])
  facts = {}
  # Once with each instance decoder; the last one is drawn.
  decoders = ('paper', 'regions') if pair['task'] == 'instance' else ('paper',)
  for name in decoders:
    settings = decode.Settings(speck_share=decode.SPECK_SHARE, decoder=name)
    found = decode.decode(reading, painted_u8, settings)
    facts = {**facts, **found.facts}
    if len(decoders) > 1:
      facts[f'instances, decoder {name}'] = found.facts['instances']
  for key in ('colors', 'area_px', 'decoder', 'instances'):
    facts.pop(key, None)
  if pair['task'] == 'depth':
    if importlib.util.find_spec('hilbertmap'):
      facts['against hilbertmap'] = compare_depth(painted_u8)
    else:
      facts['against hilbertmap'] = 'left out: pip install hilbertmap'
  return {'painted_size': list(painted_u8.shape[:2]), **facts}, draw(
    reading, found.value
  )


def draw(reading: prompts.PromptSpec, value: np.ndarray) -> np.ndarray:
  """The numbers, over plain grey."""
  shape = (round(_WIDTH * value.shape[0] / value.shape[1]), _WIDTH)
  canvas = np.full((*shape, 3), _CANVAS, np.uint8)
  small = resizing.resize_nearest(value, shape)
  colors = [color for _, color in reading.entries]
  return answers.draw(
    TASKS[reading.task],
    small,
    canvas,
    np.array(colors, np.uint8).reshape(-1, 3),
    [name for name, _ in reading.entries],
  )


def measure(
  data: pathlib.Path, drawings: pathlib.Path | None = None
) -> dict[str, Any]:
  """Facts of every picture.

  Args:
    data: folder of the pictures and their prompts.json.
    drawings: folder for drawings of what was decoded.
  """
  if not (data / 'prompts.json').is_file():
    raise UserError(
      f'--data {data}: no prompts.json there; the pictures and their prompts '
      'do not come with this repository'
    )
  results = {}
  for pair in logs.load_json(data / 'prompts.json')['pairs']:
    facts, drawing = examine(data, pair)
    name = f'{pathlib.Path(pair["output"]).stem}_{pair["task"]}'
    results[name] = {'prompt': pair['prompt'], **facts}
    if drawings:
      drawings.mkdir(parents=True, exist_ok=True)
      Image.fromarray(drawing).save(drawings / f'{name}.png')
  confidences = {
    name: {key: value for key, value in facts.items() if np.isscalar(value)}
    for name, facts in results.items()
  }
  return {'tables': {'facts': confidences}, 'results': results}


if __name__ == '__main__':
  run.run_main(measure)
