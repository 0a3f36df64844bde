"""Sampling: what its choices save, pictures a second, and PyTorch's.

  python -m perf.sampler [--batch 8] [--steps 50] [--rounds 5]

Rivals take turns on the same batch. `recomputed text` calls the network with
the instruction in every step; the sampler has its keys and values from before
the loop. Both read it padded to a power of two, as `vbanana predict` does;
`padded text` is the sampler with `model.max_text` tokens. `two calls` is
guidance with one call for each branch. Weights are random, since speed does not
depend on values. Where PyTorch is installed its twin of the network takes turns
by steps, in bfloat16; that it computes the same is shown by `perf.train_step`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perf import ceiling, run, timing, train_step, workload
from vbanana_jax import keys
from vbanana_jax.diffusion import paths, samplers
from vbanana_jax.inference import engine
from vbanana_jax.models import from_network, to_network
from vbanana_jax.tokenizer.tokenizer import Tokenizer
from vbanana_jax.training import weights
from vbanana_jax.training.step import make_sample_fn

_PROMPT = 'two red spheres and a blue box in a room with a grey floor'
_GUIDANCE = 3.0


def make_batch(
  size: int, b: int, length: int | None = None, longest: int = 160
) -> dict[str, np.ndarray]:
  """Noise to paint over, with one instruction padded to `length`."""
  tokens = Tokenizer.load().encode(_PROMPT, longest)
  length = length or engine.fit_text((tokens > 0).sum(), longest)
  return {
    'tokens': np.tile(tokens[:length], (b, 1)),
    'source': np.random.default_rng(0).random((b, size, size, 3), np.float32),
    'has_source': np.ones(b, bool),
    'noise_scale': np.ones(b, np.float32),
    'index': np.arange(b, dtype=np.int32),
  }


def make_wasteful_painter(model, *, steps: int, text: bool, guidance=1.0):
  """What `step.make_sample_fn` saves: text every step, branches one by one."""

  def paint(params, batch):
    source, has_source = to_network(batch['source']), batch['has_source']
    variables = {'params': params}

    def build_call(tokens):
      def encode(tokens):
        return model.apply(variables, tokens, method='encode_text')

      memory = None if text else encode(tokens)

      def call(z, time):
        # Depends on the step, so that no compiler takes it out of the loop.
        same = tokens + (time[0] > 2).astype(jnp.int32)
        known = encode(same) if text else memory
        return model.apply(
          variables, z, time, known, source, has_source, method='denoise'
        )

      return call

    denoise = build_call(batch['tokens'])
    if guidance != 1.0:
      with_text = denoise
      without = build_call(jnp.zeros_like(batch['tokens']))
      denoise = samplers.guide(
        with_text,
        lambda z, time: (with_text(z, time), without(z, time)),
        scale=guidance,
      )
    noise = paths.make_noise(
      keys.make_example_keys(keys.make_key(0, 'sample'), batch['index']),
      source.shape[1:],
      batch['noise_scale'],
    )
    x = samplers.sample(denoise, noise, steps=steps, method='euler')
    return jnp.clip(from_network(x), 0.0, 1.0)

  return paint


def measure(
  batch: int = 8,
  steps: int = 50,
  rounds: int = 5,
  rate_steps: tuple[int, ...] = (0, 1, 8, 25, 50),
  width: int = 256,
  image_size: int = 64,
  patch: int = 8,
  twin: bool = True,
) -> dict[str, Any]:
  """Ratios with the largest difference of pictures, and rates by steps.

  Args:
    batch: pictures at once.
    steps: of the ratios.
    rounds: turns of each.
    rate_steps: of the rates; 0 is the one-pass answer.
    width: of the network.
    image_size: side of the pictures in pixels.
    patch: side of a token in pixels.
    twin: beside PyTorch, where it is installed.
  """
  config = workload.make_config(
    width, batch_size=batch, image_size=image_size, patch=patch
  )
  model = weights.build_network(config)
  params = workload.make_random_params(model, config)
  placed = jax.device_put(params)
  longest = config['model']['max_text']
  fitted = make_batch(image_size, batch, longest=longest)

  def compile_(paint, rows=fitted):
    compiled = jax.jit(paint).lower(placed, rows).compile()
    return lambda: compiled(placed, rows)

  def build(steps, **way):
    return make_sample_fn(model, seed=0, steps=steps, **way)

  def waste(**way):
    return make_wasteful_painter(model, steps=steps, **way)

  timing.say('compiling')
  functions = {
    'sampler': compile_(build(steps)),
    'recomputed text': compile_(waste(text=True)),
    'padded text': compile_(
      build(steps), make_batch(image_size, batch, longest, longest)
    ),
    'guided': compile_(build(steps, guidance=_GUIDANCE)),
    'guided, two calls': compile_(waste(text=False, guidance=_GUIDANCE)),
  }
  timing.say('measuring')
  times = timing.interleave(functions, rounds)
  pictures = {name: np.asarray(call()) for name, call in functions.items()}
  ratios = {}
  for label, slow, fast in (
    ('text recomputed / computed once', 'recomputed text', 'sampler'),
    ('text padded to the longest / fitted', 'padded text', 'sampler'),
    ('guided in two calls / in one batch', 'guided, two calls', 'guided'),
    ('guided / not', 'guided', 'sampler'),
  ):
    ratios[label] = {'ratio': timing.compare(times, slow, fast)}
    if label != 'guided / not':
      apart = float(np.abs(pictures[slow] - pictures[fast]).max())
      ratios[label]['pictures_differ_by_at_most'] = timing.shorten(apart, 2)
  by_steps = {name_steps(n): compile_(build(n)) for n in rate_steps}
  if twin and run.has_torch():
    by_steps |= build_twins(model, params, fitted, rate_steps)
  rates = timing.interleave(by_steps, rounds)
  return {
    'tables': {
      'ratios': ratios,
      'rates': {
        name: {
          'images_per_s': timing.summarize([batch / s for s in both['wall']])
        }
        for name, both in rates.items()
      },
    },
    'steps': steps,
    'prompt_tokens': int((fitted['tokens'][0] > 0).sum()),
    'text_length': fitted['tokens'].shape[1],
    'longest_text': longest,
    'model': config['model'],
    'batch': batch,
    'image_size': image_size,
  }


def name_steps(steps: int) -> str:
  """As in '8 steps'; 0 is the one-pass answer."""
  return f'{steps} step{"s" * (steps > 1)}' if steps else 'one pass'


def build_twins(model, params, batch, rate_steps) -> dict[str, Any]:
  """The twin's sampling by name, eager, and compiled where it can be."""
  from perf import torch_twin
  from perf.torch_twin import training

  device = train_step.find_torch_device()
  twin = torch_twin.build(model.config, params).to(device)
  on_torch = training.to_torch(batch, device)
  autocast = 'bfloat16' in ceiling.find_types()
  calls = {}
  for how in ('eager', 'compiled'):
    if how == 'compiled' and device == 'cpu' and not train_step.find_compiler():
      continue
    painter = training.Painter(
      twin, on_torch, autocast=autocast, compiled=how == 'compiled'
    )
    for n in rate_steps:
      calls[f'torch {how}, {name_steps(n)}'] = lambda painter=painter, n=n: (
        painter.paint(n)
      )
  train_step.call_first(calls, set(calls))
  return calls


if __name__ == '__main__':
  run.run_main(
    measure,
    quick={
      'batch': 1,
      'steps': 4,
      'rounds': 1,
      'rate_steps': (0, 2),
      'twin': False,
    },
  )
