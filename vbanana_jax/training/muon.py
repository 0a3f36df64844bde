"""Muon with products of narrow factors; otherwise `optax.contrib.muon`.

Optax multiplies in the type of the moments, float32. The iteration forgives
factors of bfloat16 (it was published with them): its result, orthogonal only
roughly in either type, changes by 2 %, and a step costs less.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from vbanana_jax.models.numerics import product

# Quintic, steepest at zero; see `optax.contrib.scale_by_muon`.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_MOMENTUM = 0.95
_TINY = 1e-8


def scale_by_muon(
  iterations: int, matmul_dtype: str, sequential: bool
) -> optax.GradientTransformation:
  """Orthogonalized Nesterov momentum of stacks of matrices `[s, i, o]`.

  Args:
    iterations: of Newton and Schulz.
    matmul_dtype: what the factors of their products are rounded to.
    sequential: whether the matrices of a stack are taken one after the other,
      in the memory of one, or all together.
  """

  def init(params):
    return contrib.MuonState(
      count=jnp.zeros((), jnp.int32),
      mu=optax.tree.zeros_like(params),
      ns_coeffs=jnp.asarray(_COEFFICIENTS),
    )

  def update(updates, state, params=None):
    del params
    count = optax.safe_increment(state.count)
    mu = optax.tree.update_moment(updates, state.mu, _MOMENTUM, 1)
    ahead = optax.tree.bias_correction(
      mu, _MOMENTUM, optax.safe_increment(count)
    )
    now = optax.tree.bias_correction(updates, _MOMENTUM, count)
    updates = jax.tree.map(
      lambda m, g: orthogonalize(
        _MOMENTUM * m + (1 - _MOMENTUM) * g,
        iterations,
        matmul_dtype,
        sequential,
      ),
      ahead,
      now,
    )
    return updates, contrib.MuonState(count, mu, state.ns_coeffs)

  return optax.GradientTransformation(init, update)


def orthogonalize(
  x: jax.Array, iterations: int, matmul_dtype: str, sequential: bool
) -> jax.Array:
  """Matrices `[s, i, o]` with singular values near one, times their shape.

  A matrix with more columns than rows is scaled by the root of their ratio.
  The arguments are those of `scale_by_muon`.
  """
  one = functools.partial(
    _orthogonalize_one, iterations=iterations, matmul_dtype=matmul_dtype
  )
  return jax.lax.map(one, x) if sequential else jax.vmap(one)(x)


def _orthogonalize_one(
  x: jax.Array, iterations: int, matmul_dtype: str
) -> jax.Array:
  i, o = x.shape
  a, b, c = _COEFFICIENTS
  x = x / (jnp.linalg.norm(x) + _TINY)
  for _ in range(iterations):
    # Of its sides, the shorter one is squared. A CPU's fast path takes no sum
    # over the rows of both factors, but one over two axes of both.
    if i > o:
      halves = x.reshape(math.gcd(i, 2), -1, o)
      square = product(halves, halves, (0, 1), (0, 1), matmul_dtype)
    else:
      square = product(x, x, (1,), (1,), matmul_dtype)
    polynomial = b * square + c * product(
      square, square, (1,), (0,), matmul_dtype
    )
    left, right = (x, polynomial) if i > o else (polynomial, x)
    x = a * x + product(left, right, (1,), (0,), matmul_dtype)
  return x * max(1, o / i) ** 0.5


def muon(
  learning_rate: optax.ScalarOrSchedule,
  *,
  muon_mask: Callable,
  fallback: optax.GradientTransformation,
  iterations: int,
  weight_decay: float,
  matmul_dtype: str,
  sequential: bool,
) -> optax.GradientTransformation:
  """Muon for the weights that it owns; its state has the form of optax's.

  Args:
    learning_rate: of the owned weights.
    muon_mask: from weights to a tree like theirs of bools.
    fallback: what all other weights get.
    iterations: see `scale_by_muon`.
    weight_decay: of the owned weights.
    matmul_dtype: likewise.
    sequential: likewise.
  """
  return optax.partition(
    {
      'muon': optax.chain(
        scale_by_muon(iterations, matmul_dtype, sequential),
        optax.identity(),  # keeps the place of optax's scaling by shape
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
      ),
      'adam': fallback,
    },
    lambda params: jax.tree.map(
      lambda is_owned: 'muon' if is_owned else 'adam', muon_mask(params)
    ),
  )
