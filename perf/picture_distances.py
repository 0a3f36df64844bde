"""Distances of sets of pictures: what they are of no difference, and of some.

  python -m perf.picture_distances [--photos FOLDER] [--pictures 2000]

Half of the photographs (drawn scenes, if no folder or zip is named) against the
other half: as it is, blurred, compressed, with noise; and against drawn scenes.
In the space of EfficientNet-Lite0, as `vbanana evaluate --real` measures them.
KID is given with its 95 % interval, also of the first 100 pictures a side.
"""

import io
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from perf import run, timing
from vbanana_jax import sharding
from vbanana_jax.data import photos as photo_files
from vbanana_jax.data import sources
from vbanana_jax.drawing import pictures as drawn_pictures
from vbanana_jax.errors import UserError
from vbanana_jax.evaluation import feature_space, picture_sets
from vbanana_jax.metrics import efficientnet

SIZE = 112  # pixels a side, before the network's
FEW = 100


def blur(radius: float) -> Callable[[np.ndarray], np.ndarray]:
  """A Gaussian of this standard deviation, in pixels."""
  kernel = ImageFilter.GaussianBlur(radius)
  return lambda x: np.asarray(Image.fromarray(x).filter(kernel))


def compress(quality: int) -> Callable[[np.ndarray], np.ndarray]:
  """JPEG and back."""

  def there_and_back(x):
    buffer = io.BytesIO()
    Image.fromarray(x).save(buffer, 'JPEG', quality=quality)
    return np.asarray(Image.open(buffer))

  return there_and_back


def add_noise(levels: float) -> Callable[[np.ndarray], np.ndarray]:
  """Gaussian noise of this standard deviation, in 8-bit levels."""
  rng = np.random.default_rng(0)

  def noisy(x):
    found = np.rint(x + rng.normal(0, levels, x.shape))
    return np.clip(found, 0, 255).astype(np.uint8)

  return noisy


CHANGES = {
  'as it is': lambda x: x,
  **{f'blur of {x:g} pixels': blur(x) for x in (0.5, 1, 2)},
  **{f'JPEG of quality {x}': compress(x) for x in (70, 30, 10)},
  **{f'noise of {x} levels': add_noise(x) for x in (8, 16, 32)},
}


def measure(photos: str = '', pictures: int = 2000) -> dict[str, Any]:
  """KID and Frechet distance, a row a change of the second half."""
  scenes = draw_scenes(pictures if photos else 2 * pictures)
  real = load_photos(pathlib.Path(photos), 2 * pictures) if photos else scenes
  space = feature_space.FeatureSpace(sharding.build_mesh())
  one = find_features(space, real[:pictures])
  table = {}
  for name, change in CHANGES.items():
    other = find_features(space, [change(x) for x in real[pictures:]])
    table[name] = compare(one, other)
    timing.say(f'{name}: {table[name]}')
  if photos:
    table['drawn scenes'] = compare(one, find_features(space, scenes))
  return {'tables': {'distances': table}, 'pictures': pictures, 'size': SIZE}


def load_photos(place: pathlib.Path, number: int) -> list[np.ndarray]:
  """The middle squares of photographs, at random."""
  with picture_sets.list_pictures(place) as members:
    order = np.random.default_rng(0).permutation(len(members))[:number]
    if len(order) < number:
      raise UserError(f'{place}: {len(order)} pictures, {number} are needed')
    found = (members[row] for row in order)
    return [
      photo_files.fit_photo(
        photo_files.open_photo(member.read_bytes(), name=member.place),
        SIZE,
        SIZE,
      )
      for member in found
    ]


def draw_scenes(number: int) -> list[np.ndarray]:
  source = sources.SceneSource('full', 0, SIZE)
  return [drawn_pictures.to_u8(source[row]['rgb']) for row in range(number)]


def find_features(space, shown) -> np.ndarray:
  """As `vbanana evaluate --real` finds them."""
  size = efficientnet.SIZE
  return space.find(photo_files.fit_photo(x, size, size) for x in shown)


def compare(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
  """A row of the table."""
  kid, fd = picture_sets.measure(one, other).values()
  few, _ = picture_sets.measure(one[:FEW], other[:FEW]).values()
  return {
    'kid': summarize(kid),
    f'kid_of_{FEW}': summarize(few),
    'fd': fd[0],
  }


def summarize(metric) -> dict[str, Any]:
  value, (low, high) = metric
  return {'median': value, 'min': low, 'max': high}


if __name__ == '__main__':
  run.run_main(measure, quick={'pictures': 16})
