"""Strips of paper below a picture: a legend, a color bar, words.

Letters are as large as the picture asks for: seen whole on a screen, a picture
of any size has letters of one size.
"""

import functools

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

Picture = UInt8[np.ndarray, 'h w 3']
LEAST_FONT = 12  # pixels; letters below it cannot be read
PAPER, INK = (250, 250, 250), (30, 30, 34)
_SHARE = 36  # a picture's long edge, in letters


def measure_font(shape: tuple[int, ...]) -> int:
  """Height of letters in pixels, for a picture of a shape."""
  return max(LEAST_FONT, round(max(shape[:2]) / _SHARE))


@functools.cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
  """Pillow's own font, at a height in pixels."""
  return ImageFont.load_default(size=size)


def with_legend(
  picture: Picture, entries: list[tuple[str, tuple[int, int, int]]]
) -> Picture:
  """Adds swatches and names below, in as many rows as they need.

  Letters are smaller below a narrow picture, down to 12 pixels; a name that is
  longer still goes on in the next line.
  """
  if not entries:
    return picture
  width = picture.shape[1]
  size = _fit_font([name for name, _ in entries], picture.shape)
  font = load_font(size)
  gap, row_height = max(1, size // 2), round(size * 1.5)
  blocks = [
    _break_lines(name, font, width - size - 3 * gap) for name, _ in entries
  ]
  places, x, y, lines = [], gap, gap, 1
  for block in blocks:
    needed = size + 3 * gap + max(map(font.getlength, block))
    if x > gap and x + needed > width:
      x, y, lines = gap, y + lines * row_height, 1
    places.append((x, y))
    x, lines = x + needed, max(lines, len(block))
  height = round(y + lines * row_height + gap / 2)
  strip = Image.new('RGB', (width, height), PAPER)
  draw = ImageDraw.Draw(strip)
  for (_, color), block, (x, y) in zip(entries, blocks, places):
    box = [x, y, x + size, y + size]
    draw.rectangle(box, tuple(color), INK, max(1, size // 12))
    for i, line in enumerate(block):
      middle = y + size / 2 + i * row_height
      draw.text((x + size + gap, middle), line, INK, font, anchor='lm')
  return np.concatenate([picture, np.asarray(strip)])


def _fit_font(names: list[str], shape: tuple[int, ...]) -> int:
  size, width = measure_font(shape), shape[1]
  longest = max(names, key=len)
  needed = load_font(size).getlength(longest) + 2.5 * size
  return max(LEAST_FONT, min(size, int(size * width / needed)))


def _break_lines(text: str, font, room: float) -> list[str]:
  """Lines that fit: broken between words, and within those too long."""
  lines = ['']
  for word in text.split(' '):
    longer = f'{lines[-1]} {word}' if lines[-1] else word
    if font.getlength(longer) <= room:
      lines[-1] = longer
      continue
    if lines[-1]:
      lines.append('')
    for letter in word:
      if lines[-1] and font.getlength(lines[-1] + letter) > room:
        lines.append('')
      lines[-1] += letter
  return lines
