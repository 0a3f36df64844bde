"""Run-length masks: bytes by hand, cycles, COCO's tools, damage."""

import numpy as np
import pytest

from vbanana_jax.benchmark.readers import rle
from vbanana_jax.errors import UserError

# Columns of a 2 x 3 mask: (0, 1), (1, 1), (1, 0).
MASK = np.asarray([[0, 1, 1], [1, 1, 0]], bool)


def test_runs_are_counted_down_the_columns():
  assert rle.encode_counts(MASK) == [1, 4, 1]
  assert rle.encode_counts(~MASK) == [0, 1, 4, 1]
  assert rle.encode_counts(np.zeros((2, 3), bool)) == [6]
  assert rle.encode_counts(np.ones((2, 3), bool)) == [0, 6]
  np.testing.assert_array_equal(rle.decode_counts([1, 4, 1], 2, 3), MASK)
  np.testing.assert_array_equal(rle.decode_counts([0, 1, 4, 1], 2, 3), ~MASK)


@pytest.mark.parametrize(
  'counts, text',
  [
    # One group of 5 bits: 48 + value, while bit 16 (the sign) is free.
    ([1, 4, 1], '141'),
    ([0, 15], '0?'),
    # 16 = 10000 needs a second group: 16 + more = 48 + 16 + 32, then 48 + 0.
    ([16], chr(96) + '0'),
    # 100 = 3 * 32 + 4: chr(48 + 4 + 32), chr(48 + 3).
    ([100], 'T3'),
    # The fourth run is stored as 2 - 5 = -3: 29 with the sign, chr(48 + 29).
    ([1, 5, 1, 2], '151M'),
    # The fifth as 40 - 1 = 39 = 32 + 7: chr(48 + 7 + 32), chr(48 + 1).
    ([1, 5, 1, 2, 40], '151MW1'),
  ],
)
def test_strings_by_hand(counts, text):
  assert rle.format_counts(counts) == text
  assert rle.parse_counts(text).tolist() == counts
  assert rle.parse_counts(text.encode()).tolist() == counts


def test_published_sample():
  # From the page of SA-Co/Gold: a mask of 0.002477... of 600 x 600 pixels, in
  # a box that starts at column 266 = 0.44333 * 600 and ends in row 35.
  counts = (
    '`kk42fb01O1O1O1O001O1O1O001O1O00001O1O001O001O0000000000O1001000O010O02O'
    '001N10001N0100000O10O1000O10O010O100O1O1O1O1O0000001O0O2O1N2N2Nobm4'
  )
  mask = rle.decode_rle(
    {'size': [600, 600], 'counts': counts}, 600, 600, name='sample'
  )
  assert mask.sum() == round(0.002477777777777778 * 600 * 600)
  rows, columns = np.nonzero(mask)
  box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
  np.testing.assert_allclose(
    np.asarray(box) / 600,
    (0.44333332777, 0.0, 0.10833333233, 0.05833333358),
    atol=1e-6,
  )
  assert rle.encode_rle(mask)['counts'] == counts


@pytest.mark.parametrize('seed', range(3))
def test_cycles(seed):
  rng = np.random.default_rng(seed)
  for share in (0.02, 0.5, 0.98):
    height, width = (int(n) for n in rng.integers(1, 90, 2))
    mask = rng.random((height, width)) < share
    for compressed in (True, False):
      coded = rle.encode_rle(mask, compressed=compressed)
      assert isinstance(coded['counts'], str if compressed else list)
      decoded = rle.decode_rle(coded, height, width, name='mask')
      np.testing.assert_array_equal(decoded, mask)


def test_equals_coco_tools():
  coco = pytest.importorskip('pycocotools.mask')
  rng = np.random.default_rng(7)
  for share in (0.0, 0.1, 0.5, 0.999, 1.0):
    mask = rng.random((61, 240)) < share
    mask[:, :100] = False  # a run that needs three groups
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert rle.encode_rle(mask) == {
      'size': theirs['size'],
      'counts': theirs['counts'].decode(),
    }
    decoded = rle.decode_rle(theirs, 61, 240, name='mask')
    np.testing.assert_array_equal(decoded, mask)


@pytest.mark.parametrize(
  'coded',
  [
    {'size': [3, 2], 'counts': '141'},  # of another size
    {'size': [2, 3]},
    {'size': 6, 'counts': '141'},
    {'size': [2, 3], 'counts': '142'},  # 7 pixels
    {'size': [2, 3], 'counts': ''},
    {'size': [2, 3], 'counts': '14Q'},  # more should follow
    {'size': [2, 3], 'counts': '1 4'},
    {'size': [2, 3], 'counts': '14\xe9'},
    {'size': [2, 3], 'counts': 'oooooooooooooooooooo0'},
    {'size': [2, 3], 'counts': [-1, 7]},
    {'size': [2, 3], 'counts': [1, 'many']},
    {'size': [2, 3], 'counts': [10**30]},
    {'size': [2, 3], 'counts': None},
    None,
  ],
)
def test_damage_is_one_clear_line(coded):
  with pytest.raises(UserError, match=r'^here\.json: pair 7: not a COCO') as e:
    rle.decode_rle(coded, 2, 3, name='here.json: pair 7')
  assert '\n' not in str(e.value)
