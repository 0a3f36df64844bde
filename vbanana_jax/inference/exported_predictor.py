"""An exported painter's answers about photos; no code of the network."""

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from vbanana_jax.inference import pipeline
from vbanana_jax.inference.exported import Exported
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.base import Question

_SAID = ('checkpoint', 'step', 'training_seed', 'parameters', 'versions')


def answer_all(
  painter: Exported,
  images: Sequence[pathlib.Path | None],
  out: pathlib.Path,
  *,
  overwrite: bool = False,
) -> Iterator[tuple[pathlib.Path | None, pipeline.Answered]]:
  """Writes the answers about photos, brought to the one grid it knows.

  Args:
    painter: from `exported.load_exported`.
    images: photos, each once; [None] for generation.
    out: folder of the answers.
    overwrite: whether answers to something else may be replaced.

  Returns:
    as `pipeline.predict_all`, which also says what goes wrong.
  """
  return pipeline.predict_all(
    prepare(painter), images, out_dir=out, overwrite=overwrite
  )


def prepare(painter: Exported) -> pipeline.PreparedRequest:
  """The question that was exported with the painter."""
  manifest, sampler = painter.manifest, painter.manifest['sampler']
  # The background comes first, and no picture of an answer shows it.
  colors = np.array([[0, 0, 0], *manifest['palette']], np.float32)
  question = Question(
    manifest['prompt'],
    {'palette': colors / 255},
    tuple(manifest['legend']),
  )

  def paint_all(photos):
    for asked in photos:
      source = np.zeros((*painter.size, 3), np.float32)
      if asked.photo is not None:
        source = asked.photo.source
      answer = painter(source[None])
      value = answer.get('value')
      yield asked, answer['painted'][0], None if value is None else value[0]

  return pipeline.PreparedRequest(
    TASKS[manifest['task']],
    question,
    paint_all,
    lambda height, width: painter.size,
    {
      **{key: manifest[key] for key in _SAID},
      'steps': sampler['steps'],
      'sampler': sampler['method'],
      'guidance': sampler['guidance'],
      'seed': sampler['seed'],
    },
  )
