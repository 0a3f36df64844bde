"""`vbanana prompts`: what a protocol asks, for any generator to answer."""

from vbanana_jax.cli import flags


def add_verb(verbs) -> None:
  """Adds `prompts`."""
  verb = verbs.add_parser(
    'prompts',
    help='write the questions of a benchmark for another generator',
    description='Writes prompts.jsonl: one line a picture to paint, with the '
    'photograph, the prompt, and the file name that vbanana evaluate '
    '--predictions looks for. Photographs that live inside a container file '
    'are written into images/.',
    epilog='Example: vbanana prompts --protocol nyuv2_depth --data data/nyuv2 '
    '--out questions',
  )
  flags.add_protocol(verb)
  verb.add_argument('--out', type=flags.path, default=flags.path('questions'))
  verb.add_argument(
    '--overwrite',
    action='store_true',
    help='write over other questions, as of another protocol or more passes',
  )
  verb.set_defaults(run=run_prompts)


def run_prompts(args, rest) -> int:
  from vbanana_jax.benchmark import protocols, question_list, questions
  from vbanana_jax.runtime import files

  protocol = protocols.load_protocol(args.protocol, args.split)
  reader = questions.open_reader(protocol, args.data)
  files.check_folder(args.out)
  n, before = question_list.save_questions(
    protocol,
    reader,
    args.out,
    args.passes or protocol.passes,
    overwrite=args.overwrite,
  )
  there = f', {before} of them listed before' if 0 < before < n else ''
  print(f'{args.out / question_list.NAME}: {n} pictures to paint{there}')
  return 0
