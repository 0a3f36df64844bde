"""`vbanana predict`: a trained run's answer about photos, or a new picture."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import tqdm

from vbanana_jax import keys, models, predict, provenance, weights
from vbanana_jax.data import photos, protocols, questions
from vbanana_jax.errors import UserError
from vbanana_jax.report import files, pictures
from vbanana_jax.step import make_painter
from vbanana_jax.tasks import TASKS
from vbanana_jax.tasks.base import Question, get_noise_scale
from vbanana_jax.tokenizer import Tokenizer

_GENERATE_STEPS = 25
# What a task is told beside the picture; the others need no words.
_FLAGS = {
  'generate': '--prompt',
  'edit': '--prompt',
  'referring': '--prompt',
  'semantic': '--classes',
  'instance': '--classes',
}


@dataclasses.dataclass(frozen=True)
class Wish:
  """What a person asked for on the command line.

  Attributes:
    task: key in `TASKS`.
    words: the caption, instruction or phrase.
    classes: names for semantic and instance.
    steps: sampler steps, 0 for one pass; None for the task's usual.
    guidance: 1 is off; only sampling knows it, and one pass does not.
    size: long edge that the network works at; None for the trained size.
    seed: of noise, colours and wording.
  """

  task: str
  words: str | None = None
  classes: tuple[str, ...] = ()
  steps: int | None = None
  guidance: float = 1.0
  size: int | None = None
  seed: int = 0


class Answerer:
  """A trained run with its weights loaded, ready for many pictures."""

  def __init__(self, run: pathlib.Path):
    self.run = run
    self.config, self.model, self.params = weights.load_run(run)
    self._painters: dict[tuple, Callable] = {}

  def answer(
    self, wish: Wish, image: pathlib.Path | None, out: pathlib.Path
  ) -> dict[str, pathlib.Path]:
    """Writes the answer about one photo, or one generated picture.

    Raises:
      UserError: an unreadable photo, missing words, an unknown task.
    """
    task, question, names = ask(wish, self.config['data']['level'])
    size = wish.size or self.config['image_size']
    compiled = self._compile(wish.seed, _count_steps(wish), wish.guidance)

    def paint(source: np.ndarray | None, prompt: str) -> np.ndarray:
      batch = self._make_batch(task, source, prompt, size)
      return np.asarray(compiled(self.params, batch))[0]

    return predict.predict(
      paint,
      task,
      None if image is None else photos.open_photo(image),
      question,
      size=size,
      patch=self.model.config.patch,
      out_dir=out,
      name='painted' if image is None else image.stem,
      names=names,
      about={
        'checkpoint': str(self.run),
        'parameters': models.count_parameters(self.params),
        'versions': provenance.get_versions(),
      },
    )

  def answer_protocol(
    self,
    protocol: protocols.Protocol,
    data: pathlib.Path,
    out: pathlib.Path,
    *,
    passes: int | None = None,
    size: int | None = None,
  ) -> int:
    """Paints every question of a benchmark; how many pictures there are.

    Pictures that are there already are kept, so that a painting that was
    stopped goes on.

    Raises:
      UserError: another benchmark in `data`, or a prompt too long for the
        network.
    """
    reader = questions.open_reader(protocol, data)
    passes = passes or protocol.passes
    wanted = list(questions.make_questions(protocol, reader, passes))
    task = TASKS[protocol.task]
    for question in tqdm.tqdm(wanted, desc=protocol.title, unit='picture'):
      if (out / question.file).exists():
        continue
      compiled = self._compile(question.seed, protocol.sampler['steps'], 1.0)
      photo = reader.load_image(question.item)
      grid = predict.make_grid(
        *photo.shape[:2],
        size=size or self.config['image_size'],
        patch=self.model.config.patch,
      )
      source = predict.shrink_photo(photo, grid)
      batch = self._make_batch(task, source, question.asked.prompt, size)
      painted = np.asarray(compiled(self.params, batch))[0]
      files.write_atomic(
        out / question.file, files.to_png(pictures.to_u8(painted))
      )
    return len(wanted)

  def _compile(self, seed: int, steps: int, guidance: float) -> Callable:
    """The painter, compiled once for each way of painting and each size."""
    key = (seed, steps, guidance)
    if key not in self._painters:
      self._painters[key] = jax.jit(
        make_painter(self.model, seed=seed, steps=steps, guidance=guidance)
      )
    return self._painters[key]

  def _make_batch(self, task, source, prompt, size) -> dict[str, Any]:
    has_source = source is not None
    if source is None:
      grid = predict.make_grid(
        size, size, size=size, patch=self.model.config.patch
      )
      source = np.zeros((*grid, 3), np.float32)
    scale = get_noise_scale(task, source)
    tokens = Tokenizer.load().encode(prompt, self.config['model']['max_text'])
    return {
      'tokens': tokens[None],
      'source': source[None],
      'has_source': np.array([has_source]),
      'noise_scale': np.array([scale], np.float32),
      'index': np.zeros(1, np.int32),
    }


def ask(wish: Wish, level: str) -> tuple[Any, Question, tuple[str, ...]]:
  """The task, its question, and the names of the question's colours.

  Raises:
    UserError: for an unknown task, missing words, or guidance of one pass.
  """
  if wish.task not in TASKS:
    raise UserError(f'--task {wish.task}: choose of {", ".join(TASKS)}')
  takes = _FLAGS.get(wish.task)
  given = {'--prompt': wish.words, '--classes': wish.classes}
  for flag, value in given.items():
    if flag == takes and not value and wish.task != 'instance':
      raise UserError(f'--task {wish.task} needs {flag}')
    if flag != takes and value:
      raise UserError(f'--task {wish.task} does not take {flag}')
  if len(set(wish.classes)) < len(wish.classes):
    raise UserError('--classes names something twice')
  if wish.task == 'instance' and len(wish.classes) > 1:
    raise UserError('--task instance takes one class at a time')
  if wish.guidance != 1.0 and not _count_steps(wish):
    raise UserError(
      f'--guidance needs --steps: --task {wish.task} is answered in one pass'
    )
  task = TASKS[wish.task]
  rng = keys.make_rng(wish.seed, 'ask', wish.task)
  names: tuple[str, ...] = ()
  words: dict[str, Any] = {}
  if wish.task == 'generate':
    words = {'caption': wish.words}
  elif wish.task == 'edit':
    words = {'instruction': wish.words}
  elif wish.task == 'referring':
    names = (wish.words,)
    words = {'phrases': names}
  elif wish.task == 'semantic':
    names = wish.classes
    words = {'classes': names}
  elif wish.task == 'instance':
    words = {'thing': wish.classes[0]} if wish.classes else {}
  return task, task.ask(rng, level=level, **words), names


def _count_steps(wish: Wish) -> int:
  if wish.steps is not None:
    return wish.steps
  return 0 if TASKS[wish.task].vision else _GENERATE_STEPS
