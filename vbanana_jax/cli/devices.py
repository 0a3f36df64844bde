"""A device that is not there, or has too little memory, in one line."""

import os

from vbanana_jax.errors import UserError

_TOLD = 'Unable to initialize backend'
_FULL = 'RESOURCE_EXHAUSTED'


def explain(error: Exception) -> None:
  """Raises UserError for full memory, and JAX_PLATFORMS that are not there.

  Args:
    error: what JAX raised; it says so in many words, or in none.
  """
  import jax

  if isinstance(error, MemoryError) or _FULL in str(error):
    told = str(error).strip().partition('\n')[0].removeprefix(f'{_FULL}: ')
    raise UserError(
      f'there is too little memory ({told or "MemoryError"}): ask for less, as '
      'by a smaller config.batch_size, config.image_size, --batch or --size'
    ) from error
  asked = os.environ.get('JAX_PLATFORMS')
  if not asked or not (_TOLD in str(error) or _is_nothing_there()):
    return
  jax.config.update('jax_platforms', None)
  found = jax.default_backend()
  raise UserError(
    f'JAX_PLATFORMS is {asked!r}, and this machine has {found}: set '
    f"JAX_PLATFORMS={found}, or install the other platform's jax (setup.py "
    'lists extras)'
  ) from error


def _is_nothing_there() -> bool:
  import jax

  try:
    return not jax.devices()
  except (RuntimeError, AssertionError):
    return True
