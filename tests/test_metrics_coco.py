"""COCO mask AP: the stored COCO numbers, closed forms, and pycocotools."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from vbanana_jax.benchmark.readers import rle
from vbanana_jax.metrics import coco

GOLDEN = json.loads(
  (Path(__file__).parent / 'oracles' / 'coco_ap.json').read_text()
)
# Our names in pycocotools' order.
NAMES = (
  'ap ap_0.5 ap_0.75 ap_small ap_medium ap_large '
  'ar_1 ar_10 ar_100 ar_small ar_medium ar_large'
).split()
THEIRS = 'AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl'.split()


def golden_pictures():
  pictures = []
  for image in GOLDEN['images']:
    shape = (image['height'], image['width'])
    found, true = (
      [x for x in GOLDEN[side] if x['image_id'] == image['id']]
      for side in ('detections', 'annotations')
    )
    masks, true_masks = (
      np.asarray(
        [rle.decode_rle(x['segmentation'], *shape, name='') for x in side]
      ).reshape(-1, *shape)
      for side in (found, true)
    )
    pictures.append(
      coco.make_picture(
        masks,
        np.asarray([x['score'] for x in found], float),
        np.asarray([x['category_id'] for x in found], int),
        true_masks,
        np.asarray([x['category_id'] for x in true], int),
        crowd=np.asarray([x['iscrowd'] for x in true], bool),
        true_area=np.asarray([x['area'] for x in true], float),
      )
    )
  return pictures


def assert_same(got, want):
  """Twelve numbers; pycocotools writes -1 for what is undefined."""
  for name, value in zip(NAMES, want, strict=True):
    value = np.nan if value == -1 else value
    assert got[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_equals_the_stored_coco_numbers():
  pictures = golden_pictures()
  got = coco.summarize_coco(pictures)
  assert_same(got, [GOLDEN['stats'][name] for name in THEIRS])
  table = coco.ap_table(pictures, (1, 2, 3, 4))
  want = np.asarray(GOLDEN['ap_by_threshold_then_category'], float)
  np.testing.assert_allclose(table, want, rtol=0, atol=1e-12)


def strips(*extents):
  """Masks [n 1 64]: columns first to last of a picture one pixel high."""
  column = np.arange(64)
  masks = [(column >= first) & (column < last) for first, last in extents]
  return np.reshape(masks, (-1, 1, 64)).astype(bool)


def score(found, scores, true, **options):
  picture = coco.make_picture(
    found,
    np.asarray(scores, float),
    np.ones(len(found), int),
    true,
    np.ones(len(true), int),
    **options,
  )
  return coco.summarize_coco([picture])


def test_perfect_missed_and_duplicate_detections():
  true = strips((0, 10), (20, 30))
  assert score(true, [0.5, 0.4], true)['ap'] == pytest.approx(1.0)
  assert score(true[:0], [], true)['ap'] == 0.0
  half = score(true[:1], [0.9], true)
  # Precision 1 at the recalls 0, .01 ... .50.
  assert half['ap'] == pytest.approx(51 / 101)
  assert half['ar_100'] == pytest.approx(0.5)
  # A duplicate after both hits is behind the curve; before the second it is
  # a false positive.
  late = score(true[[0, 1, 0]], [0.9, 0.8, 0.7], true)
  early = score(true[[0, 0, 1]], [0.9, 0.8, 0.7], true)
  assert late['ap'] == pytest.approx(1.0)
  assert early['ap'] == pytest.approx((51 + 50 * 2 / 3) / 101)
  assert early['ar_1'] == pytest.approx(0.5)
  assert np.isnan(score(true, [0.5, 0.4], true[:0])['ap'])
  assert np.isnan(list(coco.summarize_coco([]).values())).all()


def test_the_detection_of_the_highest_score_takes_its_truth_first():
  # Sure of the worse mask: at .5 both match a truth, at .75 the first none.
  true = strips((0, 10))
  found = strips((0, 6), (0, 10))
  got = score(found, [0.9, 0.8], true)
  assert got['ap_0.5'] == pytest.approx(1.0)
  assert got['ap_0.75'] == pytest.approx(0.5)


def test_a_crowd_takes_any_number_and_the_area_is_the_annotated_one():
  true = strips((0, 10), (20, 60))
  crowd = np.asarray([False, True])
  found = strips((0, 10), (20, 25), (30, 35), (50, 58))
  got = score(found, [0.5, 0.9, 0.8, 0.7], true, crowd=crowd)
  assert got['ap'] == pytest.approx(1.0)
  area = np.asarray([2000.0, 40.0])
  got = score(found, [0.5, 0.9, 0.8, 0.7], true, crowd=crowd, true_area=area)
  assert got['ap_medium'] == pytest.approx(1.0) and np.isnan(got['ap_small'])


def test_a_score_that_is_nan_is_refused():
  with pytest.raises(ValueError, match='nan'):
    score(strips((0, 4)), [np.nan], strips((0, 4)))


def scenes(seed, n=6, size=120):
  """Discs found with noise, duplicates, misses, crowds and tied scores."""
  rng = np.random.default_rng(seed)
  rows, columns = np.mgrid[:size, :size]

  def disc(place, radius):
    return np.hypot(rows - place[0], columns - place[1]) <= radius

  for _ in range(n):
    true, found = [], []
    for _ in range(rng.integers(0, 7)):
      place, radius = rng.uniform(20, size - 20, 2), rng.uniform(5, 60)
      category = int(rng.integers(1, 4))
      true.append((disc(place, radius), category, rng.random() < 0.15))
      for _ in range(rng.integers(0, 4)):
        moved = place + rng.normal(0, radius / 8, 2)
        mask = disc(moved, radius * rng.uniform(0.8, 1.2))
        found.append((mask, category, round(rng.random(), 1)))
    found.append((disc((30, 30), 15), 4, 0.5))
    masks, category, scores = zip(*found)
    true_masks, true_category, crowd = zip(*true) if true else ((), (), ())
    yield {
      'masks': np.asarray(masks),
      'score': np.asarray(scores, float),
      'category': np.asarray(category),
      'true_masks': np.reshape(true_masks, (-1, size, size)).astype(bool),
      'true_category': np.asarray(true_category, int),
      'crowd': np.asarray(crowd, bool),
    }


def run_pycocotools(pictures):
  """Its twelve numbers, from its own objects and files."""
  mask_api = pytest.importorskip('pycocotools.mask')
  COCO = pytest.importorskip('pycocotools.coco').COCO
  COCOeval = pytest.importorskip('pycocotools.cocoeval').COCOeval
  images, annotations, detections = [], [], []
  for i, picture in enumerate(pictures, 1):
    height, width = picture['masks'].shape[1:]
    images.append({'id': i, 'height': height, 'width': width})
    for side, rows in (('', detections), ('true_', annotations)):
      for j, mask in enumerate(picture[side + 'masks']):
        code = mask_api.encode(np.asfortranarray(mask, np.uint8))
        row = {
          'id': len(rows) + 1,
          'image_id': i,
          'category_id': int(picture[side + 'category'][j]),
          'segmentation': code,
        }
        if side:
          row |= {'iscrowd': int(picture['crowd'][j])}
          row |= {'area': int(mask.sum())}
        else:
          # Without a box, or pycocotools would take the box's area.
          row |= {'score': float(picture['score'][j])}
        rows.append(row)
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = {
      'info': {},
      'images': images,
      'annotations': annotations,
      'categories': [{'id': c} for c in (1, 2, 3, 4)],
    }
    truth.createIndex()
    run = COCOeval(truth, truth.loadRes(detections), 'segm')
    run.evaluate()
    run.accumulate()
    run.summarize()
  return run.stats


@pytest.mark.parametrize('seed', range(6))
def test_equals_pycocotools_on_new_scenes(seed):
  pictures = list(scenes(seed))
  got = coco.summarize_coco([coco.make_picture(**p) for p in pictures])
  assert_same(got, run_pycocotools(pictures))
  assert 0.05 < got['ap'] < 0.95
