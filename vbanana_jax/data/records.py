"""One labeled record: a photograph and what is known of it, as bytes.

A record is a 4-byte length (little endian), that many bytes of JSON, and the
parts that the JSON lists, one after the other: the photograph's file as it
came, and each label. docs/labeled_data.md describes all of it.
"""

import contextlib
import functools
import json
import struct
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from vbanana_jax import labels
from vbanana_jax.data import labeled, photos, record_arrays
from vbanana_jax.errors import UserError

SCHEMA_VERSION = 2
# Steps of a meter in which sets keep their depth as integers: millimeters,
# KITTI's, TUM RGB-D's, centimeters.
STEPS_PER_METER = (1000, 256, 5000, 100)
# Masks of one record, in pixels of all together: 256 MiB packed.
MOST_MASK_PIXELS = 2**31
_U16_SKY = 65535
_MAPS = ('semantic', 'instance')


def pack_picture(
  picture: labeled.LabeledPicture, shape: tuple[int, int]
) -> bytes:
  """Record of a picture whose labels were checked.

  Args:
    picture: what is known.
    shape: height and width of the upright photograph, as all labels have.
  """
  header: dict[str, Any] = {
    'id': picture.id,
    'file': picture.file,
    'height': shape[0],
    'width': shape[1],
  }
  parts: list[tuple[dict[str, Any], bytes]] = [
    ({'key': 'rgb'}, picture.encoded)
  ]
  if picture.depth_m is not None:
    parts.append(_pack_depth(picture.depth_m))
  if picture.normals is not None:
    parts.append(_pack_floats('normals', picture.normals))
  for key in _MAPS:
    if (ids := getattr(picture, key)) is not None:
      parts.append(_pack_ids(key, ids))
  if picture.instance is not None:
    header['instance_class'] = [int(k) for k in picture.instance_class]
  if picture.phrases:
    numbers, masks = _find_masks(picture.phrases)
    texts = [phrase.text for phrase in picture.phrases]
    header['phrases'] = list(zip(texts, numbers))
    fields = {'key': 'masks', 'count': len(masks)}
    parts.append((fields, record_arrays.pack_masks(masks)))
  if picture.captions:
    header['captions'] = list(picture.captions)
  if picture.intrinsics is not None:
    header['intrinsics'] = [float(value) for value in picture.intrinsics]
  if picture.edit is not None:
    header['instruction'] = picture.edit.instruction
    parts.append(({'key': 'edit'}, picture.edit.encoded))
  header['parts'] = [{**fields, 'bytes': len(part)} for fields, part in parts]
  text = json.dumps(header, ensure_ascii=False)
  encoded = text.encode(errors='backslashreplace')
  return b''.join(
    [struct.pack('<I', len(encoded)), encoded, *(part for _, part in parts)]
  )


def unpack_picture(
  record: bytes, keys: Collection[str] | None = None
) -> labeled.LabeledPicture:
  """Picture of a record.

  Args:
    record: of `pack_picture`.
    keys: labels to read, as `LabeledPicture` calls them; all by default. The
      others are None or empty. Captions and intrinsics are always read.

  Raises:
    UserError: the bytes are not such a record.
  """
  with _explained():
    header, parts = _split(record)
    shape = _read_shape(header)
    wanted = labeled.LABELS if keys is None else keys
    return _unpack(header, parts, shape, wanted)


class Questions(NamedTuple):
  """What can be asked of a record, which its header tells alone.

  Attributes:
    id: of its picture.
    labels: that are stored as parts: those of pixels, `phrases` and `edit`.
    phrases: texts of its phrases.
    instance_class: class ids of its objects.
  """

  id: str
  labels: frozenset[str]
  phrases: tuple[str, ...]
  instance_class: tuple[int, ...]


def read_questions(record: bytes) -> Questions:
  """What a record holds, without unpacking it.

  Raises:
    UserError: the bytes are not such a record.
  """
  with _explained():
    header, parts = _split(record)
    if not isinstance(header['id'], str):
      raise UserError('its id must be text')
    return Questions(
      header['id'],
      frozenset('phrases' if key == 'masks' else key for key in parts)
      - {'rgb'},
      tuple(str(text) for text, _ in header.get('phrases', ())),
      tuple(map(int, header.get('instance_class', ()))),
    )


@contextlib.contextmanager
def _explained() -> Iterator[None]:
  """Whatever bytes that are no record raise becomes one line."""
  try:
    yield
  except UserError as error:
    raise UserError(f'not a labeled record ({error})') from error
  except (
    struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError
  ) as error:  # fmt: skip
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    raise UserError(f'not a labeled record ({reason})') from error


def _unpack(header, parts, shape, wanted) -> labeled.LabeledPicture:
  found: dict[str, Any] = {}
  if 'depth_m' in parts and 'depth_m' in wanted:
    found['depth_m'] = _unpack_depth(*parts['depth_m'], shape)
  if 'normals' in parts and 'normals' in wanted:
    found['normals'] = _unpack_map(*parts['normals'], (*shape, 3), ('<f4',))
  for key in _MAPS:
    if key in parts and key in wanted:
      found[key] = _unpack_ids(*parts[key], shape)
  if 'instance' in found:
    found['instance_class'] = tuple(header['instance_class'])
  if 'masks' in parts and 'phrases' in wanted:
    found['phrases'] = _unpack_phrases(header, *parts['masks'], shape)
  if 'edit' in parts and 'edit' in wanted:
    _, encoded = parts['edit']
    found['edit'] = labeled.EditedPicture(header['instruction'], encoded)
  if 'intrinsics' in header:
    found['intrinsics'] = labels.Intrinsics(*map(float, header['intrinsics']))
  captions = tuple(header.get('captions', ()))
  names = (header['id'], header['file'], *captions)
  if not all(isinstance(name, str) for name in names):
    raise UserError('its id, file and captions must be text')
  return labeled.LabeledPicture(
    id=header['id'],
    file=header['file'],
    encoded=parts['rgb'][1],
    captions=captions,
    **found,
  )


