"""`vbanana doctor`: is this folder the benchmark, or network, it should be?"""

from vbanana_jax.cli import flags
from vbanana_jax.errors import UserError

_KLEIN = 'klein'


def add_verb(verbs) -> None:
  """Adds `doctor`."""
  verb = verbs.add_parser(
    'doctor',
    help='check a benchmark folder, or a snapshot of FLUX.2 klein',
    description='Opens a benchmark, reads a sample of it, and says what is '
    'missing, mis-scaled, mirrored or damaged. Exit code 2 if anything is. '
    'With klein, it opens a snapshot or an import, runs its networks, and says '
    'line by line whether that passes; also whether painted depth, normals and '
    'masks survive the autoencoder.',
    epilog='Example: vbanana doctor nyuv2 data/nyuv2, or vbanana doctor klein '
    'FLUX.2-klein-base-4B --photo street.jpg',
  )
  verb.add_argument(
    'dataset',
    help='a benchmark or protocol, as in nyuv2 or nyuv2_depth; a wrong one '
    'lists them all; or klein',
  )
  verb.add_argument('path', type=flags.path)
  verb.add_argument(
    '--sample',
    type=flags.at_least(1),
    default=32,
    help='examples to open, spread over the split',
  )
  flags.add_split(verb)
  flags.add_states(verb)
  verb.add_argument(
    '--photo',
    type=flags.path,
    metavar='FILE',
    help='of klein: a photograph to send through it; a rendered room if not '
    'given',
  )
  verb.add_argument(
    '--size',
    type=flags.at_least(64, 1024),
    default=512,
    help='of klein: pixels of a side of its pictures',
  )
  verb.add_argument(
    '--json', action='store_true', help='of klein: findings as JSON'
  )
  verb.set_defaults(run=run_doctor)


def run_doctor(args, rest) -> int:
  if args.dataset == _KLEIN:
    return _examine_klein(args)
  if args.photo or args.json:
    raise UserError('--photo and --json go with vbanana doctor klein')
  from vbanana_jax.benchmark import doctor

  is_faulty = False
  for protocol in doctor.find_protocols(args.dataset, args.split):
    findings = doctor.examine(protocol, args.path, sample=args.sample)
    print(doctor.make_text(protocol, findings))
    is_faulty |= any(finding.is_fault for finding in findings)
  return 2 if is_faulty else 0


def _examine_klein(args) -> int:
  from vbanana_jax.data import photos
  from vbanana_jax.klein import doctor, findings
  from vbanana_jax.runtime import paths

  paths.refuse_bucket(args.path, 'tensors cannot be read by slices')
  if not args.path.is_dir():
    raise UserError(f'{args.path}: no such folder')
  if args.size % 16:
    raise UserError(f'--size {args.size} is no multiple of 16')
  photo_u8 = args.photo and photos.open_photo(args.photo)
  options = doctor.Options(args.states, args.size, photo_u8)
  found = []
  for finding in doctor.examine(args.path, options):
    found.append(finding)
    if not args.json:
      print(findings.make_line(finding), flush=True)
  if args.json:
    print(findings.to_json(found))
  return 2 if any(each.passed is False for each in found) else 0
