"""Scores as mergeable states.

Every `*_states` function takes arrays of a batch and returns sums and counts
an example (int32 counts, float32 sums; zeros for rows that are not `valid`).
Add them over examples, batches and hosts in float64 or int64, then give the
sums to the `summarize_*` function of the same file.

One rule at the edges. A pixel that `where` leaves out or whose truth is no
number (no direction, no depth) counts nowhere, and a row without a pixel that
counts is as one that is not `valid`. A predicted value that is no number is
wrong, as far as the metric goes, and never left out: states are finite. Of
nothing, be it an empty batch, every score is nan and every count 0. Features
of sets alone stay nan where a picture is: no distance is the farthest.
"""

from vbanana_jax.metrics import (
  alignment,
  bootstrap,
  crops,
  depth,
  efficientnet,
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
  'crops',
  'depth',
  'efficientnet',
  'generation',
  'images',
  'instances',
  'normals',
  'panoptic',
  'segmentation',
  'sums',
]
