"""Colors of a photograph changed as another camera would have: never labels."""

import io
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

_LUMA = np.float32((0.299, 0.587, 0.114))  # ITU-R BT.601
_BEST_QUALITY = 100


class Colors(NamedTuple):
  """One change of colors.

  Attributes:
    gamma: exponent; above 1 is darker.
    brightness: factor of all values.
    contrast: factor of the distance to the mean gray of the picture.
    saturation: factor of the distance to each pixel's gray.
    hue: turns about the gray axis.
  """

  gamma: float = 1.0
  brightness: float = 1.0
  contrast: float = 1.0
  saturation: float = 1.0
  hue: float = 0.0


def change_colors(
  rgb: Float[np.ndarray, 'h w 3'], colors: Colors
) -> Float[np.ndarray, 'h w 3']:
  """The picture in other colors, clipped to [0, 1]; unchanged by `Colors()`."""
  if colors == Colors():
    return rgb
  rgb = np.power(rgb, np.float32(colors.gamma))
  rgb = np.clip(rgb * np.float32(colors.brightness), 0, 1)
  mean = (rgb @ _LUMA).mean()
  rgb = np.clip(mean + np.float32(colors.contrast) * (rgb - mean), 0, 1)
  gray = (rgb @ _LUMA)[..., None]
  rgb = np.clip(gray + np.float32(colors.saturation) * (rgb - gray), 0, 1)
  if colors.hue:
    rgb = np.clip(rgb @ _turn_about_gray(colors.hue).T, 0, 1)
  return rgb.astype(np.float32)


def blur(
  rgb: Float[np.ndarray, 'h w 3'], sigma: float
) -> Float[np.ndarray, 'h w 3']:
  """Convolved with a Gaussian of `sigma` pixels; borders are repeated."""
  radius = int(np.ceil(3 * sigma))
  if radius == 0:
    return rgb
  offsets = np.arange(-radius, radius + 1)
  kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
  kernel = (kernel / kernel.sum()).astype(np.float32)
  for axis in (0, 1):
    padding = [(0, 0)] * 3
    padding[axis] = (radius, radius)
    padded = np.pad(rgb, padding, mode='edge')
    length = rgb.shape[axis]
    rgb = sum(
      weight * padded.take(range(k, k + length), axis)
      for k, weight in enumerate(kernel)
    )
  return rgb


def add_noise(
  rgb: Float[np.ndarray, 'h w 3'], sigma: float, rng: np.random.Generator
) -> Float[np.ndarray, 'h w 3']:
  """With normal noise of that standard deviation in [0, 1] units, clipped."""
  if sigma == 0:
    return rgb
  noise = rng.standard_normal(rgb.shape, np.float32)
  return np.clip(rgb + np.float32(sigma) * noise, 0, 1)


def compress(
  rgb: Float[np.ndarray, 'h w 3'], quality: int
) -> Float[np.ndarray, 'h w 3']:
  """As JPEG of that quality gives it back; unchanged at 100."""
  if quality == _BEST_QUALITY:
    return rgb
  buffer = io.BytesIO()
  pixels = np.rint(rgb * 255).astype(np.uint8)
  Image.fromarray(pixels).save(buffer, 'JPEG', quality=quality)
  with Image.open(buffer) as image:
    return np.asarray(image.convert('RGB'), np.float32) / 255


def _turn_about_gray(turns: float) -> np.ndarray:
  """Rotation about (1, 1, 1), which keeps grays (Rodrigues' formula)."""
  angle = 2 * np.pi * turns
  x = 1 / np.sqrt(3)
  cross = x * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
  matrix = (
    np.cos(angle) * np.eye(3)
    + np.sin(angle) * cross
    + (1 - np.cos(angle)) / 3 * np.ones((3, 3))
  )
  return matrix.astype(np.float32)
