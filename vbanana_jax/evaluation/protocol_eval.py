"""A network scored under a protocol while it trains, without files in between.

Pictures are rounded to 8 bits, as in a file: the scores are those that `vbanana
predict --protocol` and `vbanana evaluate --predictions` find with the same
weights.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from vbanana_jax.benchmark import protocols, questions, readers
from vbanana_jax.drawing import pictures
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation.protocol_evaluator import (
  PaintedExample,
  build_evaluator,
)
from vbanana_jax.inference import predict_protocol
from vbanana_jax.inference.predictor import Predictor
from vbanana_jax.runtime import logs, paths, prefetch
from vbanana_jax.tasks import TASKS


class ProtocolExample(NamedTuple):
  """A photograph with its truth, from wherever; loaded when it is needed.

  Attributes:
    item: its name, and the phrase that it is asked about.
    load_photo: upright RGB; called in a thread.
    load_truth: arrays of the protocol's task, as `readers.Reader` says; called
      in a thread.
  """

  item: readers.Item
  load_photo: Callable[[], UInt8[np.ndarray, 'h w 3']]
  load_truth: Callable[[], dict[str, np.ndarray]]


class ProtocolEval:
  """Scores a network under a protocol, in the first pass of its questions.

  Args:
    predictor: the network; its weights change.
    protocol: how to ask, read and score.
    examples: what to ask about.

  Raises:
    UserError: a question that is too long for the network.
  """

  def __init__(
    self,
    predictor: Predictor,
    protocol: protocols.Protocol,
    examples: Sequence[ProtocolExample],
  ):
    self.protocol = protocol
    self._predictor = predictor
    self._evaluator = build_evaluator(protocol, predictor.mesh)
    requests = questions.make_requests(
      protocol, [example.item for example in examples], 1
    )
    self._examples = {
      request.file: (request, example)
      for request, example in zip(requests, examples, strict=True)
    }
    self._parts = predict_protocol.make_parts(
      predictor, protocol, [request for request, _ in self._examples.values()]
    )

  def run(self, params: Any) -> dict[str, float | None]:
    """'protocol/metric' -> score of these weights, headline first."""
    protocol = self.protocol
    self._predictor.set_params(params)
    painted = predict_protocol.paint_requests(
      self._predictor,
      protocol,
      lambda request: self._examples[request.file][1].load_photo(),
      [request for request, _ in self._examples.values()],
      self._parts,
    )
    order = []

    def load(pair):
      request, rgb = pair
      truth = self._examples[request.file][1].load_truth()
      return request.file, PaintedExample(
        [pictures.to_u8(rgb)], [request.spec], truth
      )

    def load_all():
      for _, loading in prefetch.prefetch_map(
        load, painted, ahead=1, threads=1
      ):
        file, answer = loading.result()
        order.append(file)
        yield answer

    scores = self._evaluator.run(load_all())
    states = {file: score.states for file, score in zip(order, scores)}
    metrics, _ = TASKS[protocol.task].benchmark.summarize_rows(
      [states[file] for file in self._examples]
    )
    return {
      f'{protocol.label}/{name}': logs.to_number(metrics[name])
      for name in protocol.headline
    }


def open_examples(
  protocol: protocols.Protocol, data: paths.Path, limit: int = 0
) -> list[ProtocolExample]:
  """Examples of a benchmark's folder, the first `limit`; all of them for 0.

  Raises:
    UserError: another benchmark in `data`.
  """
  reader = questions.open_reader(protocol, data)
  return [
    ProtocolExample(
      item,
      functools.partial(reader.load_image, item),
      functools.partial(reader.load_truth, item),
    )
    for item in reader.items[: limit or None]
  ]


def parse_protocols(text: str) -> list[tuple[protocols.Protocol, paths.Path]]:
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
    before, _, split = name.rpartition(':')
    if not before or '/' in split:  # no split, but a file, as in gs://b/x.json
      before, split = name, None
    protocol = protocols.load_protocol(before, split or None)
    found.append((protocol, paths.to_path(folder)))
  return found
