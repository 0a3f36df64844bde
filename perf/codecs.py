"""What codecs lose: round trips and damaged colors, and what decoding costs.

  python -m perf.codecs [--pictures 40] [--size 192]

Paintings of random cells (`perf/paintings.py`) are damaged one way at a
time and decoded; pixels at the edges of cells count like all others. Speed is
measured against the hilbertmap package where that is installed, in turns.
"""

from typing import Any

import jax
import numpy as np

from perf import confidence, paintings, run, tables, timing
from vbanana_jax.codecs import colormaps, depth, normals, palettes, rims

LABELS = {
  '20 farthest-point colors': palettes.farthest_point_palette(20),
  '27 named colors': list(palettes.NAMED.values()),
}
_MEGAPIXEL = (1024, 1024)

_jit = {
  'depth': (jax.jit(depth.encode), jax.jit(depth.decode)),
  'normals': (jax.jit(normals.encode), jax.jit(normals.decode)),
  'nearest': jax.jit(palettes.decode_nearest),
}
_find_rims = jax.jit(rims.find_rims)


def _make_depth_codecs():
  """Encode and decode by the name of the map."""
  near_m, far_m = paintings.NEAR_M, paintings.FAR_M
  codecs = {'cube edges': _jit['depth']}
  for name in colormaps.TABLES:
    codecs[name] = tuple(
      jax.jit(lambda x, f=f, name=name: f(x, name, near_m, far_m))
      for f in (colormaps.encode, colormaps.decode)
    )
  return codecs


def measure_depth(pictures: int, size: int) -> dict[str, tables.Table]:
  """Median relative error and delta1 by damage and map, over pixels."""
  rng = np.random.default_rng(0)
  truths = [paintings.make_depth(rng, size) for _ in range(pictures)]
  errors, delta1 = {}, {}
  for damage, spoil in paintings.DAMAGES.items():
    errors[damage], delta1[damage] = {}, {}
    for name, (encode, decode) in _make_depth_codecs().items():
      found = [decode(spoil(np.asarray(encode(x)), rng)) for x in truths]
      errors[damage][name], delta1[damage][name] = _score_depth(
        np.stack(found), np.stack(truths)
      )
  return {'depth_error_share': errors, 'depth_delta1': delta1}


def measure_normals(pictures: int, size: int) -> dict:
  """Mean and median angle in degrees, and the share below 11.25."""
  rng = np.random.default_rng(2)
  truths = [paintings.make_normals(rng, size) for _ in range(pictures)]
  encode, decode = _jit['normals']
  table = {}
  for damage, spoil in paintings.DAMAGES.items():
    found = [decode(spoil(np.asarray(encode(x)), rng)) for x in truths]
    cosine = (np.stack(found).astype(np.float64) * np.stack(truths)).sum(-1)
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    table[damage] = {
      'mean_deg': float(angle.mean()),
      'median_deg': float(np.median(angle)),
      'below_11.25_deg_share': float((angle < 11.25).mean()),
    }
  return table


def measure_labels(pictures: int, size: int) -> dict:
  """Share of pixels that get another label, by damage and palette."""
  rng = np.random.default_rng(3)
  table = {damage: {} for damage in paintings.DAMAGES}
  for name, colors in LABELS.items():
    palette = palettes.to_rgb(colors)
    truths = [
      paintings.make_labels(rng, size, len(colors)) for _ in range(pictures)
    ]
    for damage, spoil in paintings.DAMAGES.items():
      found = [_jit['nearest'](spoil(palette[x], rng), palette) for x in truths]
      wrong = [np.mean(np.asarray(i) != x) for (i, _), x in zip(found, truths)]
      table[damage][name] = float(np.mean(wrong))
  return table


def measure_confidence(pictures: int) -> tables.Table:
  """Reliability on fresh noise, and where cells are twice as wide as fitted."""
  return {
    name: {
      f'{key}{words}': value
      for words, times in (('', 1), (', wider cells', 2))
      for key, value in confidence.check(
        name, 4, pictures, times * confidence.SIZE
      ).items()
    }
    for name in confidence.SAMPLERS
  }


def measure_speed(rounds: int) -> dict[str, tables.Table]:
  """Milliseconds a megapixel, and the ratio to hilbertmap (medians).

  From float32 RGB to a numpy array; compilation is not counted.
  """
  rng = np.random.default_rng(5)
  truth = paintings.make_depth(rng, _MEGAPIXEL[0])
  painted = np.asarray(_jit['depth'][0](truth))
  rgb = paintings.add_gaussian(painted, rng, 4)
  palette = palettes.to_rgb(LABELS['20 farthest-point colors'])
  nearest = _jit['nearest'](rgb, palette)
  near_m, far_m = paintings.NEAR_M, paintings.FAR_M
  viridis = jax.jit(lambda x: colormaps.decode(x, 'viridis', near_m, far_m))
  decoders = {
    'depth': _jit['depth'][1],
    'depth confidence': jax.jit(depth.confidence),
    'viridis': viridis,
    'normals': _jit['normals'][1],
    'nearest of 20 colors': lambda x: _jit['nearest'](x, palette)[0],
    'rims, after nearest': lambda x: _find_rims(x, *nearest),
  }
  try:
    import hilbertmap
  except ImportError:
    pass
  else:
    decoders['hilbertmap'] = hilbertmap.rgb_to_depth
  times = timing.interleave(
    {
      name: lambda decode=decode: np.asarray(decode(rgb))
      for name, decode in decoders.items()
    },
    rounds,
  )
  found = {
    'speed': {
      name: {'ms_a_megapixel': timing.shorten(1e3 * np.median(both['wall']))}
      for name, both in times.items()
    }
  }
  if 'hilbertmap' in times:
    ratio = timing.compare(times, 'hilbertmap', 'depth')
    found['ratios'] = {'hilbertmap over ours, depth': {'ratio': ratio}}
  return found


def _score_depth(found_m, truth_m) -> tuple[float, float]:
  found_m = np.asarray(found_m, np.float64)
  error = np.abs(found_m - truth_m) / truth_m
  right = (found_m < 1.25 * truth_m) & (truth_m < 1.25 * found_m)
  return float(np.median(error)), float(right.mean())


def measure(
  pictures: int = 40, size: int = 192, rounds: int = 9
) -> dict[str, Any]:
  """All tables.

  Args:
    pictures: of each kind.
    size: pixels a side.
    rounds: of the speed.
  """
  return {
    'tables': {
      **measure_speed(rounds),
      **measure_depth(pictures, size),
      'normals': measure_normals(pictures, size),
      'wrong_labels_share': measure_labels(pictures, size),
      'confidence_share': measure_confidence(4 * pictures),
    },
    'size': size,
    'pictures': pictures,
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'pictures': 2, 'size': 64, 'rounds': 1})
