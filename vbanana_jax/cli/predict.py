"""`vbanana predict`."""

import pathlib
import sys
from collections.abc import Iterable

from vbanana_jax.cli import distributed, flags, runs
from vbanana_jax.errors import UserError


def add_verb(verbs) -> None:
  """Adds `predict`."""
  verb = verbs.add_parser(
    'predict',
    help='answer about photos or a whole benchmark, or paint a picture',
    description='Writes the painted answer, the decoded values and a picture '
    'to look at, of each photo. A photo that cannot be read is named and the '
    'others are answered; the exit code then is 2.',
    epilog='Examples: vbanana predict street.jpg --task depth;  vbanana '
    'predict photos --task normals;  vbanana predict room.png --task semantic '
    "--classes floor,wall,sphere;  vbanana predict --prompt 'a red sphere'",
  )
  verb.add_argument(
    'image', nargs='*', type=flags.path, help='photos, or folders of photos'
  )
  flags.add_question(verb)
  flags.add_workdir(verb, newest=True)
  verb.add_argument(
    '--exported',
    type=flags.path,
    help='a folder of vbanana export, instead of --workdir and a question',
  )
  verb.add_argument('--out', type=flags.path, default=flags.path('answers'))
  verb.add_argument(
    '--size', type=flags.at_least(8), help='short edge the network works at'
  )
  verb.add_argument(
    '--batch',
    type=flags.at_least(1),
    help='photos painted at once; 1 on a CPU and 16 elsewhere if not given',
  )
  flags.add_protocol(verb, required=False)
  verb.add_argument(
    '--overwrite',
    action='store_true',
    help='replace answers to something else that have the same names, and '
    'with --protocol paint everything anew',
  )
  distributed.add_flags(verb)
  verb.set_defaults(run=run_predict)


def run_predict(args, rest) -> int:
  if args.protocol or args.data:
    return _answer_protocol(args)
  if args.exported:
    return _answer_exported(args)
  request = flags.make_request(args, size=args.size)
  from vbanana_jax.inference.request import build_question

  build_question(request)  # a mistake in the words should not wait
  if args.passes or args.split:
    raise UserError(
      'predict --passes goes with --protocol, and so does --split'
    )
  distributed.start(args, saves=False)
  from vbanana_jax.runtime import processes

  # Photos and answers need not be where the other processes are.
  images = _find_images(args.image, args.out) if processes.is_first() else []
  run = runs.choose_run(args.workdir)
  from vbanana_jax import predict
  from vbanana_jax.inference.predictor import Predictor

  predictor = Predictor(run)
  print(f'run: {run}', file=sys.stderr)

  def answer() -> int:
    rows = predictor.count_rows(args.batch)
    found = predict.predict_all(
      predictor.prepare(request, rows=rows),
      images or [None],
      out_dir=args.out,
      rows=rows,
      overwrite=args.overwrite,
    )
    return _print_answers(found, max(len(images), 1))

  return predictor.engine.lead(answer)


def _answer_exported(args) -> int:
  from vbanana_jax import predict
  from vbanana_jax.inference import exported, exported_predictor

  own = (args.workdir, args.size, args.batch, args.passes, args.split)
  if any(own) or flags.has_question(args):
    raise UserError(
      'predict --exported takes images and --out: its question was exported '
      'with it'
    )
  distributed.refuse(args, 'predict --exported')
  images = _find_images(args.image, args.out)
  painter = exported.load_exported(args.exported)
  return _print_answers(
    predict.predict_all(
      exported_predictor.prepare(painter),
      images or [None],
      out_dir=args.out,
      overwrite=args.overwrite,
    ),
    max(len(images), 1),
  )


def _find_images(
  paths: list[pathlib.Path], out: pathlib.Path
) -> list[pathlib.Path]:
  """The photos that are named, and those in folders that are named."""
  from vbanana_jax.data import photo_folder, photos

  images = []
  for path in paths:
    if not path.is_dir():
      images.append(path)
      continue
    if path.resolve() == out.resolve():
      raise UserError(
        f'--out {out} is the folder of the photos, and its answers would be '
        'taken for photos: choose another'
      )
    found, others = photo_folder.find_photos(path)
    if not found:
      raise UserError(
        f'{path}: no photo in this folder; their names end in '
        f'{", ".join(photos.SUFFIXES)}'
      )
    if others:
      counts = ', '.join(f'{n} {kind}' for kind, n in sorted(others.items()))
      print(f'{path}: not taken for photos: {counts}', file=sys.stderr)
    images += found
  return photo_folder.drop_repeats(images)


def _print_answers(answers: Iterable, count: int) -> int:
  """Paths of the answers, and what is wrong with photos that have none."""
  import tqdm

  failed = []
  with tqdm.tqdm(total=count, unit='photo', disable=count == 1) as bar:
    for image, paths in answers:
      if not isinstance(paths, UserError):
        for path in dict.fromkeys(paths.values()):
          bar.write(str(path), file=sys.stdout)
      elif count == 1:
        raise paths
      else:
        failed.append(image)
        bar.write(f'vbanana: {paths}', file=sys.stderr)
      bar.update()
  if failed:
    names = ', '.join(str(image) for image in failed[:3])
    raise UserError(
      f'{len(failed)} of {count} photos have no answer, for the reasons above: '
      f'{names}{", ..." if len(failed) > 3 else ""}'
    )
  return 0


def _answer_protocol(args) -> int:
  own = (args.image, args.exported)
  if not (args.protocol and args.data) or any(own) or flags.has_question(args):
    raise UserError(
      'predict --protocol needs --data, and takes neither images nor '
      '--exported nor a question: the protocol asks'
    )
  from vbanana_jax.benchmark import protocols

  protocol = protocols.load_protocol(args.protocol, args.split)
  distributed.start(args, saves=False)
  from vbanana_jax.inference import predict_protocol
  from vbanana_jax.inference.predictor import Predictor
  from vbanana_jax.runtime import files, processes

  if processes.is_first():
    files.check_folder(args.out)
  predictor = Predictor(runs.choose_run(args.workdir))
  processes.check_agree({'weights of the run': predictor.weights_hash})
  n = predictor.engine.lead(
    lambda: predict_protocol.paint_protocol(
      predictor,
      protocol,
      args.data,
      args.out,
      passes=args.passes,
      size=args.size,
      rows=args.batch,
      overwrite=args.overwrite,
    )
  )
  split = f' --split {args.split}' if args.split else ''
  processes.print_from_first(
    f'{args.out}: {n} pictures. To score them: vbanana evaluate --predictions '
    f'{args.out} --protocol {args.protocol} --data {args.data}{split}'
  )
  return 0
