"""How answers that anything painted are read: first words, then colors.

A network of ours is asked in our words, and its answers are decoded as in
training. A picture of any other generator is read by what its prompt says, at
the size it was painted, with more care and more facts. `read` is traced, for
whoever compiles it; `decode` runs it on the host and says what it found.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num, UInt8

from vbanana_jax.tasks.prompts import PromptSpec

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_DISTANCE_PERCENTILES = (50, 90, 99)


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
    decoder_options: of it, instead of its own, as (name, value) pairs.
  """

  near_m: float | None = None
  far_m: float | None = None
  void_radius: float | None = None
  speck_share: float = 0.0
  decoder: str = 'paper'
  decoder_options: tuple[tuple[str, float], ...] = ()


class PaintedReader(abc.ABC):
  """Reads answers to one task.

  Attributes:
    has_legend: whether the prompt names the colors.
    expects_labels: whether a picture of nothing but background is odd.
    takes_padding: whether a picture may be padded with copies of its edge: no
      number depends on more than the neighbors of its pixel.
    odd_pixels: masks of `read` whose shares of a picture are facts, by name.
  """

  has_legend: bool = False
  expects_labels: bool = False
  takes_padding: ClassVar[bool] = True
  odd_pixels: ClassVar[tuple[str, ...]] = ()

  @abc.abstractmethod
  def read_prompt(self, prompt: str) -> PromptSpec:
    """What any instruction says about how its answer is painted.

    Raises:
      UserError: it does not say what a decoder must know.
    """

  @abc.abstractmethod
  def read(
    self,
    spec: PromptSpec,
    rgb: Float[Array, 'h w 3'],
    palette: Float[Array, 'q 3'],
    settings: Settings,
  ) -> dict[str, Array]:
    """`value` and `confidence` as in `Decoded`, and what facts need (traced).

    Args:
      spec: what the prompt says, but for its colors.
      rgb: the picture, in [0, 1].
      palette: the prompt's colors, background first.
      settings: static.
    """

  @abc.abstractmethod
  def describe(
    self, spec: PromptSpec, found: dict[str, np.ndarray], settings: Settings
  ) -> dict[str, Any]:
    """Facts of what `read` found, ready for JSON."""

  def check(self, spec: PromptSpec, settings: Settings) -> None:
    """Raises UserError for settings that do not go with the prompt."""
    del spec, settings

  def decode(
    self,
    spec: PromptSpec,
    rgb: Float[np.ndarray, 'h w 3'],
    settings: Settings,
  ) -> Decoded:
    """The numbers of one picture in [0, 1]; raises as `check` does."""
    self.check(spec, settings)
    palette, _ = spec.make_palette()
    found = jax.device_get(self.read(spec, rgb, palette, settings))
    return Decoded(
      found['value'],
      found['confidence'],
      {
        **self.describe(spec, found, settings),
        'mean_confidence': float(found['confidence'].mean()),
      },
    )

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
