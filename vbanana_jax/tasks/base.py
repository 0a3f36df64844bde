"""What a task is: words and a painted target in, numbers out.

A task writes an instruction, paints the answer as a picture, reads labels
back out of any such picture, and scores them. Nothing else in the library
knows one task from another.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from vbanana_jax import errors
from vbanana_jax.metrics.sums import sum_pixels
from vbanana_jax.tasks.benchmark import Benchmark
from vbanana_jax.tasks.claims import ClaimChecks
from vbanana_jax.tasks.painted import PaintedReader
from vbanana_jax.tasks.prompt_styles import FULL, PromptStyle
from vbanana_jax.tasks.value import Value

Aux = dict[str, np.ndarray]  # host; stacked to a leading b for the device
Example = Mapping[str, Any]  # keys as in `labels`
Arrays = dict[str, Num[Array, 'b ...']]  # device


class EncodedExample(NamedTuple):
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
  """An instruction with the palette that it names; it holds no labels.

  Attributes:
    prompt: the instruction.
    aux: what `decode` needs to read the answer.
    names: what the palette's rows after the background stand for.
  """

  prompt: str
  aux: Aux
  names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Inputs:
  """What a person gives beside `--task`.

  Attributes:
    photo: whether the task is about a photo, or paints from words alone.
    prompt: whether it needs `--prompt`, words that differ from call to call.
    is_default: whether `--prompt` without `--task` means this task: of those
      about a photo one, and of those without one.
    least_classes: names that `--classes` must have.
    most_classes: names that it may have; 0 where the flag is not taken.
    example: words of either kind to begin with, about a drawn scene.
  """

  photo: bool = True
  prompt: bool = False
  is_default: bool = False
  least_classes: int = 0
  most_classes: float = 0
  example: str = ''


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
  """All by which one task differs from another.

  A frozen dataclass: hashable, and so static under `jax.jit`. Members without
  a default have to be there; the others are abilities and rules that a task
  has or goes without.

  Attributes:
    name: key in `TASKS`, and name of its package.
    needs: keys of `labels` an example must have (and not be None) to be asked
      about. Scenes are rendered with what they say, see
      `data.sources.SceneSource`.
    metrics: the names `summarize` returns and which end of each is better,
      'min' or 'max'; the headline comes first.
    constants: candidate answers of a predictor that never looks; numbers or
      tuples of numbers of one shape, so a candidate can be a traced array.
    vision: whether the answer is a function of picture and instruction, and
      so can be given in one pass from the zero image.
    inputs: what a person gives it.
    also_sampled: whether a vision task is scored by sampling as well, in
      config.eval.vision_steps.
    value: what a decoded answer is as numbers; None where the picture itself
      is the answer.
    reader: how pictures of it that anything painted are read; None where they
      are not.
    benchmark: how its values are scored on benchmarks; None of a task that no
      protocol asks.
    claims: how its pictures are asked for what their captions claim; None of a
      task that does not paint from captions.
    note: one line on how to read its pictures in a report.
  """

  name: ClassVar[str]
  needs: ClassVar[tuple[str, ...]]
  metrics: ClassVar[Mapping[str, str]]
  constants: ClassVar[tuple[Any, ...]] = ()
  vision: ClassVar[bool] = True
  also_sampled: ClassVar[bool] = False
  inputs: ClassVar[Inputs] = Inputs()
  value: ClassVar[Value | None] = None
  reader: ClassVar[PaintedReader | None] = None
  benchmark: ClassVar[Benchmark | None] = None
  claims: ClassVar[ClaimChecks | None] = None
  note: ClassVar[str] = ''

  @abc.abstractmethod
  def ask(self, rng: np.random.Generator, **words: Any) -> Question:
    """Words an instruction: legend, notation, background (host)."""

  @abc.abstractmethod
  def encode(
    self, example: Example, rng: np.random.Generator
  ) -> EncodedExample:
    """Chooses words from the labels, asks, and paints the target (host)."""

  @abc.abstractmethod
  def decode(self, rgb: Float[Array, 'b h w 3'], aux: Arrays) -> Arrays:
    """Reads labels out of pictures in [0, 1] (traced)."""

  @abc.abstractmethod
  def score(
    self, prediction: Arrays, aux: Arrays, valid: Bool[Array, 'b']
  ) -> Arrays:
    """States of each example, see `metrics`; 0 where not `valid` (traced)."""

  @abc.abstractmethod
  def summarize(self, states: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Metrics from states summed over examples in float64 and int64."""

  def constant_prediction(self, candidate: Any, aux: Arrays) -> Arrays:
    """What `decode` would return had one of `constants` been painted (traced).

    Of a task that has constants.
    """
    raise ValueError(f'task {self.name!r} has no constant answer {candidate}')

  def make_words(
    self, prompt: str | None, classes: tuple[str, ...]
  ) -> dict[str, Any]:
    """Keywords of `ask` for what a person gave, as `inputs` allows it."""
    del prompt, classes
    return {}

  def count_names(self, style: PromptStyle) -> int | None:
    """Most names of one question of a network trained in a style.

    A question of more is asked in parts, and joined; None asks for all at once.
    """
    del style
    return None

  def as_examined(self) -> 'Task':
    """The task without what only training does to it."""
    return self

  def as_claimed(self) -> 'Task':
    """The task with instructions that say all that `claims` asks about."""
    return self


def get_style(example: Example) -> PromptStyle:
  """How an example is spoken about; the full style where it does not say."""
  return example.get('style', FULL)


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
  """Sums of how far painted colors lie from legal ones, in 8-bit levels."""
  return {
    'color_distance': 255.0 * sum_pixels(jnp.where(where, distance, 0.0)),
    'pixels': where.sum((1, 2)).astype(jnp.int32),
  }


def summarize_distance(states: Mapping[str, np.ndarray]) -> dict[str, float]:
  """Mean distance from the legal colors in 8-bit levels; nan of nothing."""
  pixels = float(states['pixels'])
  distance = float(states['color_distance'])
  return {'color_distance': distance / pixels if pixels else float('nan')}
