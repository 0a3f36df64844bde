"""Instance decoders on pictures painted by rule: quality, and time at 1 MP.

  python -m perf.instances [--pictures 24] [--rounds 7]

Each picture has 3 to 20 instances on black, with anti-aliased borders; some
touch or lie over others. Then it is spoiled in one way. Quality is the F1 of
SA-Co's matching, over thresholds .50 to .95. The decoders take turns on each
picture. Compilation is not in the times.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from perf import paintings, run, tables, timing
from vbanana_jax.codecs import flood, instances
from vbanana_jax.metrics import instances as metric

SIZE = 512
SAMPLES = 4  # a side, in each pixel
FIRST_SEED = 1000  # the constants were chosen on the pictures from 0 to 15
MOST = 64
BACKGROUND = np.zeros(3, np.float32)
CLEAN = 'clean'
DECODERS = {
  "the paper's": (flood.decode_flood, flood.FloodOptions),
  'ours': (instances.decode_regions, instances.RegionOptions),
}


def choose_colors(rng, number, apart=60.0, repeats=False):
  """Random levels, `apart` from each other and half of it from black."""
  colors = []
  while len(colors) < (-(-number // 2) if repeats else number):
    color = rng.integers(0, 256, 3).astype(np.float32)
    gaps = [np.linalg.norm(color - other) for other in colors]
    if min(gaps, default=np.inf) > apart and np.linalg.norm(color) > apart / 2:
      colors.append(color)
  if repeats:
    colors = [colors[k // 2] for k in range(number)]
  return np.stack(colors)


def draw_blobs(rng, size, number):
  """Ids of wavy blobs, later ones over earlier ones: int32 [size size]."""
  ids = np.zeros((size, size), np.int32)
  centers = rng.uniform(0.1, 0.9, (number, 2)) * size
  radii = rng.uniform(0.03, 0.1, (number, 2)) * size
  for k in range(number):
    reach = int(1.3 * radii[k].max())
    first = np.maximum(np.int32(centers[k]) - reach, 0)
    last = np.minimum(np.int32(centers[k]) + reach + 1, size)
    y, x = np.mgrid[first[0] : last[0], first[1] : last[1]].astype(np.float32)
    y, x = (y - centers[k, 0]) / radii[k, 0], (x - centers[k, 1]) / radii[k, 1]
    wave = 1 + 0.2 * np.sin(3 * np.arctan2(y, x) + rng.uniform(0, 6))
    view = ids[first[0] : last[0], first[1] : last[1]]
    view[np.hypot(y, x) < wave] = k + 1
  return ids


def paint(seed, size=SIZE, number=None, kind=CLEAN):
  """A painting, float32 RGB [size size 3], and its ids, int32 [size size].

  Instances of which less than 1/1000 of the picture is seen are left out.
  """
  rng = np.random.default_rng(seed)
  number = number or rng.integers(3, 21)
  large = size * SAMPLES
  ids = draw_blobs(rng, large, number)
  if kind == 'occluded':  # bars of background, as if something stood before
    for at in rng.integers(0, large, 6):
      side = rng.integers(2)
      bar = (slice(None),) * side + (slice(at, at + int(0.012 * large)),)
      ids[bar] = 0
  area = np.bincount(ids.ravel(), minlength=number + 1)
  ids[(area < 1e-3 * ids.size)[ids]] = 0
  colors = choose_colors(rng, number, repeats=kind == 'repeated')
  if kind == 'near-black':
    colors[area[1:].argmax()] = (11, 21, 7)
  levels = np.concatenate([np.zeros((1, 3), np.float32), colors])[ids]
  if kind == 'gradient':  # 60 levels from one side of an instance to the other
    for k in np.flatnonzero(np.bincount(ids.ravel()))[1:]:
      rows, columns = np.nonzero(ids == k)
      along = rows if rng.random() < 0.5 else columns
      share = (along - along.min()) / max(np.ptp(along), 1) - 0.5
      levels[rows, columns] += 60 * rng.choice([-1, 1]) * share[:, None]
  levels = levels.reshape(size, SAMPLES, size, SAMPLES, 3).mean((1, 3))
  half = SAMPLES // 2
  rgb = np.round(np.clip(levels, 0, 255)).astype(np.float32) / 255
  return rgb, ids[half::SAMPLES, half::SAMPLES]


def drift(rgb, ids, rng):
  """Every color, the background's too, is off by up to 7 levels."""
  offsets = rng.integers(-7, 8, (ids.max() + 1, 3)) / 255
  return np.clip(rgb + offsets[ids], 0, 1).astype(np.float32)


