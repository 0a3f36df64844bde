"""Where arrays live: the mesh, one table of rules, batches by rows."""

from vbanana_jax.sharding.matrices import reshard_for_muon
from vbanana_jax.sharding.mesh import (
  MESH_AXES,
  build_mesh,
  describe_mesh,
  find_similar_meshes,
  replicated_sharding,
)
from vbanana_jax.sharding.rows import (
  batch_sharding,
  build_activation_constraint,
  check_batch_size,
  local_batch_indices,
  num_batch_shards,
  put_batch,
  round_up_rows,
  shard_map_over_batch,
  shard_map_over_heads,
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
  'batch_sharding',
  'build_activation_constraint',
  'build_mesh',
  'check_batch_size',
  'check_heads',
  'describe_mesh',
  'find_similar_meshes',
  'local_batch_indices',
  'make_abstract',
  'make_shardings',
  'num_batch_shards',
  'put_batch',
  'replicated_sharding',
  'reshard_for_muon',
  'round_up_rows',
  'shard_map_over_batch',
  'shard_map_over_heads',
]
