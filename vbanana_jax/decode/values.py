"""Any painted picture back to numbers, whoever painted it.

What to read is in a `PromptSpec`: from the words of a prompt, or from a
protocol. Pictures are read at the size they were painted; `Task.value` brings
the numbers to another one.
"""

import numpy as np
from jaxtyping import UInt8

from vbanana_jax.tasks import prompts
from vbanana_jax.tasks.painted import Decoded, Settings

# Connected pixels of one label that cover less of a picture than this are
# specks; the share below which the paper drops an instance.
SPECK_SHARE = 2e-4
DEFAULTS = Settings()


def decode(
  spec: prompts.PromptSpec,
  painted_u8: UInt8[np.ndarray, 'h w 3'],
  settings: Settings = DEFAULTS,
) -> Decoded:
  """Reads one picture of any size.

  Raises:
    UserError: for a task that is not painted as numbers.
  """
  rgb = painted_u8.astype(np.float32) / np.float32(255.0)
  return prompts.get_reader(spec.task).decode(spec, rgb, settings)
