"""A varied reading of a labeled picture: what `config.sources.*.augment` says.

The photograph and all labels go through one window, so that labels stay true;
docs/labeled_data.md says what each setting does to them.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vbanana_jax.data import photometry, windows
from vbanana_jax.errors import UserError

_TRIES = 10  # of windows, until one shows something that a phrase denotes


@dataclasses.dataclass(frozen=True)
class Settings:
  """How far readings differ; the defaults change nothing.

  Attributes:
    crop_scale: least and greatest share of the largest window's area, in
      (0, 1].
    crop_ratio: least and greatest stretch of the window's aspect, the output's
      being 1.
    flip: probability of mirroring, in [0, 1].
    gamma: exponents run from 2^-gamma to 2^gamma.
    brightness: factors run from 1 - brightness to 1 + brightness.
    contrast: likewise.
    saturation: likewise.
    hue: greatest shift in turns, in [0, 0.5]. Not where words may name colors:
      pictures with phrases, captions or an instruction keep their hues.
    blur: greatest sigma in pixels of the output.
    noise: greatest standard deviation, of values in [0, 1].
    jpeg: lowest quality, in 1 to 100; 100 does not compress.

  Raises:
    UserError: names a field out of its range.
  """

  crop_scale: tuple[float, float] = (1.0, 1.0)
  crop_ratio: tuple[float, float] = (1.0, 1.0)
  flip: float = 0.0
  gamma: float = 0.0
  brightness: float = 0.0
  contrast: float = 0.0
  saturation: float = 0.0
  hue: float = 0.0
  blur: float = 0.0
  noise: float = 0.0
  jpeg: int = 100

  def __post_init__(self):
    _check_range('crop_scale', self.crop_scale, 1.0)
    _check_range('crop_ratio', self.crop_ratio, 10.0)
    for field, most in _MOST.items():
      value = getattr(self, field)
      if not (_is_number(value) and 0 <= value <= most):
        raise UserError(f'augment.{field} is {value!r}, not within 0 to {most}')
    if not (isinstance(self.jpeg, int) and 1 <= self.jpeg <= 100):
      raise UserError(
        f'augment.jpeg is {self.jpeg!r}, not a quality of 1 to 100'
      )

  @property
  def least_share(self) -> float:
    """Of the sides of the largest window, the least that is ever seen."""
    low, high = self.crop_ratio
    return math.sqrt(self.crop_scale[0]) * min(1.0, low, 1 / high)


_MOST = {
  'flip': 1, 'gamma': 4, 'brightness': 1, 'contrast': 1, 'saturation': 1,
  'hue': 0.5, 'blur': 64, 'noise': 1,
}  # fmt: skip


def parse_settings(section: Mapping[str, Any]) -> Settings:
  """Settings of a config section, by the names of `Settings`.

  Raises:
    UserError: names an unknown setting, or a value out of its range.
  """
  known = [field.name for field in dataclasses.fields(Settings)]
  for name in section:
    if name not in known:
      raise UserError(
        f'augment.{name} is no setting; choose from {", ".join(known)}'
      )
  found = dict(section)
  for name in ('crop_scale', 'crop_ratio'):
    if isinstance(found.get(name), (list, tuple)):
      found[name] = tuple(found[name])
  return Settings(**found)


def vary(
  example: Mapping[str, Any],
  settings: Settings,
  rng: np.random.Generator,
  size: tuple[int, int],
) -> dict[str, Any]:
  """One reading of an example, a function of the example and of `rng`.

  Args:
    example: as for `windows.see`.
    settings: how far readings differ.
    rng: all that is drawn.
    size: height and width of the result.

  Raises:
    UserError: as `windows.see`.
  """
  window = _draw_window(example, settings, rng, size)
  seen = windows.see(example, window, size)
  names_colors = any(seen.get(key) for key in ('phrases', 'captions', 'edit'))
  colors = _draw_colors(settings, rng, may_turn=not names_colors)
  seen['rgb'] = photometry.change_colors(seen['rgb'], colors)
  if 'edit' in seen:
    # Of a pair both change alike, and neither is damaged: the instruction
    # shall be all by which they differ.
    rgb = photometry.change_colors(seen['edit']['rgb'], colors)
    seen['edit'] = {**seen['edit'], 'rgb': rgb}
    return seen
  seen['rgb'] = _damage(seen['rgb'], settings, rng)
  return seen


def _draw_window(example, settings, rng, size) -> windows.Window:
  shape = example['rgb'].shape[:2]
  phrases = [p for p in example.get('phrases') or () if p.mask.any()]
  for _ in range(_TRIES):
    window = _draw_any_window(shape, settings, rng, size)
    if not phrases or windows.keeps_a_phrase(phrases, window, size):
      return window
  return windows.find_plain(example, size)


def _draw_any_window(shape, settings, rng, size) -> windows.Window:
  share = rng.uniform(*settings.crop_scale)
  stretch = math.exp(rng.uniform(*map(math.log, settings.crop_ratio)))
  x, y = rng.random(2)
  mirrored = bool(rng.random() < settings.flip)
  if settings.crop_scale == settings.crop_ratio == (1.0, 1.0):
    x = y = 0.5
  width, height = windows.find_largest(shape, size, stretch)
  width, height = (math.sqrt(share) * side for side in (width, height))
  left, top = x * (shape[1] - width), y * (shape[0] - height)
  return windows.Window(left, top, width, height, mirrored)


def _draw_colors(settings, rng, may_turn) -> photometry.Colors:
  gamma, brightness, contrast, saturation, hue = rng.uniform(-1, 1, 5)
  return photometry.Colors(
    2.0 ** (settings.gamma * gamma),
    1 + settings.brightness * brightness,
    1 + settings.contrast * contrast,
    1 + settings.saturation * saturation,
    settings.hue * hue if may_turn else 0.0,
  )


def _damage(rgb, settings, rng) -> np.ndarray:
  """Blur of the lens, noise of the sensor, then compression."""
  blur, noise = rng.uniform(0, 1, 2)
  quality = int(rng.integers(settings.jpeg, 101))
  rgb = photometry.blur(rgb, settings.blur * blur)
  rgb = photometry.add_noise(rgb, settings.noise * noise, rng)
  return photometry.compress(rgb, quality)


def _check_range(name: str, value, most: float) -> None:
  is_pair = isinstance(value, tuple) and len(value) == 2
  if not (
    is_pair and all(map(_is_number, value)) and 0 < value[0] <= value[1] <= most
  ):
    raise UserError(
      f'augment.{name} is {value!r}, not two numbers above 0 and up to '
      f'{most:g}, the smaller one first, as (0.5, 1.0)'
    )


def _is_number(value) -> bool:
  return isinstance(value, (int, float)) and math.isfinite(value)
