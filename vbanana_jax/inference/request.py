"""What a person may ask of a run, and the question that it becomes."""

import dataclasses
import math
from typing import Any

import numpy as np

from vbanana_jax import keys
from vbanana_jax.diffusion import samplers
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import TASKS, legend_parts, words
from vbanana_jax.tasks.base import Question
from vbanana_jax.tokenizer import tokenizer

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
    sampler: a key of `samplers.STEPS`; likewise.
    size: long edge that the network works at; None for the trained size.
    seed: of noise, colours and wording.
  """

  task: str
  words: str | None = None
  classes: tuple[str, ...] = ()
  steps: int | None = None
  guidance: float = 1.0
  sampler: str = samplers.DEFAULT
  size: int | None = None
  seed: int = 0


def ask(wish: Wish, level: str) -> tuple[Any, Question, tuple[str, ...]]:
  """The task, its question, and the names of the question's colours.

  Raises:
    UserError: for an unknown task or sampler, missing words, or guidance or a
      sampler of one pass.
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
  if not (math.isfinite(wish.guidance) and wish.guidance >= 0):
    raise UserError(
      f'--guidance {wish.guidance}: give a finite number from 0 on; 1 is off'
    )
  if wish.guidance != 1.0 and not count_steps(wish):
    raise UserError(
      f'--guidance needs --steps: --task {wish.task} is answered in one pass'
    )
  if wish.sampler not in samplers.STEPS:
    raise UserError(
      f'--sampler {wish.sampler}: choose of {", ".join(samplers.STEPS)}'
    )
  if wish.sampler != samplers.DEFAULT and not count_steps(wish):
    raise UserError(
      f'--sampler needs --steps: --task {wish.task} is answered in one pass'
    )
  task = TASKS[wish.task]
  rng = keys.make_rng(wish.seed, 'ask', wish.task)
  names: tuple[str, ...] = ()
  given: dict[str, Any] = {}
  if wish.task == 'generate':
    given = {'caption': wish.words}
  elif wish.task == 'edit':
    given = {'instruction': wish.words}
  elif wish.task == 'referring':
    names = (wish.words,)
    given = {'phrases': names}
  elif wish.task == 'semantic':
    names = wish.classes
    given = {'classes': names}
  elif wish.task == 'instance':
    given = {'thing': wish.classes[0]} if wish.classes else {}
  return task, task.ask(rng, level=level, **given), names


def ask_parts(
  wish: Wish, level: str, max_text: int
) -> tuple[legend_parts.Part, ...]:
  """The questions that a network can take; together they ask for it all.

  One for most. A semantic legend longer than the `level` trains on, or than
  `max_text` tokens, is split; each part has colors and words of its own.

  Raises:
    UserError: an instruction of more than `max_text` tokens that cannot be
      split.
  """
  _, question, names = ask(wish, level)

  def ask_some(group: range) -> Question:
    some = tuple(names[k] for k in group)
    return ask(dataclasses.replace(wish, classes=some), level)[1]

  def fits(group: range) -> bool:
    return tokenizer.Tokenizer.load().count(ask_some(group).prompt) <= max_text

  groups = None
  if wish.task == 'semantic':
    most = words.REGISTERS[level].entries[1]
    groups = legend_parts.split_names(len(names), most, fits)
  if groups is None or len(groups) == 1:
    tokenizer.Tokenizer.load().encode(question.prompt, max_text)
    palette = question.aux.get('palette', np.zeros((1, 3), np.float32))
    return (
      legend_parts.Part(question.prompt, palette, np.arange(len(palette))),
    )
  parts = []
  for group in groups:
    some = ask_some(group)
    palette = some.aux['palette'][some.aux['palette_valid']]
    rows = np.array([0, *(k + 1 for k in group)])
    parts.append(legend_parts.Part(some.prompt, palette, rows))
  return tuple(parts)


def count_steps(wish: Wish) -> int:
  """Sampler steps; 0 is one pass."""
  if wish.steps is not None:
    return wish.steps
  return 0 if TASKS[wish.task].vision else _GENERATE_STEPS
