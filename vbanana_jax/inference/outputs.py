"""One photo, one question, one answer on disk.

The photo is shrunk to the model's grid, the answer is decoded at the size it
was painted, and the decoded values, never the colors, are brought to the
photo's size: half-way between two colors lies a third label or a false
depth.
"""

import functools
import json
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from vbanana_jax import errors, resizing
from vbanana_jax.drawing import pictures
from vbanana_jax.report import answers
from vbanana_jax.runtime import files, paths
from vbanana_jax.tasks import base

VIEW_EDGE = 1024  # long edge of the picture to look at, whatever the photo's

# A panorama is shrunk until its long edge is so many times the size.
_LONGEST = 4

# Aspects between a square and one twice as wide; 4:3 and 3:2 among them.
_ASPECTS = 24


class Photo(NamedTuple):
  """What an answer needs of a photo; small, whatever the photo's size.

  Attributes:
    size: its height and width in pixels.
    source: f32 [gh gw 3] in [0, 1], on the network's grid.
    view_u8: u8 [vh vw 3], what is seen through the answer.
  """

  size: tuple[int, int]
  source: np.ndarray
  view_u8: np.ndarray


def preprocess_photo(
  image_u8: UInt8[np.ndarray, 'h w 3'], grid: tuple[int, int]
) -> Photo:
  """The `Photo` of a picture, for a network that works at `grid`."""
  height, width = image_u8.shape[:2]
  scale = VIEW_EDGE / max(height, width)
  view = [max(1, round(edge * scale)) for edge in (height, width)]
  return Photo(
    size=(height, width),
    source=shrink_photo(image_u8, grid),
    view_u8=resizing.resize_picture(image_u8, (view[0], view[1])),
  )


def draw(
  task: base.Task,
  photo: Photo | None,
  question: base.Question,
  painted_u8: UInt8[np.ndarray, 'gh gw 3'],
  value: np.ndarray | None,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """An answer to look at: its value over the photo, or the painted picture."""
  if value is not None:
    return answers.draw(
      task,
      task.value.resize(value, photo.view_u8.shape[:2]),
      photo.view_u8,
      answers.get_palette(question.aux),
      question.names,
    )
  if photo is None:
    return painted_u8
  return resizing.resize_picture(painted_u8, photo.size)


def write(
  task: base.Task,
  photo: Photo | None,
  question: base.Question,
  painted: Float[np.ndarray, 'gh gw 3'],
  value: np.ndarray | None,
  *,
  out_dir: str | paths.Path,
  name: str,
  about: dict[str, Any] | None = None,
) -> dict[str, paths.Path]:
  """Writes an answer that is painted and decoded: what a person can use.

  Args:
    task: what was asked.
    photo: None for generation.
    question: instruction and palette.
    painted: in [0, 1].
    value: from `decode_value`.
    out_dir: folder of the answers; made if it is not there.
    name: start of the file names.
    about: what the JSON file says besides: checkpoint, versions and so on.

  Returns:
    paths of 'painted', 'picture' and 'json', and of 'values' where the task
    decodes to numbers.

  Raises:
    UserError: the files cannot be written.
  """
  stem = f'{name}_{task.name}'
  painted_u8 = pictures.to_u8(painted)
  data = {'painted': (f'{stem}_painted.png', files.to_png(painted_u8))}
  found = {}
  if photo is None:  # the same picture once, not twice
    data = {'painted': (f'{stem}.png', files.to_png(painted_u8))}
  if value is not None:
    whole = task.value.resize(value, photo.size)
    data['values'] = (f'{stem}.npy', files.to_npy(whole))
    found = task.value.describe(whole)
  picture = draw(task, photo, question, painted_u8, value)
  data['picture'] = (f'{stem}.png', files.to_png(picture))
  palette = answers.get_palette(question.aux)
  facts = {
    'task': task.name,
    'prompt': question.prompt,
    'legend': dict(zip(question.names, palette.tolist())),
    'photo_size': None if photo is None else list(photo.size),
    'painted_size': list(painted.shape[:2]),
    'values': None if task.value is None else task.value.unit,
    **found,
    'files': {key: file_name for key, (file_name, _) in data.items()},
    **(about or {}),
  }
  data['json'] = (f'{stem}.json', (json.dumps(facts, indent=2) + '\n').encode())
  folder = paths.to_path(out_dir)
  files.write_together(
    {folder / file_name: content for file_name, content in data.values()}
  )
  return {key: folder / file_name for key, (file_name, _) in data.items()}


def check_free(stem: paths.Path, wanted: dict[str, Any]) -> None:
  """Raises UserError where files that `write` did not write for this lie.

  Args:
    stem: folder, name and task, as in answers/photo_depth.
    wanted: what the JSON file is going to say of what was asked.
  """
  ends = ('.png', '.npy', '_painted.png')
  others = [f'{stem.name}{end}' for end in ends]
  files.check_free(stem.with_name(f'{stem.name}.json'), wanted, others)


def make_grid(
  height: int, width: int, *, size: int, patch: int
) -> tuple[int, int]:
  """Height and width for the model: short edge `size`, aspect kept.

  So a photo is seen at the scale of training, where the largest square of each
  picture is shrunk to `size`. Of a panorama, whose long edge would be more than
  4 times `size`, the long edge is 4 times `size`.

  Both edges are multiples of `patch`. For every grid the network is compiled
  once, so there are few of them: the aspect is kept to 1 part in 48, and to
  half a patch.
  """
  aspect = max(height, width) / min(height, width)
  aspect = round(aspect * _ASPECTS) / _ASPECTS
  short = max(1, round(size / patch)) * min(1, _LONGEST / aspect)
  edges = [max(1, round(edge)) * patch for edge in (short, short * aspect)]
  return (edges[1], edges[0]) if height >= width else (edges[0], edges[1])


def shrink_photo(
  image_u8: UInt8[np.ndarray, 'h w 3'], grid: tuple[int, int]
) -> Float[np.ndarray, 'gh gw 3']:
  """The photo on the model's grid, anti-aliased, in [0, 1]."""
  return resizing.resize_picture(image_u8, grid).astype(
    np.float32
  ) / np.float32(255.0)


def decode(
  task: base.Task, painted: Float[np.ndarray, 'h w 3'], aux: dict
) -> dict[str, np.ndarray]:
  """`task.decode` of one picture, as numpy arrays without a batch axis."""
  batched = jax.tree.map(lambda leaf: np.asarray(leaf)[None], dict(aux))
  decoded = _decode(task, painted[None], batched)
  return {key: np.asarray(leaf)[0] for key, leaf in decoded.items()}


def decode_value(
  task: base.Task, painted: Float[np.ndarray, 'h w 3'], aux: dict
) -> np.ndarray | None:
  """The numbers of one picture; None where the colors are the answer."""
  if task.value is None:
    return None
  return decode(task, painted, aux)[task.value.key]


@functools.partial(jax.jit, static_argnums=0)
def _decode(task, rgb, aux):
  return task.decode(rgb, aux)


def check(task: base.Task, has_photo: bool, question: base.Question) -> None:
  """Raises UserError where there is nothing to paint about, or no words."""
  if has_photo and not task.inputs.photo:
    raise errors.UserError(f'{task.name} takes words only; leave the image out')
  if task.inputs.photo and not has_photo:
    raise errors.UserError(f'--task {task.name} needs an image: name a file')
  if not question.prompt.strip():
    raise errors.UserError('the prompt is empty; say what to paint')
