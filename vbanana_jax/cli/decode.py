"""`vbanana decode`: pictures that anything painted, back to numbers."""

import sys

from vbanana_jax.cli import flags
from vbanana_jax.errors import UserError
from vbanana_jax.tasks import TASKS


def add_verb(verbs) -> None:
  """Adds `decode`."""
  verb = verbs.add_parser(
    'decode',
    help='read pictures that any generator painted',
    description='Reads depth, normals, labels, masks or instances out of '
    'painted pictures, whoever painted them. Writes NAME_TASK.npy (values), '
    'NAME_TASK_confidence.npy, NAME_TASK.png to look at and NAME_TASK.json.',
    epilog='Examples: vbanana decode depth.png --task depth;  vbanana decode '
    'masks.png --task semantic --prompt \'{"cat": "red", "dog": #0000ff}\'',
  )
  verb.add_argument(
    'image', nargs='+', type=flags.path, help='a PNG, JPEG or WebP file'
  )
  verb.add_argument(
    '--task', required=True, choices=TASKS, help='what the picture shows'
  )
  verb.add_argument(
    '--prompt',
    default='',
    help='what the generator was told: the legend, the background, the '
    'color map are read from it',
  )
  verb.add_argument(
    '--photo',
    type=flags.path,
    help='what was painted about: values are brought to its size',
  )
  verb.add_argument(
    '--out',
    type=flags.path,
    default=flags.path('decoded'),
    help='folder of the files (default: decoded)',
  )
  verb.add_argument(
    '--overwrite',
    action='store_true',
    help='replace what was decoded in another way and has the same names',
  )
  _add_settings(verb)
  verb.set_defaults(run=run_decode)


def _add_settings(verb) -> None:
  """How a picture is read; see `decode.Settings`."""
  verb.add_argument(
    '--near-m', type=float, help='nearest depth of an alternate color map'
  )
  verb.add_argument('--far-m', type=float, help='farthest depth of it')
  verb.add_argument(
    '--void-radius',
    type=float,
    help='8-bit levels: colors farther from the legend have no label',
  )
  verb.add_argument(
    '--keep-specks',
    action='store_true',
    help='of masks and classes, which are dropped below 2e-4 of the picture',
  )
  verb.add_argument(
    '--decoder',
    choices=('paper', 'regions'),
    default='regions',
    help='of instances: the appendix of the paper, or our own (default)',
  )
  verb.add_argument(
    '--max-instances',
    type=flags.at_least(1),
    default=64,
    help='more than these are refused (default: 64)',
  )


# Facts that are said besides, in the words of a line.
_TOLD = {
  'doubt': 'hardly a painted answer of {}: {}',
  'nothing_found': 'nothing found: {1}',
  'other_color': '{1}',
  'between_colors': '{1}',
  'no_surface': '{1}',
  'stretched': '{1}',
}
_ASKED = ('reading', 'settings', 'photo')  # which the user knows


def run_decode(args, rest) -> int:
  from vbanana_jax import decode
  from vbanana_jax.data import photo_folder
  from vbanana_jax.tasks import prompts

  images = photo_folder.drop_repeats(args.image)
  if args.photo and len(images) > 1:
    raise UserError('--photo belongs to one picture: decode them one by one')
  reading = prompts.read_prompt(args.task, args.prompt)
  ends = {'near_m': args.near_m, 'far_m': args.far_m}
  settings = decode.Settings(
    void_radius=args.void_radius,
    speck_share=0.0 if args.keep_specks else decode.SPECK_SHARE,
    decoder=args.decoder,
    decoder_options=(('max_instances', args.max_instances),),
    **{name: end for name, end in ends.items() if end is not None},
  )
  stems = [
    args.out / f'{name}_{args.task}' for name in photo_folder.name_apart(images)
  ]
  if not args.overwrite:
    for image, stem in zip(images, stems):
      decode.check_free(reading, image, stem, settings, args.photo)
  near = decode.find_near_colors(reading)
  if near:
    print(f'prompt: {near}', file=sys.stderr)
  failed = []
  for image, stem in zip(images, stems):
    try:
      found = decode.decode_file(reading, image, stem, settings, args.photo)
    except UserError as error:
      if len(images) == 1:
        raise
      failed.append(image)
      print(f'vbanana: {error}', file=sys.stderr)
    else:
      _print_found(image, args.task, *found)
  if failed:
    names = ', '.join(str(image) for image in failed[:3])
    raise UserError(
      f'{len(failed)} of {len(images)} pictures are not decoded, for the '
      f'reasons above: {names}{", ..." if len(failed) > 3 else ""}'
    )
  return 0


def _print_found(image, task: str, facts: dict, paths: list) -> None:
  """The files, what to look at, and the facts of one picture."""
  for path in paths:
    print(path)
  for kind in _TOLD:
    if kind in facts:
      told = _TOLD[kind].format(task, facts[kind])
      print(f'{image}: {told}', file=sys.stderr)
  for name, fact in facts.items():
    if name not in _ASKED:
      print(f'  {name}: {flags.to_text(fact)}')
