"""The array that an answer is decoded to: its unit, size, look and vote.

One array at picture size. It, and never the colors that it was read from, is
brought to another size, drawn, and put to the vote. Runs on the host.
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Shaped

from vbanana_jax import resizing
from vbanana_jax.drawing import masks, pictures, strips

Array = Shaped[np.ndarray, 'h w *c']
Passes = Shaped[np.ndarray, 'n h w *c']
Key = list[tuple[str, tuple[int, int, int]]]  # names of 8-bit colors


@dataclasses.dataclass(frozen=True)
class Value(abc.ABC):
  """What one task's answers are as numbers.

  Attributes:
    key: its name in what `Task.decode` returns.
    unit: what the .npy file of an answer holds: dtype, unit, special values.
    viewer: which viewer of the demo page shows it; see `demo/viewers`.
  """

  key: str
  unit: str
  viewer: ClassVar[str] = 'picture'

  @abc.abstractmethod
  def resize(self, value: Array, shape: tuple[int, int]) -> Array:
    """The value at another height and width."""

  @abc.abstractmethod
  def draw(
    self,
    value: Array,
    photo_u8: pictures.Picture,
    palette_u8: Shaped[np.ndarray, 'q 3'],
    scale: Any,
  ) -> pictures.Picture:
    """The value as a picture of its size.

    Args:
      value: decoded.
      photo_u8: [h w 3], what may be seen through it.
      palette_u8: colors of the labels 1, 2, ...; of other values none.
      scale: from `find_scale`.
    """

  @abc.abstractmethod
  def draw_error(
    self, value: Array, truth: Array, valid_px: Bool[np.ndarray, 'h w']
  ) -> pictures.Picture:
    """Where and how much the value is wrong, among the pixels with a truth."""

  @abc.abstractmethod
  def combine(self, passes: Passes) -> Array:
    """One value from several to the same question; see `vote`."""

  @abc.abstractmethod
  def agree(self, passes: Passes, voted: Array) -> Bool[np.ndarray, 'n h w']:
    """Where each pass says what `voted` says."""

  def find_scale(self, value: Array) -> Any:
    """What numbers the colors of a drawing stand for; None of most values."""
    del value

  def describe_scale(self, scale: Any) -> str:
    """Caption of a drawing."""
    del scale
    return 'decoded'

  def list_colors(
    self,
    value: Array,
    palette_u8: Shaped[np.ndarray, 'q 3'],
    names: Sequence[str],
    scale: Any,
  ) -> Key:
    """What colors of a drawing stand for; arguments as for `finish`."""
    del value, scale
    return [(n, tuple(c)) for n, c in zip(names, palette_u8.tolist())]

  @abc.abstractmethod
  def list_error_colors(self) -> Key:
    """What colors of `draw_error` stand for."""

  def finish(
    self,
    picture: pictures.Picture,
    value: Array,
    palette_u8: Shaped[np.ndarray, 'q 3'],
    names: Sequence[str],
    scale: Any,
  ) -> pictures.Picture:
    """A drawing by itself, with its legend or scale below.

    Args:
      picture: from `draw`.
      value: what it shows.
      palette_u8: as for `draw`.
      names: of the palette's colors; fewer leave the others out.
      scale: as for `draw`.
    """
    entries = self.list_colors(value, palette_u8, names, scale)
    return strips.with_legend(picture, entries)

  def describe(self, value: Array) -> dict[str, float]:
    """Facts that the file beside an answer holds, ready for JSON."""
    del value
    return {}

  def is_empty(self, value: Array) -> bool:
    """Whether nothing of what was asked for is in it."""
    del value
    return False

  def tell(self, value: Array, names: Sequence[str]) -> str | None:
    """One line about an answer that a person should not take as it is.

    Args:
      value: decoded.
      names: of its labels 1, 2, ...; may be empty.
    """
    del value, names

  def vote(self, values: Sequence[Array]) -> Array:
    """Combines the passes' values into one of the same shape and dtype.

    Passes differ in their legend's colors or in their seed, never in what a
    number means: row k is the same class in each, so colors that a model binds
    to the wrong class in one pass are outvoted by the others.

    Raises:
      ValueError: no pass, or passes of different shapes.

    Source: voting over shuffled legends, Open Vision Banana (project page).
    """
    passes = _stack(values)
    return self.combine(passes).astype(passes.dtype)

  def measure_agreement(
    self, values: Sequence[Array], voted: Array
  ) -> Float[np.ndarray, 'h w']:
    """Share of passes that agree with `voted`, f32 in [0, 1].

    A confidence: 1 where all passes say the same.
    """
    passes = _stack(values)
    if voted.shape != passes.shape[1:]:
      raise ValueError(f'voted is {voted.shape}, passes are {passes.shape[1:]}')
    return self.agree(passes, voted).mean(axis=0, dtype=np.float32)


class Labels(Value):
  """int32 [h w]: 0 is the background, k the k-th entry of the palette."""

  viewer: ClassVar[str] = 'labels'

  def resize(self, value, shape):
    return resizing.resize_labels(value, shape)

  def find_colors(
    self, value: Array, palette_u8: Shaped[np.ndarray, 'q 3']
  ) -> Shaped[np.ndarray, 'k 3']:
    """Colors that labels 1, 2, ... are drawn in: those of the prompt."""
    del value
    return palette_u8

  def draw(self, value, photo_u8, palette_u8, scale):
    del scale
    colors_u8 = self.find_colors(value, palette_u8)
    return masks.draw_labels(photo_u8, without_ground(value), colors_u8)

  def draw_error(self, value, truth, valid_px):
    return pictures.draw_wrong(value != truth, valid_px)

  def list_error_colors(self):
    return [('right', pictures.RIGHT), ('wrong', pictures.WRONG)]

  def is_empty(self, value):
    return not np.any(value)

  def tell(self, value, names):
    if not self.is_empty(value):
      return None
    return f'nothing found{": " * bool(names)}{", ".join(names)}'

  def combine(self, passes):
    """The majority of each pixel, the earliest pass among ties."""
    # Of equal counts argmax takes the first, which is the earliest pass.
    votes = np.stack([(passes == one).sum(0, dtype=np.int32) for one in passes])
    return np.take_along_axis(passes, votes.argmax(0)[None], axis=0)[0]

  def agree(self, passes, voted):
    return passes == voted


def without_ground(labels: np.ndarray) -> np.ndarray:
  """Labels 0, 1, ... of palette rows without the background, which is -1."""
  return np.asarray(labels, np.int32) - 1


def _stack(values: Sequence[np.ndarray]) -> np.ndarray:
  shapes = {np.shape(value) for value in values}
  if len(shapes) != 1:
    raise ValueError(f'a vote takes passes of one shape, not {sorted(shapes)}')
  return np.stack([np.asarray(value) for value in values])
