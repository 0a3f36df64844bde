"""Draws docs/figures/batch.png: one row of a batch for each of four tasks.

  python launch/draw_batch.py

From left to right: the source picture, the painted target, what a pixel counts
for in the loss, and the target on its way from noise (time 0.8).
"""

import pathlib

import jax
import numpy as np
from PIL import Image

from vbanana_jax import keys
from vbanana_jax.data import sources
from vbanana_jax.diffusion import flow
from vbanana_jax.drawing import pictures
from vbanana_jax.models import from_network, to_network
from vbanana_jax.tasks import TASKS, base

OUT = pathlib.Path(__file__).parents[1] / 'docs' / 'figures' / 'batch.png'
SHOWN = ('depth', 'normals', 'semantic', 'generate')
SIZE, EDGE, GAP, TIME, SEED = 64, 160, 8, 0.8, 3


def main() -> None:
  source = sources.SceneSource('quick', SEED, SIZE)
  example = source[SEED]
  rows = [draw_row(TASKS[name], example, name) for name in SHOWN]
  Image.fromarray(stack(rows, axis=0)).save(OUT, optimize=True)
  print(OUT)


def draw_row(task: base.Task, example, name: str) -> np.ndarray:
  """The four pictures of one task side by side, u8 [h w 3]."""
  encoded = task.encode(example, keys.make_rng(SEED, 'figure', name))
  print(f'{name}: {encoded.prompt}')
  scale = base.get_noise_scale(task, encoded.target)
  noise = flow.make_noise(
    keys.make_example_keys(jax.random.key(SEED), np.arange(1)),
    encoded.target.shape,
    np.full(1, scale, np.float32),
  )
  clean = to_network(encoded.target[None])
  noisy = flow.interpolate(clean, noise, np.full(1, TIME, np.float32))
  weight = encoded.weight_px / max(encoded.weight_px.max(), 1.0)
  shown = (
    encoded.source,
    encoded.target,
    np.repeat(weight[..., None], 3, -1),
    np.clip(from_network(noisy)[0], 0, 1),
  )
  return stack(
    [pictures.upscale(pictures.to_u8(np.asarray(x)), EDGE) for x in shown],
    axis=1,
  )


def stack(parts: list[np.ndarray], axis: int) -> np.ndarray:
  """Pictures in a line, with white between them."""
  shape = list(parts[0].shape)
  shape[axis] = GAP
  gap = np.full(shape, 255, np.uint8)
  spaced = [x for part in parts for x in (part, gap)][:-1]
  return np.concatenate(spaced, axis)


if __name__ == '__main__':
  main()
