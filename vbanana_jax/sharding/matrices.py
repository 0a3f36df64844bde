"""Whole matrices on every device, for optimizers that look at a whole one.

Muon orthogonalizes a matrix by multiplying it with itself a few times. Where
its rows or columns are split, the compiler gathers all matrices on all devices
for each product, and every device does the work of all. Here each gets some
whole matrices of every stack, and gives back what it made of them: two
exchanges of its own share instead of a dozen of everything.
"""

import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec

from vbanana_jax.sharding import rules


def reshard_for_muon(
  optimizer: optax.GradientTransformation, stacks: Any, shardings: Any
) -> optax.GradientTransformation:
  """`optimizer` with whole matrices to work on, the same to rounding.

  Its state has the same form and lives in the same places between steps.

  Args:
    optimizer: takes the matrices of a stack one by one.
    stacks: which weights are stacks of matrices, a tree like theirs of bools.
    shardings: the shardings of the weights; a stack that is whole stays so.
  """
  split = {}
  for (path, place), is_stack in zip(
    jax.tree.leaves_with_path(shardings), jax.tree.leaves(stacks), strict=True
  ):
    if is_stack and any(place.spec) and place.mesh.size > 1:
      split[rules.to_keys(path)] = place
  if not split:
    return optimizer

  def give(path, x):
    place = rules.find_of_weight(split, path)
    if place is None:
      return x
    count = math.prod(place.mesh.shape[axis] for axis in place.spec if axis)
    x = jnp.pad(x, ((0, -len(x) % count), (0, 0), (0, 0)))
    return _reshard(x, _find_reshard_path(place))

  def gather_back(path, x, before):
    place = rules.find_of_weight(split, path)
    if place is None:
      return x
    return _reshard(x, reversed(_find_reshard_path(place)))[: len(before)]

  def update(updates, state, params=None):
    given = jax.tree.map_with_path(give, (updates, state, params))
    made = optimizer.update(*given)
    return jax.tree.map_with_path(gather_back, made, (updates, state))

  return optax.GradientTransformation(optimizer.init, update)


def _find_reshard_path(place: NamedSharding) -> list[NamedSharding]:
  """From split rows and columns to whole matrices, one axis at a time.

  One exchange undoes one axis; asked for two at once, the compiler gathers.
  """
  spec = [None, *place.spec[1:]]
  way, owners = [place], ()
  for k, axis in enumerate(spec):
    if axis:
      spec[k] = None
      owners += (axis,)
      spec[0] = owners
      way.append(NamedSharding(place.mesh, PartitionSpec(*spec)))
  return way


def _reshard(x: jax.Array, way: Iterable[NamedSharding]) -> jax.Array:
  for place in way:
    x = jax.lax.with_sharding_constraint(x, place)
  return x
