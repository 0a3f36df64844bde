"""Scores as mergeable states.

Every `*_states` function takes arrays of a batch and returns sums and counts
an example (int32 counts, float32 sums; zeros for rows that are not `valid`).
Add them over examples, batches and hosts in float64 or int64, then give the
sums to the `summarize_*` function of the same file.
"""

from vbanana_jax.metrics import (
  alignment,
  bootstrap,
  coco,
  crops,
  depth,
  generation,
  images,
  instances,
  normals,
  panoptic,
  segmentation,
  sums,
)

__all__ = [
  'alignment',
  'bootstrap',
  'coco',
  'crops',
  'depth',
  'generation',
  'images',
  'instances',
  'normals',
  'panoptic',
  'segmentation',
  'sums',
]
