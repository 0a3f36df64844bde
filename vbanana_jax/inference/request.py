"""What a person may ask of a run, and the question that it becomes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from vbanana_jax import keys, types
from vbanana_jax.data import pairings
from vbanana_jax.diffusion import samplers
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import TASKS, legend_parts
from vbanana_jax.tasks.base import Inputs, Question, Task
from vbanana_jax.tasks.prompt_styles import QUICK, PromptStyle
from vbanana_jax.tokenizer.tokenizer import Tokenizer

_GENERATE_STEPS = 25
_MOST_GUIDANCE = 100
_MOST_TIMES = 16  # the trained size


@dataclasses.dataclass(frozen=True)
class PredictRequest:
  """What a person asked for on the command line.

  Attributes:
    task: key in `TASKS`.
    words: the caption, instruction or phrase.
    classes: names of a legend, or of the class that is meant.
    steps: sampler steps, 0 for one pass; None for the task's usual.
    guidance: 1 is off; only sampling knows it, and one pass does not.
    sampler: a key of `samplers.STEPS`; likewise.
    size: short edge that the network works at; None for the trained size.
    seed: of noise, colors and wording.
  """

  task: str
  words: str | None = None
  classes: tuple[str, ...] = ()
  steps: int | None = None
  guidance: float = 1.0
  sampler: str = samplers.DEFAULT
  size: int | None = None
  seed: int = 0


def word_question(
  config: Mapping[str, Any],
  request: PredictRequest,
  max_text: int,
  tokenizer: types.Tokenizer,
) -> tuple[Task, Question, tuple[legend_parts.Part, ...]]:
  """A request as the network of a config was trained to be asked.

  Args:
    config: see `configs/base.py`.
    request: what is asked.
    max_text: longest instruction of the network, in tokens.
    tokenizer: of the network.

  Returns:
    the task, its question, and the parts of it, see `split_question`.

  Raises:
    UserError: see `build_question` and `split_question`.
  """
  style = pairings.find_style(config, request.task)
  task, question = build_question(request, style)
  parts = split_question(request, question, style, max_text, tokenizer)
  return task, question, parts


def build_question(
  request: PredictRequest, style: PromptStyle = QUICK
) -> tuple[Task, Question]:
  """The task and its question, worded in a style.

  Raises:
    UserError: for an unknown task or sampler, missing words, or guidance or a
      sampler of one pass.
  """
  if request.task not in TASKS:
    raise UserError(f'--task {request.task}: choose of {", ".join(TASKS)}')
  task = TASKS[request.task]
  _check_flags(request, task.inputs)
  if not 0 <= request.guidance <= _MOST_GUIDANCE:
    raise UserError(
      f'--guidance {request.guidance}: give a finite number from 0 to '
      f'{_MOST_GUIDANCE}; 1 is off'
    )
  if request.guidance != 1.0 and not count_steps(request):
    raise UserError(
      f'--guidance needs --steps: --task {request.task} is answered in one pass'
    )
  if request.sampler not in samplers.STEPS:
    raise UserError(
      f'--sampler {request.sampler}: choose of {", ".join(samplers.STEPS)}'
    )
  if request.sampler != samplers.DEFAULT and not count_steps(request):
    raise UserError(
      f'--sampler needs --steps: --task {request.task} is answered in one pass'
    )
  rng = keys.make_rng(request.seed, 'ask', request.task)
  given = task.make_words(request.words, request.classes)
  return task, task.ask(rng, style=style, **given)


def _check_flags(request: PredictRequest, inputs: Inputs) -> None:
  """Raises UserError unless the flags are those that the task takes."""
  count = len(request.classes)
  fault = None
  if inputs.prompt and not request.words:
    fault = 'needs --prompt'
  elif request.words and not inputs.prompt:
    fault = 'does not take --prompt'
  elif count < inputs.least_classes:
    fault = 'needs --classes'
  elif count and not inputs.most_classes:
    fault = 'does not take --classes'
  elif count > inputs.most_classes:
    most = inputs.most_classes
    fault = f'takes {"one class" if most == 1 else most} at a time'
  if fault:
    raise UserError(f'--task {request.task} {fault}')
  if len(set(request.classes)) < count:
    raise UserError('--classes names something twice')


def split_question(
  request: PredictRequest,
  question: Question,
  style: PromptStyle,
  max_text: int,
  tokenizer: types.Tokenizer | None = None,
) -> tuple[legend_parts.Part, ...]:
  """The questions that a network can take; together they ask for `question`.

  One for most. A semantic legend longer than the `style` trains on, or than
  `max_text` tokens, is split; each part has colors and words of its own. The
  tokenizer is the network's, or the package's own if not given.

  Raises:
    UserError: an instruction of more than `max_text` tokens that cannot be
      split.
  """
  names, tokenizer = question.names, tokenizer or Tokenizer.load()

  def ask_some(group: range) -> Question:
    some = tuple(names[k] for k in group)
    return build_question(dataclasses.replace(request, classes=some), style)[1]

  def fits(group: range) -> bool:
    return tokenizer.count(ask_some(group).prompt) <= max_text

  groups = None
  most = TASKS[request.task].count_names(style)
  if most is not None:
    groups = legend_parts.split_names(len(names), most, fits)
  if groups is None or len(groups) == 1:
    tokenizer.encode(question.prompt, max_text)
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


def check_size(edge: int, trained: int) -> None:
  """Raises UserError for a short edge that no network answers well at.

  What a network remembers of a picture grows with its edge's fourth power, and
  a system that has no memory left ends a program without a word.
  """
  if edge > _MOST_TIMES * trained:
    raise UserError(
      f'--size {edge} is more than {_MOST_TIMES} times the {trained} that the '
      f'network was trained at: choose {_MOST_TIMES * trained} at most'
    )


def count_steps(request: PredictRequest) -> int:
  """Sampler steps; 0 is one pass."""
  if request.steps is not None:
    return request.steps
  return 0 if TASKS[request.task].vision else _GENERATE_STEPS
