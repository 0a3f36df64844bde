"""`vbanana evaluate`: the held-out set, or pictures on a benchmark."""

from vbanana_jax.cli import distributed, flags
from vbanana_jax.errors import UserError


def add_verb(verbs) -> None:
  """Adds `evaluate`."""
  verb = verbs.add_parser(
    'evaluate',
    help="score a run on the frozen held-out set, or any generator's pictures",
    description='With --workdir: scores a run with its averaged weights on '
    'the frozen held-out set, prints the table and writes results.json. With '
    '--predictions: scores a folder of painted pictures, of any size, on a '
    'benchmark under a protocol, and writes scores_PROTOCOL.json into it.',
    epilog='Example: vbanana evaluate --predictions painted --protocol '
    'nyuv2_depth --data data/nyuv2',
  )
  flags.add_workdir(verb, newest=False)
  verb.add_argument(
    '--level', choices=('quick', 'full'), help='of the held-out set'
  )
  verb.add_argument(
    '--tasks',
    help='of the held-out set, split by commas, trained on or not; all that '
    'the run '
    'was trained on if not given',
  )
  verb.add_argument(
    '--reader',
    type=flags.path,
    metavar='RUN',
    help='another network, which says what facts of its caption a generated '
    'picture shows; it must not have trained on generated pictures. That of '
    'config.eval.reader if not given',
  )
  verb.add_argument(
    '--predictions',
    type=flags.path,
    help='folder of painted pictures, named as vbanana prompts says',
  )
  flags.add_protocol(verb, required=False)
  verb.add_argument(
    '--partial',
    action='store_true',
    help='score the examples that are there; the result is marked as partial',
  )
  verb.add_argument(
    '--against',
    type=flags.path,
    metavar='SCORES',
    help='a scores_*.json of other predictions: prints the differences',
  )
  verb.add_argument(
    '--out',
    type=flags.path,
    help='folder of the results, where they should not be written into '
    '--predictions or --workdir',
  )
  verb.add_argument(
    '--overwrite',
    action='store_true',
    help='replace scores of another run or other pictures in --out',
  )
  distributed.add_flags(verb)
  verb.set_defaults(run=run_evaluate)


def run_evaluate(args, rest) -> int:
  benchmark = ('predictions', 'protocol', 'data')
  given = [name for name in benchmark if getattr(args, name) is not None]
  if given and (args.level or args.tasks or args.reader):
    raise UserError(
      '--level, --tasks and --reader are of the held-out set, and '
      '--predictions are not on it'
    )
  own = (args.partial, args.against, args.passes, args.split)
  if args.workdir and any(own):
    raise UserError(
      '--partial, --against, --passes and --split are of --predictions, not '
      'of --workdir'
    )
  if args.workdir and not given:
    distributed.start(args, saves=False)
    from vbanana_jax import evaluate
    from vbanana_jax.training import provenance, trained_folders

    run = trained_folders.find_run(args.workdir)
    if args.out is None:
      trained_folders.refuse_writing(run, '--out')
    settings = provenance.load_run_json(run)['config']['eval']
    reader = args.reader or settings['reader']
    evaluate.evaluate_and_save(
      args.workdir,
      run,
      args.level,
      tasks=_choose_tasks(args),
      reader=trained_folders.find_run(flags.path(reader)) if reader else None,
      out=args.out,
      overwrite=args.overwrite,
    )
    return 0
  if args.workdir or len(given) < len(benchmark):
    raise UserError(
      'evaluate needs either --workdir, or all of --predictions, --protocol '
      'and --data; to score a run on a benchmark, let it paint first: vbanana '
      'predict --protocol'
    )
  distributed.refuse(args, 'evaluate --predictions')
  return _grade(args)


def _choose_tasks(args) -> list[str] | None:
  from vbanana_jax.tasks import TASKS

  if args.tasks is None:
    return None
  names = [name.strip() for name in args.tasks.split(',')]
  for name in names:
    if name not in TASKS:
      raise UserError(
        f'--tasks {args.tasks}: {name!r} is none; choose of {", ".join(TASKS)}'
      )
  return names


def _grade(args) -> int:
  from vbanana_jax.benchmark import protocols
  from vbanana_jax.evaluation import score_folder, scores, scores_text
  from vbanana_jax.runtime import files

  protocol = protocols.load_protocol(args.protocol, args.split)
  other = args.against and scores.load_scores(args.against)
  if other:
    scores.refuse_other(
      {'protocol': protocol.name, 'version': protocol.version}, other[0]
    )
  if not args.predictions.is_dir():
    raise UserError(f'--predictions {args.predictions}: no such folder')
  out = args.out or args.predictions
  files.check_folder(out)
  passes = args.passes or protocol.passes
  suffix = f'_{passes}_passes' if passes > 1 else ''
  path = out / f'{scores.PREFIX}{protocol.label}{suffix}.json'
  if args.out and not args.overwrite:
    files.check_free(path, {'predictions': str(args.predictions)}, ())
  grade = score_folder.grade(
    protocol,
    args.data,
    args.predictions,
    passes=args.passes,
    partial=args.partial,
  )
  try:  # a full disk loses no table, and a reader who left (`| head`) no file
    print(scores_text.make_table(grade.results), flush=True)
  finally:
    scores.save_scores(grade, path)
  print(f'\n{path}')
  if other:
    print('\n' + scores_text.make_comparison(scores.compare(grade, *other)))
  return 0
