"""From noise to a picture: Euler and Heun, guidance, the one-pass answer.

A denoiser is any function `(z, time [b]) -> clean picture`, so the samplers
know nothing of networks and can be held against closed forms.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vbanana_jax.diffusion import flow

# A key of `STEPS`. Held-out scores may choose another: config.eval.sampler.
DEFAULT = 'euler'

Denoiser = Callable[[jax.Array, jax.Array], jax.Array]
# The same with the instruction and without it.
PairDenoiser = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
# The last step never divides by less than this.
_SMALLEST_TIME_LEFT = 1e-4


def sample(
  denoise: Denoiser,
  noise: Float[Array, 'b h w c'],
  *,
  times: Float[Array, 't'],
  start_time: float,
  method: str = DEFAULT,
) -> Float[Array, 'b h w c']:
  """Integrates dz/dt = v from time 0 to 1, from each of `times` to the next.

  The last step is always Euler's: it lands on the network's own clean
  picture, where Heun's corrector would divide by a vanishing time.

  Args:
    denoise: predicts the clean picture.
    noise: the start, already scaled.
    times: from 0 to 1, rising; between two of them is one step, in which Heun
      calls the network twice, but for the last.
    start_time: the least time that the network is told.
    method: a key of `STEPS`.

  Raises:
    ValueError: for an unknown method.
  """
  if method not in STEPS:
    raise ValueError(f'sampler {method!r}: choose of {sorted(STEPS)}')
  step = STEPS[method]

  def find_velocity(z, time):
    t = jnp.full(z.shape[0], time)
    x = denoise(z, jnp.maximum(t, start_time))
    return flow.velocity(x, z, t, _SMALLEST_TIME_LEFT)

  def body(z, interval):
    return step(find_velocity, z, *interval), None

  if step is _euler:  # one loop, and so the network is compiled once
    return jax.lax.scan(body, noise, (times[:-1], times[1:]))[0]
  z, _ = jax.lax.scan(body, noise, (times[:-2], times[1:-1]))
  return _euler(find_velocity, z, times[-2], times[-1])


def even_times(steps: int) -> Float[Array, 't']:
  """The times between `steps` steps of one length, 0 and 1 included."""
  return jnp.linspace(0.0, 1.0, steps + 1)


def predict_in_one_pass(
  denoise: Denoiser, shape: tuple[Any, ...]
) -> Float[Array, 'b h w c']:
  """The deterministic answer from an empty (mid-gray) image at time 0.

  Args:
    denoise: predicts the clean picture.
    shape: `(b, h, w, c)`; in an export b is a symbol.
  """
  return denoise(jnp.zeros(shape), jnp.zeros(shape[0]))


def guide(
  conditional: Denoiser,
  both: PairDenoiser,
  *,
  scale: float,
  interval: tuple[float, float],
) -> Denoiser:
  """Classifier-free guidance, on for times inside `interval` only.

  Linear in x, hence the same in velocity space. Outside the interval the
  conditional prediction is used alone; where that is so for all rows, nothing
  else is computed.

  Args:
    conditional: the network with the instruction.
    both: the network with it and without it, in one batch.
    scale: 1 is off.
    interval: of times.
  """

  def denoise(z, time):
    inside = (time > interval[0]) & (time < interval[1])

    def guided():
      x, without = both(z, time)
      strength = jnp.where(inside, scale - 1.0, 0.0)[:, None, None, None]
      return x + strength * (x - without)

    return jax.lax.cond(jnp.any(inside), guided, lambda: conditional(z, time))

  return denoise


def _euler(velocity, z, start, end):
  return z + (end - start) * velocity(z, start)


def _heun(velocity, z, start, end):
  first = velocity(z, start)
  second = velocity(z + (end - start) * first, end)
  return z + (end - start) * 0.5 * (first + second)


STEPS = {'euler': _euler, 'heun': _heun}
