"""Pictures of a data set with their labels, drawn as one picture."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from vbanana_jax import labels, resizing
from vbanana_jax.data import labeled, photos
from vbanana_jax.drawing import masks, pictures, strips

Picture = UInt8[np.ndarray, 'h w 3']
_WIDTH = 320  # of a cell
_LEAST_WIDTH = 640  # of a row, for its words
_GAP = 8
_LINE = 15  # height of a line of words
_SHOWN = 3  # captions
_MOST_PHRASES = 8


def draw_sheet(
  shown: Sequence[labeled.LabeledPicture], classes: labels.Classes | None
) -> Picture:
  """A row for each picture: the photograph, then each of its labels.

  What has regions is drawn over the photograph. A class has one color in all
  rows.
  """
  colors = choose_colors(shown)
  rows = [_draw_row(picture, classes, colors) for picture in shown]
  width = max(row.shape[1] for row in rows)
  return np.concatenate([_widen(row, width) for row in rows])


def choose_colors(
  shown: Sequence[labeled.LabeledPicture],
) -> dict[int, tuple[int, int, int]]:
  """A color for each class that is there."""
  maps = [each.semantic for each in shown if each.semantic is not None]
  ids = sorted({int(k) for ids in maps for k in np.unique(ids) if k >= 0})
  colors = masks.make_instance_colors(len(ids))
  return dict(zip(ids, (tuple(map(int, color)) for color in colors)))


def _draw_row(
  picture: labeled.LabeledPicture,
  classes: labels.Classes | None,
  colors: dict[int, tuple[int, int, int]],
) -> Picture:
  photo_u8 = photos.open_photo(picture.encoded, name=picture.file)
  height, width = photo_u8.shape[:2]
  shape = max(1, round(height * _WIDTH / width)), _WIDTH
  small_u8 = resizing.resize_picture(photo_u8, shape)
  cells = [small_u8, *_draw_labels(picture, small_u8, classes, colors)]
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
  colors: dict[int, tuple[int, int, int]],
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
    yield _draw_regions(small_u8, semantic, classes.names, colors)
  if picture.instance is not None:
    instance = resizing.resize_labels(picture.instance, shape)
    yield _draw_objects(small_u8, instance, picture.instance_class, classes)
  if picture.phrases:
    yield _draw_phrases(small_u8, picture.phrases)
  if picture.edit is not None:
    after_u8 = photos.open_photo(picture.edit.encoded, name=picture.file)
    yield resizing.resize_picture(after_u8, shape)


def _draw_regions(small_u8, ids, names, color_of=None) -> Picture:
  """Regions in colors over the photograph, and their legend below."""
  shown = np.unique(ids[ids >= 0])
  place = np.full(ids.max(initial=0) + 2, -1)  # the last one is of VOID
  place[shown] = np.arange(len(shown))
  colors = masks.make_instance_colors(len(shown))
  if color_of is not None:
    colors = np.array([color_of[k] for k in shown.tolist()], np.uint8)
  colors = colors.reshape(-1, 3)
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
    if len(names) < _MOST_PHRASES and not (ids[small] >= 0).any():
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
