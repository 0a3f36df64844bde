"""Named colors, their notations in instructions, and palettes far apart.

Colors as data are tuples of levels 0..255; colors in arrays are RGB in
[0, 1].
"""

import difflib
import re
from collections.abc import Iterable

import numpy as np

from vbanana_jax.codecs import css
from vbanana_jax.codecs.nearest import (
  confidence,
  decode_nearest,
  evidence,
  measure_foreign,
)
from vbanana_jax.errors import UserError

__all__ = [
  'BACKGROUNDS',
  'NAMED',
  'NOTATIONS',
  'Color',
  'confidence',
  'decode_nearest',
  'evidence',
  'farthest_point_palette',
  'format_color',
  'measure_foreign',
  'parse_color',
  'to_rgb',
]

Color = tuple[int, int, int]

# The names that prompts are written with, as CSS means them: every two are
# >= 69 levels apart, 2.5 times the 28 by which a painted color may spread.
NAMED: dict[str, Color] = {
  name: css.COLORS[name]
  for name in (
    'black', 'grey', 'white', 'red', 'orange', 'yellow', 'chartreuse', 'lime',
    'springgreen', 'aquamarine', 'cyan', 'royalblue', 'blue', 'blueviolet',
    'violet', 'magenta', 'deeppink', 'pink', 'salmon', 'brown', 'maroon',
    'olive', 'green', 'limegreen', 'teal', 'navy', 'purple',
  )
}  # fmt: skip
BACKGROUNDS = ('black', 'white', 'grey')
NOTATIONS = ('name', 'hex', 'tuple', 'angle')

_COARSEST = 64  # levels between two grid colors of a drawn palette
_NO_CHANGE = frozenset(('pure', 'solid', 'plain'))
# Nobody says how far towards white or black these go.
SHADES = frozenset(
  ('light', 'lighter', 'pale', 'bright', 'brilliant', 'vivid', 'soft', 'pastel',
   'hot', 'neon', 'medium', 'dark', 'darker', 'deep', 'rich', 'dull', 'muted')
)  # fmt: skip
_TRIPLE = re.compile(
  r'(?:rgb)?\s*[(<]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*[)>]', re.IGNORECASE
)


def to_rgb(colors: Iterable[Color]) -> np.ndarray:
  """Levels 0..255 to float32 RGB in [0, 1]: [q 3] for q colors."""
  return np.asarray(tuple(colors), np.float32).reshape(-1, 3) / 255.0


def format_color(color: Color, notation: str) -> str:
  """Writes a color as 'teal', '#008080', '(0, 128, 128)' or '<0, 128, 128>'.

  Raises ValueError for a color without a name or an unknown notation.
  Source: the prompts of Vision Banana, figures 2 and 3.
  """
  r, g, b = (int(level) for level in color)
  match notation:
    case 'name':
      for name, named in NAMED.items():
        if named == (r, g, b):
          return name
      raise ValueError(f'color {(r, g, b)} has no name')
    case 'hex':
      return f'#{r:02x}{g:02x}{b:02x}'
    case 'tuple':
      return f'({r}, {g}, {b})'
    case 'angle':
      return f'<{r}, {g}, {b}>'
  raise ValueError(f'notation {notation!r} is not one of {NOTATIONS}')


def parse_color(text: str) -> Color:
  """Reads a color as people write it in a prompt.

  Any notation of `format_color`, 'RGB(r, g, b)', '#rgb', and the 148 names of
  CSS, in which capitals, spaces and hyphens do not matter ('Sky Blue',
  'dark-grey'). Before a name 'pure', 'solid' or 'plain', which change nothing,
  and 'color' after it.

  Raises:
    UserError: for anything else. A name that only people use, like 'light
      purple' or 'mauve', has no agreed numbers, and generators paint others
      than a decoder would look for: the error names the nearest that CSS has.

  Source: CSS Color Module Level 4, section 6.1; the prompts of Vision Banana,
  figures 2 to 4.
  """
  word = ' '.join(text.strip().strip('"\'').lower().split())
  if word.startswith(('#', '0x')):
    return _read_hex(text, word)
  triple = _TRIPLE.fullmatch(word)
  if triple:
    r, g, b = (int(level) for level in triple.groups())
    if max(r, g, b) > 255:
      raise UserError(f'color {text!r}: levels go from 0 to 255')
    return r, g, b
  words = re.sub(r' colou?r$', '', word.replace('-', ' ')).split()
  while len(words) > 1 and words[0] in _NO_CHANGE:
    words = words[1:]
  name = ''.join(words).replace('gray', 'grey')
  if name in css.COLORS:
    return css.COLORS[name]
  raise UserError(
    f'color {text!r} is no name of CSS{_suggest(words)}: write one of its 148 '
    f'names ({", ".join(list(NAMED)[:8])} ...), #rrggbb, (r, g, b) or '
    '<r, g, b> with levels 0 to 255'
  )


