"""One photo, one question, one answer on disk.

The photo is shrunk to the model's grid, the answer is decoded at the size it
was painted, and the decoded values, never the colours, are brought to the
photo's size: half-way between two colours lies a third label or a false
depth.
"""

import functools
import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from vbanana_jax import errors
from vbanana_jax.report import answers, files, pictures
from vbanana_jax.tasks import base

# (source [h w 3] in [0, 1] or None, prompt) -> painted [h w 3] in [0, 1]
AnswerFn = Callable[[np.ndarray | None, str], np.ndarray]

VIEW_EDGE = 1024  # long edge of the picture to look at, whatever the photo's
_UNITS = {
  'depth': 'float32 metres along the optical axis; inf is sky',
  'normals': 'float32 unit vectors: x right, y up, z to the viewer',
  'semantic': 'int32: 0 is the background, k the k-th name of the legend',
  'instance': 'int32: 0 is the background, k the k-th instance',
  'referring': 'int32: 0 is the background, k the k-th phrase',
}


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
  data = {'painted': (f'{stem}_painted.png', _png(painted_u8))}
  look = answers.LOOKS.get(task.name)
  if look is None:
    picture = painted_u8
    if image_u8 is not None:
      picture = _resize_picture(painted_u8, photo_size)
  else:
    small = decode(task, painted, question.aux)[look.key]
    value = _RESIZE[task.name](small, photo_size)
    picture = _draw(task.name, small, image_u8, question.aux, names)
    data['values'] = (f'{stem}.npy', _npy(value))
  data['picture'] = (f'{stem}.png', _png(picture))
  facts = {
    'task': task.name,
    'prompt': question.prompt,
    'legend': dict(zip(names, answers.get_palette(question.aux).tolist())),
    'photo_size': None if image_u8 is None else list(photo_size),
    'painted_size': list(painted.shape[:2]),
    'values': _UNITS.get(task.name),
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
  return _resize_picture(image_u8, grid).astype(np.float32) / np.float32(255.0)


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


def resize_depth(
  depth_m: Float[np.ndarray, 'h w'], shape: tuple[int, int]
) -> Float[np.ndarray, 'oh ow']:
  """Bilinear among finite metres; sky where the nearest pixel is sky."""
  finite = np.isfinite(depth_m)
  total = _bilinear(np.where(finite, depth_m, 0.0), shape)
  weight = _bilinear(finite, shape)
  nearest = resize_labels(finite.astype(np.int32), shape) > 0
  resized = total / np.where(nearest, np.maximum(weight, 1e-6), 1.0)
  return np.where(nearest, resized, np.inf).astype(np.float32)


def resize_normals(
  normals: Float[np.ndarray, 'h w 3'], shape: tuple[int, int]
) -> Float[np.ndarray, 'oh ow 3']:
  """Bilinear, then unit length again."""
  smooth = np.stack([_bilinear(normals[..., i], shape) for i in range(3)], -1)
  length = np.linalg.norm(smooth, axis=-1, keepdims=True)
  return (smooth / np.maximum(length, 1e-6)).astype(np.float32)


def resize_labels(
  labels: Int[np.ndarray, 'h w'], shape: tuple[int, int]
) -> Int[np.ndarray, 'oh ow']:
  """Nearest: a label between two labels is a third one."""
  rows = _nearest(labels.shape[0], shape[0])
  columns = _nearest(labels.shape[1], shape[1])
  return np.ascontiguousarray(labels[rows][:, columns], np.int32)


_RESIZE = {
  'depth': resize_depth,
  'normals': resize_normals,
  'semantic': resize_labels,
  'instance': resize_labels,
  'referring': resize_labels,
}


def _nearest(old: int, new: int):
  return ((np.arange(new) + 0.5) * old / new).astype(int)


def _bilinear(values, shape):
  plane = Image.fromarray(np.asarray(values, np.float32))
  resized = plane.resize(shape[::-1], Image.Resampling.BILINEAR)
  return np.asarray(resized, np.float32)


def _resize_picture(picture_u8, shape):
  image = Image.fromarray(picture_u8)
  return np.asarray(image.resize(shape[::-1], Image.Resampling.BICUBIC))


def _draw(task_name, small, image_u8, aux, names):
  """The picture to look at, with a metre scale or the legend's names."""
  shape = make_grid(*image_u8.shape[:2], size=VIEW_EDGE, patch=1)
  value = _RESIZE[task_name](small, shape)
  photo_u8 = _resize_picture(image_u8, shape)
  palette_u8 = answers.get_palette(aux)
  scale = pictures.depth_range_m(value) if task_name == 'depth' else None
  picture = answers.LOOKS[task_name].draw(value, photo_u8, palette_u8, scale)
  if task_name == 'depth':
    return pictures.with_scale(picture, scale)
  if task_name == 'referring' and len(palette_u8) == 1:
    palette_u8 = np.array([pictures.HIGHLIGHT])
  entries = [(n, tuple(c)) for n, c in zip(names, palette_u8.tolist())]
  return pictures.with_legend(picture, entries)


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


def _png(picture_u8) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(picture_u8).save(buffer, 'PNG')
  return buffer.getvalue()


def _npy(value) -> bytes:
  buffer = io.BytesIO()
  np.save(buffer, value, allow_pickle=False)
  return buffer.getvalue()
