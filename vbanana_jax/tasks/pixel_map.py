"""Tasks that answer every pixel of a photo, and are asked in fixed words."""

import dataclasses
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from vbanana_jax.tasks import base, legend_text
from vbanana_jax.tasks.prompt_styles import QUICK, PromptStyle


@dataclasses.dataclass(frozen=True)
class PixelMap(base.Task):
  """A map of one value a pixel, such as depth; no legend, no words of a user.

  Attributes:
    wordings: instructions, of which one is drawn.
  """

  wordings: ClassVar[tuple[str, ...]]

  def ask(
    self, rng: np.random.Generator, *, style: PromptStyle = QUICK
  ) -> base.Question:
    """One of `wordings`; aux is empty."""
    del style  # every wording is short
    return base.Question(legend_text.choose(rng, self.wordings), {})

  def make_encoded(
    self,
    example: base.Example,
    rng: np.random.Generator,
    *,
    target: Float[np.ndarray, 'h w 3'],
    valid_px: Bool[np.ndarray, 'h w'],
    aux: base.Aux,
  ) -> base.EncodedExample:
    """The example's photo with its painted map.

    Args:
      example: with a photo, `rgb`.
      rng: draws the wording.
      target: painted, in [0, 1].
      valid_px: pixels with a right answer.
      aux: what `decode` and `score` need beside `valid_px`.
    """
    return base.EncodedExample(
      prompt=self.ask(rng).prompt,
      source=example['rgb'],
      has_source=True,
      target=target,
      weight_px=valid_px.astype(np.float32),
      aux={**aux, 'valid_px': valid_px},
    )
