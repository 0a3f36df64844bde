"""Batches from a mixture: examples in order, short instructions together."""

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

from vbanana_jax import families
from vbanana_jax.data import encoder as encoder_lib
from vbanana_jax.data import mixture as mixture_lib
from vbanana_jax.data import watchdog
from vbanana_jax.runtime import processes
from vbanana_jax.tokenizer.tokenizer import Tokenizer
from vbanana_jax.types import Batch

# Steps whose examples are sorted into short and long instructions.
_SORTED_STEPS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamSettings:
  """How a mixture becomes batches.

  Attributes:
    batch_size: examples a step, of all processes together.
    seed: seed of wordings, colors and the order of finite sources.
    max_text: longest instruction in tokens; a longer one is refused.
    text_length: length of the token arrays; only a batch with a longer
      instruction is padded to `max_text`. `max_text` if not given.
    short_text_length: length of the token arrays of short instructions.
    one_pass_share: share of a vision task's examples that train as one-pass
      answers; 0 for the other tasks.
    rows: which rows of every batch this process gets, ascending; all of them
      if not given.
    threads: threads that read and pose batches.
    prefetch: batches read ahead, or groups of eight where they are sorted; at
      least one a thread.
    tokenizer: of the network; the package's own if not given.
    load_memory: gives what a row brings of its instruction beside its tokens;
      rows bring nothing if not given.
    patience: seconds that a batch may take until a line says what it is that
      takes so long.
  """

  batch_size: int
  seed: int
  max_text: int
  text_length: int | None = None
  short_text_length: int | None = None
  one_pass_share: float = 0.5
  rows: Sequence[int] | None = None
  threads: int = 2
  prefetch: int = 2
  tokenizer: families.Tokenizer = dataclasses.field(
    default_factory=Tokenizer.load
  )
  load_memory: Callable[[str], np.ndarray] | None = None
  patience: float = watchdog.PATIENCE

  @property
  def lengths(self) -> list[int]:
    """What a batch's tokens may be padded to, ascending."""
    given = (self.short_text_length, self.text_length, self.max_text)
    return sorted({min(n, self.max_text) for n in given if n})


def make_settings(config: Mapping[str, Any], **changes: Any) -> StreamSettings:
  """Settings of a config, with some changed."""
  settings = {
    'batch_size': config['batch_size'],
    'seed': config['seed'],
    'max_text': config['model']['max_text'],
    'text_length': config['data']['text_length'],
    'short_text_length': config['data']['short_text_length'],
    'one_pass_share': config['loss']['one_pass_share'],
    'tokenizer': families.load_tokenizer(config),
  }
  return StreamSettings(**{**settings, **changes})


