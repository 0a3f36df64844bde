"""Crops: where they lie, and pictures that they do not fit.

Scores of full-size crops are in `test_metrics_depth.py`.
"""

import json
from pathlib import Path

import pytest

from vbanana_jax import errors
from vbanana_jax.metrics import crops

ORACLES = Path(__file__).parent / 'oracles'
WANT = json.loads((ORACLES / 'depth.json').read_text())
NYU = {'kind': 'box', 'rows': [45, 471], 'columns': [41, 601]}


def test_kitti_crop_lies_at_the_bottom_and_centered():
  for size, offsets in WANT['kb_crop_352x1216'].items():
    shape = tuple(int(x) for x in size.split('x'))
    assert list(crops.kb_offsets(shape)) == offsets
    top, left = offsets
    inside = crops.make_crop(shape, {'kind': 'kb_garg'})
    assert inside[top + 143 : top + 349, left + 43 : left + 1172].all()
    assert inside.sum() == 206 * 1129


@pytest.mark.parametrize(
  'shape, crop, said',
  [
    ((240, 320), NYU, 'rows 45:471'),
    ((480, 600), NYU, 'columns 41:601'),
    ((352, 1215), {'kind': 'kb_garg'}, '352x1215 is smaller'),
    ((351, 1216), {'kind': 'kb_eigen'}, '351x1216 is smaller'),
    ((480, 640), {'kind': 'oval'}, "'oval'"),
  ],
)
def test_crops_that_do_not_fit_are_refused(shape, crop, said):
  with pytest.raises(errors.UserError, match=said):
    crops.make_crop(shape, crop)
