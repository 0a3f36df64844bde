"""Eight virtual CPU devices, and shapes checked where arrays are public."""

import os

# Before jax is imported: it reads both when it makes its backend.
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=8'
)
os.environ['JAX_PLATFORMS'] = 'cpu'

from jaxtyping import install_import_hook

CHECKED = ('codecs', 'metrics', 'diffusion')
install_import_hook(
  [f'vbanana_jax.{name}' for name in CHECKED], 'beartype.beartype'
)
