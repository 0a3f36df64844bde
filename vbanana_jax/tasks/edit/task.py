"""Editing: a picture and an instruction in, the changed picture out."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from vbanana_jax.metrics import images as metric
from vbanana_jax.tasks import base
from vbanana_jax.tasks.prompt_styles import QUICK, PromptStyle

_CHANGED = 8.0 / 255.0  # a pixel is part of the edit if a channel moves more


@dataclasses.dataclass(frozen=True)
class Edit(base.Task):
  """Repaints the source as the instruction says; every pixel counts.

  Prediction: `rgb` f32[b h w 3] in [0, 1]. Copying the source is the constant
  answer, and a strong one, so the error on the pixels that the edit changes
  is told apart.

  Source: Vision Banana, section 2.1: the base data stays in the mixture.
  """

  name: ClassVar[str] = 'edit'
  vision: ClassVar[bool] = False
  needs: ClassVar[tuple[str, ...]] = ('edit',)
  inputs: ClassVar[base.Inputs] = base.Inputs(prompt=True, is_default=True)
  # Share of the source; the rest is mid-gray.
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {'mae': 'min', 'edited_mae': 'min', 'psnr': 'max'}
  )
  constants: ClassVar[tuple[float, ...]] = (1.0, 0.0)

  def make_words(
    self, prompt: str | None, classes: tuple[str, ...]
  ) -> dict[str, Any]:
    """The instruction."""
    del classes
    return {'instruction': prompt}

  def ask(
    self,
    rng: np.random.Generator,
    *,
    instruction: str,
    style: PromptStyle = QUICK,
  ) -> base.Question:
    """The instruction as it is; aux is empty."""
    del rng, style
    return base.Question(instruction, {})

  def encode(
    self, example: base.Example, rng: np.random.Generator
  ) -> base.EncodedExample:
    """The example's own edit."""
    base.check_needs(self, example)
    source, edit = example['rgb'], example['edit']
    return base.EncodedExample(
      prompt=self.ask(rng, instruction=edit['instruction']).prompt,
      source=source,
      has_source=True,
      target=edit['rgb'],
      weight_px=np.ones(source.shape[:2], np.float32),
      aux={'source': source, 'target': edit['rgb']},
    )

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """The picture itself, clipped to [0, 1]."""
    del aux
    return {'rgb': jnp.clip(rgb, 0.0, 1.0)}

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Errors over the picture, and over the pixels the edit changes."""
    change = jnp.abs(aux['target'] - aux['source']).max(-1)
    whole = metric.image_states(prediction['rgb'], aux['target'], valid=valid)
    edited = metric.image_states(
      prediction['rgb'], aux['target'], where=change > _CHANGED, valid=valid
    )
    return {
      **whole,
      **{f'edited_{name}': state for name, state in edited.items()},
    }

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """mae in [0, 1] and psnr in dB, means over images."""
    edited = {
      name.removeprefix('edited_'): state
      for name, state in states.items()
      if name.startswith('edited_')
    }
    return {
      **metric.summarize_images(states),
      'edited_mae': metric.summarize_images(edited)['mae'],
    }

  def constant_prediction(self, candidate, aux: base.Arrays) -> base.Arrays:
    """The source, mixed with mid-gray."""
    return {'rgb': candidate * aux['source'] + (1.0 - candidate) * 0.5}
