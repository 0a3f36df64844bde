"""Our network against the DiT class of diffusers: a train step, and sampling.

  python -m perf.diffusers_dit [--width 256] [--output JSON]

`DiTTransformer2DModel` gets the same pictures in as many tokens, and as many
blocks as bring its parameters nearest to ours. It is asked for less: it sees a
class, where ours reads a short instruction and a source picture. A train step
is passes, clipping, AdamW and an average of the weights on both sides; sampling
is Euler's, with our text read once a picture.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import jax

from perf import ceiling, timing, train_step, workload
from vbanana_jax import models
from vbanana_jax.training import flops, weights
from vbanana_jax.training.step import make_sample_fn

OURS = {'train': 'ours, train step', 'sample': 'ours, sampling'}
_CLASSES = 8
_TEXT_LENGTH = 16  # a caption: theirs reads a class and no words
_INSTALL = (
  'perf.diffusers_dit needs PyTorch and diffusers: pip install -e '
  "'.[perf]' (without a GPU, PyTorch from the index of CPU wheels)"
)


def measure(
  width: int = 256,
  *,
  batch_size: int | None = None,
  rounds: int = 5,
  sampler_steps: int = 10,
  compiled: bool = True,
) -> dict[str, Any]:
  """Ratios of their time over ours, and what both sides are.

  Args:
    width: of both networks.
    batch_size: examples; that of `train_step` if not given.
    rounds: turns that each has.
    sampler_steps: network calls for a picture.
    compiled: also theirs by `torch.compile`, where a C++ compiler is here.

  Raises:
    ImportError: PyTorch or diffusers is not installed.
  """
  import torch

  load = timing.get_load()
  torch.set_num_threads(timing.count_cores())
  torch.manual_seed(0)
  config = workload.make_config(
    width,
    batch_size=batch_size or train_step.BATCH_SIZES[width],
    optimizer='adamw',
  )
  config['data']['text_length'] = _TEXT_LENGTH
  model = weights.build_network(config)
  params = workload.make_random_params(model, config)
  batch = workload.make_batch(config)
  number = models.count_parameters(params)
  theirs = build_dit(config, number)
  calls = {
    OURS['train']: train_step.Step(config, model, batch),
    OURS['sample']: build_sampling(model, params, batch, sampler_steps),
  }
  modes = [False, True] if compiled and train_step.find_compiler() else [False]
  for is_compiled in modes:
    for autocast in (False, True)[: len(ceiling.find_types())]:
      name = ('compiled' if is_compiled else 'eager') + (
        ' bfloat16' if autocast else ' float32'
      )
      rival = Rival(theirs, config, autocast=autocast, compiled=is_compiled)
      calls[f'diffusers {name}, train step'] = rival.train
      calls[f'diffusers {name}, sampling'] = lambda rival=rival: rival.sample(
        sampler_steps
      )
  for name, call in calls.items():
    timing.say(f'first call of {name}')
    jax.block_until_ready(call())
  times = timing.interleave(calls, rounds, in_a_row=train_step.IN_A_ROW)
  counted = flops.count_step_flops(config)
  their_number = sum(p.numel() for p in theirs.parameters())
  return {
    'ratios': {
      f'{width}: {name} over ours': timing.compare(
        times, name, OURS['sample' if name.endswith('sampling') else 'train']
      )
      for name in calls
      if name.startswith('diffusers')
    },
    'left_out': {}
    if 'bfloat16' in ceiling.find_types()
    else {'diffusers bfloat16': ceiling.EMULATED},
    'load_before': load,
    'parameters': {'ours': number, 'diffusers': their_number},
    'image_tokens': (config['image_size'] // config['model']['patch']) ** 2,
    'text_tokens': {'ours': config['data']['text_length'] + 1, 'diffusers': 0},
    'blocks': {
      'ours': model.config.depth,
      'diffusers': len(theirs.transformer_blocks),
    },
    'gflops_of_passes': {
      'ours': timing.shorten(counted.useful / 1e9),
      'diffusers': timing.shorten(count_dit_flops(theirs, config) / 1e9),
    },
    'times': timing.summarize_times(times),
    'sampler_steps': sampler_steps,
    'model': config['model'],
    'batch_size': config['batch_size'],
  }


def build_dit(config: dict[str, Any], parameters: int):
  """A `DiTTransformer2DModel` of our width with about so many parameters."""
  from diffusers import DiTTransformer2DModel

  size = models.SIZES[config['model']['size']]

  def build(depth: int):
    return DiTTransformer2DModel(
      num_attention_heads=size['heads'],
      attention_head_dim=size['width'] // size['heads'],
      in_channels=3,
      num_layers=depth,
      sample_size=config['image_size'],
      patch_size=config['model']['patch'],
      num_embeds_ada_norm=_CLASSES,
    )

  one, two = (
    sum(p.numel() for p in build(depth).parameters()) for depth in (1, 2)
  )
  return build(max(1, 1 + round((parameters - one) / (two - one))))


def count_dit_flops(dit, config: dict[str, Any]) -> float:
  """Forward and backward: of linear layers at every token, and attention."""
  d = dit.inner_dim
  n = (config['image_size'] // config['model']['patch']) ** 2
  block = 12 * n * d * d + 2 * n * n * d + 6 * d * d + d * d + 256 * d
  ends = 2 * n * d * 3 * config['model']['patch'] ** 2 + 2 * d * d
  forward = 2.0 * (len(dit.transformer_blocks) * block + ends)
  return 3 * forward * config['batch_size']


def build_sampling(model, params, batch, steps: int) -> Callable[[], Any]:
  """Our sampler on a batch of instructions and sources."""
  paint = jax.jit(make_sample_fn(model, seed=0, steps=steps))
  placed, on_device = jax.device_put(params), jax.device_put(batch)
  return lambda: paint(placed, on_device)


class Rival:
  """A copy of theirs with an optimizer and an average of the weights."""

  def __init__(
    self, dit, config: dict[str, Any], *, autocast: bool, compiled: bool
  ):
    import copy

    import torch
    from torch.optim import swa_utils

    self._dit = copy.deepcopy(dit)
    self._autocast = autocast
    self._clip = config['optim']['clip']
    self._optimizer = torch.optim.AdamW(
      self._dit.parameters(),
      lr=config['optim']['adam_learning_rate'],
      betas=(0.9, 0.99),
      weight_decay=config['optim']['weight_decay'],
      fused=True,
    )
    self._average = swa_utils.AveragedModel(
      self._dit,
      multi_avg_fn=swa_utils.get_ema_multi_avg_fn(config['optim']['ema_decay']),
    )
    b, size = config['batch_size'], config['image_size']
    self._x = torch.rand(b, 3, size, size) * 2 - 1
    self._labels = torch.arange(b) % _CLASSES
    self._call = (
      torch.compile(self._dit, dynamic=False) if compiled else self._dit
    )

  def _predict(self, z, time):
    import torch

    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=self._autocast):
      return self._call(
        z, timestep=1000 * time, class_labels=self._labels, return_dict=False
      )[0].float()

  def train(self):
    """One update; returns the loss."""
    import torch

    time = torch.rand(len(self._x))
    t = time[:, None, None, None]
    z = t * self._x + (1 - t) * torch.randn_like(self._x)
    loss = (self._predict(z, time) - self._x).square().mean()
    self._optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(self._dit.parameters(), self._clip)
    self._optimizer.step()
    self._average.update_parameters(self._dit)
    return loss.detach()

  def sample(self, steps: int):
    """Pictures after so many Euler steps of the clean-picture network."""
    import torch

    with torch.inference_mode():
      z = torch.randn_like(self._x)
      for start in range(steps):
        time = torch.full((len(z),), start / steps)
        clean = self._predict(z, time)
        z = z + (clean - z) / (steps - start)
      return z


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--width', type=int, default=256)
  parser.add_argument('--batch-size', type=int)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--no-compiled', action='store_true')
  parser.add_argument('--quick', action='store_true', help='small and rough')
  parser.add_argument('--output', help='JSON file to write')
  args = parser.parse_args()
  for package in ('torch', 'diffusers'):
    if importlib.util.find_spec(package) is None:
      sys.exit(_INSTALL)
  if args.quick:
    result = measure(
      256, batch_size=4, rounds=2, sampler_steps=3, compiled=False
    )
  else:
    result = measure(
      args.width,
      batch_size=args.batch_size,
      rounds=args.rounds,
      compiled=not args.no_compiled,
    )
  timing.print_ratios('diffusers_dit', result)
  for name, reason in result['left_out'].items():
    print(f'{name} is left out: {reason}')
  if args.output:
    timing.save('diffusers_dit', result, output=args.output)


if __name__ == '__main__':
  main()
