"""Which weights are split over which devices: one table, three presets.

`models` gives every axis of every weight a logical name; the table says which
of them are split over which axis of the mesh. The compiler does the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vbanana_jax.errors import UserError
from vbanana_jax.sharding import legal
from vbanana_jax.sharding.mesh import replicated_sharding
from vbanana_jax.sharding.rows import ROWS

# Logical name of a weight's axis -> axis of the mesh; None keeps it whole.
# `dp` has all weights on every device, `fsdp` splits each of them over the
# devices that share a batch, `fsdp_tp` splits heads and hidden units besides.
_PRESET_NAMES = ('dp', 'fsdp', 'fsdp_tp')
_RULES = {
  'embed': (None, 'fsdp', 'fsdp'),
  'heads': (None, None, 'tensor'),
  'mlp': (None, None, 'tensor'),
  'layers': (None, None, None),
  'vocab': (None, None, None),
  'modulation': (None, None, None),
  'bottleneck': (None, None, None),
  'patch': (None, None, None),
  'features': (None, None, None),
  'kernel': (None, None, None),
  'vector': (None, None, None),  # too small to be worth the exchange
}
PRESETS = {
  preset: {name: axes[column] for name, axes in _RULES.items()}
  for column, preset in enumerate(_PRESET_NAMES)
}


def make_shardings(
  abstract_state: Any, logical_axes: Any, mesh: Mesh, preset: str
) -> Any:
  """Where every array of a state lives: weights, their average, moments.

  Whatever in the state ends in the path of a weight and has its shape, is
  split as that weight is, however deep an optimizer hides it. Everything else
  (counters, coefficients) is whole on every device.

  Args:
    abstract_state: a `TrainState`, or weights alone, of shapes and types.
    logical_axes: from `state.make_logical_axes`.
    mesh: from `build_mesh`.
    preset: a key of `PRESETS`.

  Returns:
    a NamedSharding for each leaf of `abstract_state`.

  Raises:
    UserError: an unknown preset; a name without a rule; two axes of one weight
      over the same devices; an axis that the devices cannot share evenly;
      devices along an axis without a rule.
  """
  rules = _get_rules(preset, mesh)
  names, tree = jax.tree.flatten_with_path(
    logical_axes, is_leaf=lambda x: isinstance(x, PartitionSpec)
  )
  used = {name for _, axes in names for name in axes}
  if wrong := used - set(rules):
    raise UserError(f'preset {preset!r}: axes without a rule: {sorted(wrong)}')

  weights = getattr(abstract_state, 'weights', abstract_state)
  shapes = {
    to_keys(path): leaf.shape
    for (path, _), leaf in zip(names, tree.flatten_up_to(weights), strict=True)
  }
  shardings = {}
  for path, axes in names:
    spec = [rules[name] for name in axes]
    over = [axis for axis in spec if axis]
    if len(set(over)) < len(over):
      raise UserError(
        f'preset {preset!r} splits two axes of {_join(path)} {tuple(axes)} '
        f'over the same devices {tuple(spec)}: give one of them another rule'
      )
    shardings[to_keys(path)] = NamedSharding(mesh, PartitionSpec(*spec))
  _check_shares(shardings, shapes, mesh)

  def find(path, leaf):
    if find_of_weight(shapes, path) == leaf.shape:
      return find_of_weight(shardings, path)
    if leaf.ndim > 1:
      raise ValueError(f'{_join(path)} {leaf.shape} belongs to no weight')
    return replicated_sharding(mesh)

  return jax.tree.map_with_path(find, abstract_state)


def _get_rules(preset: str, mesh: Mesh) -> dict[str, str | None]:
  if preset not in PRESETS:
    raise UserError(
      f'config.sharding is {preset!r}: choose of {", ".join(PRESETS)}'
    )
  rules = PRESETS[preset]
  for axis, size in mesh.shape.items():
    if size > 1 and axis not in {*ROWS, *rules.values()}:
      able = [name for name in PRESETS if axis in PRESETS[name].values()]
      raise UserError(
        f'config.mesh.{axis} is {size}, and config.sharding={preset} splits '
        f'nothing over it: set it to 1, or config.sharding={able[0]}'
      )
  return rules


def _check_shares(
  shardings: Mapping[tuple, NamedSharding],
  shapes: Mapping[tuple, tuple[int, ...]],
  mesh: Mesh,
) -> None:
  """Raises UserError for an axis of a weight that devices cannot share."""
  for axis, size in mesh.shape.items():
    widths = {
      shapes[keys][k]: keys
      for keys, place in shardings.items()
      for k, over in enumerate(place.spec)
      if over == axis
    }
    uneven = [width for width in widths if width % size]
    if uneven:
      raise UserError(
        f'config.mesh.{axis} is {size}, which does not divide the {uneven[0]} '
        f'of {"".join(widths[uneven[0]])}; the nearest that divide all '
        f'weights and the {mesh.size} devices: '
        f'{legal.nearest_divisors(size, [*widths, mesh.size])}. '
        'config.mesh.replica can take the other devices, and '
        'config.sharding=dp splits no weight'
      )


def make_abstract(tree: Any, shardings: Any) -> Any:
  """Shapes and types of a tree with the shardings of another like it."""
  return jax.tree.map(
    lambda leaf, place: jax.ShapeDtypeStruct(
      leaf.shape, leaf.dtype, sharding=place
    ),
    tree,
    shardings,
  )


def check_heads(heads: Mapping[str, int], mesh: Mesh, preset: str) -> None:
  """Raises UserError unless `tensor` splits between heads, not through them.

  Args:
    heads: number of heads by what they attend for.
    mesh: from `build_mesh`.
    preset: a key of `PRESETS`.
  """
  size = mesh.shape['tensor']
  split = _get_rules(preset, mesh)['heads'] == 'tensor'
  if split and any(count % size for count in heads.values()):
    told = ' and '.join(f'{count} {name}' for name, count in heads.items())
    raise UserError(
      f'config.mesh.tensor is {size}, which cannot share {told} evenly; of '
      f'{mesh.size} devices the nearest that can: '
      f'{legal.nearest_divisors(size, [*heads.values(), mesh.size])}'
    )


def find_of_weight(known: Mapping[tuple, Any], path: Sequence[Any]) -> Any:
  """What is known of the weight whose path `path` ends in; None if none's."""
  keys = to_keys(path)
  ends = (keys[start:] for start in range(len(keys)))
  return next((known[end] for end in ends if end in known), None)


def to_keys(path: Sequence[Any]) -> tuple[str, ...]:
  """A path of `jax.tree` as texts, which can be compared and looked up."""
  return tuple(map(str, path))


def _join(path: Sequence[Any]) -> str:
  return ''.join(to_keys(path))
