"""From the pictures of a data set to records, in threads and in order."""

import dataclasses
import os
from collections.abc import Iterator, Sequence

from vbanana_jax.data import label_checks, labeled, photos, records
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import prefetch
from vbanana_jax.tokenizer.tokenizer import Tokenizer

MAX_TEXT = 160  # tokens, as model.max_text of the base config
SHARD_BYTES = 128 * 2**20
_AHEAD = 4  # pictures a thread that wait for their turn
_MOST_THREADS = 16  # beyond them Python and the disk are the limit


@dataclasses.dataclass(frozen=True)
class Limits:
  """What is left out, and where shards end.

  Attributes:
    max_pixels: of a photograph.
    max_bytes: of its file.
    max_text: tokens of a caption; longer ones are dropped, and a picture all
      of whose captions are too long is bad.
    require: labels without which a picture is left out.
    most_bad: pictures that may be bad before all are refused, as '5 percent'
      or '20 records'.
    shard_bytes: of the records in one shard, at most or one record.
  """

  max_pixels: int = photos.MAX_PIXELS
  max_bytes: int = photos.MAX_BYTES
  max_text: int = MAX_TEXT
  require: tuple[str, ...] = ()
  most_bad: str = '5 percent'
  shard_bytes: int = SHARD_BYTES

  def __post_init__(self):
    for key in self.require:
      if key not in labeled.LABELS:
        raise UserError(
          f'--require {key}: no label; choose from {", ".join(labeled.LABELS)}'
        )


USUAL = Limits()


@dataclasses.dataclass(frozen=True)
class Made:
  """What became of one picture.

  Attributes:
    index: its number in the data set.
    file: where it came from, for people.
    record: its bytes; None where it is left out.
    known: names of its labels.
    reason: why it is left out.
    is_bad: whether that is a fault of the picture.
    dropped: captions that are too long.
    holds_several: whether its file holds further pictures.
  """

  index: int
  file: str
  record: bytes | None = None
  known: frozenset[str] = frozenset()
  reason: str = ''
  is_bad: bool = False
  dropped: int = 0
  holds_several: bool = False


def make_records(
  dataset: labeled.DataSet, indexes: Sequence[int], limits: Limits
) -> Iterator[Made]:
  """What becomes of each picture, in order; others are made meanwhile."""
  threads = min(_MOST_THREADS, os.cpu_count() or 1)
  for _, made in prefetch.prefetch_map(
    lambda index: make_record(dataset, index, limits),
    indexes,
    ahead=_AHEAD * threads - 1,
    threads=threads,
  ):
    yield made.result()


def make_record(dataset: labeled.DataSet, index: int, limits: Limits) -> Made:
  """Reads, checks and packs one picture."""
  try:
    picture = dataset.load(index)
  except UserError as error:
    return _leave_out(index, dataset.ids[index], str(error))
  except Exception as error:
    error.add_note(f'raised by {dataset.ids[index]} of {dataset.name}')
    raise
  several: list[str] = []
  try:
    rgb_u8 = photos.open_photo(
      picture.encoded,
      limits.max_pixels,
      max_bytes=limits.max_bytes,
      name=picture.file,
      tell=several.append,
    )
    shape = rgb_u8.shape[:2]
    label_checks.check_picture(picture, shape, dataset.classes)
    picture, dropped = _drop_long_captions(picture, limits.max_text)
  except UserError as error:
    return _leave_out(index, picture.file, str(error))
  missing = [key for key in limits.require if key not in picture.known]
  if missing:
    return Made(index, picture.file, reason=f'it has no {", ".join(missing)}')
  return Made(
    index,
    picture.file,
    records.pack_picture(picture, shape),
    picture.known,
    dropped=dropped,
    holds_several=bool(several),
  )


def _leave_out(index: int, file: str, reason: str) -> Made:
  reason = ' '.join(reason.removeprefix(f'{file}: ').split())
  return Made(index, file, reason=reason, is_bad=True)


def _drop_long_captions(
  picture: labeled.LabeledPicture, max_text: int
) -> tuple[labeled.LabeledPicture, int]:
  counts = [Tokenizer.load().count(text) for text in picture.captions]
  fits = tuple(
    text for text, n in zip(picture.captions, counts) if n <= max_text
  )
  if counts and not fits:
    raise UserError(
      f'its caption has {min(counts)} tokens, at most {max_text} fit'
    )
  dropped = len(counts) - len(fits)
  return dataclasses.replace(picture, captions=fits), dropped
