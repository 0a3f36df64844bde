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
_MADE = 0.5  # an edit is made below so much of copying's error on its pixels
# Loss weight of changed pixels, against 1 of those that stay: they are few,
# and copying them is the answer that is learned first.
_CHANGED_WEIGHT = 4.0


@dataclasses.dataclass(frozen=True)
class Edit(base.Task):
  """Repaints the source as the instruction says.

  Prediction: `rgb` f32[b h w 3] in [0, 1]. Copying the source is the constant
  answer, and a strong one, so the errors on the pixels that the edit changes
  and on those that it keeps are told apart. An edit is made where the first is
  less than half of copying's.

  Source: Vision Banana, section 2.1: the base data stays in the mixture.
  """

  name: ClassVar[str] = 'edit'
  needs: ClassVar[tuple[str, ...]] = ('edit',)
  inputs: ClassVar[base.Inputs] = base.Inputs(
    prompt=True, is_default=True, example='remove the leftmost object'
  )
  # Share of the source; the rest is mid-gray.
  metrics: ClassVar[Mapping[str, str]] = types.MappingProxyType(
    {
      'mae': 'min',
      'edited_mae': 'min',
      'kept_mae': 'min',
      'made': 'max',
      'psnr': 'max',
    }
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
    changed = _find_changed(source, edit['rgb'])
    return base.EncodedExample(
      prompt=self.ask(rng, instruction=edit['instruction']).prompt,
      source=source,
      has_source=True,
      target=edit['rgb'],
      weight_px=np.where(changed, np.float32(_CHANGED_WEIGHT), np.float32(1)),
      aux={'source': source, 'target': edit['rgb']},
    )

  def decode(self, rgb, aux: base.Arrays) -> base.Arrays:
    """The picture itself, clipped to [0, 1]."""
    del aux
    return {'rgb': jnp.clip(rgb, 0.0, 1.0)}

  def score(
    self, prediction: base.Arrays, aux: base.Arrays, valid
  ) -> base.Arrays:
    """Errors over the picture, what the edit changes, and what it keeps."""
    changed = _find_changed(aux['source'], aux['target'])
    parts = {'': True, 'edited_': changed, 'kept_': ~changed}

    def compare(rgb, where):
      return metric.image_states(rgb, aux['target'], where=where, valid=valid)

    states = {
      f'{part}{name}': state
      for part, where in parts.items()
      for name, state in compare(prediction['rgb'], where).items()
    }
    copied = compare(aux['source'], changed)['mae']
    made = (states['edited_images'] > 0) & (
      states['edited_mae'] < _MADE * copied
    )
    return {**states, 'made': made.astype(jnp.int32)}

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Errors in [0, 1] and psnr in dB, means over images; share of made."""

    def summarize_part(part):
      names = ('images', 'mae', 'psnr')
      return metric.summarize_images({x: states[part + x] for x in names})

    edited = float(states['edited_images'])
    return {
      **summarize_part(''),
      'edited_mae': summarize_part('edited_')['mae'],
      'kept_mae': summarize_part('kept_')['mae'],
      'made': float(states['made']) / edited if edited else float('nan'),
    }

  def constant_prediction(self, candidate, aux: base.Arrays) -> base.Arrays:
    """The source, mixed with mid-gray."""
    return {'rgb': candidate * aux['source'] + (1.0 - candidate) * 0.5}


def _find_changed(source, target):
  """Where two pictures in [0, 1] differ, `[..., h, w]`."""
  return abs(target - source).max(-1) > _CHANGED
