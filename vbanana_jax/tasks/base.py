"""What a task is: words and a painted target in, numbers out.

A task writes an instruction, paints the answer as a picture, reads labels
back out of any such picture, and scores them. Nothing else in the library
knows one task from another.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from vbanana_jax import errors
from vbanana_jax.diffusion import paths
from vbanana_jax.metrics.sums import sum_pixels

Aux = dict[str, np.ndarray]  # host; stacked to a leading b for the device
Example = Mapping[str, Any]  # keys: rgb, depth_m, normals, semantic, ...
Arrays = dict[str, Num[Array, 'b ...']]  # device


class Posed(NamedTuple):
  """One example of a task, ready to train on and to be scored.

  Attributes:
    prompt: instruction.
    source: h w 3 in [0, 1]; zeros where there is none.
    has_source: whether `source` is a picture at all.
    target: h w 3 in [0, 1], the painted answer.
    weight_px: h w; what a pixel counts for in the loss, 0 where it has no
      right answer.
    aux: what `decode` and `score` need; fixed shapes within a task.
  """

  prompt: str
  source: Float[np.ndarray, 'h w 3']
  has_source: bool
  target: Float[np.ndarray, 'h w 3']
  weight_px: Float[np.ndarray, 'h w']
  aux: Aux


class Question(NamedTuple):
  """An instruction with the palette that it names; it holds no labels."""

  prompt: str
  aux: Aux


class Task(Protocol):
  """A frozen dataclass; hashable, and so static under `jax.jit`.

  Attributes:
    name: key in `TASKS`.
    vision: whether the answer is a function of picture and instruction, and
      so can be given in one pass from the zero canvas.
    noise_scale: standard deviation of the noise when it diffuses, in network
      units; None takes the rule by resolution.
    needs: keys an example must have (and not be None) to be posed.
    metrics: the names `summarize` returns and which end of each is better;
      the headline comes first.
    constants: candidate answers of a predictor that never looks; numbers or
      tuples of numbers of one shape, so a candidate can be a traced array.
  """

  name: ClassVar[str]
  vision: ClassVar[bool]
  noise_scale: float | None
  needs: ClassVar[tuple[str, ...]]
  metrics: ClassVar[Mapping[str, str]]
  constants: ClassVar[tuple[Any, ...]]

  def ask(self, rng: np.random.Generator, **words: Any) -> Question:
    """Words an instruction: legend, notation, background (host)."""

  def pose(self, example: Example, rng: np.random.Generator) -> Posed:
    """Chooses words from the labels, asks, and paints the target (host)."""

  def decode(self, rgb: Float[Array, 'b h w 3'], aux: Arrays) -> Arrays:
    """Reads labels out of pictures in [0, 1] (traced)."""

  def score(
    self, prediction: Arrays, aux: Arrays, valid: Bool[Array, 'b']
  ) -> Arrays:
    """Sums and counts for each example, 0 where not `valid` (traced)."""

  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Metrics from states summed over examples in float64 and int64."""

  def constant_prediction(self, candidate: Any, aux: Arrays) -> Arrays:
    """What `decode` would return had a constant been painted (traced)."""


def get_level(example: Example) -> str:
  """Name of the example's level; pictures from elsewhere are 'full'."""
  level = example.get('level')
  return 'full' if level is None else level.name


def get_noise_scale(task: Task, picture: Float[np.ndarray, 'h w 3']) -> float:
  """The task's own noise, or what the rule says for a picture's size."""
  if task.noise_scale is not None:
    return task.noise_scale
  return paths.noise_scale_for(max(picture.shape[:2]))


def check_needs(task: Task, example: Example) -> None:
  """Raises UserError if the example lacks a label that the task needs."""
  missing = [key for key in task.needs if example.get(key) is None]
  if missing:
    raise errors.UserError(
      f'task {task.name!r} needs {", ".join(missing)}, which this data source '
      'does not have: take the task out of the mixture or change the source'
    )


def paint_on_host(
  paint: Callable[[Any], Float[Array, 'h w 3']], labels: np.ndarray
) -> Float[np.ndarray, 'h w 3']:
  """Runs a jitted codec on the CPU, whatever the default device is."""
  with jax.default_device(_cpu()):
    return np.asarray(paint(labels))


@functools.cache
def _cpu() -> jax.Device:
  return jax.local_devices(backend='cpu')[0]


def make_distance_states(
  distance: Float[Array, 'b h w'], where: Bool[Array, 'b h w']
) -> Arrays:
  """Sums of how far painted colours lie from legal ones, in 8-bit levels."""
  return {
    'colour_distance': 255.0 * sum_pixels(jnp.where(where, distance, 0.0)),
    'pixels': where.sum((1, 2)).astype(jnp.int32),
  }


def summarize_distance(states: Mapping[str, np.ndarray]) -> dict[str, float]:
  """Mean distance from the legal colours in 8-bit levels; nan of nothing."""
  pixels = float(states['pixels'])
  distance = float(states['colour_distance'])
  return {'colour_distance': distance / pixels if pixels else float('nan')}
