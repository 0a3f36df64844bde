"""Instances as numbers: ids, each drawn in a color of its own and numbered."""

import numpy as np

from vbanana_jax.drawing import masks
from vbanana_jax.tasks.value import Labels, without_ground


class InstanceIds(Labels):
  """int32 [h w]: 0 is the background, k the k-th instance.

  The prompt names no colors, so a drawing has colors of its own.
  """

  def find_colors(self, value, palette_u8):
    del palette_u8
    return masks.make_instance_colors(int(np.max(value, initial=0)))

  def list_colors(self, value, palette_u8, names, scale):
    """Of the instances that are there."""
    found = (1 + np.flatnonzero(np.bincount(value.ravel())[1:])).tolist()
    names = [str(k) for k in found]
    palette_u8 = self.find_colors(value, palette_u8)[[k - 1 for k in found]]
    return super().list_colors(value, palette_u8, names, scale)

  def finish(self, picture, value, palette_u8, names, scale):
    picture = masks.write_numbers(picture, without_ground(value))
    return super().finish(picture, value, palette_u8, names, scale)

  def combine(self, passes):
    """The whole answer of the medoid, the pass that matches the others best.

    Ids mean nothing across passes, and votes of pixels between objects that
    correspond only partly cut objects in pieces that no pass has seen; the
    medoid is an answer that was given.
    """
    found = [np.unique(ids, return_inverse=True) for ids in passes]
    total = np.zeros(len(passes))
    for i, one in enumerate(found):
      for j, other in enumerate(found[:i]):
        pairs, iou = _match(*one, *other)
        most = max(np.sum(one[0] > 0), np.sum(other[0] > 0))
        similarity = sum(iou[a, b] for a, b in pairs) / most if most else 1.0
        total[[i, j]] += similarity
    # Rounded, so that the first of equals wins whatever the order of sums.
    return passes[int(total.round(9).argmax())]

  def agree(self, passes, voted):
    """Equal, once each pass has the ids of the voted objects it matches."""
    kept, voted_row = np.unique(voted, return_inverse=True)
    renumbered = []
    for ids in passes:
      names, row = np.unique(ids, return_inverse=True)
      pairs, _ = _match(names, row, kept, voted_row)
      to_voted = np.where(names > 0, -1, 0)  # -1: an object of this pass alone
      for a, b in pairs:
        to_voted[a] = kept[b]
      renumbered.append(to_voted[row].reshape(voted.shape))
    return np.stack(renumbered) == np.maximum(voted, 0)


IDS = InstanceIds('ids', 'int32: 0 is the background, k the k-th instance')


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
