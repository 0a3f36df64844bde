"""That a twin computes what our network does, before anything is timed."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import torch

from perf.torch_twin import training
from vbanana_jax import keys, models
from vbanana_jax.training import weights

# Greatest relative difference of losses and gradient norms: of float32, and of
# what is timed, whose products are of bfloat16.
EQUAL, NEAR = 1e-3, 2e-2
_COMPARED = 4  # examples, with and without a source
# Of what is run once, on a CPU.
_COMPILE_SOON = {
  'xla_llvm_disable_expensive_passes': True,
  'xla_backend_optimization_level': 0,
}


def check(
  twin, config: dict[str, Any], params, batch, make_passes: Callable
) -> dict[str, float]:
  """Loss and gradient norm of both networks on the first few of a batch.

  Args:
    twin: with our weights, on its device.
    config: of both.
    params: our weights, on the host.
    batch: of numpy arrays.
    make_passes: (model, config) -> function of weights and a batch, whose
      values are the loss and its gradient.

  Raises:
    ValueError: they differ by more than `EQUAL` in float32, or by more than
      `NEAR` from what ours has as it is timed.
  """
  few = jax.tree.map(lambda rows: rows[:_COMPARED], batch)
  timed = weights.build_network(config)
  exact = timed.clone(precision=models.Precision())
  soon = _COMPILE_SOON if jax.default_backend() == 'cpu' else None

  def compute(model) -> list[float]:
    passes = make_passes(model, config)

    def measure(params, batch):
      loss, gradients = passes(params, batch)
      return loss, optax.tree.norm(gradients)

    lowered = jax.jit(measure).lower(params, few)
    return [float(x) for x in lowered.compile(soon)(params, few)]

  with jax.default_matmul_precision('highest'):
    ours = compute(exact)
  as_timed = compute(timed)
  theirs = _compute_theirs(twin, config, few)
  found = {
    f'{name}{suffix}': value
    for suffix, pair in (
      ('', ours),
      ('_as_timed', as_timed),
      ('_of_twin', theirs),
    )
    for name, value in zip(('loss', 'gradient_norm'), pair)
  }
  for mine, tolerance in ((ours, EQUAL), (as_timed, NEAR)):
    if not np.allclose(mine, theirs, rtol=tolerance, atol=0):
      raise ValueError(f'the twin computes something else: {found}')
  return found


def _compute_theirs(twin, config, batch) -> list[float]:
  """With our draws, in float32 that is not TensorFloat-32."""
  times = {name: config['loss'][name] for name in ('time_mean', 'time_std')}
  key = keys.make_key(config['seed'], 'noise')
  device = str(next(twin.parameters()).device)
  draws = training.make_our_draws(batch, key, **times)
  trainer = training.Trainer(
    twin,
    training.to_torch(batch, device),
    autocast=False,
    compiled=False,
    **times,
  )
  before = torch.get_float32_matmul_precision()
  torch.set_float32_matmul_precision('highest')
  loss = trainer.step(training.to_torch(draws, device))
  norm = trainer.compute_gradient_norm()
  torch.set_float32_matmul_precision(before)
  twin.zero_grad(set_to_none=True)
  return [float(loss), norm]
