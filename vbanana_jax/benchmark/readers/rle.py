"""COCO's run-length masks, both forms, exactly.

Runs are counted down the columns, first column first; the first run is of
False and may have length 0. `counts` is a list of run lengths, or a string:
from the fourth run on each is stored as its difference from the run two before
it, in groups of five bits, low ones first, one character a group: 48 + bits,
+ 32 where more follow; bit 16 of the last group is the sign.

Source: COCO's mask format (cocodataset.org, format-data; maskApi).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from vbanana_jax.data.photos import MAX_PIXELS
from vbanana_jax.errors import UserError

_MORE, _SIGN, _BITS = 32, 16, 31
_MAX_GROUPS = 7  # 35 bits: more than any run of a picture that is taken


def encode_counts(mask: Bool[np.ndarray, 'h w']) -> list[int]:
  """Run lengths of a mask, column by column, first of False."""
  flat = np.asarray(mask, bool).ravel(order='F')
  changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
  ends = np.concatenate([changes, [flat.size]])
  counts = np.diff(ends, prepend=0).tolist()
  return [0, *counts] if flat[:1].any() else counts


def format_counts(counts: Sequence[int]) -> str:
  """Run lengths as COCO's compressed string."""
  characters = []
  for i, count in enumerate(counts):
    rest = count - counts[i - 2] if i > 2 else count
    more = True
    while more:
      group = rest & _BITS
      rest >>= 5
      more = rest != (-1 if group & _SIGN else 0)
      characters.append(chr(48 + group + (_MORE if more else 0)))
  return ''.join(characters)


def parse_counts(text: str | bytes) -> Int[np.ndarray, 'n']:
  """Run lengths from COCO's compressed string; ValueError if it is not one."""
  encoded = text if isinstance(text, bytes) else text.encode('ascii')
  groups = np.frombuffer(encoded, np.uint8).astype(np.int64) - 48
  if groups.size == 0:
    return groups
  if groups.min() < 0 or groups.max() > _MORE + _BITS:
    raise ValueError('a character is not of the alphabet')
  last = np.flatnonzero(groups < _MORE)
  if last.size == 0 or last[-1] != groups.size - 1:
    raise ValueError('it ends within a number')
  first = np.concatenate([[0], last[:-1] + 1])
  length = last - first + 1
  if length.max() > _MAX_GROUPS:
    raise ValueError('a run is longer than any picture')
  place = 5 * (np.arange(groups.size) - np.repeat(first, length))
  values = np.add.reduceat((groups & _BITS) << place, first)
  values -= np.where(groups[last] & _SIGN, 1 << (5 * length), 0)
  values[1::2] = np.cumsum(values[1::2])
  values[2::2] = np.cumsum(values[2::2])
  return values


def decode_counts(
  counts: Int[np.ndarray, 'n'] | Sequence[int], height: int, width: int
) -> Bool[np.ndarray, 'h w']:
  """Mask [h w] of run lengths; ValueError where they do not fill it."""
  counts = np.asarray(counts, np.int64).reshape(-1)
  if counts.size and counts.min() < 0:
    raise ValueError('a run has a negative length')
  if counts.sum() != height * width:
    raise ValueError(
      f'its runs hold {counts.sum()} pixels, not {height} x {width}'
    )
  values = np.arange(counts.size) % 2 == 1
  return np.repeat(values, counts).reshape((height, width), order='F')


def encode_rle(
  mask: Bool[np.ndarray, 'h w'], *, compressed: bool = True
) -> dict:
  """Mask as {'size': [height, width], 'counts': string or list}."""
  counts = encode_counts(mask)
  return {
    'size': list(mask.shape),
    'counts': format_counts(counts) if compressed else counts,
  }


def decode_rle(
  rle: Mapping, height: int, width: int, *, name: str
) -> Bool[np.ndarray, 'h w']:
  """Mask [h w] of {'size': [height, width], 'counts': string or list}.

  Args:
    rle: either form.
    height, width: of the picture that the mask belongs to.
    name: what to call the mask in errors: its file and its id.

  Raises:
    UserError: the size is another one or the runs are damaged.
  """
  try:
    size, counts = list(rle['size']), rle['counts']
    if size != [height, width] or height * width > MAX_PIXELS:
      raise ValueError(f"its size {size} is not the image's {height, width}")
    if isinstance(counts, str | bytes):
      counts = parse_counts(counts)
    return decode_counts(counts, height, width)
  except (KeyError, TypeError, ValueError, OverflowError) as error:
    raise UserError(
      f'{name}: not a COCO run-length mask ({error}): download it again'
    ) from error
