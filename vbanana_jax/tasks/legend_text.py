"""Legends: which colour stands for what, in words and as a palette.

One `Legend` object writes the instruction and gives the decoder its palette,
so the two cannot disagree. Colours, notation, form and background are drawn
anew for every example: a model tuned on one legend reads only that one.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from vbanana_jax import errors
from vbanana_jax.codecs import palettes
from vbanana_jax.tasks import base

BACKGROUND_SHARE = 0.5  # of prompts that state the background
MIN_DISTANCE = 60.0  # 8-bit levels between colours of one legend
# A one-pass answer is a mean, and a pixel decodes to its colour only where the
# colour outweighs the background. Overlap is best if that happens from about
# half the overlap one can reach, so colours weigh this much more in the loss.
FOREGROUND_WEIGHT = 3.0
READABLE_DISTANCE = 28.0  # the least that still reads, for a user's colours


@dataclasses.dataclass(frozen=True)
class PromptStyle:
  """How a level of scenes is spoken about.

  Attributes:
    wordings: 'short' keeps instructions within a small model's text length.
    colours: names that are drawn from; few are learned sooner.
    notation_shares: of prompts, in the order of `palettes.NOTATIONS`.
    most_triplets: colours written as three numbers in one prompt, background
      included; the others fall back to names.
    free_colour_share: of legends whose colours need not have names.
    entries: fewest and most lines of a semantic legend.
    most_phrases: phrases of one referring prompt.
  """

  wordings: str
  colours: tuple[str, ...]
  notation_shares: tuple[float, float, float, float]
  most_triplets: int
  free_colour_share: float
  entries: tuple[int, int]
  most_phrases: int


_BASIC = (
  'black', 'grey', 'white', 'red', 'orange', 'yellow', 'lime', 'cyan', 'blue',
  'purple', 'magenta', 'pink',
)  # fmt: skip
PROMPT_STYLES = {
  'quick': PromptStyle(
    wordings='short',
    colours=_BASIC,
    notation_shares=(0.8, 0.1, 0.06, 0.04),
    most_triplets=1,
    free_colour_share=0.0,
    entries=(1, 4),
    most_phrases=1,
  ),
  'full': PromptStyle(
    wordings='all',
    colours=tuple(palettes.NAMED),
    notation_shares=(0.4, 0.2, 0.2, 0.2),
    most_triplets=5,
    free_colour_share=0.3,
    entries=(6, 8),
    most_phrases=2,
  ),
}


class Colour(NamedTuple):
  """A colour as it is written and as it is painted (8-bit levels)."""

  text: str
  rgb: palettes.Colour


BLACK = Colour('black', (0, 0, 0))


@dataclasses.dataclass(frozen=True)
class Legend:
  """Names with their colours, and the background.

  `stated` tells whether the instruction names the background; it is black
  otherwise.
  """

  entries: tuple[tuple[str, Colour], ...]
  background: Colour = BLACK
  stated: bool = False

  def write_mapping(self) -> str:
    """`{"sphere": "red", "wall": #00ff00}`, the background last."""
    entries = self.entries
    if self.stated:
      entries = (*entries, ('background', self.background))
    pairs = (f'"{name}": {_quote(colour.text)}' for name, colour in entries)
    return '{' + ', '.join(pairs) + '}'

  def write_sentences(self, verb: str = 'is') -> str:
    """`The sphere is red. The wall is #00ff00.`, the background last."""
    entries = self.entries
    if self.stated:
      entries = (*entries, ('background', self.background))
    return ' '.join(f'The {n} {verb} {c.text}.' for n, c in entries)

  def write_background(self) -> str:
    """A sentence to append; empty where the background is not stated."""
    if not self.stated:
      return ''
    return f' The background is {self.background.text}.'

  def make_palette(
    self, rows: int | None = None
  ) -> tuple[Float[np.ndarray, 'q 3'], Bool[np.ndarray, 'q']]:
    """Colours in [0, 1], background first, and which of the rows exist."""
    rows = rows or count_rows(len(self.entries))
    palette = np.zeros((rows, 3), np.float32)
    colours = [self.background, *(colour for _, colour in self.entries)]
    palette[: len(colours)] = [colour.rgb for colour in colours]
    return palette / np.float32(255.0), np.arange(rows) < len(colours)


def count_rows(entries: int) -> int:
  """Palette rows of a legend: 9, 17, 33 and so on, so that shapes are few."""
  rows = 9
  while rows <= entries:
    rows = 2 * rows - 1
  return rows


def draw_legend(
  rng: np.random.Generator,
  names: Sequence[str],
  register: PromptStyle,
  background: str | None = None,
  colours: Sequence[str] | None = None,
) -> Legend:
  """A legend for `names`, in colours and words drawn from `rng`.

  Args:
    rng: source of every choice.
    names: what the entries stand for.
    register: how to speak.
    background: the background as text; drawn, or black unsaid, if None.
    colours: the entries' colours as text; drawn if None.

  Raises:
    UserError: for colours that cannot be read or told apart.
  """
  notation = palettes.NOTATIONS[_pick(rng, register.notation_shares)]
  is_free = notation != 'name' and rng.random() < register.free_colour_share
  stated = background is not None or rng.random() < BACKGROUND_SHARE
  given = [] if colours is None else [_read(text) for text in colours]
  if background is not None:
    ground = _read(background)
  elif stated:
    taken = [colour.rgb for colour in given]
    ground = _draw_colours(rng, 1, taken, register, is_free, notation)[0]
  else:
    ground = BLACK
  if colours is None:
    given = _draw_colours(
      rng, len(names), [ground.rgb], register, is_free, notation
    )
  if len(given) != len(names):
    raise errors.UserError(
      f'{len(names)} names have {len(given)} colours; give one for each'
    )
  _check_apart([ground, *given])
  if notation in ('tuple', 'angle') and colours is None:
    given = _cap_triplets(given, register.most_triplets - stated)
  return Legend(tuple(zip(names, given)), ground, stated)


def draw_background(
  rng: np.random.Generator,
  register: PromptStyle,
  avoid: Sequence[palettes.Colour],
  background: str | None = None,
) -> Legend:
  """A legend without entries whose background keeps away from `avoid`."""
  if background is not None:
    ground = _read(background)
    _check_apart([ground], avoid)
    return Legend((), ground, True)
  if rng.random() >= BACKGROUND_SHARE:
    return Legend(())
  notation = palettes.NOTATIONS[_pick(rng, register.notation_shares)]
  ground = _draw_colours(rng, 1, list(avoid), register, False, notation)[0]
  return Legend((), ground, True)


def pose_legend(
  example: base.Example, question: base.Question, label: np.ndarray
) -> base.EncodedExample:
  """Paints each palette row of `label` int32[h w] in its legend's colour."""
  return base.EncodedExample(
    prompt=question.prompt,
    source=example['rgb'],
    has_source=True,
    target=question.aux['palette'][label],
    weight_px=weigh(label),
    aux={**question.aux, 'label': label},
  )


