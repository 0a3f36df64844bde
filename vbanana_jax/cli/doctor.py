"""`vbanana doctor`: is this folder the benchmark that it should be?"""

from vbanana_jax.cli import flags


def add_verb(verbs) -> None:
  """Adds `doctor`."""
  verb = verbs.add_parser(
    'doctor',
    help='check a benchmark folder',
    description='Opens a benchmark, reads a sample of it, and says what is '
    'missing, mis-scaled, mirrored or damaged. Exit code 2 if anything is.',
    epilog='Example: vbanana doctor nyuv2 data/nyuv2',
  )
  verb.add_argument(
    'dataset',
    help='a benchmark or protocol, as in nyuv2 or nyuv2_depth; a wrong one '
    'lists them all',
  )
  verb.add_argument('path', type=flags.path)
  verb.add_argument(
    '--sample',
    type=flags.at_least(1),
    default=32,
    help='examples to open, spread over the split',
  )
  flags.add_split(verb)
  verb.set_defaults(run=run_doctor)


def run_doctor(args, rest) -> int:
  from vbanana_jax.benchmark import doctor

  is_faulty = False
  for protocol in doctor.find_protocols(args.dataset, args.split):
    findings = doctor.examine(protocol, args.path, sample=args.sample)
    print(doctor.make_text(protocol, findings))
    is_faulty |= any(finding.is_fault for finding in findings)
  return 2 if is_faulty else 0
