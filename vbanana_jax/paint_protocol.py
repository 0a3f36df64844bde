"""A run paints every question of a benchmark."""

import pathlib

import tqdm

from vbanana_jax import ahead, painting, predict
from vbanana_jax.answer import Answerer, count_rows
from vbanana_jax.data import protocols, questions
from vbanana_jax.predict_all import make_pace
from vbanana_jax.report import files, pictures
from vbanana_jax.tasks import TASKS


def paint_protocol(
  answerer: Answerer,
  protocol: protocols.Protocol,
  data: pathlib.Path,
  out: pathlib.Path,
  *,
  passes: int | None = None,
  size: int | None = None,
  rows: int | None = None,
) -> int:
  """Paints every question of a benchmark; how many pictures there are.

  Pictures that are there already are kept, so that a painting that was
  stopped goes on.

  Raises:
    UserError: another benchmark in `data`, or a prompt too long for the
      network.
  """
  reader = questions.open_reader(protocol, data)
  wanted = list(
    questions.make_questions(protocol, reader, passes or protocol.passes)
  )
  size = size or answerer.config['image_size']
  rows = count_rows(rows)
  patch = answerer.model.config.patch
  by_seed: dict[int, list[questions.Question]] = {}
  for question in wanted:
    by_seed.setdefault(question.seed, []).append(question)

  def read(question):
    photo = reader.load_image(question.item)
    grid = predict.make_grid(*photo.shape[:2], size=size, patch=patch)
    return predict.shrink_photo(photo, grid)

  def make_canvases(asked):
    pace = {**make_pace(rows), 'threads': 1}  # readers may share a file
    for question, reading in ahead.map_ahead(read, asked, **pace):
      yield answerer.make_canvas(
        TASKS[protocol.task],
        reading.result(),
        question.asked.prompt,
        size,
        question.file,
      )

  def write(painted):
    canvas, rgb = painted
    files.write_atomic(out / canvas.label, files.to_png(pictures.to_u8(rgb)))

  bar = tqdm.tqdm(total=len(wanted), desc=protocol.label, unit='picture')
  with bar:
    for seed, asked in by_seed.items():
      missing = [each for each in asked if not (out / each.file).exists()]
      bar.update(len(asked) - len(missing))
      way = painting.Way(seed, protocol.sampler['steps'])
      painted = answerer.box.paint_all(way, make_canvases(missing), rows=rows)
      pace = make_pace(rows)
      for _, writing in ahead.map_ahead(write, painted, **pace, soon=True):
        writing.result()
        bar.update()
  return len(wanted)
