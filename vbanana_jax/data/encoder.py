"""One row of a batch from an example index: read, asked about, painted."""

import contextlib
from collections.abc import Callable, Iterator

import grain
import numpy as np

from vbanana_jax import families, keys
from vbanana_jax.data import mixture as mixture_lib
from vbanana_jax.data import sources, watchdog
from vbanana_jax.diffusion import flow
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import base
from vbanana_jax.types import Batch


class ExampleEncoder:
  """Global example index -> one encoded, tokenized row of a batch."""

  def __init__(
    self,
    mixture: mixture_lib.Mixture,
    *,
    seed: int,
    max_text: int,
    tokenizer: families.Tokenizer,
    one_pass_share: float = 0.5,
    dog: watchdog.Watchdog | None = None,
    load_memory: Callable[[str], np.ndarray] | None = None,
  ):
    """Keeps what it is given.

    Args:
      mixture: tasks, sources and weights.
      seed: of wordings, colors and the order of finite sources.
      max_text: longest instruction in tokens.
      tokenizer: of the network.
      one_pass_share: of a vision task's examples.
      dog: is told what is being made.
      load_memory: gives what rows bring of their instruction, if they do.
    """
    self.dog = dog or watchdog.Watchdog()
    self.mixture = mixture
    self.seed = seed
    self.max_text = max_text
    self.one_pass_share = one_pass_share
    self.tokenizer = tokenizer
    self.load_memory = load_memory
    readers = {}  # one order a source, whichever entries share it
    for entry in mixture.entries:
      if id(entry.source) not in readers:
        source = self.dog.track(entry.source)
        readers[id(entry.source)] = Reader(source, seed)
    self.readers = [readers[id(entry.source)] for entry in mixture.entries]

  def read_prompt(self, index: int) -> str:
    """The instruction of an example, which is made for it."""
    return self._pose(index)[1].prompt

  def __getitem__(self, index: int) -> Batch:
    task, encoded = self._pose(index)
    row = make_row(
      task,
      encoded,
      tokens=self.tokenizer.encode(encoded.prompt, self.max_text),
      position=self.mixture.task_of(index),
      index=index,
      one_pass_share=self.one_pass_share,
    )
    if self.load_memory:
      row['memory'] = self.load_memory(encoded.prompt)
    return row

  def _pose(self, index: int) -> tuple[base.Task, base.EncodedExample]:
    place = self.mixture.locate(index)
    entry = self.mixture.entries[place.entry]
    with self.dog.making(index, entry.source.name):
      reader = self.readers[place.entry]
      with _blamed(f'row {place.row} of source {entry.source.name!r}'):
        example = reader.read(place.row, index)
      example = {'style': entry.style, **example}
      rng = keys.make_rng(self.seed, 'pose', index)
      encoded = encode_example(entry.task, example, rng, entry.source.name)
    return entry.task, encoded


def read_example(source: sources.Source, row: int) -> sources.Example:
  """Row of a source; an error says which row of which source it was."""
  with _blamed(f'row {row} of source {source.name!r}'):
    return source[row]


def encode_example(
  task: base.Task,
  example: sources.Example,
  rng: np.random.Generator,
  name: str,
) -> base.EncodedExample:
  """Encodes for a task; an error says which example of which source it was."""
  place = f'task {task.name!r} on row {example["index"]} of source {name!r}'
  with _blamed(place):
    return task.encode(example, rng)


@contextlib.contextmanager
def _blamed(place: str) -> Iterator[None]:
  """Name the place in whatever is raised; nothing is swallowed."""
  try:
    yield
  except UserError as error:
    raise UserError(f'{place}: {error}') from error
  except Exception as error:
    error.add_note(f'raised by {place}')
    raise


def make_row(
  task: base.Task,
  encoded: base.EncodedExample,
  *,
  tokens: np.ndarray,
  position: int,
  index: int,
  one_pass_share: float,
) -> Batch:
  """One unbatched row; float32 colors, the task's noise and one-pass share."""
  return {
    'tokens': tokens,
    'source': np.asarray(encoded.source, np.float32),
    'has_source': np.bool_(encoded.has_source),
    'target': np.asarray(encoded.target, np.float32),
    'weight_px': np.asarray(encoded.weight_px, np.float32),
    'task': np.int32(position),
    'noise_scale': np.float32(
      flow.noise_scale_for(max(encoded.target.shape[:2]))
    ),
    'one_pass_share': np.float32(one_pass_share if task.vision else 0),
    'index': np.int64(index),
  }


class Reader:
  """Rows in training order: as they come, or shuffled anew every epoch.

  A source that has `draw` is asked for another reading of a row every time: a
  function of (seed, example index), whoever makes the example.
  """

  def __init__(self, source: sources.Source, seed: int):
    if len(source) == 0:
      raise UserError(f'source {source.name!r} has no examples')
    self._source = source
    self._seed = seed
    self._order = None
    if not source.endless:
      rng = keys.make_rng(seed, 'order', source.name)
      order = grain.MapDataset.range(len(source))
      self._order = order.seed(int(rng.integers(2**31))).shuffle().repeat()

  def read(self, row: int, index: int) -> sources.Example:
    """The example `index`, which is of the running row `row`."""
    row = row if self._order is None else int(self._order[row])
    draw = getattr(self._source, 'draw', None)
    if draw is None:
      return self._source[row]
    return draw(row, keys.make_rng(self._seed, 'augment', index))
