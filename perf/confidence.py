"""Fits the weights of the codecs' confidences, and says how reliable they are.

  python -m perf.confidence [--pictures 300]

Maximum likelihood on pixels of random paintings; other paintings, half as many,
check it. The weights printed are those to write into the codecs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perf import paintings, run, tables, timing
from vbanana_jax.codecs import depth, nearest, normals, palettes, rims

BINS = 15
SIZE = 96  # pixels a side; with it goes the share of pixels at edges
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]  # inputs, right, confidence
# What paintings hold that the legend does not ask for, and of how many.
_OTHERS = {'nothing': 3 / 8, 'some': 1 / 2, 'everything': 1 / 8}


def sample_depth(rng: np.random.Generator, size: int) -> Sample:
  """Pixels of one painting: right is within 25 % of the true depth."""
  truth = paintings.make_depth(rng, size)
  rgb = paintings.damage(np.asarray(_depth['encode'](truth)), rng)
  found = np.asarray(_depth['decode'](rgb), np.float64)
  right = (found < 1.25 * truth) & (truth < 1.25 * found)
  room, distance = (np.asarray(x, np.float64) for x in _depth['evidence'](rgb))
  inputs = [np.ones_like(room), 1 / (1 + room), room, distance]
  return _flatten(inputs, right, _depth['confidence'](rgb))


def sample_normals(rng: np.random.Generator, size: int) -> Sample:
  """Pixels of one painting: right is within 11.25 degrees."""
  truth = paintings.make_normals(rng, size)
  rgb = paintings.damage(np.asarray(_normals['encode'](truth)), rng)
  cosine = (np.asarray(_normals['decode'](rgb)) * truth).sum(-1)
  short, long = (np.asarray(x, np.float64) for x in _normals['evidence'](rgb))
  inputs = [np.ones_like(short), np.log1p(10 * short), np.log1p(10 * long)]
  right = cosine > np.cos(np.deg2rad(11.25))
  return _flatten(inputs, right, _normals['confidence'](rgb))


def sample_palettes(
  rng: np.random.Generator,
  size: int,
  others: str | None = None,
  damage: paintings.Damage = paintings.damage,
) -> Sample:
  """Pixels of one painting of 2 to 20 colors: right is the same label.

  Args:
    rng: draws the painting.
    size: pixels a side.
    others: what it holds beside the legend's colors, of `_OTHERS`; drawn if not
      given.
    damage: what happens to it.
  """
  if others is None:
    others = rng.choice(list(_OTHERS), p=list(_OTHERS.values()))
  rgb, palette, valid, truth = paintings.paint_labels(rng, size, others, damage)
  args = rgb, palette, valid
  margin, distance = (
    np.asarray(x, np.float64) for x in _palettes['evidence'](*args)
  )
  labels, gap = _palettes['decode_nearest'](*args)
  foreign = _palettes['measure_foreign'](gap)
  right = np.asarray(labels) == truth
  inputs = [margin, distance, np.full_like(margin, foreign)]
  return _flatten(inputs, right, _confidence(*args, foreign))


def measure_palettes(seed: int, pictures: int, size: int) -> tables.Table:
  """Reliability by what is painted beside the legend's colors, and by damage.

  `one_share_for_all` does without `measure_foreign`: every picture is taken to
  have what all have on average.
  """
  kinds: dict[str, tuple[str, paintings.Damage]] = {
    **{name: ('nothing', spoil) for name, spoil in paintings.DAMAGES.items()},
    'mixed': ('nothing', paintings.damage),
    'mixed, with up to two fifths of others': ('some', paintings.damage),
    'mixed, a photograph': ('everything', paintings.damage),
  }
  table = {}
  for name, (others, spoil) in kinds.items():
    rng = np.random.default_rng(seed)
    samples = [
      sample_palettes(rng, size, others, spoil) for _ in range(pictures)
    ]
    inputs, right, said = (np.concatenate(x) for x in zip(*samples))
    margin, distance, _ = inputs.T
    average = paintings.NOT_ASKED * _OTHERS['some'] + _OTHERS['everything']
    alike = nearest.to_probability(
      margin, distance, average, nearest.CONFIDENCE
    )
    errors = {
      key: calibration(np.asarray(x), right)['expected_calibration_error']
      for key, x in (('error', said), ('error,_one_share_for_all', alike))
    }
    table[name] = {
      'right': float(right.mean()), 'confidence': float(said.mean()), **errors
    }  # fmt: skip
  return table


def measure_rims(seed: int, pictures: int, size: int) -> dict[str, float]:
  """Shares of pixels that `rims.find_rims` finds, and of these that are right.

  A pixel's confidence there is at most the latter.
  """
  rng = np.random.default_rng(seed)
  found, right = 0, 0
  for _ in range(pictures):
    rgb, palette, valid, truth = paintings.paint_labels(rng, size, 'some')
    labels, distance = _palettes['decode_nearest'](rgb, palette, valid)
    is_rim = np.asarray(_find_rims(rgb, labels, distance))
    found += is_rim.sum()
    right += (is_rim & (np.asarray(labels) == truth)).sum()
  return {
    'share': float(found / (pictures * size**2)),
    'right': float(right / max(found, 1)),
  }


SAMPLERS: dict[str, Callable[[np.random.Generator, int], Sample]] = {
  'depth': sample_depth,
  'normals': sample_normals,
  'palettes': sample_palettes,
  'palettes, nothing else painted': lambda rng, size: sample_palettes(
    rng, size, 'nothing'
  ),
}
_depth, _normals, _palettes = (
  {name: jax.jit(getattr(module, name)) for name in names}
  for module, names in (
    (depth, ('encode', 'decode', 'evidence', 'confidence')),
    (normals, ('encode', 'decode', 'evidence', 'confidence')),
    (palettes, ('decode_nearest', 'evidence', 'measure_foreign')),
  )
)


@jax.jit
def _confidence(rgb, palette, valid, foreign):
  return palettes.confidence(rgb, palette, valid, foreign=foreign)


_find_rims = jax.jit(rims.find_rims)


def collect(name: str, seed: int, pictures: int, size: int) -> Sample:
  """Pixels of several paintings of one codec: rows, right, confidence."""
  rng = np.random.default_rng(seed)
  samples = [SAMPLERS[name](rng, size) for _ in range(pictures)]
  inputs, right, confidence = (np.concatenate(x) for x in zip(*samples))
  return inputs, right, confidence


def _apply_logistic(inputs, weights):
  return jax.nn.sigmoid(inputs @ weights)


# By codec the probability that a pixel is right, and the parameters of today.
# Those of palettes are logarithms, as all weights are positive.
MODELS = {
  'depth': (_apply_logistic, depth.CONFIDENCE),
  'normals': (_apply_logistic, normals.CONFIDENCE),
  'palettes': (
    lambda inputs, logs: nearest.to_probability(*inputs.T, jnp.exp(logs)),
    np.log(nearest.CONFIDENCE),
  ),
}


def fit(name: str, inputs: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Most likely parameters, by Fisher's scoring in short steps."""
  apply, today = MODELS[name]
  predict = jax.jit(lambda parameters: apply(inputs, parameters))
  differentiate = jax.jit(jax.jacfwd(predict))
  found = np.array(today)
  for _ in range(20):
    p = np.clip(np.asarray(predict(found), np.float64), 1e-6, 1 - 1e-6)
    slopes = np.asarray(differentiate(found), np.float64)
    scaled = slopes.T / (p * (1 - p))
    bend = scaled @ slopes
    bend += 1e-3 * np.diag(np.diag(bend))
    step = np.linalg.solve(bend, scaled @ (right - p))
    found = found + np.clip(step, -0.2, 0.2)
  return found