def _read_hex(text: str, word: str) -> Color:
  """'#rrggbb' or '#rgb'; UserError says what is wrong with another."""
  digits = word.lstrip('#') if word.startswith('#') else word[2:]
  if not re.fullmatch(r'[0-9a-f]+', digits):
    raise UserError(
      f'color {text!r}: after # come hexadecimal digits, 0 to 9 and a to f'
    )
  if len(digits) not in (3, 6):
    raise UserError(
      f'color {text!r} has {len(digits)} hexadecimal digits; write six '
      '(#rrggbb) or three (#rgb)'
    )
  if len(digits) == 3:
    digits = ''.join(2 * digit for digit in digits)
  return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def _suggest(words: list[str]) -> str:
  """' (near: mediumpurple (147, 112, 219))', or nothing."""
  plain = ''.join(word for word in words if word not in SHADES)
  plain = plain.replace('gray', 'grey')
  close = [name for name in css.COLORS if plain and name.endswith(plain)]
  close.sort(key=lambda name: name != plain)
  close = close or difflib.get_close_matches(''.join(words), css.COLORS, n=3)
  if not close:
    return ''
  known = ', '.join(f'{name} {css.COLORS[name]}' for name in close[:3])
  return f' (near: {known})'


def farthest_point_palette(
  n: int,
  rng: np.random.Generator | None = None,
  *,
  avoid: Iterable[Color] = (),
  spread: float = 100.0,
) -> list[Color]:
  """Picks n colors of the grid {0, 64, 128, 192, 255}^3, far apart.

  Once the 125 colors of that grid are taken, its step is halved, and so on:
  a longer palette begins with the shorter one. Time grows with the square of
  n; 2000 colors take under a second.

  Args:
    n: how many; raises ValueError beyond the 16.7 million 8-bit colors.
    rng: draws each color among those at least `spread` levels from all
      chosen ones while there are any; without it each color is the farthest
      one, so the palette is fixed.
    avoid: colors taken already (the background).
    spread: levels (0..255, Euclidean).
  """
  chosen: list[Color] = []
  taken = list(avoid)
  if n + len(taken) > 256**3:
    raise ValueError(f'there are no {n} distinct colors')
  step = _COARSEST
  grid, distance = _make_grid(step, taken)
  for _ in range(n):
    best = int(distance.argmax())
    while distance[best] == 0:
      step //= 2
      grid, distance = _make_grid(step, taken)
      best = int(distance.argmax())
    if rng is not None:
      free = np.flatnonzero(distance >= spread)
      best = int(rng.choice(free)) if len(free) else best
    r, g, b = (int(level) for level in grid[best])
    chosen.append((r, g, b))
    taken.append((r, g, b))
    distance = np.minimum(distance, _gap(grid, grid[best]))
  return chosen


def _make_grid(step: int, taken: list[Color]) -> tuple[np.ndarray, np.ndarray]:
  """Colors every `step` levels [q 3], and their distance to those taken."""
  levels = sorted({*range(0, 256, step), 255})
  axes = np.meshgrid(levels, levels, levels, indexing='ij')
  grid = np.stack(axes, axis=-1).reshape(-1, 3)
  distance = np.full(len(grid), np.inf)
  for color in taken:
    distance = np.minimum(distance, _gap(grid, np.asarray(color)))
  return grid, distance


def _gap(grid: np.ndarray, color: np.ndarray) -> np.ndarray:
  return np.linalg.norm(grid - color, axis=-1)
