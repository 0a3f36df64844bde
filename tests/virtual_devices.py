"""How many virtual CPU devices a process has; it keeps all other XLA flags."""

import os


def add_flag(count: int) -> str:
  """XLA_FLAGS of this process with so many devices; XLA takes the last."""
  flags = os.environ.get('XLA_FLAGS', '')
  return f'{flags} --xla_force_host_platform_device_count={count}'.strip()