def calibration(confidence: np.ndarray, right: np.ndarray) -> dict:
  """Expected calibration error over bins, and (said, true, share) a bin."""
  bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
  table = []
  for k in range(BINS):
    chosen = bins == k
    if chosen.any():
      said, true = confidence[chosen].mean(), right[chosen].mean()
      table.append((float(said), float(true), float(chosen.mean())))
  error = sum(share * abs(said - true) for said, true, share in table)
  return {'expected_calibration_error': error, 'bins': table}


def _flatten(inputs, right, confidence) -> Sample:
  inputs = np.stack([x.ravel() for x in inputs], axis=1)
  return inputs, right.ravel(), np.asarray(confidence, np.float64).ravel()


def check(name: str, seed: int, pictures: int, size: int) -> dict[str, float]:
  """Share of pixels that are right, and the calibration error, on paintings."""
  _, right, said = collect(name, seed, pictures, size)
  error = calibration(said, right)['expected_calibration_error']
  return {'right': float(right.mean()), 'calibration_error': error}


def measure(pictures: int = 300) -> dict[str, Any]:
  """Weights fitted on so many pictures, and their calibration on others."""
  weights, table = {}, {}
  for name in SAMPLERS:
    if name in MODELS:
      inputs, right, _ = collect(name, 0, pictures, SIZE)
      fitted = fit(name, inputs, right)
      fitted = np.exp(fitted) if name == 'palettes' else fitted
      weights[name] = [timing.shorten(weight) for weight in fitted]
      timing.say(f'{name}: {weights[name]}')
    table[name] = check(name, 1, pictures // 2, SIZE)
  return {
    'tables': {
      'confidence_share': table,
      'palettes_share': measure_palettes(2, pictures // 2, SIZE),
    },
    'weights': weights,
    'rims': measure_rims(1, pictures // 2, SIZE),
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'pictures': 4})
