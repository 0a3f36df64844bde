"""Reads base colors that anything painted: every color is one."""

import jax.numpy as jnp

from vbanana_jax.tasks.painted import PaintedReader
from vbanana_jax.tasks.prompts import PromptSpec


class AlbedoReader(PaintedReader):
  """The picture itself; nothing in it says how sure it is."""

  def read_prompt(self, prompt):
    """Nothing: a color means itself."""
    del prompt
    return PromptSpec('albedo')

  def read(self, spec, rgb, palette, settings):
    del spec, palette, settings
    return {'value': rgb, 'confidence': jnp.ones(rgb.shape[:2])}

  def describe(self, spec, found, settings):
    del spec, settings
    return {'mean_rgb': found['value'].mean((0, 1)).tolist()}
