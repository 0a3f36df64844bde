"""What may be known of a picture besides its colors.

An example is a dict of host arrays. Keys that a source may fill:

  index          int, its row
  rgb            f32[h w 3] in [0, 1]
  depth_m        f32[h w], z-depth in meters; inf is sky, NaN is not known
  normals        f32[h w 3], unit; x right, y up, z to the viewer; zero is not
                 known
  albedo         f32[h w 3], base colors in [0, 1]
  semantic       int32[h w], ids of `classes`; VOID is not known
  classes        `Classes`
  instance       int32[h w], 0 is no object, k the k-th; VOID is not known
  instance_class int32[k], class ids of objects 1 to k
  phrases        `Phrases`, what can be referred to
  captions       `Captions`, what the picture shows
  edit           dict: instruction str, rgb f32[h w 3], what it makes of the
                 picture
  intrinsics     `Intrinsics`, of this size
  style          `tasks.prompt_styles.PromptStyle`, how it is spoken about
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool

VOID = -1  # of class and object ids: this pixel has no right answer


class Intrinsics(NamedTuple):
  """A pinhole camera in pixels, whose first pixel's center is (0.5, 0.5)."""

  fx: float
  fy: float
  cx: float
  cy: float


@dataclasses.dataclass(frozen=True)
class Classes:
  """The classes that a source labels.

  Attributes:
    names: of ids 0, 1, ...
    areas: ids that can be asked for by area, as "road" or "sky".
    things: ids whose objects can be told apart, as "car".
    synonyms: further names by id.
    any_thing: what every object can be called, as "object"; '' where objects
      of other classes are not labeled.
  """

  names: tuple[str, ...]
  areas: tuple[int, ...]
  things: tuple[int, ...] = ()
  synonyms: Mapping[int, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  any_thing: str = ''


class Phrase(NamedTuple):
  """A phrase and the pixels that it denotes; none where it denotes nothing."""

  text: str
  mask: Bool[np.ndarray, 'h w']


class Phrases(Protocol):
  """Phrases about one picture."""

  def draw(self, rng: np.random.Generator, most: int) -> list[Phrase]:
    """One to `most` phrases whose masks do not overlap."""
    ...


class Captions(Protocol):
  """Descriptions of one picture."""

  def draw(self, rng: np.random.Generator) -> str:
    """One of them; empty where nothing describes it."""
    ...
