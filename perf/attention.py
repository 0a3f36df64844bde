"""cuDNN's attention against what `models.attention` takes, both passes.

  python -m perf.attention [--width 768] [--batch-size 64]

What decides whether another implementation should be chosen: where it is
faster, and how much of a step attention is (`perf.mfu`). Ours has the network's
own length, the text's tokens and the picture's; that is an odd number, and
cuDNN, which trains with a mask at even ones alone, has one more key that nobody
sees. Without cuDNN nothing is measured.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perf import run, timing, workload
from vbanana_jax import models

_NEAR = 1e-2  # relative, of losses in bfloat16


def measure(
  width: int = 768,
  batch_size: int = 64,
  image_size: int = 256,
  patch: int = 16,
  rounds: int = 20,
) -> dict[str, Any]:
  """Our time over cuDNN's.

  Raises:
    ValueError: the two compute something else.
  """
  arrays = make_arrays(
    workload.make_config(
      width, batch_size=batch_size, image_size=image_size, patch=patch
    )
  )
  q, k, v, mask = arrays
  odd = k.shape[1] % 2
  longer = [np.pad(x, ((0, 0), (0, odd), (0, 0), (0, 0))) for x in (k, v)]
  padded = q, *longer, np.pad(mask, ((0, 0), (0, odd)))
  calls = {'ours': build(None, *arrays), 'cudnn': build('cudnn', *padded)}
  try:
    losses = {name: float(call()[0]) for name, call in calls.items()}
  except RuntimeError as error:
    if 'cuDNN is not detected' not in str(error):
      raise
    return {'tables': {}, 'left_out': str(error)}
  if not np.isclose(*losses.values(), rtol=_NEAR):
    raise ValueError(f'cuDNN computes something else: {losses}')
  times = timing.interleave(calls, rounds)
  ratio = timing.compare(times, 'ours', 'cudnn')
  return {
    'tables': {'ratios': {'ours over cudnn': {'ratio': ratio}}},
    'times': timing.summarize_times(times),
    'losses': losses,
    'shapes': {'q': q.shape, 'kv': k.shape, 'kv_cudnn': longer[0].shape},
  }


def make_arrays(config: dict[str, Any]) -> tuple[Any, ...]:
  """Queries, keys and values `[b n k e]` in bfloat16; who is seen `[b n]`."""
  size = models.SIZES[config['model']['size']]
  b, heads = config['batch_size'], size['heads']
  n = (config['image_size'] // config['model']['patch']) ** 2
  text = config['data']['text_length'] + 1  # and the start
  rng = np.random.default_rng(0)
  q, k, v = (
    rng.standard_normal((b, length, heads, size['width'] // heads)).astype(
      jnp.bfloat16
    )
    for length in (n, text + n, text + n)
  )
  # Texts of all lengths come before the picture's tokens.
  used, position = rng.integers(1, text + 1, (b, 1)), np.arange(text + n)
  return q, k, v, (position < used) | (position >= text)


def build(implementation: str | None, q, k, v, mask):
  """A call of the loss and its gradients."""
  b, n, heads, _ = q.shape

  def lose(q, k, v, mask):
    seen = jnp.broadcast_to(mask[:, None, None], (b, heads, n, k.shape[1]))
    y = jax.nn.dot_product_attention(
      q, k, v, mask=seen, implementation=implementation
    )
    return jnp.mean(y.astype(jnp.float32) ** 2)

  both = jax.jit(jax.value_and_grad(lose, argnums=(0, 1, 2)))
  placed = jax.device_put((q, k, v, mask))
  return lambda: both(*placed)


if __name__ == '__main__':
  run.run_main(
    measure,
    quick={'width': 256, 'batch_size': 2, 'image_size': 64, 'rounds': 2},
  )
