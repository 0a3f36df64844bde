"""Is this folder the benchmark that it should be?"""

from vbanana_jax.benchmark.doctor.folder import (
  examine,
  find_protocols,
  make_text,
)
from vbanana_jax.benchmark.doctor.tallies import Finding

__all__ = ['Finding', 'examine', 'find_protocols', 'make_text']
