"""`vbanana report`: the page of a run, or the table of the benchmarks."""

import shlex

from vbanana_jax.cli import flags
from vbanana_jax.errors import UserError


def add_verb(verbs) -> None:
  """Adds `report`."""
  verb = verbs.add_parser(
    'report',
    help='write a page of scored runs, or print the benchmark table',
    description='With a RUN: writes report.html into it. With several: writes '
    'comparison.html into the first, which is the baseline, with differences, '
    'curves and answers side by side. With --protocols: prints what was scored '
    'under each protocol beside the numbers that the paper and its rivals '
    'published, with the known differences.',
    epilog='Example: vbanana report runs/a runs/b',
  )
  verb.add_argument(
    'runs',
    type=flags.path,
    nargs='*',
    metavar='RUN',
    help='folders that vbanana evaluate wrote results.json into; or such files '
    'of another level or of some tasks, as runs/a/results_full.json',
  )
  verb.add_argument('--workdir', type=flags.path, help='one RUN, by name')
  verb.add_argument(
    '--out', type=flags.path, metavar='FILE', help='another name of the page'
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
  runs = [*([args.workdir] if args.workdir else []), *args.runs]
  if bool(runs) == (args.protocols is not None):
    raise UserError(
      'report needs either a RUN (--workdir is one, too) or --protocols'
    )
  if runs:
    return _write_page(runs, args)
  if args.out:
    raise UserError('--out is of the page of a RUN; --protocols prints')
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


def _write_page(runs, args) -> int:
  from vbanana_jax.evaluation import run_report

  if args.markdown or args.all:
    raise UserError('--markdown and --all are of --protocols, not of a RUN')
  name = 'report.html' if len(runs) == 1 else 'comparison.html'
  print(run_report.write_report(runs, args.out or _find_folder(runs[0]) / name))
  first = shlex.quote(str(runs[0]))
  if len(runs) == 1:
    print(
      'next: open it in a browser; compare it with another run:\n'
      f'  vbanana report {first} OTHER_RUN'
    )
  else:
    print(
      f'next: open it in a browser; {runs[0]} is the baseline: name another '
      'run first for another one'
    )
  return 0


def _find_folder(run):
  """Where a page of a RUN goes."""
  return run.parent if run.suffix == '.json' else run
