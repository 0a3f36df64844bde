"""Objects of one picture as a map of their numbers, and their classes."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from vbanana_jax import labels

_DENSE = 1 << 20  # values between the least and the greatest


class Segment(NamedTuple):
  """One annotated region of a picture.

  Attributes:
    mask: its pixels.
    kind: class id; `labels.VOID` where it has none.
    crowd: many objects in one, which cannot be told apart.
    ignored: neither its class nor its objects count.
  """

  mask: Bool[np.ndarray, 'h w']
  kind: int
  crowd: bool = False
  ignored: bool = False


def number(
  keys: Int[np.ndarray, 'h w'], class_of: Mapping[int, int]
) -> dict[str, Any]:
  """`instance` and `instance_class` of a map of any numbers.

  Args:
    keys: of each pixel the number of its object; 0 is none, `labels.VOID` is
      not known.
    class_of: class id of each number; an object that the map does not show
      gets none.
  """
  found, place = _find_values(keys)
  shown = [key for key in found.tolist() if key in class_of and key > 0]
  number_of = {key: k for k, key in enumerate(shown, 1)}
  number_of[labels.VOID] = labels.VOID
  values = np.array([number_of.get(int(key), 0) for key in found], np.int32)
  return {
    'instance': values[place],
    'instance_class': tuple(class_of[key] for key in shown),
  }


def _find_values(keys):
  """Values in order, and of each pixel the place of its own among them."""
  low, high = int(keys.min()), int(keys.max())
  if high - low < _DENSE:  # much faster than sorting all pixels
    is_there = np.zeros(high - low + 1, bool)
    is_there[keys - low] = True
    place = (np.cumsum(is_there) - 1)[keys - low]
    return np.flatnonzero(is_there) + low, place
  found, place = np.unique(keys, return_inverse=True)
  return found, place.reshape(keys.shape)


def paint(
  segments: Iterable[Segment],
  shape: tuple[int, int],
  ground: int = labels.VOID,
) -> dict[str, Any]:
  """`semantic`, `instance` and `instance_class` of segments.

  Larger segments are painted first, so that small ones lie on top, and ignored
  ones last. A crowd has its class, and its objects are not known.

  Args:
    segments: of the picture.
    shape: its height and width.
    ground: class id where no segment is.
  """
  semantic = np.full(shape, ground, np.int32)
  keys = np.zeros(shape, np.int32)
  class_of = {}
  ordered = sorted(
    segments, key=lambda each: (each.ignored, -int(each.mask.sum()))
  )
  for key, segment in enumerate(ordered, 1):
    if segment.ignored:
      semantic[segment.mask] = keys[segment.mask] = labels.VOID
      continue
    semantic[segment.mask] = segment.kind
    keys[segment.mask] = labels.VOID if segment.crowd else key
    if not segment.crowd:
      class_of[key] = segment.kind
  return {'semantic': semantic, **number(keys, class_of)}
