"""`vbanana evaluate`: the held-out set, or pictures on a benchmark."""

import pathlib

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
    'benchmark under a protocol, and writes scores_PROTOCOL.json into it; or '
    'with --real says how far generated pictures are from real ones, and '
    'writes distances_REAL.json.',
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
  _add_predictions(verb)
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


def _add_predictions(verb) -> None:
  """What goes with pictures that are there already."""
  verb.add_argument(
    '--predictions',
    type=flags.path,
    help='folder of painted pictures, named as vbanana prompts says; with '
    '--real of any names',
  )
  verb.add_argument(
    '--real',
    type=flags.path,
    metavar='PHOTOS',
    help='folder or zip of real pictures, which generated --predictions are '
    'compared with as a set; without --protocol',
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


def run_evaluate(args, rest) -> int:
  benchmark = ('predictions', 'protocol', 'data')
  given = [name for name in benchmark if getattr(args, name) is not None]
  if given and (args.level or args.tasks or args.reader):
    raise UserError(
      '--level, --tasks and --reader are of the held-out set, and '
      '--predictions are not on it'
    )
  own = (args.partial, args.against, args.passes, args.split)
  if args.real:
    if args.predictions is None or len(given) > 1 or args.workdir or any(own):
      raise UserError(
        '--real goes with --predictions alone, and with --out and --overwrite'
      )
    distributed.refuse(args, 'evaluate --real')
    return _compare_sets(args)
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


def _find_out(args) -> pathlib.Path:
  """Where scores of --predictions go."""
  from vbanana_jax.runtime import files

  if not args.predictions.is_dir():
    raise UserError(f'--predictions {args.predictions}: no such folder')
  out = args.out or args.predictions
  files.check_folder(out)
  return out


def _compare_sets(args) -> int:
  from vbanana_jax.evaluation import picture_sets
  from vbanana_jax.runtime import files, logs

  out = _find_out(args)
  name = args.real.stem if args.real.is_file() else args.real.name
  path = out / f'{picture_sets.PREFIX}{name}.json'
  if not args.overwrite:
    sides = {'predictions': str(args.predictions), 'real': str(args.real)}
    files.check_free(path, sides, ())
  results = picture_sets.compare(args.predictions, args.real)
  try:  # a full disk loses no table, and a reader who left (`| head`) no file
    print(picture_sets.make_table(results), flush=True)
  finally:
    logs.save_json(path, results)
  print(f'\n{path}')
  return 0


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
  out = _find_out(args)
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
