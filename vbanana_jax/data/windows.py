"""A window of a labeled picture at another size: one geometry for everything.

Output pixel (i, j) looks at the point of the picture that lies as far inside
the window as its center lies inside the output. The photograph is resized with
antialiasing. Every label is the one of the pixel that holds that point: labels
are picked, never blended.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped
from PIL import Image

from vbanana_jax import labels
from vbanana_jax.data import mirrored_words

_MAPS = ('depth_m', 'normals', 'albedo', 'semantic', 'instance')
# Of a phrase's pixels, what must be in the window: of less it may not be true.
KEPT_SHARE = 0.25
_PLACES = (0.5, 0.25, 0.75, 0.0, 1.0)  # of plain windows, from the upper left


class Window(NamedTuple):
  """Part of a picture, in its pixels; (0, 0) is the picture's upper left."""

  left: float
  top: float
  width: float
  height: float
  mirrored: bool = False


def find_largest(
  shape: tuple[int, int], size: tuple[int, int], stretch: float = 1.0
) -> tuple[float, float]:
  """Width and height of the largest window with the aspect of the output.

  Args:
    shape: height and width of the picture.
    size: height and width of the output.
    stretch: how much wider the window is than that aspect.
  """
  aspect = stretch * size[1] / size[0]
  width = min(float(shape[1]), shape[0] * aspect)
  return width, min(float(shape[0]), width / aspect)


def center(shape: tuple[int, int], size: tuple[int, int]) -> Window:
  """The largest window with the aspect of the output, in the middle."""
  width, height = find_largest(shape, size)
  return Window((shape[1] - width) / 2, (shape[0] - height) / 2, width, height)


def find_plain(example: Mapping[str, Any], size: tuple[int, int]) -> Window:
  """The window of a plain reading: the largest one, in the middle.

  It is moved where it would show nothing that a phrase denotes.

  Args:
    example: as for `see`.
    size: height and width of the output.
  """
  shape = example['rgb'].shape[:2]
  middle = center(shape, size)
  phrases = [p for p in example.get('phrases') or () if p.mask.any()]
  for share in _PLACES if phrases else ():
    window = middle._replace(
      left=share * (shape[1] - middle.width),
      top=share * (shape[0] - middle.height),
    )
    if keeps_a_phrase(phrases, window, size):
      return window
  return middle


def see(
  example: Mapping[str, Any], window: Window, size: tuple[int, int]
) -> dict[str, Any]:
  """An example as seen through a window.

  z-depth in meters, class and object ids stay what they are. Intrinsics become
  those of the output. Mirroring negates x of normals, and swaps left and right
  in classes, phrases, captions and instructions. Of phrases that denote
  something, those are dropped of which less than `KEPT_SHARE` is seen, or no
  pixel of the output.

  Args:
    example: keys of `vbanana_jax.labels`, at the picture's size; `rgb` may be
      uint8 too. `phrases` is a sequence of `labels.Phrase`, `captions` one of
      strings.
    window: inside the picture.
    size: height and width of the output.

  Raises:
    UserError: a class has a side and no partner on the other one.
  """
  seen = {key: value for key, value in example.items() if value is not None}
  shape = seen['rgb'].shape[:2]
  pick = _Picker(window, shape, size)
  seen['rgb'] = _see_colors(seen['rgb'], window, size)
  for key in _MAPS:
    if key in seen:
      seen[key] = pick(seen[key])
  if 'intrinsics' in seen:
    seen['intrinsics'] = see_intrinsics(seen['intrinsics'], window, size)
  if 'phrases' in seen:
    seen['phrases'] = _see_phrases(seen['phrases'], pick)
  if 'edit' in seen:
    rgb = _see_colors(seen['edit']['rgb'], window, size)
    seen['edit'] = {**seen['edit'], 'rgb': rgb}
  return _mirror_meaning(seen) if window.mirrored else seen


def see_intrinsics(
  camera: labels.Intrinsics, window: Window, size: tuple[int, int]
) -> labels.Intrinsics:
  """The camera of the output: the same rays, counted in its pixels."""
  x, y = size[1] / window.width, size[0] / window.height
  cx = (camera.cx - window.left) * x
  return labels.Intrinsics(
    camera.fx * x,
    camera.fy * y,
    size[1] - cx if window.mirrored else cx,
    (camera.cy - window.top) * y,
  )


