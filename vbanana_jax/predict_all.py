"""One question about many photos: read, painted and written side by side."""

import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from vbanana_jax import ahead, predict, processes
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError
from vbanana_jax.report import files
from vbanana_jax.tasks import base

_MOST_THREADS = 8


class Asked(NamedTuple):
  """An image and what was made of it; both are None for generation."""

  image: pathlib.Path | None
  photo: predict.Photo | None


# Painted [h w 3] in [0, 1] and decoded answers of photos, as they come.
PaintAll = Callable[
  [Iterable[Asked]], Iterator[tuple[Asked, np.ndarray, np.ndarray | None]]
]
# Paths by name as of `predict.write`, or what is wrong with the photo.
Answered = dict[str, pathlib.Path] | UserError


def predict_all(
  paint_all: PaintAll,
  task: base.Task,
  images: Sequence[pathlib.Path | None],
  question: base.Question,
  *,
  find_grid: Callable[[int, int], tuple[int, int]],
  out_dir: pathlib.Path,
  names: tuple[str, ...] = (),
  about: dict[str, Any] | None = None,
  rows: int = 1,
) -> Iterator[tuple[pathlib.Path | None, Answered]]:
  """Answers about each photo, as files; see `predict.write`.

  Threads read the photos ahead of the painting and write behind it.

  Args:
    paint_all: the network.
    task: what is asked.
    images: photos with different names; [None] for generation.
    question: instruction and palette.
    find_grid: the network's height and width for those of a photo.
    out_dir: folder of the answers.
    names: of the legend.
    about: what the JSON files say besides.
    rows: how many photos `paint_all` takes before it paints.

  Yields:
    every image with its answer or its error, as they come.

  Raises:
    UserError: no photo or one too many, no words, or answers cannot be
      written.
  """
  pace = make_pace(rows)
  unread: list[tuple[pathlib.Path | None, UserError]] = []

  def read(image):
    if image is None:
      return None
    image_u8 = photos.open_photo(image, tell=_say_first)
    return predict.look(image_u8, find_grid(*image_u8.shape[:2]))

  def read_all():
    for image, reading in ahead.map_ahead(read, images, **pace):
      try:
        yield Asked(image, reading.result())
      except UserError as error:
        unread.append((image, error))

  def write(answer):
    asked, painted, value = answer
    return predict.write(
      task,
      asked.photo,
      question,
      painted,
      value,
      out_dir=out_dir,
      name=name_answer(asked.image),
      names=names,
      about=about,
    )

  for image in images:
    predict.check(task, image is not None, question)
  files.check_folder(out_dir)
  painted = paint_all(read_all())
  for answer, writing in ahead.map_ahead(write, painted, **pace, soon=True):
    yield answer[0].image, writing.result()
    while unread:
      yield unread.pop(0)
  yield from unread


def _say_first(name: str) -> None:
  processes.say(f'{name}: several pictures in one file; the first is taken')


def make_pace(rows: int) -> dict[str, int]:
  """Threads, and how far they are ahead of a painter of `rows` at once."""
  threads = min(os.cpu_count() or 1, _MOST_THREADS)
  return {'threads': threads, 'ahead': rows + threads}


def name_answer(image: pathlib.Path | None) -> str:
  """Start of the names of an answer's files."""
  return 'painted' if image is None else image.stem
