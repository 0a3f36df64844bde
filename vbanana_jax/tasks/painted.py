"""How answers that anything painted are read: first words, then colors.

A network of ours is asked in our words, and its answers are decoded as in
training. A picture of any other generator is read by what its prompt says, at
the size it was painted, with more care and more facts. Runs on the host; what
is heavy is compiled.
"""

import abc
import functools
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num, UInt8

from vbanana_jax.codecs import components, palettes, rims
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import prompt_parser
from vbanana_jax.tasks.prompt_parser import READABLE_DISTANCE
from vbanana_jax.tasks.prompts import PromptSpec

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_DISTANCE_PERCENTILES = (50, 90, 99)
_SHADE = 24 / 255  # from a color made brighter or darker
_SATURATED = 128 / 255  # between the channels of a color that has shades


class Decoded(NamedTuple):
  """Numbers of one picture, at the size it was painted.

  Attributes:
    value: depth in meters, unit normals [h w 3] (zero without a surface), or
      int32 labels: 0 is the background, or no label at all, and k the k-th
      entry or instance.
    confidence: [h w] in [0, 1]; what it means is said by each codec.
    facts: what a person would check, ready for JSON.
  """

  value: Num[np.ndarray, 'h w *c']
  confidence: Float[np.ndarray, 'h w']
  facts: dict[str, Any]


class Settings(NamedTuple):
  """How pictures are read, beyond what the prompt says.

  Attributes:
    near_m: depth of the dark end of an alternate color map.
    far_m: depth of its bright end. Such a map says nothing without both.
    void_radius: 8-bit levels; colors farther from all of a legend have no
      label. None reads every pixel as the nearest.
    speck_share: of the picture; smaller specks of a label are dropped.
    decoder: name of an instance decoder.
    constants: of it, instead of its own, as (name, value) pairs.
  """

  near_m: float | None = None
  far_m: float | None = None
  void_radius: float | None = None
  speck_share: float = 0.0
  decoder: str = 'paper'
  constants: tuple[tuple[str, float], ...] = ()


class PaintedReader(abc.ABC):
  """Reads answers to one task.

  Attributes:
    has_legend: whether the prompt names the colors.
    expects_labels: whether a picture of nothing but background is odd.
  """

  has_legend: bool = False
  expects_labels: bool = False

  @abc.abstractmethod
  def read_prompt(self, prompt: str) -> PromptSpec:
    """What any instruction says about how its answer is painted.

    Raises:
      UserError: it does not say what a decoder must know.
    """

  @abc.abstractmethod
  def decode(
    self,
    spec: PromptSpec,
    rgb: Float[np.ndarray, 'h w 3'],
    settings: Settings,
  ) -> Decoded:
    """The numbers of one picture in [0, 1].

    Raises:
      UserError: for settings that do not go with what the prompt says.
    """

  def complete(self, spec: PromptSpec, prompt: str, phrase: str) -> PromptSpec:
    """What a protocol's legend leaves out: of its prompt, and its phrase."""
    del prompt, phrase
    return spec

  def limits_colors(self, spec: PromptSpec) -> bool:
    """Whether colors that `measure_distance` calls far are odd."""
    del spec
    return False

  def measure_distance(
    self, rgb: Float[Array, 'h w 3'], palette: Float[Array, 'q 3']
  ) -> Float[Array, 'h w']:
    """Distance from the nearest color that an answer may have (traced)."""
    del palette
    return jnp.zeros(rgb.shape[:2])

  def find_unpainted(
    self, painted_u8: UInt8[np.ndarray, 'h w 3']
  ) -> Bool[np.ndarray, 'h w'] | np.bool_:
    """Pixels whose colors say nothing, and are not asked to be legal."""
    del painted_u8
    return np.False_

  def find_fault(self, found: Decoded) -> str | None:
    """Why a picture cannot be an answer at all; None if it may be."""
    del found


class LegendReader(PaintedReader):
  """Reads pictures in the colors of a legend.

  Attributes:
    task: its name.
  """

  has_legend = True

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

  def decode(self, spec, rgb, settings):
    radius = settings.void_radius
    if radius is not None and not radius > 0:
      raise UserError(f'--void-radius {radius:g}: give 8-bit levels above 0')
    labels, distance, confidence, between = jax.device_get(
      _read_labels(
        rgb,
        spec.make_palette()[0],
        np.float32(np.inf if radius is None else radius / 255),
        math.ceil(settings.speck_share * rgb.shape[0] * rgb.shape[1]),
      )
    )
    area = np.bincount(labels.ravel(), minlength=len(spec.entries) + 1)
    names = ('background', *(name for name, _ in spec.entries))
    return Decoded(
      labels,
      confidence,
      {
        'legend': {name: list(color) for name, color in spec.entries},
        'background': list(spec.background),
        'pixel_shares': {
          name: float(n / labels.size) for name, n in zip(names, area)
        },
        'between_colors_share': float(between),
        **describe_distance(distance),
        'mean_confidence': float(confidence.mean()),
      },
    )

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
  return labels, distance, jnp.minimum(confidence, most), jnp.mean(between)


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


def describe_distance(
  distance: Float[np.ndarray, 'h w'],
) -> dict[str, dict[str, float]]:
  """Percentiles of the distance from legal colors, in 8-bit levels."""
  spread = np.percentile(255 * distance, _DISTANCE_PERCENTILES)
  return {
    'color_distance_percentiles': {
      str(p): float(x) for p, x in zip(_DISTANCE_PERCENTILES, spread)
    }
  }
