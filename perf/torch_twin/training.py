"""The twin's training loss and its gradient.

The loss is `step.make_example_losses` with the mean over the batch. Timed, the
twin draws its own times and noise; compared, it is given ours.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from perf.torch_twin import network
from vbanana_jax import keys
from vbanana_jax.diffusion import paths


class Draws(NamedTuple):
  """What is random about a batch: `[b]`, `[b]` and `[b h w 3]`."""

  one_pass: Any
  time: Any
  noise: Any


def make_our_draws(batch, key, *, time_mean: float, time_std: float) -> Draws:
  """What `step.make_example_losses` draws for a batch, as numpy arrays."""
  example_keys = keys.make_example_keys(key, batch['index'])
  kind, clock, cloud = jnp.moveaxis(
    jax.vmap(lambda k: jax.random.split(k, 3))(example_keys), 1, 0
  )
  one_pass = jax.vmap(jax.random.uniform)(kind) < batch['one_pass_share']
  time = jnp.where(
    one_pass, 0.0, paths.sample_times(clock, time_mean, time_std)
  )
  scale = jnp.where(one_pass, 0.0, batch['noise_scale'])
  noise = paths.make_noise(cloud, batch['target'].shape[1:], scale)
  return Draws(*map(np.array, (one_pass, time, noise)))


def make_draws(batch, *, time_mean: float, time_std: float) -> Draws:
  """The twin's own, of the same distributions."""
  target, share = batch['target'], batch['one_pass_share']
  one_pass = torch.rand_like(share) < share
  time = torch.sigmoid(time_mean + time_std * torch.randn_like(share))
  scale = torch.where(one_pass, 0.0, batch['noise_scale'])
  noise = torch.randn_like(target) * scale[:, None, None, None]
  return Draws(one_pass, torch.where(one_pass, 0.0, time), noise)


def compute_loss(twin: network.DiT, batch, draws: Draws) -> torch.Tensor:
  """Mean over the batch of the weighted squared error of the velocity."""
  one_pass, time, noise = draws
  x, source = (2.0 * batch[name] - 1.0 for name in ('target', 'source'))
  t = time[:, None, None, None]
  z = t * x + (1.0 - t) * noise
  prediction = twin(z, time, batch['tokens'], source, batch['has_source'])
  left = torch.clamp(1.0 - t, min=paths.MIN_TIME_LEFT)
  squared = ((prediction - x) / left).square().mean(dim=-1)
  given = batch['weight_px']
  weight_px = torch.where(
    one_pass[:, None, None], given, (given > 0).to(given.dtype)
  )
  total = weight_px.sum(dim=(1, 2)).clamp(min=1.0)
  return ((weight_px * squared).sum(dim=(1, 2)) / total).mean()


def to_torch(tree, device: str = 'cpu'):
  """Numpy arrays as tensors; token ids as torch's embedding wants them."""
  return jax.tree.map(lambda x: torch.from_numpy(np.array(x)).to(device), tree)


class Trainer:
  """Forward and backward passes of a twin on one batch.

  Args:
    twin: the network, on its device.
    batch: from `to_torch`.
    autocast: bfloat16 products, by `torch.autocast`.
    compiled: by `torch.compile`, loss and draws included.
    time_mean: of the logit-normal times.
    time_std: likewise.
  """

  def __init__(
    self, twin, batch, *, autocast: bool, compiled: bool, time_mean, time_std
  ):
    self.twin, self._batch, self._autocast = twin, batch, autocast
    self._device = batch['target'].device.type
    times = {'time_mean': time_mean, 'time_std': time_std}

    def lose(twin, batch, draws):
      draws = make_draws(batch, **times) if draws is None else draws
      return compute_loss(twin, batch, draws)

    self._lose = torch.compile(lose, dynamic=False) if compiled else lose

  def compute_loss(self, draws: Draws | None = None) -> torch.Tensor:
    with torch.autocast(
      self._device, dtype=torch.bfloat16, enabled=self._autocast
    ):
      return self._lose(self.twin, self._batch, draws)

  def step(self, draws: Draws | None = None) -> torch.Tensor:
    """The loss; gradients are new ones in `.grad` of the twin's weights."""
    self.twin.zero_grad(set_to_none=True)
    loss = self.compute_loss(draws)
    loss.backward()
    if self._device == 'cuda':
      torch.cuda.synchronize()
    return loss.detach()

  def compute_gradient_norm(self) -> float:
    squares = (p.grad.double().square().sum() for p in self.twin.parameters())
    return float(sum(squares)) ** 0.5
