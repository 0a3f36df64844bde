"""What a decoded answer looks like, by itself and in the report's gallery."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vbanana_jax.drawing import pictures
from vbanana_jax.report import gallery
from vbanana_jax.tasks import base

GALLERY_EDGE = 192  # pixels; labels need room for thin outlines
_LEAST_EDGE = 512  # of a picture by itself: letters need room


def get_palette(aux: dict[str, np.ndarray]) -> np.ndarray:
  """Colors of the labels 1, 2, ... as uint8 [q 3]; none without a palette.

  Row 0 of `aux['palette']` is the background; `palette_valid` may say which
  rows exist.
  """
  if 'palette' not in aux:
    return np.zeros((0, 3), np.uint8)
  palette_u8 = pictures.to_u8(np.asarray(aux['palette']))
  exists = np.asarray(aux.get('palette_valid', np.ones(len(palette_u8), bool)))
  return palette_u8[1:][exists[1:]]


def draw(
  task: base.Task,
  value: np.ndarray,
  photo_u8: pictures.Picture,
  palette_u8: np.ndarray,
  names: Sequence[str],
) -> pictures.Picture:
  """One answer to look at, with its scale or its legend's names.

  Small pictures are enlarged by repeating pixels, so that letters below them
  can be read.

  Args:
    task: one whose answers have a value.
    value: decoded, at the photo's size.
    photo_u8: what is shown through labels.
    palette_u8: [q 3], the colors of labels 1, 2, ...; not of instances.
    names: of those labels; fewer leave the others out of the legend.
  """
  times = -(-_LEAST_EDGE // max(photo_u8.shape[:2]))
  value, photo_u8 = (_repeat(array, times) for array in (value, photo_u8))
  scale = task.value.find_scale(value)
  picture = task.value.draw(value, photo_u8, palette_u8, scale)
  return task.value.finish(picture, value, palette_u8, names, scale)


class Answer(NamedTuple):
  """What one run painted, and what was read from it; nothing is batched.

  Attributes:
    painted: [h w 3] in [0, 1].
    value: as `Task.decode` reads it; None where the picture is the answer.
    confidence: [h w] in [0, 1]; None where there is none to be had.
  """

  painted: np.ndarray
  value: np.ndarray | None = None
  confidence: np.ndarray | None = None


def make_example(
  task: base.Task,
  example: Mapping[str, Any],
  answers: Mapping[str, Answer],
  truth: np.ndarray | None = None,
  names: gallery.Key = (),
) -> gallery.Example:
  """One row of a gallery; nothing is batched.

  Args:
    task: whose answer it is.
    example: `prompt`; `target`, the exact answer, and `source`, the photo or
      None, are [h w 3] in [0, 1]; `valid_px` bool[h w], pixels with a right
      answer; `aux`, with the palette of tasks with labels.
    answers: by the names of runs; '' where there is one alone.
    truth: value of the target, so that both are read the same way.
    names: what the palette's colors stand for, with the colors.
  """
  source = example['source']
  shared = {} if source is None else {'input': pictures.to_u8(source)}
  if task.value is None:
    shared['held out'] = pictures.to_u8(example['target'])
    shown = {
      run: {'painted': pictures.to_u8(answer.painted)}
      for run, answer in answers.items()
    }
    return gallery.Example(example['prompt'], shared, shown)
  valid_px = example['valid_px']
  photo_u8 = _enlarge(pictures.to_u8(source))
  palette_u8 = get_palette(example['aux'])
  # One scale for all, of pixels with a truth alone.
  scale = task.value.find_scale(truth[valid_px])

  def draw_value(value):
    return task.value.draw(_enlarge(value), photo_u8, palette_u8, scale)

  shared['truth'] = draw_value(truth)
  shown, sure = {}, {}
  for run, answer in answers.items():
    shown[run] = {
      'painted': pictures.to_u8(answer.painted),
      'decoded': draw_value(answer.value),
      'error': task.value.draw_error(answer.value, truth, valid_px),
    }
    if answer.confidence is not None:
      shown[run]['confidence'] = pictures.ramp(answer.confidence)
      sure = {'confidence': pictures.list_ramp((0.0, 1.0), '{:.2g}'.format)}
  legend = [name for name, _ in names]
  colors_u8 = np.array([c for _, c in names], np.uint8).reshape(-1, 3)
  keys = {
    'truth, decoded': task.value.list_colors(truth, colors_u8, legend, scale),
    'error': task.value.list_error_colors(),
    **sure,
  }
  return gallery.Example(example['prompt'], shared, shown, keys)


def _enlarge(value):
  return pictures.upscale(value, GALLERY_EDGE)


def _repeat(value, times):
  return np.repeat(np.repeat(value, times, 0), times, 1)
