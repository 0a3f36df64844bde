"""Legends: which color stands for what, in words and as a palette.

One `Legend` object writes the instruction and gives the decoder its palette,
so the two cannot disagree. Colors, notation, form and background are drawn
anew for every example, as a model tuned on one legend reads only that one;
unless the style is of fixed colors, which is meant to.
"""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from vbanana_jax import errors, labels
from vbanana_jax.codecs import palettes
from vbanana_jax.tasks import base, legend_colors
from vbanana_jax.tasks.legend_colors import BLACK, Color
from vbanana_jax.tasks.prompt_styles import PromptStyle
from vbanana_jax.tokenizer import tokenizer

BACKGROUND_SHARE = 0.5  # of prompts that state the background
# A one-pass answer is a mean, and a pixel decodes to its color only where the
# color outweighs the background. Overlap is best if that happens from about
# half the overlap one can reach, so colors weigh this much more in the loss.
FOREGROUND_WEIGHT = 3.0


@dataclasses.dataclass(frozen=True)
class Legend:
  """Names with their colors, and the background.

  `stated` tells whether the instruction names the background; it is black
  otherwise.
  """

  entries: tuple[tuple[str, Color], ...]
  background: Color = BLACK
  stated: bool = False

  def write_mapping(self) -> str:
    """`{"sphere": "red", "wall": #00ff00}`, the background last."""
    entries = self.entries
    if self.stated:
      entries = (*entries, ('background', self.background))
    pairs = (f'"{name}": {_quote(color.text)}' for name, color in entries)
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
    """Colors in [0, 1], background first, and which of the rows exist."""
    rows = rows or count_rows(len(self.entries))
    palette = np.zeros((rows, 3), np.float32)
    colors = [self.background, *(color for _, color in self.entries)]
    palette[: len(colors)] = [color.rgb for color in colors]
    return palette / np.float32(255.0), np.arange(rows) < len(colors)


def count_rows(entries: int) -> int:
  """Palette rows of a legend: 9, 17, 33 and so on, so that shapes are few."""
  rows = 9
  while rows <= entries:
    rows = 2 * rows - 1
  return rows


def draw_legend(
  rng: np.random.Generator,
  names: Sequence[str],
  style: PromptStyle,
  background: str | None = None,
  colors: Sequence[str] | None = None,
) -> Legend:
  """A legend for `names`, in colors and words drawn from `rng`.

  Args:
    rng: source of every choice.
    names: what the entries stand for.
    style: how to speak.
    background: the background as text; drawn, or black unsaid, if None.
    colors: the entries' colors as text; drawn if None.

  Raises:
    UserError: for colors that cannot be read or told apart.
  """
  notation = palettes.NOTATIONS[_pick(rng, style.notation_shares)]
  is_free = notation != 'name' and rng.random() < style.free_color_share
  stated = background is not None or rng.random() < BACKGROUND_SHARE
  if style.fixed_colors and colors is None:
    background = background or BLACK.text
    ground = palettes.parse_color(background)
    colors = [c.text for c in legend_colors.find_fixed(names, ground)]
  given = [legend_colors.read(text) for text in colors or ()]
  if background is not None:
    ground = legend_colors.read(background)
  elif stated:
    taken = [color.rgb for color in given]
    (ground,) = legend_colors.draw(rng, 1, taken, style, is_free, notation)
  else:
    ground = BLACK
  if colors is None:
    taken = [ground.rgb]
    given = legend_colors.draw(rng, len(names), taken, style, is_free, notation)
  if len(given) != len(names):
    raise errors.UserError(
      f'{len(names)} names have {len(given)} colors; give one for each'
    )
  legend_colors.check_apart([ground, *given])
  if notation in ('tuple', 'angle') and colors is None:
    given = legend_colors.cap_triplets(given, style.most_triplets - stated)
  return Legend(tuple(zip(names, given)), ground, stated)


def draw_background(
  rng: np.random.Generator,
  style: PromptStyle,
  avoid: Sequence[palettes.Color],
  background: str | None = None,
) -> Legend:
  """A legend without entries whose background keeps away from `avoid`."""
  if background is not None:
    ground = legend_colors.read(background)
    legend_colors.check_apart([ground], avoid)
    return Legend((), ground, True)
  if rng.random() >= BACKGROUND_SHARE:
    return Legend(())
  notation = palettes.NOTATIONS[_pick(rng, style.notation_shares)]
  (ground,) = legend_colors.draw(rng, 1, list(avoid), style, False, notation)
  return Legend((), ground, True)


def encode_legend(
  example: base.Example, question: base.Question, label: np.ndarray
) -> base.EncodedExample:
  """Paints each palette row of `label` int32[h w] in its legend's color.

  Where `label` is VOID it is painted as background and weighs nothing.
  """
  balance = base.get_style(example).class_balance
  return base.EncodedExample(
    prompt=question.prompt,
    source=example['rgb'],
    has_source=True,
    target=question.aux['palette'][np.maximum(label, 0)],
    weight_px=make_weights(label, balance),
    aux={**question.aux, 'label': label},
  )


def make_weights(
  label: np.ndarray, balance: float = 0.0
) -> Float[np.ndarray, 'h w']:
  """What pixels count for in the loss: those with a color more, VOID 0.

  With `balance` b, pixels whose color covers a share s of the colored ones
  weigh in proportion to s**-b, at the same sum: at 0 all weigh alike, at 1 all
  colors do. A one-pass answer is a mean, in which small things drown.
  """
  weights = np.array((0.0, 1.0, FOREGROUND_WEIGHT), np.float32)[
    np.sign(label) + 1
  ]
  if balance and (label > 0).any():
    area = np.bincount(label[label > 0])
    share = np.maximum(area, 1) / area.sum()
    factor = share**-balance
    factor *= 1 / (share * factor)[area > 0].sum()
    weights = np.where(
      label > 0, weights * factor[np.maximum(label, 0)], weights
    )
  return weights.astype(np.float32)


def read_legend(rgb: Float[Array, 'b h w 3'], aux: base.Arrays) -> base.Arrays:
  """Nearest color of each example's own palette, background included."""
  row, distance = jax.vmap(palettes.decode_nearest)(
    rgb, aux['palette'], aux['palette_valid']
  )
  return {'row': row, 'distance': distance}


def draw_names(
  rng: np.random.Generator, classes: labels.Classes, ids: Sequence[int]
) -> list[str]:
  """A name of each class, one of its synonyms as often as any other."""
  names: list[str] = []
  for k in ids:
    options = (classes.names[k], *classes.synonyms.get(k, ()))
    options = tuple(name for name in options if name not in names) or options
    names.append(options[0] if len(options) == 1 else choose(rng, options))
  return names


def fits(prompt: str, style: PromptStyle) -> bool:
  """Whether an instruction has no more tokens than its style allows."""
  if not style.most_tokens:
    return True
  return _count_tokens(prompt, style) <= style.most_tokens


def count_fitting(question: base.Question, style: PromptStyle) -> int:
  """Names that a shorter legend can have, at least one less than there are."""
  tokens = _count_tokens(question.prompt, style)
  count = len(question.names)
  return max(min(count * style.most_tokens // tokens, count - 1), 1)


def _count_tokens(prompt: str, style: PromptStyle) -> int:
  count = style.count_tokens or tokenizer.Tokenizer.load().count
  return count(prompt)


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


def _quote(text: str) -> str:
  return f'"{text}"' if text[0].isalpha() else text
