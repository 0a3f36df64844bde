"""From noise to latents: Euler's steps over falling levels of noise."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# `(z [b n c], sigma [b]) -> noise - data`, at the tokens of the target.
Velocity = Callable[[jax.Array, jax.Array], jax.Array]


def integrate(
  velocity: Velocity,
  noise: Float[Array, 'b n c'],
  sigmas: Float[Array, 'k'],
) -> Float[Array, 'b n c']:
  """Moves noise along the flow, from each of `sigmas` to the next.

  Args:
    velocity: of the flow, at tokens and a level of noise.
    noise: where the first of `sigmas` stands.
    sigmas: from `diffusion.schedules.sampling_sigmas`.
  """

  def step(z, interval):
    sigma, following = interval
    v = velocity(z, jnp.full(z.shape[0], sigma))
    return z + (following - sigma) * v, None

  z = noise.astype(jnp.float32)
  return jax.lax.scan(step, z, (sigmas[:-1], sigmas[1:]))[0]


def guide(both: Velocity, scale: float | jax.Array) -> Velocity:
  """Classifier-free guidance at every level of noise.

  Args:
    both: velocities with the prompt, and then without it: for `z [b n c]`
      the array is `[2 b, n, c]`.
    scale: 1 is the prompt alone, 0 is no prompt.
  """

  def velocity(z, sigma):
    told, untold = jnp.split(both(z, sigma), 2)
    return untold + scale * (told - untold)

  return velocity
