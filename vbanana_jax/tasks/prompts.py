"""Reads instructions: what a decoder must know to read the painted answer."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vbanana_jax import errors
from vbanana_jax.codecs import palettes
from vbanana_jax.tasks import TASKS

if TYPE_CHECKING:
  from vbanana_jax.tasks.painted import PaintedReader


@dataclasses.dataclass(frozen=True)
class PromptSpec:
  """What an instruction says about how its answer is painted.

  Attributes:
    task: as given.
    entries: (name, color) in order; semantic and referring only. Names are
      without a leading 'the'.
    background: color of all else; black where it is not stated.
    background_stated: whether the instruction names it.
    category: what instances are asked for; None where no known form says it.
    colormap: name of the map that depth is painted in.
  """

  task: str
  entries: tuple[tuple[str, palettes.Color], ...] = ()
  background: palettes.Color = (0, 0, 0)
  background_stated: bool = False
  category: str | None = None
  colormap: str | None = None

  def make_palette(
    self,
  ) -> tuple[Float[np.ndarray, 'q 3'], Bool[np.ndarray, 'q']]:
    """Colors in [0, 1], background first, and which rows exist: all."""
    colors = [self.background, *(color for _, color in self.entries)]
    return palettes.to_rgb(colors), np.ones(len(colors), bool)

  def make_legend(self) -> tuple[list[str], UInt8[np.ndarray, 'q 3']]:
    """Names and colors of the labels 1, 2, ..."""
    names = [name for name, _ in self.entries]
    colors = [color for _, color in self.entries]
    return names, np.array(colors, np.uint8).reshape(-1, 3)


def read_prompt(task: str, prompt: str) -> PromptSpec:
  """Reads what a decoder of `task` needs from any instruction.

  Args:
    task: name of one whose answers are numbers.
    prompt: JSON-like mappings and English sentences; colors by name, #rrggbb,
      (r, g, b), <r, g, b> or RGB(r, g, b).

  Raises:
    UserError: for another task, and where the instruction does not say what a
      decoder must know; see `PaintedReader.read_prompt`.

  Source: Vision Banana, figures 2, 3 and 4 and sections 2.4 and 2.5.
  """
  return get_reader(task).read_prompt(prompt)


def get_reader(task: str) -> 'PaintedReader':
  """The reader of a task by name; UserError for a task without one."""
  reader = TASKS[task].reader if task in TASKS else None
  if reader is None:
    readable = (name for name, each in TASKS.items() if each.reader)
    raise errors.UserError(
      f'answers to the task {task!r} are not read: choose of '
      f'{", ".join(readable)}'
    )
  return reader
