"""Sampling: pictures a second by steps, and what two choices cost.

  python -m perf.sampler [--batch 8] [--steps 50] [--rounds 5]

Rivals take turns on the same batch. An instruction is padded to a power of two,
as `vbanana predict` does; the ratio is to padding it to `model.max_text`.
Weights are random, since speed does not depend on values.
"""

from typing import Any

import jax
import numpy as np

from perf import run, timing, workload
from vbanana_jax.inference import engine
from vbanana_jax.inference.sampling import make_sample_fn
from vbanana_jax.tokenizer.tokenizer import Tokenizer
from vbanana_jax.training import weights

_PROMPT = 'two red spheres and a blue box in a room with a grey floor'
_GUIDANCE = 3.0


def make_batch(size: int, b: int, longest: int, *, fit: bool = True):
  """Noise to paint over, with one instruction, padded as little as can be."""
  tokens = Tokenizer.load().encode(_PROMPT, longest)
  length = engine.fit_text((tokens > 0).sum(), longest) if fit else longest
  return {
    'tokens': np.tile(tokens[:length], (b, 1)),
    'source': np.random.default_rng(0).random((b, size, size, 3), np.float32),
    'has_source': np.ones(b, bool),
    'noise_scale': np.ones(b, np.float32),
    'index': np.arange(b, dtype=np.int32),
  }


def measure(
  batch: int = 8,
  steps: int = 50,
  rounds: int = 5,
  rate_steps: tuple[int, ...] = (0, 1, 8, 25, 50),
  width: int = 256,
  image_size: int = 64,
  patch: int = 8,
) -> dict[str, Any]:
  """Ratios, and rates by steps.

  Args:
    batch: pictures at once.
    steps: of the ratios.
    rounds: turns of each.
    rate_steps: of the rates; 0 is the one-pass answer.
    width: of the network.
    image_size: side of the pictures in pixels.
    patch: side of a token in pixels.
  """
  config = workload.make_config(
    width, batch_size=batch, image_size=image_size, patch=patch
  )
  model = weights.build_network(config)
  params = jax.device_put(workload.make_random_params(model, config))
  longest = config['model']['max_text']
  fitted = make_batch(image_size, batch, longest)

  def compile_(steps, rows=fitted, **sampler):
    sample = jax.jit(make_sample_fn(model, seed=0, steps=steps, **sampler))
    compiled = sample.lower(params, rows).compile()
    return lambda: compiled(params, rows)

  padded = make_batch(image_size, batch, longest, fit=False)
  times = timing.interleave(
    {
      'sampler': compile_(steps),
      'padded': compile_(steps, padded),
      'guided': compile_(steps, guidance=_GUIDANCE),
    },
    rounds,
  )
  ratios = {
    'text padded to the longest / fitted': timing.compare(
      times, 'padded', 'sampler'
    ),
    'guided / not': timing.compare(times, 'guided', 'sampler'),
  }
  by_steps = {
    f'{n} step{"s" * (n > 1)}' if n else 'one pass': compile_(n)
    for n in rate_steps
  }
  rates = timing.interleave(by_steps, rounds)
  return {
    'tables': {
      'ratios': {name: {'ratio': ratio} for name, ratio in ratios.items()},
      'rates': {
        name: {
          'images_per_s': timing.summarize([batch / s for s in both['wall']])
        }
        for name, both in rates.items()
      },
    },
    'steps': steps,
    'text_length': fitted['tokens'].shape[1],
    'longest_text': longest,
    'model': config['model'],
    'batch': batch,
    'image_size': image_size,
  }


if __name__ == '__main__':
  run.run_main(
    measure,
    quick={'batch': 1, 'steps': 2, 'rounds': 1, 'rate_steps': (0, 2)},
  )
