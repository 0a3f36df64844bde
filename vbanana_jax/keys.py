"""Random keys by name: every draw is a function of (seed, name, number).

Nothing random is stored in a checkpoint, because nothing has to be: noise,
times and data are recomputed from the seed and the step or example index,
and so do not depend on the topology.
"""

import zlib

import jax
import numpy as np
from jaxtyping import Array, Int

MOST_SEED = 2**63 - 1  # what a signed integer holds


def make_key(seed: int, *names: str | int) -> jax.Array:
  """Key for `seed` folded with names (hashed with CRC-32) and integers."""
  key = jax.random.key(seed)
  for name in names:
    key = jax.random.fold_in(key, _number(name))
  return key


def make_example_keys(key: jax.Array, index: Int[Array, 'b']) -> jax.Array:
  """One key per global example index, whatever batch it arrives in."""
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def make_rng(seed: int, *names: str | int) -> np.random.Generator:
  """Host generator for `seed` and names; cheap enough to make per example."""
  words = [seed, *(_number(name) for name in names)]
  return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _number(name: str | int) -> int:
  return zlib.crc32(name.encode()) if isinstance(name, str) else int(name)
