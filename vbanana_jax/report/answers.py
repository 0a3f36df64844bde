"""What a decoded answer looks like, task by task.

A value is one array at picture size: metres, unit normals, or labels where 0
is the background and k the k-th entry of the palette. Pictures have none:
their colours are the answer.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from vbanana_jax.drawing import masks, pictures, strips
from vbanana_jax.report import page

GALLERY_EDGE = 192  # pixels; labels need room for thin outlines
_LEAST_EDGE = 512  # of a picture by itself: letters need room

# What the .npy file of an answer holds.
UNITS = {
  'depth': 'float32 metres along the optical axis; inf is sky',
  'normals': 'float32 unit vectors: x right, y up, z to the viewer',
  'semantic': 'int32: 0 is the background, k the k-th name of the legend',
  'instance': 'int32: 0 is the background, k the k-th instance',
  'referring': 'int32: 0 is the background, k the k-th phrase',
}


class Visual(NamedTuple):
  """How one task's values are drawn; every picture is uint8 [h w 3].

  Fields:
    key: the value's name in what `Task.decode` returns.
    draw: (value, photo_u8, palette_u8, scale) -> picture.
    draw_error: (value, truth, valid_px) -> picture.
  """

  key: str
  draw: Callable[..., pictures.Picture]
  draw_error: Callable[..., pictures.Picture]


def _draw_depth(depth_m, photo_u8, palette_u8, scale):
  del photo_u8, palette_u8
  return pictures.draw_depth(depth_m, scale or pictures.depth_range_m(depth_m))


def _draw_normals(normals, photo_u8, palette_u8, scale):
  del photo_u8, palette_u8, scale
  return pictures.draw_normals(normals)


def _draw_labels(labels, photo_u8, palette_u8, scale):
  del scale
  return masks.draw_labels(photo_u8, _without_ground(labels), palette_u8)


def _draw_instances(labels, photo_u8, palette_u8, scale):
  del palette_u8, scale
  most = int(np.max(labels, initial=0))
  return masks.draw_labels(
    photo_u8, _without_ground(labels), masks.make_instance_colours(most)
  )


def _draw_depth_error(depth_m, truth_m, valid_px):
  truth_m = np.where(valid_px, truth_m, np.nan)
  return pictures.draw_depth_error(depth_m, truth_m)


def _draw_normals_error(normals, truth, valid_px):
  return pictures.draw_normals_error(normals, truth * valid_px[..., None])


def _draw_wrong(labels, truth, valid_px):
  return pictures.draw_wrong(labels != truth, valid_px)


VISUALS = {
  'depth': Visual('depth_m', _draw_depth, _draw_depth_error),
  'normals': Visual('normals', _draw_normals, _draw_normals_error),
  'semantic': Visual('row', _draw_labels, _draw_wrong),
  'instance': Visual('ids', _draw_instances, _draw_wrong),
  'referring': Visual('row', _draw_labels, _draw_wrong),
}

NOTES = {
  'generate': "Painted from noise; held out is the caption's own picture.",
  'depth': (
    'Near is bright, far is dark, in even steps of log metres; sky is pale '
    'blue. Error: dark is right, pale is 50 % off or more.'
  ),
  'normals': (
    'As painted: left is red, up is green, to the viewer is blue. Error: dark '
    'is right, pale is 45 degrees off or more.'
  ),
  'semantic': 'Error: green is right, red is wrong.',
  'instance': (
    'Numbered from left to right, each in a colour of its own. Error, by place '
    'in that order: green is right, red is wrong.'
  ),
  'referring': (
    "What the phrase means has the prompt's colour. Error: red is wrong."
  ),
}


def get_palette(aux: dict[str, np.ndarray]) -> np.ndarray:
  """Colours of the labels 1, 2, ... as uint8 [q 3]; none without a palette.

  Row 0 of `aux['palette']` is the background; `palette_valid` may say which
  rows exist.
  """
  if 'palette' not in aux:
    return np.zeros((0, 3), np.uint8)
  palette_u8 = pictures.to_u8(np.asarray(aux['palette']))
  exists = np.asarray(aux.get('palette_valid', np.ones(len(palette_u8), bool)))
  return palette_u8[1:][exists[1:]]


def draw(
  task_name: str,
  value: np.ndarray,
  photo_u8: pictures.Picture,
  palette_u8: np.ndarray,
  names: Sequence[str],
) -> pictures.Picture:
  """One answer to look at, with its metre scale or its legend's names.

  Small pictures are enlarged by repeating pixels, so that letters below them
  can be read. Instances have colours of their own, and their numbers.

  Args:
    task_name: key in `VISUALS`.
    value: decoded, at the photo's size.
    photo_u8: what is shown through labels.
    palette_u8: [q 3], the colours of labels 1, 2, ...; not of instances.
    names: of those labels; fewer leave the others out of the legend.
  """
  times = -(-_LEAST_EDGE // max(photo_u8.shape[:2]))
  value, photo_u8 = (_repeat(array, times) for array in (value, photo_u8))
  scale = pictures.depth_range_m(value) if task_name == 'depth' else None
  picture = VISUALS[task_name].draw(value, photo_u8, palette_u8, scale)
  if task_name == 'depth':
    return pictures.with_scale(picture, scale)
  if task_name == 'instance':
    picture = masks.write_numbers(picture, _without_ground(value))
    found = (1 + np.flatnonzero(np.bincount(value.ravel())[1:])).tolist()
    names = [str(k) for k in found]
    palette_u8 = masks.make_instance_colours(max(found, default=0))
    palette_u8 = palette_u8[[k - 1 for k in found]]
  entries = [(n, tuple(c)) for n, c in zip(names, palette_u8.tolist())]
  return strips.with_legend(picture, entries)


def tell(task_name: str, value: np.ndarray, names: Sequence[str]) -> str | None:
  """One line where an answer holds nothing of what was asked for, or less.

  Args:
    task_name: key in `VISUALS`, or of a task without values.
    value: decoded.
    names: of its labels 1, 2, ...; may be empty for instances.
  """
  if task_name not in ('semantic', 'instance', 'referring') or np.any(value):
    return None
  sought = ', '.join(names)
  return f'nothing found{": " * bool(sought)}{sought}'


def make_example(
  task_name: str,
  prompt: str,
  *,
  source: np.ndarray | None,
  painted: np.ndarray,
  target: np.ndarray,
  prediction: dict[str, Any] | None = None,
  truth: dict[str, Any] | None = None,
  valid_px: np.ndarray | None = None,
  aux: dict[str, np.ndarray] | None = None,
) -> page.Example:
  """One row of a gallery; colours are [h w 3] in [0, 1], nothing batched.

  Args:
    task_name: key in `TASKS`.
    prompt: the instruction.
    source: the photo, None where there is none.
    painted: the network's answer.
    target: the exact painted answer.
    prediction: `Task.decode(painted)`; None for pictures.
    truth: `Task.decode(target)`, so that both are read the same way.
    valid_px: pixels with a right answer.
    aux: the example's, which holds the palette of the tasks with labels.
  """
  shown = {} if source is None else {'input': pictures.to_u8(source)}
  shown['painted'] = pictures.to_u8(painted)
  look = VISUALS.get(task_name)
  if look is None:
    return page.Example(prompt, {**shown, 'held out': pictures.to_u8(target)})
  value = np.asarray(prediction[look.key])
  true = np.asarray(truth[look.key])
  if valid_px is None:
    valid_px = np.ones(value.shape[:2], bool)
  photo_u8 = _enlarge(pictures.to_u8(source))
  palette_u8 = get_palette(aux or {})
  scale, name = None, 'decoded'
  if task_name == 'depth':
    scale = pictures.depth_range_m(np.where(valid_px, true, np.nan))
    name = f'decoded, {scale[0]:.1f} to {scale[1]:.1f} m'
  for caption, shape in ((name, value), ('truth', true)):
    shown[caption] = look.draw(_enlarge(shape), photo_u8, palette_u8, scale)
  shown['error'] = look.draw_error(value, true, valid_px)
  return page.Example(prompt, shown)


def _enlarge(value):
  return pictures.upscale(value, GALLERY_EDGE)


def _repeat(value, times):
  return np.repeat(np.repeat(value, times, 0), times, 1)


def _without_ground(labels):
  return np.asarray(labels, np.int32) - 1