def build_stream(
  mixture: mixture_lib.Mixture,
  settings: StreamSettings,
  *,
  start_step: int = 0,
  end_step: int,
) -> Iterator[Batch]:
  """Iterator of numpy batches, from `start_step` to `end_step`.

  The batch of a step is a function of (mixture, seed, step): there is no
  iterator state to save, and resuming is starting at the step. Step s holds
  examples [s b, (s + 1) b). With a short text length, the examples of every
  eight steps (of fewer at the end) are sorted: those with short instructions
  fill the first batches.

  Of several processes each gets its `rows` of these batches, however many
  they are. It makes no others where all arrays of tokens have one length;
  else that length, and the order, depend on all instructions of a batch, and
  every process makes all examples.

  Args:
    mixture: tasks, sources and weights.
    settings: sizes, seed and threads.
    start_step: step of the first batch.
    end_step: step after the last batch.

  Returns:
    iterator with a `close` method; errors name the source and the row.
  """
  made, kept = _choose_rows(settings)
  steps = count_sorted_steps(settings)
  dog = watchdog.Watchdog(settings.patience)
  encoder = make_encoder(mixture, settings, dog)

  def read(group: int) -> list[Batch]:
    last = min((group + 1) * steps, end_step)
    encoded = [
      encoder[step * settings.batch_size + row]
      for step in range(group * steps, last)
      for row in made
    ]
    return make_batches(encoded, len(made), settings.lengths, kept)

  _parse_flags_for_grain()
  groups = grain.MapDataset.range(start_step // steps, -(-end_step // steps))
  options = grain.ReadOptions(
    # Grain leaves threads idle beyond what it reads ahead.
    num_threads=settings.threads,
    prefetch_buffer_size=max(settings.prefetch, settings.threads),
  )
  return _flatten(
    iter(groups.map(read).to_iter_dataset(options)), start_step % steps, dog
  )


def make_encoder(
  mixture: mixture_lib.Mixture,
  settings: StreamSettings,
  dog: watchdog.Watchdog | None = None,
) -> encoder_lib.ExampleEncoder:
  """What makes the examples of a stream.

  Args:
    mixture: tasks, sources and weights.
    settings: of the stream.
    dog: is told what is being made.
  """
  return encoder_lib.ExampleEncoder(
    mixture,
    seed=settings.seed,
    max_text=settings.max_text,
    one_pass_share=settings.one_pass_share,
    tokenizer=settings.tokenizer,
    dog=dog,
    load_memory=settings.load_memory,
  )


def count_sorted_steps(settings: StreamSettings) -> int:
  """Steps whose examples are sorted together."""
  return _SORTED_STEPS if settings.short_text_length else 1


def _choose_rows(settings: StreamSettings) -> tuple[Sequence[int], list[int]]:
  """Rows of a batch that this process makes, and which of them it keeps."""
  every = range(settings.batch_size)
  own = every if settings.rows is None else settings.rows
  made = own if len(settings.lengths) == 1 else every
  if len(made) > len(own) and processes.is_first():
    processes.log(
      f'each process makes all {len(every)} examples of a step and not its '
      f'{len(own)} alone: config.data.text_length={settings.max_text} and '
      'short_text_length=0, from the first step on, would spare that'
    )
  return made, [bisect.bisect_left(made, row) for row in own]


def make_batches(
  rows: Sequence[Batch],
  batch_size: int,
  lengths: Sequence[int],
  kept: Sequence[int],
) -> list[Batch]:
  """Rows with the shortest instructions first, cut into padded batches.

  Args:
    rows: as `ExampleEncoder` makes them, a multiple of `batch_size` many.
    batch_size: rows of a batch.
    lengths: what a batch may be padded to, ascending. Rows that fit the same
      of them keep their order.
    kept: which rows of every batch are returned.
  """
  fits = [bisect.bisect_left(lengths, n) for n in map(count_tokens, rows)]
  order = np.argsort(fits, kind='stable')
  batches = []
  for start in range(0, len(rows), batch_size):
    chosen = order[start : start + batch_size]
    batch = stack_rows([rows[k] for k in chosen[kept]])
    length = lengths[max(fits[k] for k in chosen)]
    batches.append({**batch, 'tokens': batch['tokens'][:, :length]})
  return batches


def count_tokens(batch: Batch) -> int:
  """Length of a row's instruction, or of the longest one of a batch."""
  return int(np.count_nonzero(batch['tokens'], axis=-1).max())


def _flatten(
  groups: Iterator[list[Batch]], skip: int, dog: watchdog.Watchdog
) -> Iterator[Batch]:
  """The batches of all groups, without the first `skip`."""
  try:
    yield from itertools.islice(
      itertools.chain.from_iterable(dog.watch(groups)), skip, None
    )
  finally:
    groups.close()


def stack_rows(rows: Sequence[Any]) -> Any:
  """Dicts of arrays, nested at will, stacked leaf by leaf."""
  if isinstance(rows[0], dict):
    return {key: stack_rows([row[key] for row in rows]) for key in rows[0]}
  return np.stack(rows)


def _parse_flags_for_grain() -> None:
  """Grain reads absl flags, which nobody parses in notebooks and tests."""
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
