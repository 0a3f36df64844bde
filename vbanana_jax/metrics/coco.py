"""COCO mask AP, on the host.

It ranks detections by score, which painted masks do not have: a secondary
metric, for comparing with detectors.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
# Area in pixels, both ends included.
AREAS = {
  'all': (0, 10**10),
  'small': (0, 32**2),
  'medium': (32**2, 96**2),
  'large': (96**2, 10**10),
}
MOST = (1, 10, 100)  # detections of a category in a picture


@dataclasses.dataclass(frozen=True)
class Picture:
  """What the score needs of one picture's p detections and t true masks.

  Attributes:
    score: [p].
    category: [p].
    area: pixels, [p].
    true_category: [t].
    true_area: pixels, as annotated, [t].
    crowd: not to be found; matches any number of detections, [t].
    iou: [p t]; with a crowd, the share of the detection that lies in it.
  """

  score: np.ndarray
  category: np.ndarray
  area: np.ndarray
  true_category: np.ndarray
  true_area: np.ndarray
  crowd: np.ndarray
  iou: np.ndarray


def make_picture(
  masks: Bool[np.ndarray, 'p h w'],
  score: Float[np.ndarray, 'p'],
  category: Int[np.ndarray, 'p'],
  true_masks: Bool[np.ndarray, 't h w'],
  true_category: Int[np.ndarray, 't'],
  *,
  crowd: Bool[np.ndarray, 't'] | None = None,
  true_area: Float[np.ndarray, 't'] | None = None,
) -> Picture:
  """Overlaps of one picture's masks; the true area is measured if not given.

  A detection's area is its mask's; pycocotools takes its box's where a result
  file has boxes as well. Raises ValueError for a score that is not a number:
  it has no rank.
  """
  if np.isnan(score).any():
    raise ValueError('a score is nan')
  if crowd is None:
    crowd = np.zeros(len(true_masks), bool)
  size = int(np.prod(masks.shape[1:]))
  flat = masks.reshape(len(masks), size).astype(np.float64)
  true_flat = true_masks.reshape(len(true_masks), size).astype(np.float64)
  intersection = flat @ true_flat.T
  area, measured = flat.sum(1), true_flat.sum(1)
  union = area[:, None] + measured - intersection
  union = np.where(crowd, area[:, None], union)
  return Picture(
    score=score,
    category=category,
    area=area,
    true_category=true_category,
    true_area=measured if true_area is None else true_area,
    crowd=crowd,
    iou=intersection / np.maximum(union, 1),
  )


def _match(iou, ignored, crowd, threshold):
  """Truth that each detection takes, in turn, or -1.

  The highest IoU; of equal ones the last, as in pycocotools. Truth that is
  ignored is only taken where no other is left.
  """
  match = np.full(len(iou), -1)
  free = np.ones(len(ignored), bool)
  for d, row in enumerate(iou):
    for group in (~ignored, ignored):
      open_to = group & (free | crowd) & (row >= threshold)
      if open_to.any():
        found = np.flatnonzero(open_to)
        match[d] = found[row[found] == row[found].max()][-1]
        free[match[d]] = False
        break
  return match


def _judge(picture, category, low, high):
  """One category of one picture: scores, hits and ignored ones, true number.

  Scores [p] in falling order; hit and ignored bool [thresholds p].
  """
  chosen = np.flatnonzero(picture.category == category)
  order = np.argsort(-picture.score[chosen], kind='stable')[: MOST[-1]]
  chosen = chosen[order]
  true = np.flatnonzero(picture.true_category == category)
  crowd, true_area = picture.crowd[true], picture.true_area[true]
  true_ignored = crowd | (true_area < low) | (true_area > high)
  area = picture.area[chosen]
  outside = (area < low) | (area > high)
  iou = picture.iou[np.ix_(chosen, true)]
  match = np.stack([_match(iou, true_ignored, crowd, t) for t in THRESHOLDS])
  hit = match >= 0
  # The added last entry answers for -1, no match.
  ignored = np.append(true_ignored, False)[match] | (~hit & outside)
  return picture.score[chosen], hit, ignored, int(np.sum(~true_ignored))


def _curve(hit, ignored, true):
  """Precision at every recall point, and the highest recall."""
  tp = np.cumsum(hit & ~ignored, dtype=np.float64)
  fp = np.cumsum(~hit & ~ignored, dtype=np.float64)
  recall = tp / true
  precision = tp / (tp + fp + np.spacing(1))
  precision = np.maximum.accumulate(precision[::-1])[::-1]
  place = np.searchsorted(recall, RECALLS, side='left')
  points = np.append(precision, 0.0)[place]
  return points, recall[-1] if len(recall) else 0.0


def _score(pictures, categories, area):
  """Precision [10 c 101] and recall [MOST 10 c]; nan for no truth."""
  size = (len(THRESHOLDS), len(categories))
  precision = np.full((*size, len(RECALLS)), np.nan)
  recall = np.full((len(MOST), *size), np.nan)
  for c, category in enumerate(categories):
    parts = [_judge(picture, category, *AREAS[area]) for picture in pictures]
    scores, hits, ignored, numbers = zip(*parts)
    true = sum(numbers)
    if not true:
      continue
    for m, most in enumerate(MOST):
      kept = np.concatenate([x[:most] for x in scores])
      order = np.argsort(-kept, kind='stable')
      hit = np.concatenate([x[:, :most] for x in hits], axis=1)
      skip = np.concatenate([x[:, :most] for x in ignored], axis=1)
      for t in range(len(THRESHOLDS)):
        # The last of MOST stays.
        precision[t, c], recall[m, t, c] = _curve(
          hit[t, order], skip[t, order], true
        )
  return precision, recall


def _mean(values) -> float:
  """Mean of what is defined."""
  defined = values[~np.isnan(values)]
  return float(defined.mean()) if defined.size else float('nan')


def ap_table(
  pictures: Sequence[Picture], categories: Sequence[int]
) -> Float[np.ndarray, '10 c']:
  """AP by IoU threshold and category; nan for a category without truth."""
  return _score(pictures, categories, 'all')[0].mean(-1)


def summarize_coco(pictures: Sequence[Picture]) -> dict[str, float]:
  """The twelve COCO numbers in [0, 1]; the order of pictures breaks ties.

  ap (mean over ten thresholds), ap_0.5, ap_0.75, ap_small, ap_medium,
  ap_large; ar_1, ar_10, ar_100 (by number of detections), ar_small,
  ar_medium, ar_large. nan where pycocotools says -1, undefined.

  Source: COCO detection evaluation, `pycocotools.cocoeval`.
  """
  true = {int(c) for picture in pictures for c in picture.true_category}
  precision, recall = {}, {}
  for area in AREAS:
    precision[area], recall[area] = _score(pictures, sorted(true), area)
  sizes = ('small', 'medium', 'large')
  return {
    'ap': _mean(precision['all']),
    'ap_0.5': _mean(precision['all'][0]),
    'ap_0.75': _mean(precision['all'][5]),
    **{f'ap_{size}': _mean(precision[size]) for size in sizes},
    **{f'ar_{n}': _mean(x) for n, x in zip(MOST, recall['all'])},
    **{f'ar_{size}': _mean(recall[size][-1]) for size in sizes},
  }
