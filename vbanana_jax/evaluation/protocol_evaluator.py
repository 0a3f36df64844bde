"""Painted pictures decoded and scored under a protocol, compiled in batches.

Whoever has pictures and their truths can be scored: a folder of files
(`score_folder`) and a network in training (`protocol_eval`) differ in where the
pictures come from. Decoding at the painted size, bringing the numbers to the
truth's size and scoring them is one compiled function of a batch, whose rows
the devices share.
"""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from vbanana_jax import resizing, sharding
from vbanana_jax.benchmark import protocols, questions
from vbanana_jax.evaluation import rows
from vbanana_jax.tasks import TASKS, benchmark
from vbanana_jax.tasks.painted import Settings
from vbanana_jax.tasks.prompts import PromptSpec

_WAITING_BYTES = 256 * 2**20  # of all that wait for others of their shape
# As `decode` divides; compiled divisions may differ in the last digit.
_LEVELS = np.arange(256, dtype=np.float32) / np.float32(255.0)


class PaintedExample(NamedTuple):
  """What was painted for one example, and what is true.

  Attributes:
    painted_u8: a picture [h w 3] of any size for each pass.
    specs: what the prompt of each pass says.
    truth: arrays of the task, as a `readers.Reader` loads them.
  """

  painted_u8: Sequence[UInt8[np.ndarray, 'h w 3']]
  specs: Sequence[PromptSpec]
  truth: benchmark.Truth


@dataclasses.dataclass(frozen=True)
class Score:
  """What one answer is worth.

  Attributes:
    states: sums and counts [1 ...] of the first pass.
    facts: of each pass's picture: `is_empty`, `overflow`, and shares of its
      pixels by name; ready for JSON.
    voted: as `states`, of the vote of all passes; None of a single one.
    agreement: mean share of passes that agree with the vote; None likewise.
  """

  states: benchmark.States
  facts: list[dict[str, Any]]
  voted: benchmark.States | None = None
  agreement: np.floating | None = None


@functools.lru_cache(maxsize=8)
def build_evaluator(
  protocol: protocols.Protocol, mesh: jax.sharding.Mesh
) -> 'ProtocolEvaluator':
  """An evaluator with what it has compiled before."""
  return ProtocolEvaluator(protocol, mesh)


