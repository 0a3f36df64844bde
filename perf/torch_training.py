"""The twin's loss and gradient, and that both are ours.

The loss is `step.make_example_losses` with the mean over the batch. Timed, the
twin draws its own times and noise; compared, it is given ours.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import torch

from perf import torch_twin
from vbanana_jax import keys, models
from vbanana_jax.diffusion import flow
from vbanana_jax.diffusion.schedules import TrainingLevels, build_levels
from vbanana_jax.training import weights
from vbanana_jax.training.step import draw_noise

EQUAL = 1e-3  # greatest relative difference of losses and gradient norms
_COMPARED = 4  # examples, with and without a source


def make_draws(batch, levels: TrainingLevels):
  """The twin's own, of the same logit-normal distribution."""
  target, share = batch['target'], batch['one_pass_share']
  one_pass = torch.rand_like(share) < share
  time = torch.sigmoid(levels.mean + levels.std * torch.randn_like(share))
  scale = torch.where(one_pass, 0.0, batch['noise_scale'])
  noise = torch.randn_like(target) * scale[:, None, None, None]
  return one_pass, torch.where(one_pass, 0.0, time), noise


def compute_loss(twin: torch_twin.DiT, batch, draws) -> torch.Tensor:
  """Mean over the batch of the weighted squared error of the velocity."""
  one_pass, time, noise = draws
  x, source = (2.0 * batch[name] - 1.0 for name in ('target', 'source'))
  t = time[:, None, None, None]
  z = t * x + (1.0 - t) * noise
  prediction = twin(z, time, batch['tokens'], source, batch['has_source'])
  left = torch.clamp(1.0 - t, min=flow.MIN_TIME_LEFT)
  squared = ((prediction - x) / left).square().mean(dim=-1)
  given = batch['weight_px']
  weight_px = torch.where(
    one_pass[:, None, None], given, (given > 0).to(given.dtype)
  )
  total = weight_px.sum(dim=(1, 2)).clamp(min=1.0)
  return ((weight_px * squared).sum(dim=(1, 2)) / total).mean()


def to_torch(tree, device: str = 'cpu'):
  """Numpy arrays as tensors."""
  return jax.tree.map(lambda x: torch.from_numpy(np.array(x)).to(device), tree)


class Trainer:
  """Forward and backward passes of a twin on one batch.

  Args:
    twin: the network, on its device.
    batch: from `to_torch`.
    levels: from `schedules.build_levels`.
    autocast: bfloat16 products, by `torch.autocast`.
    compiled: by `torch.compile`, loss and draws included.
  """

  def __init__(self, twin, batch, levels, *, autocast: bool, compiled: bool):
    self.twin, self._batch, self._autocast = twin, batch, autocast
    self._device = batch['target'].device.type

    def lose(twin, batch, draws):
      draws = make_draws(batch, levels) if draws is None else draws
      return compute_loss(twin, batch, draws)

    self._lose = torch.compile(lose, dynamic=False) if compiled else lose

  def step(self, draws=None) -> torch.Tensor:
    """The loss; gradients are new ones in `.grad` of the twin's weights."""
    self.twin.zero_grad(set_to_none=True)
    with torch.autocast(
      self._device, dtype=torch.bfloat16, enabled=self._autocast
    ):
      loss = self._lose(self.twin, self._batch, draws)
    loss.backward()
    if self._device == 'cuda':
      torch.cuda.synchronize()
    return loss.detach()


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
    ValueError: they differ by more than `EQUAL` in float32.
  """
  few = jax.tree.map(lambda rows: rows[:_COMPARED], batch)
  model = weights.build_network(config).clone(precision=models.Precision())
  with jax.default_matmul_precision('highest'):
    loss, gradients = jax.jit(make_passes(model, config))(params, few)
  ours = [float(loss), float(optax.tree.norm(gradients))]
  theirs = _compute_theirs(twin, config, few)
  found = {
    f'{name}{suffix}': value
    for suffix, pair in (('', ours), ('_of_twin', theirs))
    for name, value in zip(('loss', 'gradient_norm'), pair)
  }
  if not np.allclose(ours, theirs, rtol=EQUAL, atol=0):
    raise ValueError(f'the twin computes something else: {found}')
  return found


def _compute_theirs(twin, config, batch) -> list[float]:
  """With our draws, in float32 that is not TensorFloat-32."""
  levels = build_levels(config['loss'])
  key = keys.make_key(config['seed'], 'noise')
  device = str(next(twin.parameters()).device)
  shape = batch['target'].shape[1:]
  draws = draw_noise(batch, shape, key=key, levels=levels)
  draws = to_torch(tuple(draws), device)
  trainer = Trainer(
    twin, to_torch(batch, device), levels, autocast=False, compiled=False
  )
  before = torch.get_float32_matmul_precision()
  torch.set_float32_matmul_precision('highest')
  loss = trainer.step(draws)
  norm = sum(p.grad.double().square().sum() for p in twin.parameters()) ** 0.5
  torch.set_float32_matmul_precision(before)
  twin.zero_grad(set_to_none=True)
  return [float(loss), float(norm)]
