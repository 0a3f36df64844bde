"""One answer from several to the same question (numpy, on the host).

Passes differ in their legend's colours or in their seed, never in what a
number means: row k is the same class in each, so colours that a model binds
to the wrong class in one pass are outvoted by the others.

Source: voting over shuffled legends, Open Vision Banana (project page).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

DEPTH_RATIO = 1.25  # depths nearer than this factor agree, as in delta1
ANGLE_DEG = 11.25  # normals within this angle agree

Stack = Shaped[np.ndarray, 'n ...']


def vote(task: str, values: Sequence[np.ndarray]) -> np.ndarray:
  """Combines the passes' decoded arrays into one of the same shape and dtype.

  - semantic, referring: int rows or bool masks, any shape; the majority of
    each pixel, the earliest pass among ties.
  - depth: metres, inf for sky; the median of each pixel. Where the two middle
    ones are a depth and the sky, the depth.
  - normals: [h w 3]; the mean, renormalised. Where it vanishes, the first pass.
  - instance: ids [h w], 0 background; the whole answer of the medoid, the pass
    that matches the others best. Ids mean nothing across passes, and votes of
    pixels between objects that correspond only partly cut objects in pieces
    that no pass has seen; the medoid is an answer that was given.

  Raises:
    ValueError: for no pass, passes of different shapes, or another task.
  """
  stack = _stack(task, values)
  return _WAYS[task].combine(stack).astype(stack.dtype)


def agreement(
  task: str, values: Sequence[np.ndarray], voted: np.ndarray
) -> Float[np.ndarray, '...']:
  """Share of passes that agree with `voted`, in [0, 1]; [h w] f32.

  Labels agree if equal; depths within a factor of 1.25, or both infinite;
  normals within 11.25 degrees; ids once each pass is renumbered as the voted
  objects that its own match. A confidence: 1 where all passes say the same.
  """
  stack = _stack(task, values)
  if voted.shape != stack.shape[1:]:
    raise ValueError(f'voted is {voted.shape}, passes are {stack.shape[1:]}')
  return _WAYS[task].agree(stack, voted).mean(axis=0, dtype=np.float32)


def _stack(task: str, values: Sequence[np.ndarray]) -> Stack:
  if task not in _WAYS:
    raise ValueError(f'task {task!r} has no vote; only {", ".join(_WAYS)}')
  shapes = {np.shape(value) for value in values}
  if len(shapes) != 1:
    raise ValueError(f'a vote takes passes of one shape, not {sorted(shapes)}')
  return np.stack([np.asarray(value) for value in values])


def _combine_labels(stack: Stack) -> np.ndarray:
  # Of equal counts argmax takes the first, which is the earliest pass.
  votes = np.stack([(stack == one).sum(0, dtype=np.int32) for one in stack])
  return np.take_along_axis(stack, votes.argmax(0)[None], axis=0)[0]


def _agree_labels(stack: Stack, voted: np.ndarray) -> np.ndarray:
  return stack == voted


def _combine_depths(stack: Stack) -> np.ndarray:
  ordered = np.sort(stack, axis=0)
  low = ordered[(len(stack) - 1) // 2]
  high = ordered[len(stack) // 2]
  return np.where(np.isfinite(high), low / 2 + high / 2, low)


def _agree_depths(stack: Stack, voted: np.ndarray) -> np.ndarray:
  near, far = np.minimum(stack, voted), np.maximum(stack, voted)
  return (near == far) | ((far < DEPTH_RATIO * near) & np.isfinite(far))


def _combine_normals(stack: Stack) -> np.ndarray:
  mean = stack.mean(axis=0, dtype=np.float64)
  length = np.linalg.norm(mean, axis=-1, keepdims=True)
  is_sure = length > 1e-6
  return np.where(is_sure, mean / np.where(is_sure, length, 1.0), stack[0])


def _agree_normals(stack: Stack, voted: np.ndarray) -> np.ndarray:
  # Of unit vectors, and of two zeros: the chord is 2 sin(angle / 2).
  chord = np.linalg.norm(stack.astype(np.float64) - voted, axis=-1)
  return chord <= 2 * np.sin(np.deg2rad(ANGLE_DEG) / 2)


def _combine_ids(stack: Stack) -> np.ndarray:
  passes = [np.unique(ids, return_inverse=True) for ids in stack]
  total = np.zeros(len(stack))
  for i, one in enumerate(passes):
    for j, other in enumerate(passes[:i]):
      pairs, iou = _match(*one, *other)
      most = max(np.sum(one[0] > 0), np.sum(other[0] > 0))
      similarity = sum(iou[a, b] for a, b in pairs) / most if most else 1.0
      total[[i, j]] += similarity
  # Rounded, so that the first of equals wins whatever the order of sums.
  return stack[int(total.round(9).argmax())]


def _agree_ids(stack: Stack, voted: np.ndarray) -> np.ndarray:
  kept, voted_row = np.unique(voted, return_inverse=True)
  renumbered = []
  for ids in stack:
    names, row = np.unique(ids, return_inverse=True)
    pairs, _ = _match(names, row, kept, voted_row)
    to_voted = np.where(names > 0, -1, 0)  # -1: an object of this pass alone
    for a, b in pairs:
      to_voted[a] = kept[b]
    renumbered.append(to_voted[row].reshape(voted.shape))
  return np.stack(renumbered) == np.maximum(voted, 0)


def _match(names_a, row_a, names_b, row_b):
  """Pairs (row of a, row of b) of objects by falling IoU, and all the IoUs.

  Objects of one pass do not overlap, so each has at most one partner of IoU
  above 0.5, and taking the best pair first finds it.
  """
  size = len(names_a), len(names_b)
  joint = np.bincount(
    row_a.ravel() * size[1] + row_b.ravel(), minlength=size[0] * size[1]
  ).reshape(size)
  union = joint.sum(1, keepdims=True) + joint.sum(0, keepdims=True) - joint
  iou = joint / np.maximum(union, 1)
  iou[names_a <= 0] = 0.0
  iou[:, names_b <= 0] = 0.0
  left = iou.copy()
  pairs = []
  while left.size and left.max() > 0:
    a, b = np.unravel_index(left.argmax(), size)
    pairs.append((int(a), int(b)))
    left[a] = 0.0
    left[:, b] = 0.0
  return pairs, iou


class _Way(NamedTuple):
  combine: Callable[[Stack], np.ndarray]
  agree: Callable[[Stack, np.ndarray], np.ndarray]


_LABELS = _Way(_combine_labels, _agree_labels)
_WAYS = {
  'semantic': _LABELS,
  'referring': _LABELS,
  'depth': _Way(_combine_depths, _agree_depths),
  'normals': _Way(_combine_normals, _agree_normals),
  'instance': _Way(_combine_ids, _agree_ids),
}
