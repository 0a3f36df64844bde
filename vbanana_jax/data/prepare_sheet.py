"""Some pictures of a data set with their labels, as one picture."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from vbanana_jax import labels, resizing
from vbanana_jax.data import labeled, photos, prepare_pictures
from vbanana_jax.data.prepare_pictures import Limits
from vbanana_jax.drawing import masks, pictures, strips
from vbanana_jax.errors import UserError

Picture = UInt8[np.ndarray, 'h w 3']
EXAMPLES = 8
_WIDTH = 320  # of a cell
_LEAST_WIDTH = 640  # of a row, for its words
_GAP = 8
_LINE = 15  # height of a line of words
_SHOWN = 3  # captions, and pictures that are bad


class Sheet(NamedTuple):
  """What a person looks at before hours of preparing.

  Attributes:
    picture_u8: a row for each of some pictures from all over the set: the
      photograph, then each label, drawn over it where it has regions.
    lines: what was found in them.
  """

  picture_u8: Picture
  lines: tuple[str, ...]


def make_sheet(dataset: labeled.DataSet, limits: Limits) -> Sheet:
  """Pictures from all over the set, as they would be written.

  Raises:
    UserError: none of them is good; says why.
  """
  rows, known, bad = [], [], []
  total = len(dataset.ids)
  places = np.linspace(0, total - 1, min(EXAMPLES, total))
  for index in map(int, np.unique(places.round())):
    made = prepare_pictures.make_record(dataset, index, limits)
    if made.record is None:
      bad.append(f'{made.file}: {made.reason}')
      continue
    picture = dataset.load(index)
    known.append(picture)
    rows.append(_draw_row(picture, dataset.classes))
  if not rows:
    reasons = '; '.join(bad[:_SHOWN]) or 'empty'
    raise UserError(f'{dataset.name}: no picture to prepare ({reasons})')
  width = max(row.shape[1] for row in rows)
  sheet = np.concatenate([_widen(row, width) for row in rows])
  lines = [*_describe(dataset, known), *(f'bad: {line}' for line in bad)]
  return Sheet(sheet, tuple(lines))


def _describe(
  dataset: labeled.DataSet, seen: Sequence[labeled.LabeledPicture]
) -> Iterator[str]:
  yield f'{len(dataset.ids)} pictures'
  if dataset.license or dataset.source:
    yield f'license: {dataset.license or "not said"}; from {dataset.source}'
  if dataset.classes is not None:
    classes = dataset.classes
    names = ', '.join(classes.names[:8]) + ', ...' * (len(classes.names) > 8)
    yield (
      f'{len(classes.names)} classes ({names}), {len(classes.areas)} that can '
      f'be asked for by area, {len(classes.things)} with objects'
    )
  yield from dataset.notes
  for key in labeled.LABELS:
    values = [getattr(each, key) for each in seen if key in each.known]
    if values:
      found = _describe_label(key, values)
      yield f'{key}: {len(values)} of {len(seen)} looked at{found}'


def _describe_label(key: str, values) -> str:
  if key == 'depth_m':
    known = np.concatenate([v[np.isfinite(v)] for v in values])
    share = known.size / sum(value.size for value in values)
    low, middle, high = np.quantile(known, (0, 0.5, 1))
    return (
      f', {low:.3g} to {high:.3g} m, median {middle:.3g} m, known at '
      f'{share:.0%} of the pixels'
    )
  if key in ('semantic', 'instance'):
    share = np.mean([np.mean(value != labels.VOID) for value in values])
    return f', known at {share:.0%} of the pixels'
  if key == 'normals':
    share = np.mean([value.any(-1).mean() for value in values])
    return f', known at {share:.0%} of the pixels'
  if key in ('captions', 'phrases'):
    return f', {np.mean([len(value) for value in values]):.2g} a picture'
  return ''


def _draw_row(
  picture: labeled.LabeledPicture, classes: labels.Classes | None
) -> Picture:
  photo_u8 = photos.open_photo(picture.encoded, name=picture.file)
  height, width = photo_u8.shape[:2]
  shape = max(1, round(height * _WIDTH / width)), _WIDTH
  small_u8 = resizing.resize_picture(photo_u8, shape)
  cells = [small_u8, *_draw_labels(picture, small_u8, classes)]
  most = max(cell.shape[0] for cell in cells)
  row = np.concatenate([_pad(cell, most) for cell in cells], axis=1)
  words = [f'{picture.file}   {width} x {height}']
  words += [f'caption: {text}' for text in picture.captions[:_SHOWN]]
  if picture.edit is not None:
    words.append(f'edit: {picture.edit.instruction}')
  width = max(row.shape[1], _LEAST_WIDTH)
  return np.concatenate([_write(words, width), _widen(row, width)])


def _draw_labels(
  picture: labeled.LabeledPicture,
  small_u8: Picture,
  classes: labels.Classes | None,
) -> Iterator[Picture]:
  shape = small_u8.shape[:2]
  if picture.depth_m is not None:
    range_m = pictures.depth_range_m(picture.depth_m)
    depth_m = resizing.resize_nearest(picture.depth_m, shape)
    yield pictures.with_scale(pictures.draw_depth(depth_m, range_m), range_m)
  if picture.normals is not None:
    normals = resizing.resize_nearest(picture.normals, shape)
    yield pictures.draw_normals(normals)
  if picture.semantic is not None and classes is not None:
    semantic = resizing.resize_labels(picture.semantic, shape)
    yield _draw_regions(small_u8, semantic, classes.names)
  if picture.instance is not None:
    instance = resizing.resize_labels(picture.instance, shape)
    yield _draw_objects(small_u8, instance, picture.instance_class, classes)
  if picture.phrases:
    yield _draw_phrases(small_u8, picture.phrases)
  if picture.edit is not None:
    after_u8 = photos.open_photo(picture.edit.encoded, name=picture.file)
    yield resizing.resize_picture(after_u8, shape)


def _draw_regions(small_u8, ids, names) -> Picture:
  """Regions in colors over the photograph, and their legend below."""
  shown = np.unique(ids[ids >= 0])
  place = np.full(ids.max(initial=0) + 2, -1)  # the last one is of VOID
  place[shown] = np.arange(len(shown))
  colors = masks.make_instance_colors(len(shown))
  drawn = masks.draw_labels(small_u8, place[ids], colors)
  entries = [
    (names[k], tuple(map(int, color))) for k, color in zip(shown, colors)
  ]
  return strips.with_legend(drawn, entries)


def _draw_objects(small_u8, instance, instance_class, classes) -> Picture:
  names = [
    f'{k} {classes.names[kind]}' if classes is not None else str(k)
    for k, kind in enumerate(instance_class, 1)
  ] or [str(k) for k in range(1, int(instance.max(initial=0)) + 1)]
  ids = np.where(instance > 0, instance - 1, labels.VOID)
  drawn = _draw_regions(small_u8, ids, names)
  height = len(instance)
  numbered = masks.write_numbers(np.ascontiguousarray(drawn[:height]), ids)
  return np.concatenate([numbered, drawn[height:]])


def _draw_phrases(small_u8, phrases) -> Picture:
  """The first phrases whose masks do not overlap."""
  shape = small_u8.shape[:2]
  ids = np.full(shape, labels.VOID)
  names = []
  for text, mask in itertools.islice(phrases, 64):
    small = resizing.resize_nearest(mask, shape)
    if len(names) < EXAMPLES and not (ids[small] >= 0).any():
      ids[small] = len(names)
      names.append(text)
  drawn = _draw_regions(small_u8, ids, names)
  absent = [t for t, m in phrases if not m.any()][:_SHOWN]
  if not absent:
    return drawn
  words = _write([f'nothing: {text}' for text in absent], drawn.shape[1])
  return np.concatenate([drawn, words])


def _pad(cell: Picture, height: int) -> Picture:
  room = ((0, height - cell.shape[0]), (0, _GAP), (0, 0))
  return np.pad(cell, room, constant_values=strips.PAPER[0])


def _widen(row: Picture, width: int) -> Picture:
  room = ((0, 0), (0, width - row.shape[1]), (0, 0))
  return np.pad(row, room, constant_values=strips.PAPER[0])


def _write(lines: Sequence[str], width: int) -> Picture:
  size = width, _LINE * len(lines) + 2 * _GAP
  image = Image.new('RGB', size, strips.PAPER)
  draw = ImageDraw.Draw(image)
  for number, line in enumerate(lines):
    font = strips.load_font(strips.LEAST_FONT)
    draw.text((2, _GAP + _LINE * number), line, strips.INK, font)
  return np.asarray(image)