def _split(record: bytes) -> tuple[dict[str, Any], dict]:
  """The header, and (fields, bytes) of each part by its key."""
  (length,) = struct.unpack_from('<I', record)
  header = json.loads(record[4 : 4 + length])
  parts, place = {}, 4 + length
  for fields in header['parts']:
    size = int(fields['bytes'])
    part = record[place : place + size]
    if size < 0 or len(part) != size:
      raise ValueError('it is cut short')
    parts[fields['key']] = fields, part
    place += size
  if place != len(record):
    raise ValueError('it is longer than it says')
  return header, parts


def _read_shape(header) -> tuple[int, int]:
  height, width = int(header['height']), int(header['width'])
  if min(height, width) < 1 or height * width > photos.MAX_PIXELS:
    raise UserError(f'{width} x {height} pixels')
  return height, width


def _unpack_map(fields, part, shape, dtypes):
  if fields['dtype'] not in dtypes:
    raise UserError(f'{fields["key"]} of the kind {fields["dtype"]!r}')
  if not fields.get('deflated', True):
    return record_arrays.from_raw(part, fields['dtype'], shape)
  return record_arrays.unpack_array(
    part, fields['dtype'], shape, differences=fields.get('differences', True)
  )


def _pack_depth(depth_m):
  """As integers where some step of a meter gives the very same floats."""
  depth_m = depth_m.astype(np.float32, copy=False)
  known = np.isfinite(depth_m)
  sky = np.isposinf(depth_m)
  values = np.where(known, depth_m, 0).astype(np.float64)
  for steps in STEPS_PER_METER:
    counts = np.rint(values * steps)
    if counts.max(initial=0) >= _U16_SKY or (counts[known] < 1).any():
      continue
    if not np.array_equal((counts / steps).astype(np.float32), values):
      continue
    counts_u16 = np.where(sky, _U16_SKY, counts).astype(np.uint16)
    fields = {'key': 'depth_m', 'dtype': '<u2', 'steps_per_meter': steps}
    return fields, record_arrays.pack_array(counts_u16)
  return _pack_floats('depth_m', depth_m)


def _pack_floats(key, values):
  values = values.astype(np.float32, copy=False)
  fields = {'key': key, 'dtype': '<f4'}
  if record_arrays.shrinks(values):
    return fields, record_arrays.pack_array(values)
  return {**fields, 'deflated': False}, record_arrays.to_raw(values)


def _unpack_depth(fields, part, shape):
  values = _unpack_map(fields, part, shape, ('<u2', '<f4'))
  if fields['dtype'] == '<f4':
    return values
  return _make_meters(float(fields['steps_per_meter']))[values]


@functools.lru_cache(16)
def _make_meters(steps_per_meter: float) -> Float32[np.ndarray, '65536']:
  """What each integer of a depth map means."""
  if not 0 < steps_per_meter < float('inf'):
    raise UserError(f'{steps_per_meter} steps per meter')
  meters = (np.arange(_U16_SKY + 1) / steps_per_meter).astype(np.float32)
  meters[0], meters[_U16_SKY] = np.nan, np.inf
  return meters


def _pack_ids(key, ids):
  """In one byte or two where all fit; the highest value stands for VOID."""
  most = int(ids.max(initial=0))
  for dtype in ('<u1', '<u2'):
    void = np.iinfo(dtype).max
    if most < void:
      packed = np.where(ids == labels.VOID, void, ids).astype(dtype)
      break
  else:
    dtype, void, packed = '<i4', labels.VOID, ids.astype(np.int32)
  fields = {'key': key, 'dtype': dtype, 'void': int(void), 'differences': False}
  return fields, record_arrays.pack_array(packed, differences=False)


def _unpack_ids(fields, part, shape):
  values = _unpack_map(fields, part, shape, ('<u1', '<u2', '<i4'))
  ids = values.astype(np.int16 if values.itemsize == 1 else np.int32)
  ids[values == fields['void']] = labels.VOID
  return ids


def _find_masks(phrases):
  """Of each phrase the number of its mask, and the masks, each once."""
  found: dict[bytes, int] = {}
  numbers = [
    found.setdefault(np.packbits(phrase.mask).tobytes(), len(found))
    for phrase in phrases
  ]
  firsts = [numbers.index(k) for k in range(len(found))]
  return numbers, np.stack([phrases[k].mask for k in firsts])


def _unpack_phrases(header, fields, part, shape) -> tuple[labels.Phrase, ...]:
  count = int(fields['count'])
  if not 0 < count * shape[0] * shape[1] <= MOST_MASK_PIXELS:
    raise UserError(f'{count} masks')
  masks = record_arrays.unpack_masks(part, (count, *shape))
  return tuple(
    labels.Phrase(str(text), masks[number])
    for text, number in header['phrases']
  )
