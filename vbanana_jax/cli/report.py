"""`vbanana report`: the page of a run, or the table of the benchmarks."""

from vbanana_jax.cli import flags
from vbanana_jax.errors import UserError


def add_verb(verbs) -> None:
  """Adds `report`."""
  verb = verbs.add_parser(
    'report',
    help='write report.html of a scored run, or print the benchmark table',
    description='With --workdir: writes report.html. With --protocols: prints '
    'what was scored under each protocol beside the numbers that the paper '
    'and its rivals published, with the known differences.',
    epilog='Example: vbanana report --protocols painted',
  )
  verb.add_argument(
    '--workdir',
    type=flags.path,
    help='folder that vbanana evaluate wrote results.json into',
  )
  verb.add_argument(
    '--protocols',
    type=flags.path,
    nargs='*',
    metavar='SCORES',
    help='scores_*.json files, or folders that hold some; none prints the '
    'published numbers alone',
  )
  verb.add_argument(
    '--all',
    action='store_true',
    help='of --protocols: benchmarks too that were published and not scored',
  )
  verb.add_argument(
    '--markdown', action='store_true', help='the table of --protocols, for docs'
  )
  verb.set_defaults(run=run_report)


def run_report(args, rest) -> int:
  if (args.workdir is None) == (args.protocols is None):
    raise UserError('report needs either --workdir or --protocols')
  if args.workdir:
    from vbanana_jax.evaluation import run_report

    print(run_report.write_report(args.workdir))
    return 0
  from vbanana_jax.evaluation import scores
  from vbanana_jax.report import published

  make_table = published.make_protocol_table
  if args.markdown:
    make_table = published.make_protocol_markdown
  ours = scores.find_results(args.protocols)
  theirs = published.load_published()
  if ours and not args.all:
    theirs = published.find_rivals(theirs, ours)
  print(make_table(theirs, ours))
  return 0