# Name of each condition, kind of painting, and what spoils it.
CONDITIONS = (
  (CLEAN, CLEAN, lambda rgb, ids, rng: rgb),
  ('drift 7', CLEAN, drift),
  *(
    (name, CLEAN, lambda rgb, ids, rng, spoil=spoil: spoil(rgb, rng))
    for name, spoil in {
      **paintings.DAMAGES,
      'blur, 2 pixels': lambda rgb, rng: paintings.blur(rgb, 2.0),
    }.items()
  ),
  *(
    (kind, kind, lambda rgb, ids, rng: rgb)
    for kind in ('occluded', 'gradient', 'near-black', 'repeated')
  ),
)


def measure_quality(decoders, pictures: int) -> tables.Table:
  """F1 and number of instances of each decoder, by condition."""
  score = jax.jit(lambda p, t: metric.instance_states(p, t, max_instances=MOST))
  table = {}
  for condition, kind, spoil in CONDITIONS:
    states = {name: [] for name in decoders}
    for seed in range(FIRST_SEED, FIRST_SEED + pictures):
      rgb, ids = paint(seed, kind=kind)
      rgb = spoil(rgb, ids, np.random.default_rng([1, seed]))
      for name, decode in decoders.items():
        state = score(decode(rgb).ids[None], jnp.asarray(ids)[None])
        states[name].append(jax.tree.map(np.asarray, state))
    scores = {
      name: metric.summarize_instances(
        jax.tree.map(lambda *r: np.concatenate(r).sum(0), *rows)
      )
      for name, rows in states.items()
    }
    row = {f'pmF1, {n}': round(s['pmf1'], 4) for n, s in scores.items()}
    row |= {f'found, {n}': int(s['predicted']) for n, s in scores.items()}
    table[condition] = row
  return table


def measure(
  pictures: int = 24, rounds: int = 7, side: int = 1024
) -> dict[str, Any]:
  """Quality of both decoders, and their time on 20 instances.

  Args:
    pictures: of each condition.
    rounds: of the times.
    side: pixels of the picture that is timed.
  """
  decoders = {
    name: jax.jit(
      functools.partial(
        decode, background=BACKGROUND, options=options(max_instances=MOST)
      )
    )
    for name, (decode, options) in DECODERS.items()
  }
  rgb, ids = paint(0, size=side, number=20)
  times = timing.interleave(
    {name: lambda f=decode: f(rgb) for name, decode in decoders.items()}, rounds
  )
  ratio = timing.compare(times, "the paper's", 'ours')
  seconds = {
    name: {
      'seconds': timing.shorten(float(np.median(both['wall'])), 3),
      'found': int(decoders[name](rgb).count),
      'there are': len(np.unique(ids)) - 1,
    }
    for name, both in times.items()
  }
  return {
    'tables': {
      'quality': measure_quality(decoders, pictures),
      'one_megapixel': seconds,
      'ratios': {"the paper's decoder over ours": {'ratio': ratio}},
    },
    'size': SIZE,
    'pictures': pictures,
  }


if __name__ == '__main__':
  run.run_main(measure, quick={'pictures': 1, 'rounds': 1, 'side': 256})
