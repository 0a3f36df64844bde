"""Where arrays live: the mesh, one table of rules, batches by rows."""

from vbanana_jax.sharding.matrices import share_matrices
from vbanana_jax.sharding.mesh import MESH_AXES, build_mesh, make_replicated
from vbanana_jax.sharding.rows import (
  build_place,
  check_batch_size,
  count_shares,
  find_own_rows,
  make_split,
  on_own_rows,
  put_batch,
)
from vbanana_jax.sharding.rules import (
  PRESETS,
  check_heads,
  make_abstract,
  make_shardings,
)

__all__ = [
  'MESH_AXES',
  'PRESETS',
  'build_mesh',
  'build_place',
  'check_batch_size',
  'check_heads',
  'count_shares',
  'find_own_rows',
  'make_abstract',
  'make_replicated',
  'make_shardings',
  'make_split',
  'on_own_rows',
  'put_batch',
  'share_matrices',
]
