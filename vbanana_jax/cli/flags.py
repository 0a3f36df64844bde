"""What several verbs share: argument types and how facts are printed."""

import argparse
from typing import Any

from vbanana_jax import keys
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths
from vbanana_jax.tasks import TASKS

_MOST_PASSES = 100
_MOST_STEPS = 1000  # of samplers: no more change a picture


def at_least(least: int, most: int = keys.MOST_SEED):
  """An argparse type: an integer that is from `least` to `most`."""

  def number(text: str) -> int:
    value = int(text)
    if value < least:
      raise argparse.ArgumentTypeError(f'{text} is less than {least}')
    if value > most:
      raise argparse.ArgumentTypeError(f'{text} is more than {most}')
    return value

  return number


def path(text: str) -> paths.Path:
  """An argparse type: a file or folder, on a disk or in a bucket."""
  try:
    return paths.to_path(text)
  except UserError as error:
    raise argparse.ArgumentTypeError(str(error)) from error


def add_states(verb: argparse.ArgumentParser) -> None:
  """Adds --states of a verb that opens a snapshot of FLUX.2 klein."""
  verb.add_argument(
    '--states',
    type=_to_states,
    default=(9, 18, 27),
    metavar='N,N,N',
    help='layers of its text encoder after which the transformer listens; '
    '9,18,27 if not given, as all published ones',
  )


def _to_states(text: str) -> tuple[int, ...]:
  words = text.split(',')
  if not all(word.isdecimal() for word in words):
    raise argparse.ArgumentTypeError(f'{text} is not as 9,18,27')
  return tuple(map(int, words))


def add_workdir(verb: argparse.ArgumentParser, *, newest: bool) -> None:
  """Adds --workdir of a verb that asks a trained run; see docs/training.md."""
  text = (
    'folder that vbanana train wrote a run into, or one with it as tune/; or '
    'an export of weights; or the name of a network of the package'
  )
  if newest:
    text += '; the newest run under runs/ if not given'
  verb.add_argument('--workdir', type=path, help=text)


def add_protocol(verb: argparse.ArgumentParser, *, required=True) -> None:
  """Adds --protocol, --data, --split and --passes."""
  verb.add_argument(
    '--protocol',
    required=required,
    metavar='NAME',
    help='of a benchmark, as in nyuv2_depth, or the file of your own; a wrong '
    'one lists them all',
  )
  verb.add_argument(
    '--data',
    required=required,
    type=path,
    help='the folder of the benchmark, as docs/benchmarks.md draws it',
  )
  add_split(verb)
  verb.add_argument(
    '--passes',
    type=at_least(1, _MOST_PASSES),
    help='pictures a question, with legends dealt anew, put to the vote',
  )


def add_split(verb: argparse.ArgumentParser) -> None:
  """Adds --split."""
  verb.add_argument(
    '--split',
    help="of the benchmark; the protocol's own if not given, and results of "
    'another one are marked',
  )


def add_question(verb: argparse.ArgumentParser) -> None:
  """Adds what a question is made of; `make_request` reads it."""
  verb.add_argument(
    '--task',
    help=', '.join(TASKS),
  )
  verb.add_argument(
    '--classes', help='names that the answer is about, split by commas'
  )
  verb.add_argument('--prompt', help='what to paint, change or look for')
  verb.add_argument(
    '--steps',
    type=at_least(0, _MOST_STEPS),
    help='sampler steps; 0 is one pass',
  )
  verb.add_argument(
    '--sampler',
    help='euler, or heun: two calls of the network a step; euler if not given',
  )
  verb.add_argument(
    '--guidance', type=float, default=1.0, help='of sampler steps; 1 is off'
  )
  verb.add_argument('--seed', type=at_least(0), default=0)


def has_question(args: argparse.Namespace) -> bool:
  """Whether any flag of `add_question` was given."""
  words = (args.task, args.classes, args.prompt, args.seed, args.sampler)
  return any(words) or args.steps is not None or args.guidance != 1


def make_request(args: argparse.Namespace, **more: Any):
  """The `request.PredictRequest` of the flags of `add_question`.

  Args:
    args: with a task, or with a prompt alone.
    **more: of its fields.
  """
  from vbanana_jax.inference import request

  images = getattr(args, 'image', None)
  task = args.task
  if task is None and args.prompt:
    task = next(
      name
      for name, each in TASKS.items()
      if each.inputs.is_default and each.inputs.photo == bool(images)
    )
  if task is None:
    raise UserError(
      f'{args.verb} needs --task for an image, or --prompt to paint'
    )
  names = (name.strip() for name in (args.classes or '').split(','))
  return request.PredictRequest(
    task=task,
    words=args.prompt,
    classes=tuple(filter(None, names)),
    steps=args.steps,
    guidance=args.guidance,
    **({'sampler': args.sampler} if args.sampler else {}),
    seed=args.seed,
    **more,
  )


def to_text(fact: Any) -> str:
  """One line for a person; numbers with four digits."""
  if isinstance(fact, float):
    return f'{fact:.4g}'
  if isinstance(fact, dict):
    return ', '.join(f'{name} {to_text(x)}' for name, x in fact.items())
  if isinstance(fact, list):
    return ' '.join(to_text(x) for x in fact)
  return str(fact)
