"""An exported painter's answers about photos; no code of the network."""

import numpy as np

from vbanana_jax.inference.exported import Exported
from vbanana_jax.inference.prepared import PreparedRequest
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.base import Question

_SAID = ('checkpoint', 'step', 'training_seed', 'parameters', 'versions')


def prepare(painter: Exported) -> PreparedRequest:
  """The question that was exported with the painter."""
  manifest, sampler = painter.manifest, painter.manifest['sampler']
  # The background comes first, and no picture of an answer shows it.
  colors = np.array([[0, 0, 0], *manifest['palette']], np.float32)
  question = Question(
    manifest['prompt'],
    {'palette': colors / 255},
    tuple(manifest['legend']),
  )

  def answer_photos(photos):
    for asked in photos:
      source = np.zeros((*painter.size, 3), np.float32)
      if asked.photo is not None:
        source = asked.photo.source
      answer = painter(source[None])
      value = answer.get('value')
      yield asked, answer['painted'][0], None if value is None else value[0]

  return PreparedRequest(
    TASKS[manifest['task']],
    question,
    answer_photos,
    lambda height, width: painter.size,
    {
      **{key: manifest[key] for key in _SAID},
      'steps': sampler['steps'],
      'sampler': sampler['method'],
      'guidance': sampler['guidance'],
      'seed': sampler['seed'],
    },
  )
