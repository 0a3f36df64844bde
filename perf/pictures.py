"""Photographs that nobody took: random pictures as JPEG and PNG."""

import pathlib

import numpy as np
from PIL import Image

from vbanana_jax.datasets import image_folder

CAPTION = 'a photograph'
HEIGHT, WIDTH = 480, 640


def make_photo(
  seed: int = 0, width: int = WIDTH, height: int = HEIGHT
) -> np.ndarray:
  """Blots with grain, uint8 [height width 3]: they compress as photographs."""
  rng = np.random.default_rng(seed)
  blots = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
  wide = np.asarray(blots.resize((width, height), Image.Resampling.BICUBIC))
  return np.clip(wide + rng.normal(0, 4, wide.shape), 0, 255).astype(np.uint8)


def prepare_pictures(
  folder: pathlib.Path, number: int, *, width: int = 500, height: int = 375
) -> pathlib.Path:
  """Photographs, every fourth a PNG, as `vbanana prepare` leaves them.

  Args:
    folder: gets `pictures`, and `prepared`, which is returned.
    number: of pictures.
    width: in pixels.
    height: in pixels.
  """
  pictures = folder / 'pictures'
  pictures.mkdir(parents=True)
  for k in range(number):
    photo = Image.fromarray(make_photo(k, width, height))
    photo.save(pictures / (f'{k}.jpg' if k % 4 else f'{k}.png'), quality=90)
  prepared = folder / 'prepared'
  image_folder.prepare_images(pictures, prepared, caption=CAPTION)
  return prepared
