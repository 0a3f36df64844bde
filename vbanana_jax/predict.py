"""One photo, one question, one answer on disk.

The photo is shrunk to the model's grid, the answer is decoded at the size it
was painted, and the decoded values, never the colours, are brought to the
photo's size: half-way between two colours lies a third label or a false
depth.
"""

import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8

from vbanana_jax import errors, resizing
from vbanana_jax.report import answers, files, pictures
from vbanana_jax.tasks import base

# (source [h w 3] in [0, 1] or None, prompt) -> painted [h w 3] in [0, 1]
AnswerFn = Callable[[np.ndarray | None, str], np.ndarray]

VIEW_EDGE = 1024  # long edge of the picture to look at, whatever the photo's


def predict(
  answer_fn: AnswerFn,
  task: base.Task,
  image_u8: UInt8[np.ndarray, 'h w 3'] | None,
  question: base.Question,
  *,
  size: int,
  patch: int,
  out_dir: str | pathlib.Path,
  name: str,
  names: tuple[str, ...] = (),
  about: dict[str, Any] | None = None,
) -> dict[str, pathlib.Path]:
  """Answers `question` about a photo and writes what a person can use.

  Args:
    answer_fn: the network: paints at the size of the source it is given.
    task: what is asked.
    image_u8: the photo; None for generation.
    question: instruction and palette.
    size: long edge of the model's grid, pixels.
    patch: the grid's edges are multiples of it.
    out_dir: folder of the answers; made if it is not there.
    name: start of the file names.
    names: the legend's names in palette order, for the picture's legend.
    about: what the JSON file says besides: checkpoint, versions and so on.

  Returns:
    paths of 'painted', 'picture' and 'json', and of 'values' where the task
    decodes to numbers.

  Raises:
    UserError: no photo or one too many, no words, a bad name or folder.
  """
  _check(task, image_u8, question, name)
  source = None
  if image_u8 is not None:
    photo_size = image_u8.shape[:2]
    source = shrink_photo(
      image_u8, make_grid(*photo_size, size=size, patch=patch)
    )
  painted = np.asarray(answer_fn(source, question.prompt), np.float32)
  if source is not None and painted.shape != source.shape:
    raise ValueError(f'painted {painted.shape}, asked {source.shape}')

  stem = f'{name}_{task.name}'
  painted_u8 = pictures.to_u8(painted)
  data = {'painted': (f'{stem}_painted.png', files.to_png(painted_u8))}
  look = answers.LOOKS.get(task.name)
  if look is None:
    picture = painted_u8
    if image_u8 is not None:
      picture = resizing.resize_picture(painted_u8, photo_size)
  else:
    small = decode(task, painted, question.aux)[look.key]
    value = resizing.RESIZE[task.name](small, photo_size)
    view = make_grid(*photo_size, size=VIEW_EDGE, patch=1)
    picture = answers.draw(
      task.name,
      resizing.RESIZE[task.name](small, view),
      resizing.resize_picture(image_u8, view),
      answers.get_palette(question.aux),
      names,
    )
    data['values'] = (f'{stem}.npy', files.to_npy(value))
  data['picture'] = (f'{stem}.png', files.to_png(picture))
  facts = {
    'task': task.name,
    'prompt': question.prompt,
    'legend': dict(zip(names, answers.get_palette(question.aux).tolist())),
    'photo_size': None if image_u8 is None else list(photo_size),
    'painted_size': list(painted.shape[:2]),
    'values': answers.UNITS.get(task.name),
    'files': {key: file_name for key, (file_name, _) in data.items()},
    **(about or {}),
  }
  data['json'] = (f'{stem}.json', (json.dumps(facts, indent=2) + '\n').encode())
  return {
    key: files.write_atomic(pathlib.Path(out_dir) / file_name, content)
    for key, (file_name, content) in data.items()
  }


def make_grid(
  height: int, width: int, *, size: int, patch: int
) -> tuple[int, int]:
  """Height and width for the model: long edge `size`, aspect kept.

  Both edges are rounded to the nearest multiple of `patch`, at least one.
  """
  scale = size / max(height, width)
  edges = [max(1, round(edge * scale / patch)) for edge in (height, width)]
  return edges[0] * patch, edges[1] * patch


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


@functools.partial(jax.jit, static_argnums=0)
def _decode(task, rgb, aux):
  return task.decode(rgb, aux)


def _check(task, image_u8, question, name) -> None:
  if task.name == 'generate' and image_u8 is not None:
    raise errors.UserError('generate takes words only; leave the image out')
  if task.name != 'generate':
    if image_u8 is None:
      raise errors.UserError(f'--task {task.name} needs an image: name a file')
    if image_u8.dtype != np.uint8 or image_u8.shape[2:] != (3,):
      raise errors.UserError(
        f'the image is {image_u8.dtype} {image_u8.shape}, not uint8 [h w 3]; '
        'open it with vbanana_jax.data.photos.open_photo'
      )
    if 0 in image_u8.shape:
      raise errors.UserError('the image has no pixels')
  if not question.prompt.strip():
    raise errors.UserError('the prompt is empty; say what to paint')
  if not name or pathlib.PurePath(name).name != name:
    raise errors.UserError(f'name {name!r} must be a plain file name')
