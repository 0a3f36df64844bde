"""The `vbanana` command: one verb a job.

  vbanana train     --config quickstart:tune --workdir runs/a/tune
  vbanana evaluate  --workdir runs/a
  vbanana report    --workdir runs/a
  vbanana predict   photo.jpg --task depth
  vbanana prepare   image_folder photos.zip --out data/photos
  vbanana prepare   scenes --out data/tfds

Only this file knows flags, exit codes and folders' names; what it calls are
plain functions of a config and paths.
"""

import argparse
import errno
import os
import pathlib
import sys

from vbanana_jax.config import apply_overrides, load_config
from vbanana_jax.errors import DiskFullError, Interrupted, UserError

_CACHE = pathlib.Path('~/.cache/vbanana_jax/xla')


def main(argv: list[str] | None = None) -> int:
  """Runs one verb; a user's mistake is one line and an exit code."""
  parser = build_parser()
  args, rest = parser.parse_known_args(argv)
  if rest and args.verb != 'train':
    parser.error(f'unknown arguments: {" ".join(rest)}')
  use_compilation_cache()
  try:
    return args.run(args, rest) or 0
  except UserError as error:
    print(f'vbanana: {error}', file=sys.stderr)
    return error.exit_code
  except OSError as error:
    print(f'vbanana: {error}', file=sys.stderr)
    is_full = error.errno == errno.ENOSPC
    return (DiskFullError if is_full else UserError).exit_code
  except KeyboardInterrupt:
    print('vbanana: interrupted', file=sys.stderr)
    return Interrupted.exit_code


def build_parser() -> argparse.ArgumentParser:
  """All verbs with their flags."""
  parser = argparse.ArgumentParser(
    prog='vbanana',
    description='An image generator, lightly tuned, as a vision generalist.',
    epilog='First time? Run: bash launch/quickstart.sh',
  )
  verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')

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
    help='quickstart, cpu_hour or photos of the package, or a .py file',
  )
  verb.add_argument('--workdir', required=True, type=pathlib.Path)
  verb.set_defaults(run=run_train)

  verb = verbs.add_parser(
    'evaluate',
    help='score every task on the frozen exam',
    description='Scores a run with its averaged weights, prints the table '
    'and writes results.json into the folder.',
  )
  verb.add_argument(
    '--workdir',
    required=True,
    type=pathlib.Path,
    help='a trained folder, or one with a trained tune/ in it',
  )
  verb.add_argument('--level', choices=('quick', 'full'), help='of the exam')
  verb.set_defaults(run=run_evaluate)

  verb = verbs.add_parser('report', help='write report.html of a scored run')
  verb.add_argument('--workdir', required=True, type=pathlib.Path)
  verb.set_defaults(run=run_report)

  verb = verbs.add_parser(
    'predict',
    help='answer about a photo, or paint one',
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
    '--steps', type=at_least(0), help='sampler steps; 0 is one pass'
  )
  verb.add_argument(
    '--guidance', type=float, default=1.0, help='of sampler steps; 1 is off'
  )
  verb.add_argument(
    '--size', type=at_least(8), help='long edge the network works at'
  )
  verb.add_argument('--seed', type=at_least(0), default=0)
  verb.set_defaults(run=run_predict)

  verb = verbs.add_parser('prepare', help='turn pictures into records')
  kinds = verb.add_subparsers(dest='kind', required=True, metavar='KIND')
  kind = kinds.add_parser(
    'image_folder',
    help='a folder or zip: class folders, name.txt or metadata.jsonl',
  )
  kind.add_argument('path', type=pathlib.Path, nargs='?')
  kind.add_argument('--out', required=True, type=pathlib.Path)
  kind.add_argument(
    '--caption', help='of pictures that neither folder nor file describes'
  )
  kind.add_argument(
    '--verify', action='store_true', help='check what is in --out already'
  )
  kind.set_defaults(run=run_prepare)
  kind = kinds.add_parser(
    'scenes', help='freeze scenes and their labels as a TFDS data set'
  )
  kind.add_argument('--out', required=True, type=pathlib.Path)
  kind.add_argument('--level', choices=('quick', 'full'), default='quick')
  kind.add_argument('--seed', type=at_least(0), default=0)
  kind.add_argument('--number', type=at_least(1), default=1024)
  kind.add_argument(
    '--size', type=at_least(8), default=64, help='pixels a side'
  )
  kind.set_defaults(run=run_freeze)
  return parser


