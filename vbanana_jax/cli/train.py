"""`vbanana train`."""

from vbanana_jax.cli import distributed, flags
from vbanana_jax.config import apply_overrides, load_config
from vbanana_jax.tasks import TASKS


def add_verb(verbs) -> None:
  """Adds `train`."""
  verb = verbs.add_parser(
    'train',
    help='pretrain or tune: the config says which',
    description='Trains a config in a folder. The same folder goes on where '
    'it stopped. Any key can be changed with --config.a.b=value.',
    epilog='Example: vbanana train --config quickstart:tune --workdir '
    'runs/a/tune --config.init_from=runs/a/pretrain --config.seed=1',
  )
  verb.add_argument(
    '--config',
    required=True,
    metavar='NAME[:ARG]',
    help='quickstart, cpu_hour, photos or pod of the package, or a .py file',
  )
  verb.add_argument('--workdir', required=True, type=flags.path)
  distributed.add_flags(verb)
  verb.set_defaults(run=run_train)


def run_train(args, overrides: list[str]) -> int:
  distributed.start(args, saves=True)
  from vbanana_jax import train

  config = load_config(args.config)
  unset = {f'mixture.{name}': 0.0 for name in TASKS}
  apply_overrides(config, overrides, unset)
  train.train(config.to_dict(), args.workdir)
  return 0
