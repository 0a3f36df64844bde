"""A device that was asked for and is not there, in one line."""

import os

from vbanana_jax.errors import UserError

_TOLD = 'Unable to initialize backend'


def explain(error: Exception) -> None:
  """Raises UserError if JAX_PLATFORMS names what this machine lacks.

  Args:
    error: what JAX raised; it says so in many words, or in none.
  """
  import jax

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