def weigh(label: np.ndarray) -> Float[np.ndarray, 'h w']:
  """What pixels count for in the loss: those with a colour more."""
  return np.where(label > 0, np.float32(FOREGROUND_WEIGHT), np.float32(1.0))


def read_legend(rgb: Float[Array, 'b h w 3'], aux: base.Arrays) -> base.Arrays:
  """Nearest colour of each example's own palette, background included."""
  row, distance = jax.vmap(palettes.decode_nearest)(
    rgb, aux['palette'], aux['palette_valid']
  )
  return {'row': row, 'distance': distance}


def choose(rng: np.random.Generator, options: Sequence):
  """One of `options`, evenly."""
  return options[int(rng.integers(len(options)))]


def _pick(rng: np.random.Generator, shares: Sequence[float]) -> int:
  """Index drawn with probabilities `shares`; `rng.choice` is far slower."""
  point = rng.random() * sum(shares)
  for index, share in enumerate(shares):
    point -= share
    if point < 0:
      return index
  return len(shares) - 1


_HAS_NAME = frozenset(palettes.NAMED.values())


def _draw_colours(
  rng, count, taken, register, is_free, notation
) -> list[Colour]:
  """`count` colours apart from each other and from those `taken`."""
  if is_free:
    drawn = palettes.farthest_point_palette(count, rng, avoid=taken)
  else:
    drawn = []
    for row in rng.permutation(len(register.colours)):
      rgb = palettes.NAMED[register.colours[row]]
      if len(drawn) < count and _is_apart(rgb, taken):
        drawn.append(rgb)
    if len(drawn) < count:  # names run out; numbers do not
      drawn = palettes.farthest_point_palette(count, avoid=taken)
  return [_write(rgb, notation) for rgb in drawn]


def _write(rgb: palettes.Colour, notation: str) -> Colour:
  if notation == 'name' and rgb not in _HAS_NAME:
    notation = 'hex'
  return Colour(palettes.format_colour(rgb, notation), rgb)


def _cap_triplets(colours: list[Colour], most: int) -> list[Colour]:
  """Writes the colours after the first `most` in fewer tokens."""
  return colours[:most] + [_write(c.rgb, 'name') for c in colours[most:]]


def _is_apart(rgb: palettes.Colour, others: Sequence[palettes.Colour]) -> bool:
  r, g, b = rgb
  return all(
    (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2 >= MIN_DISTANCE**2
    for x, y, z in others
  )


def _read(text: str) -> Colour:
  return Colour(text, palettes.parse_colour(text))


def _check_apart(colours: Sequence[Colour], others=()) -> None:
  rgbs = [colour.rgb for colour in colours] + [tuple(rgb) for rgb in others]
  for i, colour in enumerate(colours):
    for other in rgbs[i + 1 :]:
      if np.linalg.norm(np.subtract(colour.rgb, other)) <= READABLE_DISTANCE:
        raise errors.UserError(
          f'colour {colour.text} is too close to RGB {other}: answers are '
          f'read by the nearest colour, so keep {READABLE_DISTANCE:.0f} levels'
        )


def _quote(text: str) -> str:
  return f'"{text}"' if text[0].isalpha() else text
