"""Reads base colors that anything painted: every color is one."""

import numpy as np

from vbanana_jax.tasks.painted import Decoded, PaintedReader
from vbanana_jax.tasks.prompts import PromptSpec


class AlbedoReader(PaintedReader):
  """The picture itself; nothing in it says how sure it is."""

  def read_prompt(self, prompt):
    """Nothing: a color means itself."""
    del prompt
    return PromptSpec('albedo')

  def decode(self, spec, rgb, settings):
    del spec, settings
    return Decoded(
      rgb,
      np.ones(rgb.shape[:2], np.float32),
      {'mean_rgb': rgb.mean((0, 1)).tolist()},
    )
