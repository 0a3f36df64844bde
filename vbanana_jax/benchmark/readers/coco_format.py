"""Annotations as COCO's tables have them."""

import numpy as np
from jaxtyping import Bool

from vbanana_jax.benchmark.readers import polygons, rle
from vbanana_jax.data.photos import MAX_PIXELS
from vbanana_jax.errors import UserError


def key_by_id(entries: list[dict], name: str) -> dict[int, dict]:
  """Entries by their ids, which two different ones must not share.

  Raises:
    UserError: two entries of one id differ; `name` says where and what.
    KeyError, TypeError: what is no list of entries with an `id`.
  """
  by_id: dict[int, dict] = {}
  for entry in entries:
    if by_id.setdefault(entry['id'], entry) != entry:
      raise UserError(
        f'{name} {entry["id"]} stands there twice, and differs: tables that '
        'were joined need new ids'
      )
  return by_id


def draw_segmentation(
  segmentation: list | dict, height: int, width: int, *, name: str
) -> Bool[np.ndarray, 'h w']:
  """Union of an annotation's polygons, or of its run-length masks.

  Args:
    segmentation: a list of polygons and masks, or one mask.
    height, width: of the picture.
    name: file and annotation, for errors.

  Raises:
    UserError: it is damaged.
  """
  if height < 1 or width < 1 or height * width > MAX_PIXELS:
    raise UserError(f'{name}: lies in a picture of {width} x {height} pixels')
  parts = [segmentation] if isinstance(segmentation, dict) else segmentation
  try:
    outlines = [part for part in parts if not isinstance(part, dict)]
    mask = polygons.draw_coco(outlines, height, width)
  except (TypeError, ValueError) as error:
    raise UserError(f'{name}: not polygons of COCO ({error})') from error
  for part in parts:
    if isinstance(part, dict):
      mask |= rle.decode_rle(part, height, width, name=name)
  return mask
