"""Colors of pictures, in [0, 1], in the units of a network, [-1, 1]."""

import jax


def to_network(rgb: jax.Array) -> jax.Array:
  """RGB in [0, 1] to the network's units, [-1, 1]; mid-gray is zero."""
  return 2.0 * rgb - 1.0


def from_network(x: jax.Array) -> jax.Array:
  """Inverse of `to_network`; does not clip."""
  return (x + 1.0) / 2.0
