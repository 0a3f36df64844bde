"""`vbanana predict`: a trained run's answer about photos, or a new picture."""

import pathlib
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from vbanana_jax import (
  models,
  painting,
  predict,
  predict_all,
  provenance,
  weights,
)
from vbanana_jax.errors import UserError
from vbanana_jax.tasks.base import get_noise_scale
from vbanana_jax.wish import Wish, ask, count_steps

_ACCELERATOR_ROWS = 16


class Answerer:
  """A trained run with its weights loaded, ready for many pictures."""

  def __init__(self, run: pathlib.Path):
    self.run = run
    self.config, self.model, self.params = weights.load_run(run)
    self.box = painting.PaintBox(self.model, self.params)

  def answer(
    self, wish: Wish, image: pathlib.Path | None, out: pathlib.Path
  ) -> dict[str, pathlib.Path]:
    """Writes the answer about one photo, or one generated picture.

    Raises:
      UserError: an unreadable photo, missing words, an unknown task.
    """
    ((_, paths),) = self.answer_all(wish, [image], out)
    if isinstance(paths, UserError):
      raise paths
    return paths

  def answer_all(
    self,
    wish: Wish,
    images: Sequence[pathlib.Path | None],
    out: pathlib.Path,
    *,
    rows: int | None = None,
  ) -> Iterator[tuple[pathlib.Path | None, predict_all.Answered]]:
    """Writes the answers about photos; see `predict_all.predict_all`.

    Args:
      wish: what is asked about each.
      images: photos with different names; or [None], for generation.
      out: folder of the answers.
      rows: pictures of one grid to paint at once; see `count_rows`.

    Raises:
      UserError: missing words, an unknown task, or answers cannot be written.
    """
    rows = count_rows(rows)
    task, question, names = ask(wish, self.config['data']['level'])
    size = wish.size or self.config['image_size']
    patch = self.model.config.patch
    about = {
      'checkpoint': str(self.run),
      'parameters': models.count_parameters(self.params),
      'versions': provenance.get_versions(),
    }

    way = painting.Way(wish.seed, count_steps(wish), wish.guidance)

    def paint_all(photos):
      canvases = (
        self.make_canvas(
          task, asked.photo and asked.photo.source, question.prompt, size, asked
        )
        for asked in photos
      )
      for canvas, painted in self.box.paint_all(way, canvases, rows=rows):
        value = predict.decode_value(task, painted, question.aux)
        yield canvas.label, painted, value

    return predict_all.predict_all(
      paint_all,
      task,
      images,
      question,
      find_grid=lambda h, w: predict.make_grid(h, w, size=size, patch=patch),
      out_dir=out,
      names=names,
      about=about,
      rows=rows,
    )

  def make_canvas(self, task, source, prompt, size, label) -> painting.Canvas:
    """One picture to paint; an empty square of `size` without a source."""
    has_source = source is not None
    if not has_source:
      patch = self.model.config.patch
      grid = predict.make_grid(size, size, size=size, patch=patch)
      source = np.zeros((*grid, 3), np.float32)
    return painting.Canvas(
      source, has_source, prompt, get_noise_scale(task, source), label
    )


def count_rows(rows: int | None = None) -> int:
  """Pictures to paint at once: what is asked for, or what suits the device.

  On a CPU painting is a small part of an answer, and with one at a time no
  answer depends on what else is asked.
  """
  if rows is not None:
    return rows
  return 1 if jax.default_backend() == 'cpu' else _ACCELERATOR_ROWS
