"""`vbanana train`."""

from vbanana_jax.cli import config_flags, distributed, flags


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

  train.train(config_flags.load(args.config, overrides), args.workdir)
  return 0
