"""Generation: a caption in, a picture out."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from vbanana_jax.metrics import generation as metric
from vbanana_jax.tasks import base
from vbanana_jax.tasks.claims import ClaimChecks
from vbanana_jax.tasks.generate.claims import CaptionClaims
from vbanana_jax.tasks.prompt_styles import QUICK, PromptStyle

EMPTY_SHARE = 0.1  # of captions; what guidance steers away from


@dataclasses.dataclass(frozen=True)
class Generate(base.Task):
  """Paints a picture of its caption, from noise.

  Pictures without a caption are painted from no words. Prediction: `rgb`
  f32[b h w 3] in [0, 1]. Scored by the Frechet distance between painted and
  real pictures; there is no constant answer.

  Source: classifier-free guidance, arXiv 2207.12598.
  """

  empty_share: float = EMPTY_SHARE
  full_captions: bool = False  # those of scenes at their full length

  name: ClassVar[str] = 'generate'
  vision: ClassVar[bool] = False
  inputs: ClassVar[base.Inputs] = base.Inputs(
    photo=False,
    prompt=True,
    is_default=True,
    example='a room with a red sphere and a blue box',
  )
  note: ClassVar[str] = (
    "Painted from noise; held out is the caption's own picture."
  )
  claims: ClassVar[ClaimChecks] = CaptionClaims()
  needs: ClassVar[tuple[str, ...]] = ('rgb',)
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {'fd_random_conv': 'min'}
  )

  def make_words(
    self, prompt: str | None, classes: tuple[str, ...]
  ) -> dict[str, Any]:
    """The caption."""
    del classes
    return {'caption': prompt}

  def ask(
    self,
    rng: np.random.Generator,
    *,
    caption: str,
    style: PromptStyle = QUICK,
  ) -> base.Question:
    """The caption as it is; aux is empty."""
    del rng, style
    return base.Question(caption, {})

  def encode(
    self, example: base.Example, rng: np.random.Generator
  ) -> base.EncodedExample:
    """One of the example's captions, or none."""
    base.check_needs(self, example)
    rgb = example['rgb']
    return base.EncodedExample(
      prompt=self.ask(rng, caption=self._draw_caption(example, rng)).prompt,
      source=np.zeros_like(rgb),
      has_source=False,
      target=rgb,
      weight_px=np.ones(rgb.shape[:2], np.float32),
      aux={'target': rgb},
    )

  def _draw_caption(self, example, rng) -> str:
    if rng.random() < self.empty_share:
      return ''
    captions = example.get('captions')
    if captions is None:
      return ''
    return captions.draw_full(rng) if self.full_captions else captions.draw(rng)

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """The picture itself, clipped to [0, 1]."""
    del aux
    return {'rgb': jnp.clip(rgb, 0.0, 1.0)}

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Moments of the features of painted and of real pictures."""
    painted = metric.feature_states(prediction['rgb'], valid=valid)
    real = metric.feature_states(aux['target'], valid=valid)
    return {
      **{f'painted_{name}': state for name, state in painted.items()},
      **{f'real_{name}': state for name, state in real.items()},
    }

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """`fd_random_conv`; nan for fewer than two pictures."""
    if int(states['real_feature_count']) < 2:
      return {'fd_random_conv': float('nan')}
    sides = [
      {
        name.removeprefix(side): state
        for name, state in states.items()
        if name.startswith(side)
      }
      for side in ('painted_', 'real_')
    ]
    painted, real = (metric.moments(side) for side in sides)
    return {'fd_random_conv': metric.frechet(*painted, *real)}

  def as_examined(self) -> 'Generate':
    """No caption is left empty."""
    return dataclasses.replace(self, empty_share=0.0)

  def as_claimed(self) -> 'Generate':
    """Captions of scenes name everything."""
    return dataclasses.replace(self, full_captions=True)
