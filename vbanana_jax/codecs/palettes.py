"""Named colours, their notations in instructions, and nearest-colour reading.

Colours as data are tuples of levels 0..255; colours in arrays are RGB in
[0, 1].
"""

import re
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from vbanana_jax.errors import UserError

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

_LEVELS = (0, 64, 128, 192, 255)
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
  """Reads any notation of `format_colour`, and 'RGB(r, g, b)'.

  Raises UserError for anything else, or a level above 255.
  """
  word = ' '.join(text.strip().strip('"\'').lower().split())
  word = word.replace('gray', 'grey')
  if word in NAMED:
    return NAMED[word]
  if re.fullmatch(r'#[0-9a-f]{6}', word):
    return int(word[1:3], 16), int(word[3:5], 16), int(word[5:7], 16)
  triple = _TRIPLE.fullmatch(word)
  if triple:
    r, g, b = (int(level) for level in triple.groups())
    if max(r, g, b) <= 255:
      return r, g, b
  raise UserError(
    f'colour {text!r}: write a name ({", ".join(NAMED)}), #rrggbb, '
    '(r, g, b) or <r, g, b> with levels 0 to 255'
  )


def farthest_point_palette(
  n: int,
  rng: np.random.Generator | None = None,
  *,
  avoid: Iterable[Colour] = (),
  spread: float = 100.0,
) -> list[Colour]:
  """Picks n colours of the grid {0, 64, 128, 192, 255}^3, far apart.

  Args:
    n: how many; at most 125 less the avoided ones.
    rng: draws each colour among those at least `spread` levels from all
      chosen ones while there are any; without it each colour is the farthest
      one, so the palette is fixed.
    avoid: colours taken already (the background).
    spread: levels (0..255, Euclidean).
  """
  axes = np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing='ij')
  grid = np.stack(axes, axis=-1).reshape(-1, 3)
  distance = np.full(len(grid), np.inf)
  for colour in avoid:
    gap = np.linalg.norm(grid - np.asarray(colour), axis=-1)
    distance = np.minimum(distance, gap)
  chosen: list[Colour] = []
  for _ in range(n):
    best = int(distance.argmax())
    if distance[best] == 0:
      raise ValueError(f'the grid has no {n} distinct colours left')
    if rng is not None:
      free = np.flatnonzero(distance >= spread)
      best = int(rng.choice(free)) if len(free) else best
    r, g, b = (int(level) for level in grid[best])
    chosen.append((r, g, b))
    gap = np.linalg.norm(grid - grid[best], axis=-1)
    distance = np.minimum(distance, gap)
  return chosen


def decode_nearest(
  rgb: Float[ArrayLike, '... 3'],
  palette: Float[ArrayLike, 'q 3'],
  palette_valid: Bool[ArrayLike, 'q'] | None = None,
) -> tuple[Int[Array, '...'], Float[Array, '...']]:
  """Reads each pixel as the nearest valid palette colour.

  Returns the index (the lowest of equally near ones; 0 where no entry is
  valid) and the distance in RGB [0, 1] units (inf there). One palette for all
  of `rgb`; `jax.vmap` gives every example its own.

  Source: Vision Banana, section 2.1 (semantic decoding).
  """
  rgb = jnp.asarray(rgb, jnp.float32)
  index = jnp.zeros(rgb.shape[:-1], jnp.int32)
  nearest = jnp.full(rgb.shape[:-1], jnp.inf)
  # Unrolled over the palette: one fused pass, nothing of size h w q 3.
  for q in range(palette.shape[0]):
    squared = jnp.sum(jnp.square(rgb - palette[q]), axis=-1)
    if palette_valid is not None:
      squared = jnp.where(palette_valid[q], squared, jnp.inf)
    nearer = squared < nearest
    index = jnp.where(nearer, q, index)
    nearest = jnp.where(nearer, squared, nearest)
  exact = nearest <= 0.0
  distance = jnp.sqrt(jnp.where(exact, 1.0, nearest))
  return index, jnp.where(exact, 0.0, distance)
