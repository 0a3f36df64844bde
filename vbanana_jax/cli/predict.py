"""`vbanana predict`."""

import pathlib

from vbanana_jax.cli import flags, runs
from vbanana_jax.errors import UserError


def add_verb(verbs) -> None:
  """Adds `predict`."""
  verb = verbs.add_parser(
    'predict',
    help='answer about a photo or a whole benchmark, or paint a picture',
    description='Writes the painted answer, the decoded values and a picture '
    'to look at.',
    epilog='Examples: vbanana predict street.jpg --task depth;  vbanana '
    'predict room.png --task semantic --classes floor,wall,sphere;  vbanana '
    "predict --prompt 'a red sphere'",
  )
  verb.add_argument('image', nargs='*', type=pathlib.Path)
  verb.add_argument(
    '--task',
    help='depth, normals, semantic, instance, referring, edit or generate',
  )
  verb.add_argument(
    '--classes', help='semantic: names, split by commas; instance: one name'
  )
  verb.add_argument('--prompt', help='what to paint, change or look for')
  verb.add_argument(
    '--checkpoint',
    type=pathlib.Path,
    help='a trained folder; the newest under runs/ if not given',
  )
  verb.add_argument('--out', type=pathlib.Path, default=pathlib.Path('answers'))
  verb.add_argument(
    '--steps', type=flags.at_least(0), help='sampler steps; 0 is one pass'
  )
  verb.add_argument(
    '--guidance', type=float, default=1.0, help='of sampler steps; 1 is off'
  )
  verb.add_argument(
    '--size', type=flags.at_least(8), help='long edge the network works at'
  )
  verb.add_argument('--seed', type=flags.at_least(0), default=0)
  flags.add_protocol(verb, required=False)
  verb.set_defaults(run=run_predict)


def run_predict(args, rest) -> int:
  from vbanana_jax import answer

  if args.protocol or args.data:
    return _answer_protocol(args)
  task = args.task or ('edit' if args.image and args.prompt else None)
  task = task or ('generate' if args.prompt else None)
  if task is None:
    raise UserError('predict needs --task for an image, or --prompt to paint')
  wish = answer.Wish(
    task=task,
    words=args.prompt,
    classes=tuple(
      name.strip() for name in (args.classes or '').split(',') if name.strip()
    ),
    steps=args.steps,
    guidance=args.guidance,
    size=args.size,
    seed=args.seed,
  )
  answer.ask(wish, 'quick')  # a mistake in the words should not wait
  run = _find_run(args)
  flags.check_names(args.image)
  answerer = answer.Answerer(run)
  for image in args.image or [None]:
    for path in answerer.answer(wish, image, args.out).values():
      print(path)
  return 0


def _answer_protocol(args) -> int:
  from vbanana_jax import answer
  from vbanana_jax.data import protocols

  if not (args.protocol and args.data) or args.image or args.task:
    raise UserError(
      'predict --protocol needs --data, and takes neither images nor --task'
    )
  protocol = protocols.load_protocol(args.protocol)
  n = answer.Answerer(_find_run(args)).answer_protocol(
    protocol, args.data, args.out, passes=args.passes, size=args.size
  )
  print(
    f'{args.out}: {n} pictures. To score them: vbanana evaluate --predictions '
    f'{args.out} --protocol {protocol.name} --data {args.data}'
  )
  return 0


def _find_run(args) -> pathlib.Path:
  if args.checkpoint:
    return runs.find_run(args.checkpoint)
  return runs.find_newest_run()
