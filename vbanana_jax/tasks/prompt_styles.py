"""How instructions are worded: long or short, in which colors and notations."""

import dataclasses
from collections.abc import Callable

from vbanana_jax.codecs import palettes


@dataclasses.dataclass(frozen=True)
class PromptStyle:
  """How the pictures of a source are spoken about.

  Attributes:
    wordings: 'short' keeps instructions within a small model's text length.
    colors: names that are drawn from; few are learned sooner.
    notation_shares: of prompts, in the order of `palettes.NOTATIONS`.
    most_triplets: colors written as three numbers in one prompt, background
      included; the others fall back to names.
    free_color_share: of legends whose colors need not have names.
    entries: fewest and most lines of a semantic legend.
    most_phrases: phrases of one referring prompt.
    least_share: of a picture that a class covers if a legend is to name it as
      one that is there.
    most_tokens: of an instruction that can leave something out, as a legend
      can; 0 for any number.
    count_tokens: tokens of an instruction; of the package's own vocabulary if
      not given.
    class_balance: of a semantic legend, how far rare classes weigh more in the
      loss, see `legend_text.make_weights`.
    fixed_colors: whether a name has the same color in every legend, see
      `legend_colors.find_fixed`, and the background is black.
  """

  wordings: str
  colors: tuple[str, ...]
  notation_shares: tuple[float, float, float, float]
  most_triplets: int
  free_color_share: float
  entries: tuple[int, int]
  most_phrases: int
  least_share: float = 12 / 64**2
  most_tokens: int = 0
  count_tokens: Callable[[str], int] | None = None
  class_balance: float = 0.0
  fixed_colors: bool = False


_BASIC = (
  'black', 'grey', 'white', 'red', 'orange', 'yellow', 'lime', 'cyan', 'blue',
  'purple', 'magenta', 'pink',
)  # fmt: skip
QUICK = PromptStyle(
  wordings='short',
  colors=_BASIC,
  notation_shares=(0.8, 0.1, 0.06, 0.04),
  most_triplets=1,
  free_color_share=0.0,
  entries=(1, 4),
  most_phrases=1,
)
FULL = PromptStyle(
  wordings='all',
  colors=tuple(palettes.NAMED),
  notation_shares=(0.4, 0.2, 0.2, 0.2),
  most_triplets=5,
  free_color_share=0.3,
  entries=(6, 8),
  most_phrases=2,
)
# Colors as benchmarks ask for them, which mean the same to every generator.
NUMBERS = dataclasses.replace(
  FULL, notation_shares=(0.0, 0.0, 0.0, 1.0), most_triplets=1000
)
# One legend, learned by heart: soonest, and no other colors are understood.
FIXED = dataclasses.replace(
  QUICK,
  colors=tuple(palettes.NAMED),
  notation_shares=(1.0, 0.0, 0.0, 0.0),
  fixed_colors=True,
)
# By name; a level of scenes has the style of its name.
PROMPT_STYLES = {
  'quick': QUICK,
  'full': FULL,
  'numbers': NUMBERS,
  'fixed': FIXED,
}