class ProtocolEvaluator:
  """Scores answers to the questions of one protocol.

  Args:
    protocol: how to read and score.
    mesh: devices that share a batch.

  Raises:
    UserError: a protocol whose pictures cannot be read as it says.

  Attributes:
    evaluate: the compiled function (pictures, sizes of truths, truths) ->
      states and facts of one pass, all [b ...]; see `_make_row`.
  """

  def __init__(self, protocol: protocols.Protocol, mesh: jax.sharding.Mesh):
    self._protocol, self._mesh = protocol, mesh
    # One for each device, which would score more one after the other anyway.
    self._batch_size = sharding.num_batch_shards(mesh)
    self._task = TASKS[protocol.task]
    self._settings = make_settings(protocol)
    # Of its prompts, all but the colors are the same.
    self._spec = questions.ask(protocol, questions.ANY_ITEM).spec
    self._task.reader.check(self._spec, self._settings)
    self.evaluate = rows.spread_rows(self._evaluate_row, mesh)
    # In two steps where passes vote in between, on the host.
    self._read = rows.spread_rows(self._read_row, mesh)
    self._score = rows.spread_rows(self._score_row, mesh)

  def run(self, answers: Iterable[PaintedExample]) -> list[Score]:
    """Scores in the order of the answers, which are asked for one by one.

    Of several processes each gives the same answers.
    """
    numbers = []

    def start():
      for some in self._group(answers):
        numbers.append([number for number, _ in some])
        yield self._start([row for _, row in some])

    done = rows.fetch_states(start(), wait=rows.is_cpu(self._mesh))
    scores = {
      number: self._make_score(jax.tree.map(lambda x, i=i: x[i : i + 1], found))
      for some, found in zip(numbers, done, strict=True)
      for i, number in enumerate(some)
    }
    return [scores[number] for number in range(len(scores))]

  def _read_row(self, picture, size):
    """The value of one picture [1 H W ...] at its truth's size, and facts."""
    picture = jax.tree.map(lambda x: x[0], picture)
    tables, reader = picture['tables'], self._task.reader
    rgb = jnp.asarray(_LEVELS)[picture['painted_u8'].astype(jnp.int32)]
    found = reader.read(self._spec, rgb, picture['palette'], self._settings)
    value = found['value']
    painted = find_inside(value.shape[:2], picture['size'])
    facts = {name: jnp.sum(found[name] & painted) for name in reader.odd_pixels}
    facts['pixels'] = jnp.prod(picture['size'])
    facts['overflow'] = jnp.asarray(found.get('overflow', False))
    if jnp.issubdtype(value.dtype, jnp.integer):
      facts['labeled'] = jnp.sum((value != 0) & painted)
    if self._protocol.resampling == 'smooth':
      value = self._task.benchmark.resize(value, tables)
    else:
      value = resizing.take_nearest(value, tables)
    inside = find_inside(value.shape[:2], size[0])
    inside = inside.reshape(*inside.shape, *[1] * (value.ndim - 2))
    value = jnp.where(inside, value, 0)
    return jax.tree.map(lambda x: x[None], (value, facts))

  def _score_row(self, value, truth):
    return self._task.benchmark.score(value, truth, self._protocol)

  def _evaluate_row(self, picture, size, truth):
    value, facts = self._read_row(picture, size)
    return {'states': self._score_row(value, truth), 'facts': [facts]}

  def _make_row(self, answer: PaintedExample) -> dict[str, Any]:
    """One answer as arrays, padded to shapes that many have in common."""
    truth = self._task.benchmark.pad_truth(answer.truth, self._protocol)
    size = self._task.benchmark.get_shape(answer.truth)
    pictures = []
    for painted_u8, spec in zip(answer.painted_u8, answer.specs, strict=True):
      painted_size = painted_u8.shape[:2]
      if self._task.reader.takes_padding:
        more = [(0, -edge % benchmark.BLOCK) for edge in painted_size]
        painted_u8 = np.pad(painted_u8, (*more, (0, 0)), mode='edge')
      pictures.append(
        {
          'painted_u8': painted_u8,
          'size': np.array(painted_size, np.int32),
          'palette': spec.make_palette()[0],
          'tables': resizing.make_tables(
            painted_size,
            size,
            painted_u8.shape[:2],
            truth['where'].shape,
            is_smooth=self._protocol.resampling == 'smooth',
          ),
        }
      )
    size = np.array(size, np.int32)
    return {'pictures': pictures, 'truth': truth, 'size': size}

  def _group(
    self, answers: Iterable[PaintedExample]
  ) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Numbered rows of one shape, as many as a batch takes.

    Fewer where too much waits for others of its shape, and at the end.
    """
    waiting: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
    held: collections.Counter[Any] = collections.Counter()  # bytes by shape
    for number, answer in enumerate(answers):
      row = self._make_row(answer)
      leaves = jax.tree.leaves(row)
      shape = tuple(x.shape for x in leaves)
      waiting.setdefault(shape, []).append((number, row))
      held[shape] += sum(x.nbytes for x in leaves)
      if held.total() > _WAITING_BYTES:
        shape, _ = held.most_common(1)[0]
      elif len(waiting[shape]) < self._batch_size:
        continue
      del held[shape]
      yield waiting.pop(shape)
    yield from waiting.values()

  def _start(self, some: list[dict[str, Any]]) -> dict[str, Any]:
    """Starts the program of one batch; copies fill it up."""
    more = some[-1:] * (self._batch_size - len(some))
    batch = jax.tree.map(
      # Of one row no copy is made: it may be large.
      lambda *x: np.stack(x) if len(x) > 1 else x[0][None],
      *(*some, *more),
    )
    there = rows.put_rows(batch, self._mesh)
    if len(there['pictures']) > 1:
      return self._vote(there, [row['size'] for row in some])
    return self.evaluate(there['pictures'][0], there['size'], there['truth'])

  def _vote(self, there, sizes) -> dict[str, Any]:
    """As `_start`, with states and agreement of the vote of all passes."""
    wait = rows.is_cpu(self._mesh)
    read = (self._read(each, there['size']) for each in there['pictures'])
    values, facts = zip(*rows.fetch_states(read, wait=wait))
    voted = np.zeros_like(values[0])
    agreement = np.zeros(len(voted), np.float32)
    for i, (height, width) in enumerate(sizes):
      passes = [value[i, :height, :width] for value in values]
      answer = self._task.value.vote(passes)
      voted[i, :height, :width] = answer
      agreement[i] = self._task.value.measure_agreement(passes, answer).mean()
    scored = (
      self._score(rows.put_rows(value, self._mesh), there['truth'])
      for value in (values[0], voted)
    )
    first, last = rows.fetch_states(scored, wait=wait)
    return {
      'states': first,
      'facts': list(facts),
      'voted': last,
      'agreement': agreement,
    }

  def _make_score(self, row: dict[str, Any]) -> Score:
    """What was found of one answer [1 ...]."""
    return Score(
      row['states'],
      [self._describe(facts) for facts in row['facts']],
      row.get('voted'),
      row['agreement'][0] if 'agreement' in row else None,
    )

  def _describe(self, facts: dict[str, np.ndarray]) -> dict[str, Any]:
    """What was counted on one picture, as shares of it."""
    shares = {
      f'{name}_share': float(facts[name][0] / facts['pixels'][0])
      for name in self._task.reader.odd_pixels
    }
    return {
      'is_empty': self._task.value.is_empty(facts.get('labeled', np.ones(1))),
      'overflow': bool(facts['overflow'][0]),
      **shares,
    }


def make_settings(protocol: protocols.Protocol) -> Settings:
  """How the protocol's pictures are read, beyond what its prompts say."""
  if not protocol.decoder:
    return Settings(void_radius=protocol.void_radius)
  options = dict(protocol.decoder)
  return Settings(
    decoder=options.pop('name'), decoder_options=tuple(options.items())
  )


def find_inside(shape, size):
  """Where pixels [h w] of a padded picture are those of a picture of `size`."""
  return (jnp.arange(shape[0]) < size[0])[:, None] & (
    jnp.arange(shape[1]) < size[1]
  )
