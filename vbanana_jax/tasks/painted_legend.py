"""How answers in the colors of a legend are read, whoever painted them."""

import functools
import itertools
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from vbanana_jax.codecs import components, palettes, rims
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import prompt_parser
from vbanana_jax.tasks.painted import PaintedReader, describe_distance
from vbanana_jax.tasks.prompt_parser import READABLE_DISTANCE
from vbanana_jax.tasks.prompts import PromptSpec

_SHADE = 24 / 255  # from a color made brighter or darker
_SATURATED = 128 / 255  # between the channels of a color that has shades


class LegendReader(PaintedReader):
  """Reads pictures in the colors of a legend.

  Attributes:
    task: its name.
  """

  has_legend = True
  odd_pixels: ClassVar[tuple[str, ...]] = ('between_colors',)

  def __init__(self, task: str, *, expects_labels: bool = False):
    self.task = task
    self.expects_labels = expects_labels

  def read_prompt(self, prompt):
    """Entries and background.

    Raises:
      UserError: no legend, a name with two colors, colors nearer than 28
        levels to each other, or a level above 255.

    Source: Vision Banana, figures 2, 3 and 4.
    """
    spec = read_legend(self.task, prompt)
    if not spec.entries:
      raise UserError(
        f'prompt: no legend found for {self.task}: give each name a color, as '
        'in {"cat": "red", "exit sign": #8000ff} or The cat is red.'
      )
    _check_names(spec)
    _check_apart(spec)
    return spec

  def read(self, spec, rgb, palette, settings):
    del spec
    radius = settings.void_radius
    return _read_labels(
      rgb,
      palette,
      np.float32(np.inf if radius is None else radius / 255),
      math.ceil(settings.speck_share * rgb.shape[0] * rgb.shape[1]),
    )

  def check(self, spec, settings):
    del spec
    radius = settings.void_radius
    if radius is not None and not radius > 0:
      raise UserError(f'--void-radius {radius:g}: give 8-bit levels above 0')

  def describe(self, spec, found, settings):
    del settings
    labels = found['value']
    area = np.bincount(labels.ravel(), minlength=len(spec.entries) + 1)
    names = ('background', *(name for name, _ in spec.entries))
    return {
      'legend': {name: list(color) for name, color in spec.entries},
      'background': list(spec.background),
      'pixel_shares': {
        name: float(n / labels.size) for name, n in zip(names, area)
      },
      'between_colors_share': float(found['between_colors'].mean()),
      **describe_distance(found['distance']),
    }

  def limits_colors(self, spec):
    del spec
    return True

  def measure_distance(self, rgb, palette):
    """0 for brighter and darker shades of its colors, too."""
    index, distance = palettes.decode_nearest(rgb, palette)
    shade = _measure_shade(rgb, palette[index])
    return jnp.where(shade <= _SHADE, 0.0, distance)


def _measure_shade(rgb, color):
  """Distance from `color`, 0.4 to 2.5 times as bright; infinite of greys."""
  along = jnp.sum(rgb * color, -1) / jnp.maximum(jnp.sum(color**2, -1), 1e-6)
  gap = jnp.linalg.norm(
    rgb - jnp.clip(along, 0.4, 2.5)[..., None] * color, axis=-1
  )
  span = jnp.max(color, -1) - jnp.min(color, -1)
  return jnp.where(span >= _SATURATED, gap, jnp.inf)


@functools.partial(jax.jit, static_argnums=3)
def _read_labels(rgb, palette, radius, speck_px):
  labels, distance = palettes.decode_nearest(rgb, palette)
  near = distance <= radius
  between = near & rims.find_rims(rgb, labels, distance)
  labels = jnp.where(near, labels, 0)
  if speck_px > 1:
    labels, _ = components.despeckle(labels, speck_px)
  foreign = palettes.measure_foreign(distance)
  confidence = palettes.confidence(rgb, palette, foreign=foreign)
  most = jnp.where(between, rims.CONFIDENCE, 1.0)
  return {
    'value': labels,
    'confidence': jnp.minimum(confidence, most),
    'distance': distance,
    'between_colors': between,
  }


def read_legend(task: str, prompt: str) -> PromptSpec:
  """Names with their colors, and the background, of any instruction."""
  legend = prompt_parser.read_legend(prompt)
  grounds = [
    color for name, color in legend if name == prompt_parser.BACKGROUND
  ]
  return PromptSpec(
    task,
    entries=tuple(row for row in legend if row[0] != prompt_parser.BACKGROUND),
    background=grounds[-1] if grounds else (0, 0, 0),
    background_stated=bool(grounds),
  )


def _check_names(spec: PromptSpec) -> None:
  names = [name for name, _ in spec.entries]
  twice = {name for name in names if names.count(name) > 1}
  if twice:
    raise UserError(f'prompt: {min(twice)} has two colors: give each name one')


def _check_apart(spec: PromptSpec) -> None:
  ground = 'background' if spec.background_stated else 'unstated background'
  named = ((ground, spec.background), *spec.entries)
  for (name, color), (other, near) in itertools.combinations(named, 2):
    gap = float(np.linalg.norm(np.subtract(color, near)))
    if gap < READABLE_DISTANCE:
      raise UserError(
        f'prompt: {name} {color} and {other} {near} cannot be told apart: '
        f'keep colors {READABLE_DISTANCE:.0f} levels or more apart'
      )
