"""`vbanana plan`: what a config costs on a slice of TPUs, without a TPU."""

from vbanana_jax.config import apply_overrides, load_config


def add_verb(verbs) -> None:
  """Adds `plan`."""
  verb = verbs.add_parser(
    'plan',
    help='what a config costs on a slice of TPUs, without a TPU',
    description='Compiles the training step, the painter and the eval step of '
    'a config for a slice of TPUs, on any Linux machine (pip install -c '
    "constraints.txt -e '.[plan]'), and prints memory, FLOPs, exchanges and "
    'the time of a roofline; then the largest batch and the smallest slice '
    'that fit. It takes minutes from size base on. Any key of the config can '
    'be changed with --config.a.b=value.',
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
  verb.set_defaults(run=run_plan)


def run_plan(args, overrides: list[str]) -> int:
  import jax

  from vbanana_jax import processes
  from vbanana_jax.plan import planner, text, topologies

  topology = topologies.find_topology(args.topology)
  config = load_config(args.config)
  apply_overrides(config, overrides)
  jax.config.update('jax_platforms', 'cpu')  # only the host computes here
  plan = planner.make_plan(
    config.to_dict(),
    topology,
    search=not args.no_search,
    say=processes.say,
  )
  print(text.make_text(plan))
  return 0
