"""Sets of pictures: stored distances, closed forms, numpy and scipy."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
from forms import assert_same_in_all_forms

from vbanana_jax.metrics import generation

ORACLES = Path(__file__).parent / 'oracles'
with np.load(ORACLES / 'frechet.npz') as golden:
  REAL, FAKE = golden['real'], golden['fake']
WANT = json.loads((ORACLES / 'frechet.json').read_text())
feature_states_of = jax.jit(generation.feature_states)


def gaussian(samples):
  samples = samples.astype(np.float64)
  return samples.mean(0), np.cov(samples, rowvar=False)


def summed(states):
  return {
    key: np.asarray(value, np.float64).sum(0) for key, value in states.items()
  }


def pictures(seed, b=6):
  return np.random.default_rng(seed).random((b, 16, 16, 3), np.float32)


def test_frechet_of_known_gaussians():
  # N(0, S) and N(m, 4 S): |m|^2 + tr S.
  cov = np.asarray([[2.0, 0.3], [0.3, 1.0]])
  shift = np.asarray([1.5, 0.5])
  got = generation.frechet(np.zeros(2), cov, shift, 4 * cov)
  assert got == pytest.approx(2.5 + 3.0, abs=1e-12)


def test_moments_equal_numpys_and_skip_invalid_rows():
  states = feature_states_of(pictures(0), valid=np.arange(6) < 5)
  mean, cov = generation.moments(summed(states))
  kept = np.asarray(states['features'], np.float64)[:5]
  assert kept.shape == (5, generation.FEATURES)
  np.testing.assert_allclose(mean, kept.mean(0), rtol=1e-6)
  np.testing.assert_allclose(cov, np.cov(kept, rowvar=False), atol=1e-6)
  assert not np.any(states['features'][5])
  with pytest.raises(ValueError, match='at least 2'):
    generation.moments({'feature_count': 1})


def test_features_see_color_and_texture():
  def fd(a, b):
    a, b = (generation.moments(summed(feature_states_of(x))) for x in (a, b))
    return generation.frechet(*a, *b)

  noise, other = pictures(0, 96), pictures(1, 96)
  same = fd(noise, other)
  tinted = fd(noise, other * np.float32([1, 0.5, 0.5]))
  smooth = fd(noise, 0.5 + 0.3 * (other - 0.5))
  assert tinted > 3 * same and smooth > 3 * same


def test_features_are_the_same_in_all_forms():
  states = assert_same_in_all_forms(
    generation.feature_states, (pictures(5),), rtol=1e-5
  )
  assert states['feature_count'] == 6 and states['features'].shape == (32,)


def test_frechet_of_features_equals_scipy():
  want = WANT['fd_real_fake']
  got = generation.frechet_of(REAL, FAKE)
  assert got == pytest.approx(want, abs=1e-9)
  few = generation.frechet_of(REAL, FAKE[:10])
  # Ten pictures in 16 dimensions leave directions of no spread: square roots of
  # rounding, which is another one with every LAPACK and processor.
  assert few == pytest.approx(WANT['fd_real_few'], abs=1e-6)
  assert generation.frechet_of(FAKE, REAL) == pytest.approx(want, abs=1e-9)
  assert abs(generation.frechet_of(REAL, REAL)) < 1e-9
  rng = np.random.default_rng(5)
  for n, d in ((40, 5), (60, 1), (7, 9)):
    a, b = rng.normal(size=(n, d)), rng.normal(0.3, 1.4, size=(n + 3, d))
    (mean_a, cov_a), (mean_b, cov_b) = gaussian(a), gaussian(b)
    cov_a, cov_b = np.atleast_2d(cov_a), np.atleast_2d(cov_b)
    root = scipy.linalg.sqrtm(cov_a)
    root = scipy.linalg.sqrtm(root @ cov_b @ root).real
    want = np.sum((mean_a - mean_b) ** 2)
    want += np.trace(cov_a + cov_b - 2 * root)
    assert generation.frechet_of(a, b) == pytest.approx(want, abs=1e-6)


def test_moments_give_the_frechet_distance_of_the_features():
  sides = [pictures(seed, 40) for seed in (0, 1)]
  states = [feature_states_of(rgb) for rgb in sides]
  moments = [x for s in states for x in generation.moments(summed(s))]
  want = generation.frechet_of(*(np.asarray(s['features']) for s in states))
  assert generation.frechet(*moments) == pytest.approx(want, rel=1e-4)


def test_kid_equals_the_stored_and_a_plain_sum(monkeypatch):
  assert generation.kid(REAL, FAKE) == pytest.approx(
    WANT['kid_full_real_fake'], abs=1e-12
  )
  assert generation.kid(REAL[:400], FAKE) == pytest.approx(
    WANT['kid_first400'], abs=1e-12
  )
  rng = np.random.default_rng(1)
  a, b = rng.normal(size=(23, 4)), rng.normal(0.5, 1, size=(31, 4))
  kernel = lambda x, y: (x @ y / 4 + 1) ** 3  # noqa: E731
  own = [
    np.mean(
      [kernel(x[i], y) for i in range(len(x)) for y in np.delete(x, i, 0)]
    )
    for x in (a, b)
  ]
  cross = np.mean([kernel(x, y) for x in a for y in b])
  want = sum(own) - 2 * cross
  assert generation.kid(a, b) == pytest.approx(want, abs=1e-12)
  monkeypatch.setattr(generation, '_BLOCK', 70)  # two rows at a time
  assert generation.kid(a, b) == pytest.approx(want, abs=1e-12)


def test_kid_is_unbiased_and_of_subsets_near_that_of_all():
  rng = np.random.default_rng(2)
  draws = rng.normal(size=(300, 2, 12, 3))
  values = [generation.kid(a, b) for a, b in draws]
  assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)
  subsets = [
    generation.kid(REAL, FAKE, rng=np.random.default_rng(seed), subset_size=100)
    for seed in (0, 0, 1)
  ]
  assert subsets[0] == subsets[1] != subsets[2]
  assert subsets[0] == pytest.approx(WANT['kid_full_real_fake'], rel=0.1)


def test_frechet_of_fewer_pictures_than_features_is_the_same():
  """By another way, which takes no root of a matrix."""
  rng = np.random.default_rng(6)
  a, b = rng.normal(size=(9, 20)), rng.normal(0.3, 2.0, size=(14, 20))
  want = generation.frechet(*gaussian(a), *gaussian(b))
  assert generation.frechet_of(a, b) == pytest.approx(want, abs=1e-5)
  assert generation.frechet_of(a, a) == pytest.approx(0.0, abs=1e-9)
  a[0, 0] = np.nan
  assert np.isnan(generation.frechet_of(a, b))


def test_the_interval_of_kid_holds_what_is_true(monkeypatch):
  rng = np.random.default_rng(7)
  far = [rng.normal(size=(2000, 4)), rng.normal(0.7, 1.0, size=(2000, 4))]
  truth, held = generation.kid(*far), 0
  monkeypatch.setattr(generation, '_BLOCK', 300)  # ten rows at a time
  for _ in range(40):
    sides = [rng.choice(side, 30, replace=False) for side in far]
    low, high = generation.kid_interval(*sides, rng)
    held += low < truth < high
    assert low < generation.kid(*sides) < high
  assert 34 <= held
  one = generation.kid_interval(far[0][:1], far[1], rng)
  assert np.isnan(one).all()


def test_pictures_drawn_twice_make_no_pair():
  """Else two sets of one kind would seem far apart."""
  rng = np.random.default_rng(8)
  sides = rng.normal(size=(2, 40, 100))
  low, high = generation.kid_interval(*sides, rng)
  assert low < 0 < high
  two = generation.kid_interval(sides[0, :2], sides[1, :2], rng)
  assert np.isfinite(two).all()


def reference_prdc(real, painted, k):
  """From all sorted distances."""

  def radii(x):
    distances = scipy.spatial.distance.cdist(x, x, 'sqeuclidean')
    return np.sort(distances, axis=1)[:, k]

  apart = scipy.spatial.distance.cdist(real, painted, 'sqeuclidean')
  inside = apart <= radii(real)[:, None]
  return {
    'precision': inside.any(0).mean(),
    'recall': (apart <= radii(painted)).any(1).mean(),
    'density': inside.sum() / (k * len(painted)),
    'coverage': (apart.min(1) <= radii(real)).mean(),
  }


@pytest.mark.parametrize('k', [3, 5])
def test_precision_recall_density_coverage(k, monkeypatch):
  got = generation.prdc(REAL, FAKE, k=k)
  assert got == pytest.approx(WANT[f'prdc_k{k}'], abs=1e-12)
  monkeypatch.setattr(generation, '_BLOCK', 1000)
  for seed in range(3):
    rng = np.random.default_rng(seed)
    # Whole numbers: many distances are equal, and some pictures too.
    a = rng.integers(0, 4, (50, 3)).astype(float)
    b = rng.integers(1, 5, (37, 3)).astype(float)
    got = generation.prdc(a, b, k=k)
    assert got == pytest.approx(reference_prdc(a, b, k), abs=1e-12)


def test_a_set_against_itself_and_against_one_far_away():
  same = generation.prdc(REAL, REAL, k=3)
  assert same['precision'] == same['recall'] == same['coverage'] == 1.0
  far = generation.prdc(REAL, REAL + 1e3, k=3)
  assert set(far.values()) == {0.0}


def test_a_comparison_names_its_space():
  got = generation.compare_features(REAL, FAKE, space='random_conv')
  assert got == pytest.approx(
    {
      'fd_random_conv': WANT['fd_real_fake'],
      'kid_random_conv': WANT['kid_full_real_fake'],
      'precision_random_conv': WANT['prdc_k3']['precision'],
      'recall_random_conv': WANT['prdc_k3']['recall'],
      'density_random_conv': WANT['prdc_k5']['density'],
      'coverage_random_conv': WANT['prdc_k5']['coverage'],
    },
    abs=1e-9,
  )


def test_too_few_pictures_and_numbers_that_are_not_finite_are_nan():
  few = generation.compare_features(REAL[:1], FAKE, space='x')
  assert np.isnan(list(few.values())).all()
  few = generation.compare_features(REAL[:4], FAKE, space='x')
  assert np.isnan(few['density_x']) and not np.isnan(few['precision_x'])
  spoiled = FAKE.copy()
  spoiled[3, 2] = np.nan
  got = generation.compare_features(REAL, spoiled, space='x')
  assert np.isnan(list(got.values())).all()
