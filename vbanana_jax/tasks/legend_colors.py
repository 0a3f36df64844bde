"""Colors of a legend: drawn, given in words, or fixed by a name."""

import functools
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from vbanana_jax import errors, keys
from vbanana_jax.codecs import palettes
from vbanana_jax.tasks.prompt_parser import READABLE_DISTANCE
from vbanana_jax.tasks.prompt_styles import PromptStyle

MIN_DISTANCE = 60.0  # 8-bit levels between colors of one legend

_HAS_NAME = frozenset(palettes.NAMED.values())


class Color(NamedTuple):
  """A color as it is written and as it is painted (8-bit levels)."""

  text: str
  rgb: palettes.Color


BLACK = Color('black', (0, 0, 0))


def draw(
  rng: np.random.Generator,
  count: int,
  taken: Sequence[palettes.Color],
  style: PromptStyle,
  is_free: bool,
  notation: str,
) -> list[Color]:
  """`count` colors apart from each other and from those `taken`.

  They are those of the style, or any where `is_free`.
  """
  if is_free:
    drawn = palettes.farthest_point_palette(count, rng, avoid=taken)
  else:
    drawn = []
    for row in rng.permutation(len(style.colors)):
      rgb = palettes.NAMED[style.colors[row]]
      if len(drawn) < count and _is_apart(rgb, taken):
        drawn.append(rgb)
    if len(drawn) < count:  # names run out; numbers do not
      drawn = list(_make_palette(count, tuple(taken)))
  return [write(rgb, notation) for rgb in drawn]


def cap_triplets(colors: list[Color], most: int) -> list[Color]:
  """Writes the colors after the first `most` in fewer tokens."""
  return colors[:most] + [write(c.rgb, 'name') for c in colors[most:]]


def read(text: str) -> Color:
  """A color as people write it; see `palettes.parse_color`."""
  return Color(text, palettes.parse_color(text))


def check_apart(
  colors: Sequence[Color], others: Sequence[palettes.Color] = ()
) -> None:
  """Raises UserError for colors that a decoder may take for each other."""
  rgbs = [color.rgb for color in colors] + [tuple(rgb) for rgb in others]
  for i, color in enumerate(colors):
    for other in rgbs[i + 1 :]:
      if np.linalg.norm(np.subtract(color.rgb, other)) <= READABLE_DISTANCE:
        raise errors.UserError(
          f'color {color.text} is too close to RGB {other}: answers are '
          f'read by the nearest color, so keep {READABLE_DISTANCE:.0f} levels'
        )


def find_fixed(
  names: Sequence[str], ground: palettes.Color = BLACK.rgb
) -> list[Color]:
  """A color for each name that depends on nothing but the names.

  Each one has a list of its own of all named colors, and gets the first that
  is not taken; names are served in alphabetical order. So a name has mostly
  the same color in legends of few. More names than there are named colors get
  colors in numbers.
  """
  if len(names) >= len(palettes.NAMED):
    more = dict(zip(sorted(names), _make_palette(len(names), (ground,))))
    return [write(more[name], 'hex') for name in names]
  named = tuple(palettes.NAMED.items())
  taken = {ground}
  colors = {}
  for name in sorted(names):
    order = keys.make_rng(0, 'color', name).permutation(len(named))
    free = (named[row] for row in order if _is_apart(named[row][1], taken))
    colors[name] = Color(*next(free))
    taken.add(colors[name].rgb)
  return [colors[name] for name in names]


@functools.lru_cache(maxsize=256)  # it takes milliseconds
def _make_palette(count, taken) -> tuple[palettes.Color, ...]:
  return tuple(palettes.farthest_point_palette(count, avoid=taken))


def write(rgb: palettes.Color, notation: str) -> Color:
  """In a notation of `palettes.NOTATIONS`; in hex where there is no name."""
  if notation == 'name' and rgb not in _HAS_NAME:
    notation = 'hex'
  return Color(palettes.format_color(rgb, notation), rgb)


def _is_apart(rgb: palettes.Color, others: Collection[palettes.Color]) -> bool:
  r, g, b = rgb
  return all(
    (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2 >= MIN_DISTANCE**2
    for x, y, z in others
  )
