"""Any painted picture back to numbers, whoever painted it."""

from vbanana_jax.decode.doubts import find_doubt
from vbanana_jax.decode.files import check_free, decode_file
from vbanana_jax.decode.oddities import (
  find_near_colors,
  find_odd_colors,
  find_odd_shape,
  find_odd_values,
  find_oddities,
)
from vbanana_jax.decode.values import (
  SPECK_SHARE,
  Decoded,
  Settings,
  decode,
)

__all__ = [
  'SPECK_SHARE',
  'Decoded',
  'Settings',
  'check_free',
  'decode',
  'decode_file',
  'find_doubt',
  'find_near_colors',
  'find_odd_colors',
  'find_odd_shape',
  'find_odd_values',
  'find_oddities',
]
