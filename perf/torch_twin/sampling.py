"""Pictures of the twin: `step.make_sample_fn` by Euler's steps."""

import torch

from perf.torch_twin import network
from vbanana_jax.diffusion import samplers


class Painter:
  """Answers to a batch, without gradients; its text is read once a picture.

  Args:
    twin: the network, on its device.
    batch: from `training.to_torch`.
    autocast: bfloat16 products, by `torch.autocast`.
    compiled: by `torch.compile`, text and denoising each.
  """

  def __init__(
    self, twin: network.DiT, batch, *, autocast: bool, compiled: bool
  ):
    self._batch, self._autocast = batch, autocast
    self._device = batch['source'].device.type
    self._encode, self._denoise = twin.encode_text, twin.denoise
    if compiled:
      self._encode = torch.compile(self._encode, dynamic=False)
      self._denoise = torch.compile(self._denoise, dynamic=False)

  @torch.no_grad()
  def paint(self, steps: int, noise: torch.Tensor | None = None):
    """Pictures `[b h w 3]` in [0, 1].

    Args:
      steps: 0 is the one-pass answer, from an empty canvas at time 0.
      noise: to start from, `[b h w 3]`; the twin's own if not given.
    """
    batch = self._batch
    source = 2.0 * batch['source'] - 1.0
    if noise is None:
      scale = batch['noise_scale'][:, None, None, None]
      noise = torch.randn_like(source) * scale
    with torch.autocast(
      self._device, dtype=torch.bfloat16, enabled=self._autocast
    ):
      memory = self._encode(batch['tokens'])

      def denoise(z, time):
        return self._denoise(z, time, memory, source, batch['has_source'])

      clock = torch.zeros(len(source), device=source.device)
      if steps == 0:
        z = denoise(torch.zeros_like(source), clock)
      else:
        z = noise
        for step in range(steps):
          time = max(step / steps, samplers.START_TIME)
          z = z + (denoise(z, clock + time) - z) / (steps - step)
    if self._device == 'cuda':
      torch.cuda.synchronize()
    return ((z + 1.0) / 2.0).clamp(0.0, 1.0)
