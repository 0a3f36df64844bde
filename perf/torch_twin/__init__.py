"""Our network in PyTorch, as a PyTorch user would write it; our weights.

It exists to be timed against. `network` knows torch alone; `weights` copies a
parameter tree of ours into it; `training` is its loss, gradient and pictures,
and the proof that both networks do the same.
"""

from perf.torch_twin import network, weights
from perf.torch_twin.training import (
  Painter,
  Trainer,
  check,
  get_times,
  to_torch,
)

__all__ = ['Painter', 'Trainer', 'build', 'check', 'get_times', 'to_torch']


def build(config, params) -> network.DiT:
  """The twin of a network of ours.

  Args:
    config: a `models.ModelConfig`.
    params: our weights, which it gets a copy of.
  """
  twin = network.DiT(config)
  weights.load_params(twin, params)
  return twin
