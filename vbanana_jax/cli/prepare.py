"""`vbanana prepare`."""

from vbanana_jax.cli import flags
from vbanana_jax.errors import UserError

_NAMED = 5  # of the files left out


def add_verb(verbs) -> None:
  """Adds `prepare` and its kinds."""
  verb = verbs.add_parser('prepare', help='turn pictures into records')
  kinds = verb.add_subparsers(dest='kind', required=True, metavar='KIND')
  kind = kinds.add_parser(
    'image_folder',
    help='a folder or zip: class folders, name.txt, metadata.csv or .jsonl',
  )
  kind.add_argument('path', type=flags.path, nargs='?')
  kind.add_argument('--out', required=True, type=flags.path)
  kind.add_argument(
    '--caption', help='of pictures that neither folder nor file describes'
  )
  kind.add_argument(
    '--include',
    action='append',
    default=[],
    metavar='PATTERN',
    help='take only these, as in --include train; may be given again',
  )
  kind.add_argument(
    '--exclude',
    action='append',
    default=[],
    metavar='PATTERN',
    help="leave these out, as in --exclude '*_mask.png'; may be given again",
  )
  kind.add_argument(
    '--all',
    action='store_true',
    help='take what looks like label maps, and splits side by side, too',
  )
  kind.add_argument(
    '--allow-unmatched',
    action='store_true',
    help='go on where many captions name no picture or pictures have none',
  )
  kind.add_argument(
    '--max-text',
    type=flags.at_least(1),
    help='longest caption in tokens: what config.model.max_text will be (160)',
  )
  kind.add_argument(
    '--verify', action='store_true', help='check what is in --out already'
  )
  kind.set_defaults(run=run_prepare)
  kind = kinds.add_parser(
    'scenes', help='freeze scenes and their labels as a TFDS data set'
  )
  kind.add_argument('--out', required=True, type=flags.path)
  kind.add_argument('--level', choices=('quick', 'full'), default='quick')
  kind.add_argument('--seed', type=flags.at_least(0), default=0)
  kind.add_argument('--number', type=flags.at_least(1), default=1024)
  kind.add_argument(
    '--size', type=flags.at_least(8, 4096), default=64, help='pixels a side'
  )
  kind.set_defaults(run=run_freeze)


def run_prepare(args, rest) -> int:
  from vbanana_jax.data import array_records, prepare, selection

  if args.verify:
    manifest = array_records.check_shards(args.out)
  elif args.path is None:
    raise UserError('prepare image_folder needs the folder or zip to read')
  else:
    manifest = prepare.prepare_image_folder(
      args.path,
      args.out,
      caption=args.caption,
      allow_unmatched=args.allow_unmatched,
      selection=selection.Selection(
        tuple(args.include), tuple(args.exclude), args.all
      ),
      max_text=args.max_text or prepare.MAX_TEXT,
    )
  for note in manifest.get('notes', ()):
    print(f'{args.out}: {note}')
  skipped = manifest['skipped']
  for entry in skipped[:_NAMED]:
    reason = entry['reason'].removeprefix(f'{entry["file"]}: ')
    print(f'{args.out}: left out: {entry["file"]}: {reason}')
  if skipped[_NAMED:]:
    print(f'{args.out}: left out: ... (all in {array_records.MANIFEST})')
  print(
    f'{args.out}: {manifest["count"]} pictures in '
    f'{len(manifest["shards"])} shards, {len(skipped)} left out'
  )
  return 0


def run_freeze(args, rest) -> int:
  from vbanana_jax.data import tfds_scenes

  name = tfds_scenes.freeze_scenes(
    args.out, level=args.level, seed=args.seed, n=args.number, size=args.size
  )
  print(
    f'{args.out}: {args.number} scenes. To train on their pictures, add\n'
    f'  --config.sources.frozen.kind=tfds --config.sources.frozen.name={name} '
    f'--config.sources.frozen.path={args.out} '
    '--config.mixture.generate@frozen=1'
  )
  return 0
