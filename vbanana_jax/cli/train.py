"""`vbanana train`."""

import shlex
from typing import Any

from vbanana_jax.cli import config_flags, distributed, flags
from vbanana_jax.runtime import paths


def add_verb(verbs) -> None:
  """Adds `train`."""
  verb = verbs.add_parser(
    'train',
    help='pretrain or tune: the config says which',
    description='Trains a config in a folder. In the same folder a run goes '
    'on where it stopped. Any key can be changed with --config.a.b=value.',
    epilog='Example: vbanana train --config quickstart:tune --workdir '
    'runs/a/tune --config.init_from=runs/a/pretrain --config.seed=1',
  )
  verb.add_argument(
    '--config',
    required=True,
    metavar='NAME[:ARG]',
    help='one of the package, as quickstart; a wrong one lists them all; or a '
    '.py file',
  )
  verb.add_argument(
    '--workdir',
    required=True,
    type=flags.path,
    help='folder of the run: its checkpoints, logs and scores',
  )
  distributed.add_flags(verb)
  verb.set_defaults(run=run_train)


def run_train(args, overrides: list[str]) -> int:
  distributed.start(args, saves=True)
  from vbanana_jax import train
  from vbanana_jax.runtime import processes

  config = config_flags.load(args.config, overrides)
  train.train(config, args.workdir)
  processes.print_from_first(describe_next(config, args.workdir))
  return 0


def describe_next(config: dict[str, Any], workdir: paths.Path) -> str:
  """The commands that follow a training, one a line.

  Args:
    config: of the run, as plain nested dicts.
    workdir: of the run.
  """
  from vbanana_jax.data import pairings
  from vbanana_jax.tasks import TASKS

  run = shlex.quote(str(workdir))
  learned = pairings.find_tasks(config)
  # The first one about a photo that needs no words, if there is any.
  asked = min(learned, key=lambda name: _count_words(TASKS[name].inputs))
  inputs = TASKS[asked].inputs
  words = f'photo.jpg --task {asked}' if inputs.photo else f'--task {asked}'
  words += ' --classes NAME,NAME' if inputs.least_classes else ''
  words += ' --prompt WORDS' if inputs.prompt else ''
  predict = f'  vbanana predict {words} --workdir {run}'
  if not pairings.find_tasks(config, pairings.SCENES):
    return (
      f'next:\n{predict}\n  vbanana predict --protocol FILE --data FOLDER '
      f'--workdir {run}'
    )
  return (
    f'next:\n  vbanana evaluate --workdir {run}\n{predict}\n'
    f'  vbanana report --workdir {run}'
  )


def _count_words(inputs) -> int:
  return (not inputs.photo) + bool(inputs.least_classes) + inputs.prompt
