"""`vbanana cache`: instructions of a training, encoded ahead of it."""

import argparse

from vbanana_jax.cli import config_flags


def add_verb(verbs) -> None:
  """Adds `cache`."""
  verb = verbs.add_parser(
    'cache',
    help='encode the instructions of a training ahead of it',
    description='Fills config.model.text_cache with what the text encoder '
    'makes of the instructions of a training, so that the training needs no '
    'text encoder. Give all --config arguments of the training. Says how much '
    'will be written before it is. What is there is not made again, and '
    'interrupted, the same command goes on.',
    epilog='Example: vbanana cache --config klein_lora '
    '--config.model.snapshot=imports/klein_4b '
    '--config.model.text_cache=caches/text --examples 0:10000',
  )
  verb.add_argument(
    '--config',
    required=True,
    metavar='NAME[:ARG]',
    help='that of the training',
  )
  verb.add_argument(
    '--examples',
    type=_to_range,
    metavar='FIRST:END',
    help='a part of the examples, counted from 0, without END; those of the '
    'whole training if not given',
  )
  verb.set_defaults(run=run_cache)


def _to_range(text: str) -> range:
  first, colon, end = text.partition(':')
  if not (colon and first.isdecimal() and end.isdecimal()):
    raise argparse.ArgumentTypeError(f'{text} is not as 0:10000')
  if int(first) >= int(end):
    raise argparse.ArgumentTypeError(f'{text} holds no example')
  return range(int(first), int(end))


def run_cache(args, overrides: list[str]) -> int:
  from vbanana_jax import text_cache
  from vbanana_jax.runtime import byte_bar

  config = config_flags.load(args.config, overrides)
  with (
    byte_bar.open_bar('encode') as start_encoding,
    byte_bar.open_bar('list', 'examples') as start_listing,
  ):
    text_cache.fill(
      config,
      args.examples,
      start_listing=start_listing,
      start_encoding=start_encoding,
      tell=_print_found,
    )
  print(f'{config["model"]["text_cache"]}: all are there')
  return 0


def _print_found(found) -> None:
  size = len(found.missing) * found.size
  print(
    f'{found.folder}: {found.examples:,} examples, and the scenes that are '
    f'watched, ask {found.prompts:,} different instructions; '
    f'{found.prompts - len(found.missing):,} are there\n'
    f'{found.folder}: {len(found.missing):,} of {found.size / 1e6:.3g} MB are '
    f'to be written: {size / 1e9:.3g} GB, and {found.free / 1e9:,.0f} GB are '
    'free',
    flush=True,
  )