def keeps_a_phrase(
  phrases: Sequence[labels.Phrase], window: Window, size: tuple[int, int]
) -> bool:
  """Whether `see` would keep any of them."""
  return any(
    _see_phrases([phrase], _Picker(window, phrase.mask.shape, size))
    for phrase in phrases
  )


class _Picker:
  """Labels of the pixels that hold the centers of the output's pixels."""

  def __init__(self, window: Window, shape, size):
    rows = _pick_line(window.top, window.height, shape[0], size[0])
    columns = _pick_line(window.left, window.width, shape[1], size[1])
    if window.mirrored:
      columns = columns[::-1]
    self._grid = np.ix_(rows, columns)
    self._inside = (
      _span(window.top, window.height, shape[0]),
      _span(window.left, window.width, shape[1]),
    )

  def __call__(
    self, values: Shaped[np.ndarray, 'h w *c']
  ) -> Shaped[np.ndarray, 'oh ow *c']:
    return values[self._grid]

  def count_inside(self, mask: Bool[np.ndarray, 'h w']) -> int:
    return int(np.count_nonzero(mask[self._inside]))


def _pick_line(start: float, length: float, old: int, new: int) -> np.ndarray:
  points = start + (np.arange(new) + 0.5) * (length / new)
  return np.clip(np.floor(points).astype(int), 0, old - 1)


def _span(start: float, length: float, old: int, new: int = 0) -> slice:
  """Whole pixels that a stretch of a row or column touches.

  With `new`, and those that a bicubic filter to so many pixels reaches.
  """
  reach = 2 * max(1.0, length / new) + 1 if new else 0
  first = max(0, math.floor(start - reach))
  return slice(first, min(old, math.ceil(start + length + reach)))


def _see_colors(
  rgb: Shaped[np.ndarray, 'h w 3'], window: Window, size: tuple[int, int]
) -> Float[np.ndarray, 'oh ow 3']:
  """Resized from 8 bits with antialiasing, as `photos.fit_photo` does."""
  # The filter reaches over the window's borders.
  rows = _span(window.top, window.height, rgb.shape[0], size[0])
  columns = _span(window.left, window.width, rgb.shape[1], size[1])
  part = rgb[rows, columns]
  if part.dtype != np.uint8:
    part = np.rint(np.clip(part, 0.0, 1.0) * 255).astype(np.uint8)
  left, top = window.left - columns.start, window.top - rows.start
  right = min(left + window.width, part.shape[1])
  bottom = min(top + window.height, part.shape[0])
  box = (left, top, right, bottom)
  image = Image.fromarray(np.ascontiguousarray(part))
  resized = np.asarray(
    image.resize(size[::-1], Image.Resampling.BICUBIC, box=box)
  )
  if window.mirrored:
    resized = resized[:, ::-1]
  return resized.astype(np.float32) / 255


def _see_phrases(
  phrases: Sequence[labels.Phrase], pick: _Picker
) -> tuple[labels.Phrase, ...]:
  kept = []
  for phrase in phrases:
    mask = pick(phrase.mask)
    total = int(np.count_nonzero(phrase.mask))
    if total and not mask.any():
      continue
    if pick.count_inside(phrase.mask) < KEPT_SHARE * total:
      continue
    kept.append(phrase._replace(mask=mask))
  return tuple(kept)


def _mirror_meaning(seen: dict[str, Any]) -> dict[str, Any]:
  """What changes besides places: directions, sides, and words for them."""
  words = mirrored_words.mirror_words
  if 'normals' in seen:
    seen['normals'] = seen['normals'] * np.float32((-1, 1, 1))
  if 'classes' in seen:
    ids = mirrored_words.mirror_classes(seen['classes'])
    if 'semantic' in seen:
      seen['semantic'] = ids[seen['semantic']]
    if 'instance_class' in seen:
      seen['instance_class'] = ids[np.asarray(seen['instance_class'], int)]
  if 'phrases' in seen:
    seen['phrases'] = tuple(
      phrase._replace(text=words(phrase.text)) for phrase in seen['phrases']
    )
  if 'captions' in seen:
    seen['captions'] = tuple(words(caption) for caption in seen['captions'])
  if 'edit' in seen:
    instruction = words(seen['edit']['instruction'])
    seen['edit'] = {**seen['edit'], 'instruction': instruction}
  return seen
