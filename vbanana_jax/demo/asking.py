"""One model for everybody who has the page open: one question at a time."""

import dataclasses
import pathlib
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jaxtyping import UInt8

from vbanana_jax import resizing
from vbanana_jax.api import Answer
from vbanana_jax.data import photos
from vbanana_jax.errors import UserError
from vbanana_jax.scenes import render, world
from vbanana_jax.tasks import TASKS

LONG_EDGE = 1024  # pixels; larger pictures are brought to it
MOST_SEED = 2**31 - 1
MOST_STEPS = 100
SCENE_EDGE = 256
_MOST_PROGRAMS = 24  # pictures of every aspect would fill the memory with them


class Model(Protocol):
  """What the page needs of `api.Model`."""

  tasks: tuple[str, ...]

  def ask(self, task: str, image: Any = None, **options: Any) -> Answer: ...


@dataclasses.dataclass(frozen=True)
class Limits:
  """What one page may take of the machine.

  Attributes:
    megabytes: of an uploaded file.
    seconds: until a question is given up.
    waiting: questions in the queue; more are refused.
  """

  megabytes: int = 20
  seconds: float = 300.0
  waiting: int = 8


class Asked(NamedTuple):
  """A question as the page has it.

  Attributes:
    task: a key of `TASKS`.
    photo: path of the uploaded file, whatever it holds; None without one.
    words: the prompt, or classes between commas.
    seed: 0 to `MOST_SEED`.
    steps: of the sampler, 0 to `MOST_STEPS`; 0 is one pass.
  """

  task: str
  photo: str | None = None
  words: str = ''
  seed: int = 0
  steps: int | None = None


class Answered(NamedTuple):
  """An answer, and what it is about.

  Attributes:
    asked: the question.
    answer: what the model said.
    photo_u8: [h w 3], as it was asked about; None where the task takes none.
    full_size: height and width of the file; None without one.
    seconds: that it took, without waiting for others.
  """

  asked: Asked
  answer: Answer
  photo_u8: UInt8[np.ndarray, 'h w 3'] | None
  full_size: tuple[int, int] | None
  seconds: float


class Asker:
  """Asks a model, one question after the other, whoever has them.

  Args:
    model: see `Model`.
    limits: see `Limits`.
  """

  def __init__(self, model: Model, limits: Limits | None = None):
    self.model, self.limits = model, limits or Limits()
    self._compiled: set[tuple] = set()
    self._worker = futures.ThreadPoolExecutor(1, 'asker')

  def ask(self, asked: Asked) -> Answered:
    """Paints and decodes one answer.

    Raises:
      UserError: a file that is no picture or too large, missing words, or a
        question that took too long.
    """
    options = _read_words(asked)
    photo_u8 = full_size = None
    if TASKS[asked.task].inputs.photo:
      photo_u8, full_size = load_photo(asked.photo, self.limits)

    def answer() -> Answered:
      begin = time.monotonic()
      found = self.model.ask(asked.task, photo_u8, **options)
      seconds = time.monotonic() - begin
      self._count_program(asked.task, asked.steps, found.painted.shape)
      return Answered(asked, found, photo_u8, full_size, seconds)

    return self._run(answer)

  def draw_scene(self, seed: int) -> UInt8[np.ndarray, 'h w 3']:
    """A room with things, as the networks of the package learned from."""
    _bound(seed, MOST_SEED, 'seed')
    return self._run(lambda: _draw_scene(seed))

  def _count_program(self, *kind: Any) -> None:
    """Forgets all that was compiled once there is much of it."""
    if len(self._compiled | {kind}) > _MOST_PROGRAMS:
      self._compiled.clear()
      jax.clear_caches()
    self._compiled.add(kind)

  def _run(self, work: Callable[[], Any]) -> Any:
    done = self._worker.submit(work)
    try:
      return done.result(self.limits.seconds)
    except futures.TimeoutError as error:
      if done.done():  # it is the work's own
        raise
      done.cancel()
      raise UserError(
        f'no answer within {self.limits.seconds:g} seconds: ask for fewer '
        'steps, or again when the machine is less busy'
      ) from error


def load_photo(
  path: str | None, limits: Limits
) -> tuple[UInt8[np.ndarray, 'h w 3'], tuple[int, int]]:
  """An uploaded file as a picture of at most `LONG_EDGE`, and its own size.

  Raises:
    UserError: names the file and what is wrong with it.
  """
  if path is None:
    raise UserError(
      'there is no picture: drop one, take a photograph, or draw a scene'
    )
  name = pathlib.Path(path).name
  try:
    encoded = pathlib.Path(path).read_bytes()
  except OSError as error:
    raise UserError(f'{name} is no longer here: choose it again') from error
  size = photos.read_frame(encoded, name).upright
  photo_u8 = photos.open_photo(
    encoded,
    max_bytes=limits.megabytes * 2**20,
    name=name,
    enough=LONG_EDGE,
  )
  shape = resizing.fit_within(photo_u8.shape[:2], LONG_EDGE)
  if shape != photo_u8.shape[:2]:
    photo_u8 = resizing.resize_picture(photo_u8, shape)
  return photo_u8, size


def _read_words(asked: Asked) -> dict[str, Any]:
  """Options of `Model.ask`; UserError for words that are missing."""
  inputs, words = TASKS[asked.task].inputs, asked.words.strip()
  options: dict[str, Any] = {'seed': _bound(asked.seed, MOST_SEED, 'seed')}
  if asked.steps is not None:
    options['steps'] = _bound(asked.steps, MOST_STEPS, 'steps')
  if inputs.prompt:
    if not words:
      raise UserError(f'write what to do, as in: {inputs.example}')
    options['prompt'] = words
  if inputs.most_classes:
    names = [name.strip() for name in words.split(',')]
    options['classes'] = list(filter(None, names))
    if len(options['classes']) < inputs.least_classes:
      raise UserError(f'write what to look for, as in: {inputs.example}')
  return options


def _bound(number: int, most: int, name: str) -> int:
  if not 0 <= number <= most:
    raise UserError(f'{name} {number}: give a number from 0 to {most}')
  return int(number)


def _draw_scene(seed: int) -> UInt8[np.ndarray, 'h w 3']:
  level = world.LEVELS['quick']
  count = 2 + seed % (level.max_objects - 1)  # an empty room shows little
  scene = world.sample_scene(level, seed, 0, count=count)
  view = render.render(
    world.stack_scenes([scene]), height=SCENE_EDGE, width=SCENE_EDGE
  )
  return np.rint(255 * np.asarray(view.rgb[0])).astype(np.uint8)
