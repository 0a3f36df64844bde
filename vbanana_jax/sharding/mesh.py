"""The devices as a mesh with three axes."""

import math
from collections.abc import Mapping, Sequence

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vbanana_jax.errors import UserError
from vbanana_jax.sharding import legal

MESH_AXES = ('replica', 'fsdp', 'tensor')
_REPLICAS = {'replica': -1, 'fsdp': 1, 'tensor': 1}


def build_mesh(
  sizes: Mapping[str, int] = _REPLICAS,
  devices: Sequence[jax.Device] | None = None,
) -> Mesh:
  """All devices as a mesh with the axes `replica`, `fsdp` and `tensor`.

  Devices of one slice of a TPU are neighbors; between slices there is only
  the data-center's network, which `replica` crosses, once a step.

  Args:
    sizes: of each axis; one of them may be -1, for all devices that are left.
      If not given, every device is a replica.
    devices: all of this run if not given.

  Raises:
    UserError: sizes that do not fit the number of devices or of slices.
  """
  devices = jax.devices() if devices is None else devices
  shape = _fill(sizes, len(devices))
  if devices[0].platform == 'tpu':
    slices = len({getattr(d, 'slice_index', 0) for d in devices})
  else:
    slices = 1
  if shape[0] % slices:
    multiples = range(slices, len(devices) + 1, slices)
    raise UserError(
      f'config.mesh.replica is {shape[0]}, and the {len(devices)} devices are '
      f'in {slices} slices, which replica has to be a multiple of; the nearest '
      f'that is: {legal.nearest(shape[0], multiples)}'
    )
  within = (shape[0] // slices, *shape[1:])
  # Not `jax.make_mesh`: it refuses an axis that is no product of whole axes of
  # the slice, as 4 x 64 in 16 x 16, except on a v5e.
  if slices == 1:
    grid = mesh_utils.create_device_mesh(
      shape, devices, allow_split_physical_axes=True
    )
  else:
    grid = mesh_utils.create_hybrid_device_mesh(
      within, (slices, 1, 1), devices, allow_split_physical_axes=True
    )
  return Mesh(grid, MESH_AXES, axis_types=(AxisType.Auto,) * len(shape))


def find_similar_meshes(
  sizes: Mapping[str, int], count: int
) -> list[dict[str, int]]:
  """All meshes of `count` devices, the most similar to `sizes` first.

  `tensor` is never larger than it was. Weights are split in at least as many
  parts as before if there are so many devices, and else over all of them: what
  fitted into memory still does, as far as that can be.

  Args:
    sizes: of each axis, of other devices; one of them may be -1.
    count: number of devices.
  """
  before = {a: math.inf if n == -1 else n for a, n in sizes.items()}
  parts = before['fsdp'] * before['tensor']

  def rank(mesh):
    found = mesh['fsdp'] * mesh['tensor']
    enough = found >= parts
    return -mesh['tensor'], not enough, found if enough else -found

  meshes = [
    {'replica': count // (fsdp * tensor), 'fsdp': fsdp, 'tensor': tensor}
    for tensor in legal.divisors(count)
    if tensor <= before['tensor']
    for fsdp in legal.divisors(count // tensor)
  ]
  return sorted(meshes, key=rank)


def describe_mesh(sizes: Mapping[str, int]) -> str:
  """A mesh's axes in one line: replica 2, fsdp 4, tensor 1."""
  return ', '.join(f'{axis} {size}' for axis, size in sizes.items())


def _fill(sizes: Mapping[str, int], count: int) -> tuple[int, ...]:
  """Sizes in the order of the axes, with -1 replaced by what is left."""
  told = describe_mesh(sizes)
  fixed = [size for size in sizes.values() if size != -1]
  if set(sizes) != set(MESH_AXES) or min(fixed, default=1) < 1:
    raise UserError(
      f'config.mesh is {told}: give {", ".join(MESH_AXES)}, each at least 1, '
      'or -1 for all devices that are left'
    )
  rest, unused = divmod(count, math.prod(fixed))
  free = len(sizes) - len(fixed)
  if free > 1 or unused or (not free and rest != 1):
    raise UserError(
      f'config.mesh is {told}, and there are {count} devices: one size may be '
      f'-1 for all that are left, and the product has to be {count}, so that '
      f'each is one of {", ".join(map(str, legal.divisors(count)))}'
    )
  return tuple(rest if sizes[a] == -1 else sizes[a] for a in MESH_AXES)


def replicated_sharding(mesh: Mesh) -> NamedSharding:
  """The whole array on every device."""
  return NamedSharding(mesh, PartitionSpec())
