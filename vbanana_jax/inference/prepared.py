"""A request that is ready to be answered, by a network or by a program."""

import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from vbanana_jax.inference import outputs
from vbanana_jax.tasks import base


class LoadedPhoto(NamedTuple):
  """An image and what was made of it; both are None for generation."""

  image: pathlib.Path | None
  photo: outputs.Photo | None


# Painted [h w 3] in [0, 1] and decoded answers of photos, as they come.
AnswerPhotos = Callable[
  [Iterable[LoadedPhoto]],
  Iterator[tuple[LoadedPhoto, np.ndarray, np.ndarray | None]],
]


class PreparedRequest(NamedTuple):
  """A request that a network, or an exported program, is ready to answer.

  Attributes:
    task: what is asked.
    question: instruction and palette.
    answer_photos: paints with the network or program, and decodes.
    find_grid: the network's height and width for those of a photo.
    about: what the JSON files say besides: checkpoint, sampler, versions.
  """

  task: base.Task
  question: base.Question
  answer_photos: AnswerPhotos
  find_grid: Callable[[int, int], tuple[int, int]]
  about: dict[str, Any]
