"""Photographs that nobody took: random pictures as JPEG and PNG."""

import pathlib

import numpy as np
from PIL import Image

from vbanana_jax.datasets import image_folder

CAPTION = 'a photograph'
HEIGHT, WIDTH = 480, 640


def make_photo(seed: int = 0) -> np.ndarray:
  """Coarse colors with fine noise, uint8 [480 640 3]."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
  photo = Image.fromarray(coarse).resize((WIDTH, HEIGHT))
  return np.asarray(photo) ^ rng.integers(0, 8, (HEIGHT, WIDTH, 3), np.uint8)


def prepare_pictures(
  folder: pathlib.Path, number: int, *, width: int = 500, height: int = 375
) -> pathlib.Path:
  """Random pictures as `vbanana prepare image_folder` leaves them.

  They are blots with grain over them, so that they compress about as much as
  photographs; every fourth one is a PNG.

  Args:
    folder: gets `pictures`, and `prepared`, which is returned.
    number: of pictures.
    width: in pixels.
    height: in pixels.
  """
  pictures = folder / 'pictures'
  pictures.mkdir(parents=True)
  rng = np.random.default_rng(0)
  for k in range(number):
    blots = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    wide = np.asarray(blots.resize((width, height), Image.Resampling.BICUBIC))
    grain = rng.normal(0, 4, wide.shape)
    rgb = np.clip(wide + grain, 0, 255).astype(np.uint8)
    if k % 4:
      Image.fromarray(rgb).save(pictures / f'{k}.jpg', quality=90)
    else:
      Image.fromarray(rgb).save(pictures / f'{k}.png')
  prepared = folder / 'prepared'
  image_folder.prepare_images(pictures, prepared, caption=CAPTION)
  return prepared