def at_least(least: int):
  """An argparse type: an integer that is not below `least`."""

  def number(text: str) -> int:
    value = int(text)
    if value < least:
      raise argparse.ArgumentTypeError(f'{text} is less than {least}')
    return value

  return number


def use_compilation_cache() -> None:
  """Keeps compiled programs between runs, where the home can be written."""
  import jax

  folder = pathlib.Path(
    os.environ.get('JAX_COMPILATION_CACHE_DIR', _CACHE)
  ).expanduser()
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError:
    return
  jax.config.update('jax_compilation_cache_dir', str(folder))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 1.0)


def run_train(args, overrides: list[str]) -> int:
  from vbanana_jax import train

  config = load_config(args.config)
  apply_overrides(config, overrides)
  train.train(config.to_dict(), args.workdir)
  return 0


def run_evaluate(args, rest) -> int:
  from vbanana_jax import results

  results.write_results(args.workdir, find_run(args.workdir), args.level)
  return 0


def run_report(args, rest) -> int:
  from vbanana_jax import results

  print(results.write_report(args.workdir))
  return 0


def run_predict(args, rest) -> int:
  from vbanana_jax import answer

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
  run = find_run(args.checkpoint) if args.checkpoint else find_newest_run()
  stems = [image.stem for image in args.image]
  if len(set(stems)) < len(stems):
    raise UserError('two images have the same name: answer them into two --out')
  answerer = answer.Answerer(run)
  for image in args.image or [None]:
    for path in answerer.answer(wish, image, args.out).values():
      print(path)
  return 0


def run_prepare(args, rest) -> int:
  from vbanana_jax.data import array_records, prepare

  if args.verify:
    manifest = array_records.check_shards(args.out)
  elif args.path is None:
    raise UserError('prepare image_folder needs the folder or zip to read')
  else:
    manifest = prepare.prepare_image_folder(
      args.path, args.out, caption=args.caption
    )
  print(
    f'{args.out}: {manifest["count"]} pictures in '
    f'{len(manifest["shards"])} shards, {len(manifest["skipped"])} left out'
  )
  return 0


def run_freeze(args, rest) -> int:
  from vbanana_jax.data import tfds_scenes

  name = tfds_scenes.freeze_scenes(
    args.out, level=args.level, seed=args.seed, n=args.number, size=args.size
  )
  print(
    f'{args.out}: {args.number} scenes. To train on their pictures, add\n'
    f'  --config.data.tfds={name} --config.data.tfds_dir={args.out} '
    '--config.data.tfds_weight=1'
  )
  return 0


def find_run(folder: pathlib.Path) -> pathlib.Path:
  """The trained workdir that a folder is, or holds as tune/."""
  from vbanana_jax.checkpoint import newest_step

  for run in (folder, folder / 'tune'):
    if newest_step(run) is not None:
      return run
  raise UserError(
    f'{folder} has no checkpoint: make one with bash launch/quickstart.sh, '
    'or with vbanana train'
  )


def find_newest_run() -> pathlib.Path:
  """The workdir under runs/ that was trained last."""
  from vbanana_jax.checkpoint import newest_step

  root = pathlib.Path('runs')
  runs = [
    path.parent
    for path in (*root.glob('*/tune/run.json'), *root.glob('*/run.json'))
    if newest_step(path.parent) is not None
  ]
  if not runs:
    raise UserError(
      'there is no trained run under runs/: make one with bash '
      'launch/quickstart.sh (about a quarter of an hour), or name one with '
      '--checkpoint'
    )
  return max(runs, key=lambda run: (run / 'run.json').stat().st_mtime)


if __name__ == '__main__':
  sys.exit(main())
