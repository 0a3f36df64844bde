"""Named colours, their notations in instructions, and palettes far apart.

Colours as data are tuples of levels 0..255; colours in arrays are RGB in
[0, 1].
"""

import re
from collections.abc import Iterable

import numpy as np

from vbanana_jax.codecs import css
from vbanana_jax.codecs.nearest import confidence, decode_nearest, evidence
from vbanana_jax.errors import UserError

__all__ = [
  'BACKGROUNDS',
  'NAMED',
  'NOTATIONS',
  'Colour',
  'confidence',
  'decode_nearest',
  'evidence',
  'farthest_point_palette',
  'format_colour',
  'parse_colour',
  'to_rgb',
]

Colour = tuple[int, int, int]

# Three levels a channel: every two named colours are >= 127 levels apart,
# 4.5 times the 28 levels by which a painted colour may spread.
NAMED: dict[str, Colour] = {
  'black': (0, 0, 0),
  'grey': (128, 128, 128),
  'white': (255, 255, 255),
  'red': (255, 0, 0),
  'orange': (255, 128, 0),
  'yellow': (255, 255, 0),
  'chartreuse': (128, 255, 0),
  'lime': (0, 255, 0),
  'spring green': (0, 255, 128),
  'cyan': (0, 255, 255),
  'azure': (0, 128, 255),
  'blue': (0, 0, 255),
  'violet': (128, 0, 255),
  'magenta': (255, 0, 255),
  'rose': (255, 0, 128),
  'maroon': (128, 0, 0),
  'olive': (128, 128, 0),
  'green': (0, 128, 0),
  'teal': (0, 128, 128),
  'navy': (0, 0, 128),
  'purple': (128, 0, 128),
  'salmon': (255, 128, 128),
  'pale yellow': (255, 255, 128),
  'light green': (128, 255, 128),
  'pale cyan': (128, 255, 255),
  'periwinkle': (128, 128, 255),
  'pink': (255, 128, 255),
}
BACKGROUNDS = ('black', 'white', 'grey')
NOTATIONS = ('name', 'hex', 'tuple', 'angle')

_COARSEST = 64  # levels between two grid colours of a drawn palette
_SHADES = {
  'light': 'white', 'pale': 'white', 'dark': 'black', 'deep': 'black',
  'pure': None, 'solid': None, 'bright': None, 'vivid': None,
}  # fmt: skip
_BY_NAME = {
  **css.COLOURS,
  **{name.replace(' ', ''): colour for name, colour in NAMED.items()},
}
_TRIPLE = re.compile(
  r'(?:rgb)?\s*[(<]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*[)>]', re.IGNORECASE
)


def to_rgb(colours: Iterable[Colour]) -> np.ndarray:
  """Levels 0..255 to float32 RGB in [0, 1]: [q 3] for q colours."""
  return np.asarray(tuple(colours), np.float32).reshape(-1, 3) / 255.0


def format_colour(colour: Colour, notation: str) -> str:
  """Writes a colour as 'teal', '#008080', '(0, 128, 128)' or '<0, 128, 128>'.

  Raises ValueError for a colour without a name or an unknown notation.
  Source: the prompts of Vision Banana, figures 2 and 3.
  """
  r, g, b = (int(level) for level in colour)
  match notation:
    case 'name':
      for name, named in NAMED.items():
        if named == (r, g, b):
          return name
      raise ValueError(f'colour {(r, g, b)} has no name')
    case 'hex':
      return f'#{r:02x}{g:02x}{b:02x}'
    case 'tuple':
      return f'({r}, {g}, {b})'
    case 'angle':
      return f'<{r}, {g}, {b}>'
  raise ValueError(f'notation {notation!r} is not one of {NOTATIONS}')


def parse_colour(text: str) -> Colour:
  """Reads a colour as people write it in a prompt.

  Any notation of `format_colour`, 'RGB(r, g, b)', '#rgb', the names of
  `NAMED` and of CSS (`NAMED` wins, spaces and hyphens do not matter), before
  a name 'light' or 'pale' (halfway to white), 'dark' or 'deep' (halfway to
  black), 'pure', 'solid', 'bright' or 'vivid' (no change), and 'colour'
  after it.

  Raises UserError for anything else, or a level above 255.
  Source: the prompts of Vision Banana, figures 2 to 4 ('light purple').
  """
  word = ' '.join(text.strip().strip('"\'').lower().split())
  if re.fullmatch(r'#[0-9a-f]{3}', word):
    word = '#' + ''.join(2 * digit for digit in word[1:])
  if re.fullmatch(r'#[0-9a-f]{6}', word):
    return int(word[1:3], 16), int(word[3:5], 16), int(word[5:7], 16)
  triple = _TRIPLE.fullmatch(word)
  if triple:
    r, g, b = (int(level) for level in triple.groups())
    if max(r, g, b) <= 255:
      return r, g, b
  word = re.sub(r' colou?r$', '', word.replace('gray', 'grey'))
  colour = _read_name(word.replace('-', ' ').split())
  if colour is not None:
    return colour
  raise UserError(
    f'colour {text!r}: write a name ({", ".join(NAMED)}, any of CSS, or '
    '"light" or "dark" and a name), #rrggbb, (r, g, b) or <r, g, b> with '
    'levels 0 to 255'
  )


def _read_name(words: list[str]) -> Colour | None:
  """Colour of 'sky blue', 'dark sky blue'; None for what is no colour."""
  name = ''.join(words)
  if name in _BY_NAME:
    return _BY_NAME[name]
  if len(words) < 2 or words[0] not in _SHADES:
    return None
  colour, towards = _read_name(words[1:]), _SHADES[words[0]]
  if colour is None or towards is None:
    return colour
  (r, g, b), (x, y, z) = colour, NAMED[towards]
  return (r + x + 1) // 2, (g + y + 1) // 2, (b + z + 1) // 2


def farthest_point_palette(
  n: int,
  rng: np.random.Generator | None = None,
  *,
  avoid: Iterable[Colour] = (),
  spread: float = 100.0,
) -> list[Colour]:
  """Picks n colours of the grid {0, 64, 128, 192, 255}^3, far apart.

  Once the 125 colours of that grid are taken, its step is halved, and so on:
  a longer palette begins with the shorter one. Time grows with the square of
  n; 2000 colours take under a second.

  Args:
    n: how many; raises ValueError beyond the 16.7 million 8-bit colours.
    rng: draws each colour among those at least `spread` levels from all
      chosen ones while there are any; without it each colour is the farthest
      one, so the palette is fixed.
    avoid: colours taken already (the background).
    spread: levels (0..255, Euclidean).
  """
  chosen: list[Colour] = []
  taken = list(avoid)
  if n + len(taken) > 256**3:
    raise ValueError(f'there are no {n} distinct colours')
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


def _make_grid(step: int, taken: list[Colour]) -> tuple[np.ndarray, np.ndarray]:
  """Colours every `step` levels [q 3], and their distance to those taken."""
  levels = sorted({*range(0, 256, step), 255})
  axes = np.meshgrid(levels, levels, levels, indexing='ij')
  grid = np.stack(axes, axis=-1).reshape(-1, 3)
  distance = np.full(len(grid), np.inf)
  for colour in taken:
    distance = np.minimum(distance, _gap(grid, np.asarray(colour)))
  return grid, distance


def _gap(grid: np.ndarray, colour: np.ndarray) -> np.ndarray:
  return np.linalg.norm(grid - colour, axis=-1)
