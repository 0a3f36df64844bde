"""How each task's decoded values meet a benchmark's truth.

Truths are those of `data.readers`. Sizes are padded with pixels that do not
count to a few shapes, so that a set of many sizes compiles few programs.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vbanana_jax.benchmark.protocols import Protocol
from vbanana_jax.metrics import (
  alignment,
  crops,
  depth,
  instances,
  normals,
  segmentation,
)

MAX_INSTANCES = 256  # more than any protocol's decoder holds
_BLOCK = 128  # pixels; sizes are padded to multiples of it
_ANNOTATED_BLOCK = 8  # instances of a truth, likewise
_ALIGNMENTS = ('median', 'lstsq')
_NO_CLASS = -1
_IGNORED = 255  # of semantic truths

States = dict[str, np.ndarray]


class Task(NamedTuple):
  """How one task is scored.

  Attributes:
    make_states: (value, truth, protocol) -> states of one example, [1 ...].
    summarize: states summed over examples -> metrics.
    gather: per-example states [n ...] -> per-example states that add up.
  """

  make_states: Callable[[np.ndarray, dict, Protocol], States]
  summarize: Callable[[Mapping[str, np.ndarray]], dict[str, float]]
  gather: Callable[[States], States] = lambda states: states


def get_shape(truth: Mapping[str, np.ndarray]) -> tuple[int, int]:
  """Height and width of a truth."""
  for key in ('depth_m', 'normals', 'semantic', 'mask'):
    if key in truth:
      return truth[key].shape[0], truth[key].shape[1]
  return truth['masks'].shape[-2], truth['masks'].shape[-1]


def _make_depth_states(depth_m, truth, protocol: Protocol) -> States:
  where = crops.make_crop(depth_m.shape, protocol.crop)
  return jax.device_get(
    _depth_states(
      _pad(depth_m)[None],
      _pad(truth['depth_m'])[None],
      _pad(where)[None],
      near_m=protocol.near_m or depth.NEAREST_M,
      cap_m=np.inf if protocol.cap_m is None else protocol.cap_m,
      clamp_m=tuple(protocol.clamp_m),
    )
  )


@jax.jit
def _depth_states(depth_m, truth_m, where, **limits):
  states = depth.depth_states(depth_m, truth_m, where=where, **limits)
  for fit in _ALIGNMENTS:
    states |= alignment.aligned_depth_states(
      depth_m, truth_m, alignment=fit, where=where, **limits
    )
  return states


def _summarize_depth(states) -> dict[str, float]:
  """In metres as they come, and, named apart, after each alignment."""
  scores = depth.summarize_depth(states)
  for fit in _ALIGNMENTS:
    scores |= alignment.summarize_aligned_depth(states, alignment=fit)
  return scores


def _make_normals_states(vectors, truth, protocol: Protocol) -> States:
  where = crops.make_crop(vectors.shape[:2], protocol.crop)
  return jax.device_get(
    _normals_states(
      _pad(vectors)[None], _pad(truth['normals'])[None], _pad(where)[None]
    )
  )


@jax.jit
def _normals_states(vectors, truth, where):
  return normals.normals_states(
    vectors, truth, bin_deg=normals.FINE_BIN_DEG, where=where
  )


def _make_semantic_states(labels, truth, protocol: Protocol) -> States:
  semantic = truth['semantic']
  return jax.device_get(
    _semantic_states(
      _pad(labels - 1, _NO_CLASS)[None],  # label 0 is no class
      _pad(semantic, _IGNORED)[None],
      num_classes=len(protocol.classes or ()),
    )
  )


@functools.partial(jax.jit, static_argnames='num_classes')
def _semantic_states(labels, semantic, *, num_classes):
  return segmentation.semantic_states(
    labels, semantic, num_classes=num_classes, where=semantic != _IGNORED
  )


def _make_referring_states(labels, truth, protocol: Protocol) -> States:
  del protocol
  return jax.device_get(
    _referring_states(
      _pad(labels > 0)[None],
      _pad(truth['mask'])[None],
      _pad(~truth['ignore'])[None],
    )
  )


@jax.jit
def _referring_states(mask, truth, where):
  return segmentation.referring_states(mask, truth, where=where)


def _make_instance_states(ids, truth, protocol: Protocol) -> States:
  del protocol
  masks, crowd = truth['masks'], truth['crowd']
  k = crowd.shape[1]
  more = -k % _ANNOTATED_BLOCK + _ANNOTATED_BLOCK * (k == 0)
  masks = np.pad(masks, ((0, 0), (0, more), (0, 0), (0, 0)))
  return jax.device_get(
    _instance_states(
      _pad(ids)[None],
      _pad(masks, axes=(2, 3))[None],
      np.pad(crowd, ((0, 0), (0, more)))[None],
      _pad(np.ones(ids.shape, bool))[None],
    )
  )


@jax.jit
def _instance_states(ids, masks, crowd, where):
  return instances.saco_states(
    ids, masks, crowd, max_predictions=MAX_INSTANCES, where=where
  )


def _pad(x: np.ndarray, fill: Any = 0, axes=(0, 1)) -> np.ndarray:
  widths = [(0, 0)] * x.ndim
  for axis in axes:
    widths[axis] = (0, -x.shape[axis] % _BLOCK)
  return np.pad(x, widths, constant_values=fill)


TASKS = {
  'depth': Task(_make_depth_states, _summarize_depth),
  'normals': Task(_make_normals_states, normals.summarize_normals),
  'semantic': Task(_make_semantic_states, segmentation.summarize_semantic),
  'referring': Task(_make_referring_states, segmentation.summarize_referring),
  'instance': Task(
    _make_instance_states,
    instances.summarize_saco,
    instances.choose_annotators,
  ),
}
