"""`vbanana prepare`: one kind for each layout on disk."""

import argparse
import contextlib

from vbanana_jax.cli import flags
from vbanana_jax.errors import UserError

_NAMED = 5  # of the files left out


class _WideNames(argparse.HelpFormatter):
  """Names of kinds and what they are, on one line."""

  def __init__(self, prog: str):
    super().__init__(prog, max_help_position=20)
    self._action_max_length = 20  # argparse does not count the indentation


def add_verb(verbs, *, with_kinds: bool = True) -> None:
  """Adds `prepare` and its kinds, whose imports take half a second."""
  verb = verbs.add_parser(
    'prepare',
    help='turn pictures and their labels into records',
    epilog='vbanana prepare KIND --help says what a kind reads.',
    formatter_class=_WideNames,
  )
  if not with_kinds:
    return
  from vbanana_jax.datasets import KINDS

  subparsers = verb.add_subparsers(dest='kind', required=True, metavar='KIND')
  for name, kind in KINDS.items():
    _add_kind(subparsers, name, kind)


def _add_kind(subparsers, name: str, kind) -> None:
  verb = subparsers.add_parser(
    name,
    help=kind.about,
    description=f'{name}: {kind.about}.',
    epilog=f'example:\n  {kind.example}',
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  if kind.path:
    verb.add_argument('path', type=flags.path, nargs='?', help=kind.path)
  for flag in kind.flags:
    _add_flag(verb, flag)
  if kind.takes_license:
    verb.add_argument(
      '--license', help='terms of the pictures, where no dataset.json has them'
    )
  verb.add_argument('--out', type=flags.path, help='folder to make')
  verb.add_argument(
    '--dry-run',
    type=flags.path,
    metavar='PNG',
    help='write nothing but one picture of some examples with their labels',
  )
  verb.add_argument(
    '--verify', action='store_true', help='check what is in --out already'
  )
  _add_limits(verb, kind)
  verb.set_defaults(run=run_prepare, layout=kind)


def _add_limits(verb, kind) -> None:
  from vbanana_jax.data import labeled, prepare_pictures

  verb.add_argument(
    '--require',
    action='append',
    default=[],
    choices=labeled.LABELS,
    metavar='LABEL',
    help='leave out pictures that lack it, as depth_m; may be given again',
  )
  verb.add_argument(
    '--exclude-ids',
    action='append',
    default=[],
    type=flags.path,
    metavar='FILE',
    help='leave out these ids or names of files; may be given again',
  )
  verb.add_argument(
    '--exclude-benchmark',
    action='append',
    default=[],
    metavar='NAME=FOLDER',
    help='leave out what a benchmark asks about; may be given again',
  )
  verb.add_argument(
    '--most-bad',
    default=kind.most_bad,
    metavar='SHARE',
    help='bad pictures that are left out before all are refused',
  )
  verb.add_argument(
    '--max-text',
    type=flags.at_least(1),
    default=prepare_pictures.MAX_TEXT,
    help='longest caption in tokens: what config.model.max_text will be',
  )


def _add_flag(verb, flag) -> None:
  if flag.is_switch:
    verb.add_argument(flag.name, action='store_true', help=flag.about)
    return
  options = {'choices': flag.choices} if flag.choices else {}
  parse = flags.at_least(*flag.range) if flag.range else flag.parse
  if flag.repeats:
    options.update(action='append', default=[])
  else:
    options['default'] = flag.default
  metavar = None if flag.choices else flag.name.strip('-').upper()
  verb.add_argument(
    flag.name, type=parse, help=flag.about, metavar=metavar, **options
  )


def run_prepare(args, rest) -> int:
  from vbanana_jax.data import array_records, prepare, prepare_pictures
  from vbanana_jax.datasets import exclusions
  from vbanana_jax.runtime import paths

  if args.verify:
    _need_out(args)
    _print_manifest(args.out, array_records.check_shards(args.out))
    return 0
  kind = args.layout
  if kind.path and args.path is None:
    raise UserError(f'prepare {args.kind} needs {kind.path} to read')
  if args.dry_run is None:
    _need_out(args)
    paths.refuse_bucket(args.out, 'shards cannot be written')
  limits = prepare_pictures.Limits(
    max_text=args.max_text,
    require=tuple(args.require),
    most_bad=args.most_bad,
  )
  left_out = [
    *map(exclusions.load_list, args.exclude_ids),
    *map(exclusions.list_benchmark, args.exclude_benchmark),
  ]
  options = _read_options(args, kind.flags)
  inputs = [args.path] if kind.path else []
  opened = kind.open(*inputs, **options)
  with contextlib.closing(opened):
    if kind.takes_license and args.license is not None:
      _set_license(opened, args.license)
    dataset = exclusions.exclude(opened, left_out)
    if args.dry_run is not None:
      _show(args.dry_run, dataset, limits)
    else:
      manifest = prepare.prepare_dataset(
        dataset,
        args.out,
        inputs=inputs,
        options={'kind': args.kind, **options},
        limits=limits,
      )
      _print_manifest(args.out, manifest)
  return 0


def _need_out(args) -> None:
  if args.out is None:
    raise UserError(
      f'prepare {args.kind} needs --out, the folder to make, or --dry-run'
    )


def _set_license(dataset, terms: str) -> None:
  if dataset.license:
    raise UserError(
      f'--license {terms!r}: the license of {dataset.name} is '
      f'{dataset.license!r} in its dataset.json: change it there'
    )
  dataset.license = terms


def _read_options(args, own_flags) -> dict:
  """Values of a kind's own flags, by name."""
  found = {}
  for flag in own_flags:
    name = flag.name.strip('-').replace('-', '_')
    value = getattr(args, name)
    found[name] = tuple(value) if flag.repeats else value
  return found


def _show(place, dataset, limits) -> None:
  from vbanana_jax.data import prepare_dry_run
  from vbanana_jax.runtime import files

  sheet = prepare_dry_run.make_sheet(dataset, limits)
  files.write_atomic(place, files.to_png(sheet.picture_u8))
  for line in sheet.lines:
    print(f'{dataset.name}: {line}')
  print(f'{place}: some pictures with their labels; nothing else is written')
  if sheet.refusal:
    raise UserError(f'{dataset.name}: {sheet.refusal}')


def _print_manifest(out, manifest) -> None:
  from vbanana_jax.data import array_records

  for note in manifest['notes']:
    print(f'{out}: {note}')
  skipped = manifest['skipped']
  for entry in skipped[:_NAMED]:
    reason = entry['reason'].removeprefix(f'{entry["file"]}: ')
    print(f'{out}: left out: {entry["file"]}: {reason}')
  if skipped[_NAMED:]:
    print(f'{out}: left out: ... (all in {array_records.MANIFEST})')
  terms = [manifest['license'] or 'not said', manifest['source']]
  print(f'{out}: license: {"; from ".join(filter(None, terms))}')
  labels = manifest['labels']
  if labels:
    counts = ', '.join(f'{key} {count}' for key, count in labels.items())
    print(f'{out}: labels: {counts}')
  shards = len(manifest['shards'])
  print(
    f'{out}: {manifest["count"]} pictures in {shards} '
    f'shard{"s" * (shards != 1)}, {len(skipped)} left out'
  )
