"""A benchmark's folder scored while a model trains, without files in between.

Pictures are rounded to 8 bits, as in a file: the scores are those that `vbanana
predict --protocol` and `vbanana evaluate --predictions` find with the same
weights.
"""

import pathlib
from typing import Any

from vbanana_jax.benchmark import protocols, questions
from vbanana_jax.drawing import pictures
from vbanana_jax.errors import UserError
from vbanana_jax.inference import predict_protocol
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.runtime import logs
from vbanana_jax.tasks import TASKS


class ProtocolEval:
  """Scores a network under a protocol, in the first pass of its questions.

  Args:
    predictor: the network; its weights change.
    protocol: how to ask, read and score.
    data: the benchmark's folder.
    limit: number of examples, from the start; 0 for all.

  Raises:
    UserError: another benchmark in `data`, or a question that is too long for
      the network.
  """

  def __init__(
    self,
    predictor: Predictor,
    protocol: protocols.Protocol,
    data: pathlib.Path,
    limit: int = 0,
  ):
    self.protocol = protocol
    self._predictor = predictor
    self._reader = questions.open_reader(protocol, data)
    wanted = questions.make_questions(protocol, self._reader, 1)
    self._wanted = list(wanted)[: limit or None]
    self._parts = predict_protocol.make_parts(predictor, protocol, self._wanted)

  def run(self, params: Any) -> dict[str, float | None]:
    """'protocol/metric' -> score of these weights, headline first."""
    protocol, task = self.protocol, TASKS[self.protocol.task]
    self._predictor.set_params(params)
    states = {}
    for question, rgb in predict_protocol.paint_questions(
      self._predictor, protocol, self._reader, self._wanted, self._parts
    ):
      truth = self._reader.load_truth(question.item)
      answer = questions.decode_answer(
        protocol, question.asked.spec, pictures.to_u8(rgb)
      )
      value = questions.resize_value(
        protocol, answer.value, task.benchmark.get_shape(truth)
      )
      states[question.file] = task.benchmark.make_states(value, truth, protocol)
    metrics, _ = task.benchmark.summarize_rows(
      [states[question.file] for question in self._wanted]
    )
    return {
      f'{protocol.label}/{name}': logs.to_number(metrics[name])
      for name in protocol.headline
    }


def parse_protocols(text: str) -> list[tuple[protocols.Protocol, pathlib.Path]]:
  """Protocols with their folders, of `config.eval.protocols`.

  Args:
    text: 'NAME=FOLDER', or 'NAME:SPLIT=FOLDER' for another split than the
      protocol's, several with commas between them; '' for none.

  Raises:
    UserError: another form, or an unknown protocol or split.
  """
  found = []
  for each in filter(None, text.split(',')):
    name, equals, folder = each.strip().partition('=')
    if not equals or not folder:
      raise UserError(
        f'config.eval.protocols has {each!r}: write NAME=FOLDER, as in '
        'nyuv2_depth=data/nyuv2, with commas between several'
      )
    name, _, split = name.partition(':')
    protocol = protocols.load_protocol(name, split or None)
    found.append((protocol, pathlib.Path(folder)))
  return found
