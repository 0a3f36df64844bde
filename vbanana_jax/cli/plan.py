"""`vbanana plan`: what a config costs on a slice of TPUs, without a TPU."""

from vbanana_jax.cli import config_flags
from vbanana_jax.errors import UserError


def add_verb(verbs) -> None:
  """Adds `plan`."""
  verb = verbs.add_parser(
    'plan',
    help='what a config costs on a slice of TPUs, without a TPU',
    description='Compiles the training step, the painter and the eval step of '
    'a config for a slice of TPUs, on any Linux machine (pip install -c '
    "constraints.txt -e '.[plan]'), and prints memory, FLOPs, exchanges and "
    'the time of a roofline, the largest batch and the smallest slice that '
    'fit: estimates within a minute or two, what is compiled as it comes. '
    'Ctrl-C loses nothing that is printed. Any key of the config can be '
    'changed with --config.a.b=value.',
    epilog='Example: vbanana plan --config pod --topology v5e-16 '
    '--config.model.size=large --config.batch_size=128',
  )
  verb.add_argument(
    '--config',
    required=True,
    metavar='NAME[:ARG]',
    help='a config of the package, or a .py file',
  )
  verb.add_argument(
    '--topology',
    required=True,
    metavar='NAME',
    help='kind and number of chips, as in v5e-256; a wrong one lists them all',
  )
  verb.add_argument(
    '--no-search',
    action='store_true',
    help='leave out the largest batch and the smallest slice: half of the time',
  )
  verb.add_argument(
    '--memory',
    type=float,
    metavar='GIB',
    help='give up a program whose compilation takes more memory than this on '
    'this machine (default: three quarters of what is free)',
  )
  verb.add_argument(
    '--minutes',
    type=float,
    default=15.0,
    help='give up a program whose compilation takes longer (default: 15)',
  )
  verb.set_defaults(run=run_plan)


def run_plan(args, overrides: list[str]) -> int:
  import jax

  from vbanana_jax.plan import compiler, planner, text, topologies
  from vbanana_jax.runtime import processes

  for flag in ('memory', 'minutes'):
    value = getattr(args, flag)
    if value is not None and not value > 0:
      raise UserError(f'--{flag} {value}: it has to be more than 0')
  topology = topologies.find_topology(args.topology)
  config = config_flags.load(args.config, overrides)
  jax.config.update('jax_platforms', 'cpu')  # only the host computes here
  bound = 2**30 * args.memory if args.memory else compiler.find_memory_bound()

  def show(line: str) -> None:
    print(line, flush=True)  # for what it is piped into, too

  planner.show_plan(
    config,
    topology,
    bounds=compiler.Bounds(bytes=bound, seconds=60 * args.minutes),
    show=show,
    search=not args.no_search,
    say=processes.log,
  )
  show(f'\n{text.NOTE}')
  return 0
