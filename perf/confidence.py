"""Fits the weights of the codecs' confidences, and says how reliable they are.

  python -m perf.confidence [--pictures 300]

Maximum likelihood on pixels of random paintings; other paintings, half as many,
check it. The weights printed are those to write into the codecs.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from perf import paintings, run, tables, timing
from vbanana_jax.codecs import depth, nearest, normals, palettes, rims
from vbanana_jax.tasks import legend_text

BINS = 15
SIZE = 96  # pixels a side; with it goes the share of pixels at edges
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]  # inputs, right, confidence
_MOST_COLORS = 20
_NOT_ASKED = 0.2  # of a painting's cells, on average, where there are some
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
  rgb, palette, valid, truth = _paint_labels(rng, size, others, damage)
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
    alike = nearest.to_probability(
      margin, distance, _NOT_ASKED * _OTHERS['some'] + _OTHERS['everything'],
      nearest.CONFIDENCE,
    )  # fmt: skip
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
    rgb, palette, valid, truth = _paint_labels(rng, size, 'some')
    labels, distance = _palettes['decode_nearest'](rgb, palette, valid)
    is_rim = np.asarray(_find_rims(rgb, labels, distance))
    found += is_rim.sum()
    right += (is_rim & (np.asarray(labels) == truth)).sum()
  return {
    'share': float(found / (pictures * size**2)),
    'right': float(right / max(found, 1)),
  }


def _paint_labels(rng, size, others, damage=paintings.damage):
  """A damaged painting, its palette and valid rows, and the labels meant.

  Where it is painted in what the legend does not ask for no label is right: -1.
  """
  count = int(rng.integers(2, _MOST_COLORS + 1))
  colors = _draw_legend(count, rng)
  valid = np.arange(_MOST_COLORS) < count
  palette = palettes.to_rgb(colors + [(0, 0, 0)] * (_MOST_COLORS - count))
  truth = paintings.make_labels(rng, size, count)
  rgb, asked = palette[truth], np.ones(truth.shape, bool)
  if others == 'some':
    rgb, asked = _cover(rgb, colors, rng)
  elif others == 'everything':
    rgb, asked = paintings.make_texture(rng, size), np.zeros_like(asked)
  rgb = damage(rgb, rng)
  return rgb, palette, valid, np.where(asked, truth, -1)


def _draw_legend(count, rng) -> list[palettes.Color]:
  """Far apart, by name, or of any colors, every second one near another."""
  kind = rng.integers(3)
  if kind == 0:
    return palettes.farthest_point_palette(count, rng)
  if kind == 1:
    named = list(palettes.NAMED.values())
    return [named[k] for k in rng.permutation(len(named))[:count]]
  drawn = rng.integers(0, 256, (1, 3))
  while len(drawn) < count:
    new = rng.integers(0, 256, 3)
    if rng.random() < 0.5:
      new = drawn[rng.integers(len(drawn))] + rng.normal(0, 25, 3)
      new = np.clip(np.rint(new), 0, 255).astype(int)
    gap = np.linalg.norm(drawn - new, axis=-1).min()
    if gap >= legend_text.READABLE_DISTANCE:
      drawn = np.append(drawn, new[None], axis=0)
  return [tuple(int(level) for level in color) for color in drawn]


def _cover(rgb, colors, rng) -> tuple[np.ndarray, np.ndarray]:
  """Paints cells in colors not asked for, or textures; and where none is.

  The colors are named ones or any, at least as far from the legend's as two
  of a legend are.
  """
  cells = paintings.make_cells(rng, len(rgb))
  count = cells.max() + 1
  named = np.array(list(palettes.NAMED.values()))
  paint = np.where(
    rng.random((count, 1)) < 0.5,
    named[rng.integers(0, len(named), count)],
    rng.integers(0, 256, (count, 3)),
  )
  gap = np.linalg.norm(paint[:, None] - np.array(colors), axis=-1).min(-1)
  chosen = (rng.random(count) < rng.uniform(0, 2 * _NOT_ASKED)) & (
    gap >= legend_text.READABLE_DISTANCE
  )
  textured = rng.random(count) < 0.5
  cover = np.where(
    textured[cells, None],
    paintings.make_texture(rng, len(rgb)),
    np.float32(paint / 255)[cells],
  )
  asked = ~chosen[cells]
  return np.where(asked[..., None], rgb, cover), asked


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


def fit(inputs: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Weights of a logistic regression (Newton's method, float64)."""
  weights = np.zeros(inputs.shape[1])
  for _ in range(30):
    p = _sigmoid(inputs @ weights)
    slope = inputs.T @ (right - p)
    bend = inputs.T @ (inputs * (p * (1 - p))[:, None])
    weights += np.linalg.solve(bend + 1e-6 * np.eye(len(weights)), slope)
  return weights


def fit_palettes(inputs: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Weights of `nearest.to_probability`, from today's on (Fisher's scoring).

  In logarithms, as all are positive, and in short steps.
  """
  predict = jax.jit(
    lambda logs: nearest.to_probability(*inputs.T, jax.numpy.exp(logs))
  )
  turn = jax.jit(jax.jacfwd(predict))
  logs = np.log(nearest.CONFIDENCE)
  for _ in range(20):
    p = np.clip(np.asarray(predict(logs), np.float64), 1e-6, 1 - 1e-6)
    slopes = np.asarray(turn(logs), np.float64)
    slopes_by_spread = slopes.T / (p * (1 - p))
    bend = slopes_by_spread @ slopes
    step = np.linalg.solve(
      bend + 1e-3 * np.diag(np.diag(bend)), slopes_by_spread @ (right - p)
    )
    logs = logs + np.clip(step, -0.2, 0.2)
  return np.exp(logs)


FITS = {'depth': fit, 'normals': fit, 'palettes': fit_palettes}


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


def _sigmoid(odds):
  return 1 / (1 + np.exp(-np.clip(odds, -30, 30)))


def _flatten(inputs, right, confidence) -> Sample:
  inputs = np.stack([x.ravel() for x in inputs], axis=1)
  return inputs, right.ravel(), np.asarray(confidence, np.float64).ravel()


def measure(pictures: int = 300) -> dict[str, Any]:
  """Weights fitted on so many pictures, and their calibration on others."""
  weights, table = {}, {}
  for name in SAMPLERS:
    if name in FITS:
      inputs, right, _ = collect(name, 0, pictures, SIZE)
      fitted = FITS[name](inputs, right)
      weights[name] = [float(f'{weight:.4g}') for weight in fitted]
      timing.say(f'{name}: {weights[name]}')
    _, right, confidence = collect(name, 1, pictures // 2, SIZE)
    error = calibration(confidence, right)['expected_calibration_error']
    table[name] = {'right': float(right.mean()), 'calibration_error': error}
  rim = measure_rims(1, pictures // 2, SIZE)
  return {
    'tables': {
      'confidence_share': table,
      'palettes_share': measure_palettes(2, pictures // 2, SIZE),
    },
    'weights': weights,
    'rims': rim,
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'pictures': 4})
