"""`vbanana protocol new`: how a held-out split of one's own is scored."""

from vbanana_jax.cli import flags


def add_verb(verbs) -> None:
  """Adds `protocol` and its `new`."""
  verb = verbs.add_parser(
    'protocol', help='write how a split of your own is asked and scored'
  )
  kinds = verb.add_subparsers(dest='action', required=True, metavar='new')
  new = kinds.add_parser(
    'new',
    help='a protocol for pictures that vbanana prepare wrote',
    description='Writes a protocol file for a prepared folder that nothing is '
    'trained on: its questions, colors, number of examples and the digest of '
    'their ids. Every verb that takes the name of a protocol takes the file.',
    epilog='Example: vbanana protocol new --data data/camvid_val --task '
    'semantic --out camvid_val.json',
  )
  new.add_argument(
    '--data', required=True, type=flags.path, help='the prepared folder'
  )
  new.add_argument('--task', required=True, help='which label is asked for')
  new.add_argument(
    '--colors',
    choices=('words', 'numbers'),
    default='words',
    help='what the prompt calls the colors of classes: names of CSS, the same '
    "as in training with the style 'fixed' (classes beyond the 26 that names "
    "can tell apart get #rrggbb), or <r, g, b>, as with the style 'numbers'; "
    '%(default)s by default',
  )
  new.add_argument('--name', help="the set's and the task if not given")
  new.add_argument(
    '--out', type=flags.path, help='file; NAME_v1.json here if not given'
  )
  new.set_defaults(run=run_new)


def run_new(args, rest) -> int:
  from vbanana_jax.benchmark import own_protocol

  protocol = own_protocol.make_protocol(
    args.data, args.task, name=args.name, colors=args.colors
  )
  out = args.out or flags.path(f'{protocol.title}.json')
  own_protocol.save_protocol(protocol, out)
  print(
    f'{out}: {protocol.count} examples of {args.data}. To ask and to score:\n'
    f'  vbanana predict --protocol {out} --data {args.data} --out painted\n'
    f'  vbanana evaluate --protocol {out} --data {args.data} --predictions '
    'painted'
  )
  return 0
