"""Sampling: text computed once, guidance, and pictures a second by steps.

  python -m perf.sampler [--batch 8] [--rounds 5] [--output JSON]

Rivals take turns on the same batch. `recomputed text` calls the network with
the instruction in every step; the painter has its keys and values from before
the loop. Both read it padded to a power of two, as `vbanana predict` does;
`padded text` is the painter with `model.max_text` tokens. `two calls` is
guidance with one call for each branch; both guide within the interval alone.
Weights are fresh but for the zeros among them, since speed does not depend on
values.
"""

import argparse
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perf import timing
from vbanana_jax import keys
from vbanana_jax.config import load_config
from vbanana_jax.diffusion import paths, samplers
from vbanana_jax.inference import engine
from vbanana_jax.models import from_network, to_network
from vbanana_jax.tokenizer.tokenizer import Tokenizer
from vbanana_jax.training import weights
from vbanana_jax.training.state import make_params
from vbanana_jax.training.step import make_sample_fn

_PROMPT = 'two red spheres and a blue box in a room with a grey floor'
_GUIDANCE = 3.0
_STEPS = (0, 1, 8, 25, 50)


def make_waker(key: jax.Array):
  """Noise for weights, so that nothing stays zero."""
  return lambda x: x + 0.02 * jax.random.normal(key, x.shape)


def build(run: pathlib.Path | None = None) -> tuple[dict, Any, Any]:
  """Config, network and weights: of a run, or fresh of the quickstart's."""
  if run is not None:
    return weights.load_run(run)
  config = load_config('quickstart').to_dict()
  model = weights.build_network(config)

  def make():
    params = make_params(model, size=config['image_size'], seed=0)
    return jax.tree.map(make_waker(jax.random.key(1)), params)

  return config, model, jax.jit(make)()


def make_batch(
  size: tuple[int, int], b: int, length: int | None = None, longest: int = 160
) -> dict[str, np.ndarray]:
  """Noise to paint over, with one instruction padded to `length`."""
  tokens = Tokenizer.load().encode(_PROMPT, longest)
  length = length or engine.fit_text((tokens > 0).sum(), longest)
  return {
    'tokens': np.tile(tokens[:length], (b, 1)),
    'source': np.random.default_rng(0).random((b, *size, 3), np.float32),
    'has_source': np.ones(b, bool),
    'noise_scale': np.ones(b, np.float32),
    'index': np.arange(b, dtype=np.int32),
  }


def make_wasteful_painter(model, *, steps: int, text: bool, guidance=1.0):
  """What `step.make_sample_fn` saves: text every step, branches one by one."""

  def paint(params, batch):
    source, has_source = to_network(batch['source']), batch['has_source']

    def build_call(tokens):
      def encode(tokens):
        return model.apply({'params': params}, tokens, method='encode_text')

      memory = None if text else encode(tokens)

      def call(z, time):
        # Depends on the step, so that no compiler takes it out of the loop.
        same = tokens + (time[0] > 2).astype(jnp.int32)
        return model.apply(
          {'params': params},
          z,
          time,
          encode(same) if text else memory,
          source,
          has_source,
          method='denoise',
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
  *,
  b: int = 8,
  steps: int = 50,
  rounds: int = 5,
  run: pathlib.Path | None = None,
) -> dict[str, Any]:
  """Ratios, largest differences, and images a second by steps."""
  config, model, params = build(run)
  size = (config['image_size'],) * 2
  longest = config['model']['max_text']
  long = make_batch(size, b, longest, longest)
  fitted = make_batch(size, b, longest=longest)

  def compile_(paint, batch):
    compiled = jax.jit(paint).lower(params, batch).compile()
    return lambda: compiled(params, batch)

  def build_painter(steps, **way):
    return make_sample_fn(model, seed=0, steps=steps, **way)

  timing.say('compiling')
  functions = {
    'painter': compile_(build_painter(steps), fitted),
    'recomputed text': compile_(
      make_wasteful_painter(model, steps=steps, text=True), fitted
    ),
    'padded text': compile_(build_painter(steps), long),
    'guided': compile_(build_painter(steps, guidance=_GUIDANCE), fitted),
    'guided, two calls': compile_(
      make_wasteful_painter(model, steps=steps, text=False, guidance=_GUIDANCE),
      fitted,
    ),
  }
  timing.say('measuring')
  times = timing.interleave(functions, rounds)
  pictures = {name: np.asarray(run()) for name, run in functions.items()}

  def differ(one, other):
    return float(np.abs(pictures[one] - pictures[other]).max())

  by_steps = {n: compile_(build_painter(n), fitted) for n in _STEPS}
  step_times = timing.interleave(
    {str(n): run for n, run in by_steps.items()}, rounds
  )
  return {
    'ratios': {
      'text recomputed / computed once': timing.compare(
        times, 'recomputed text', 'painter'
      ),
      'text padded to the longest / fitted': timing.compare(
        times, 'padded text', 'painter'
      ),
      'guided in two calls / in one batch': timing.compare(
        times, 'guided, two calls', 'guided'
      ),
      'guided / not': timing.compare(times, 'guided', 'painter'),
    },
    'largest_difference': {
      'text recomputed': differ('recomputed text', 'painter'),
      'text padded': differ('padded text', 'painter'),
      'guided in two calls': differ('guided, two calls', 'guided'),
    },
    'images_per_second': {
      n: timing.summarize([b / s for s in step_times[n]['wall']])
      for n in step_times
    },
    'steps': steps,
    'batch': b,
    'image_size': size[0],
    'prompt_tokens': int((fitted['tokens'][0] > 0).sum()),
    'text_length': fitted['tokens'].shape[1],
    'longest_text': longest,
    'times': timing.summarize_times(times),
  }


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--batch', type=int, default=8)
  parser.add_argument('--steps', type=int, default=50)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--run', type=pathlib.Path, help='fresh weights if none')
  parser.add_argument('--output', type=pathlib.Path)
  parser.add_argument('--quick', action='store_true', help='rough numbers')
  args = parser.parse_args()
  if args.quick:
    args.batch, args.steps, args.rounds = 1, 4, 1
  result = measure(
    b=args.batch, steps=args.steps, rounds=args.rounds, run=args.run
  )
  timing.print_ratios('sampler', result)
  print(timing.save('sampler', result, output=args.output))


if __name__ == '__main__':
  main()
