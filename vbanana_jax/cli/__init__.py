"""The `vbanana` command: one verb a job, one file a verb.

  vbanana train     --config quickstart:tune --workdir runs/a/tune
  vbanana plan      --config quickstart --topology v5e-16
  vbanana evaluate  --workdir runs/a
  vbanana report    runs/a runs/b
  vbanana predict   photo.jpg --task depth
  vbanana export    --workdir runs/a --task depth --out served
  vbanana decode    painted.png --task depth
  vbanana demo      --workdir runs/a
  vbanana prompts   --protocol nyuv2_depth --data data/nyuv2 --out questions
  vbanana doctor    nyuv2 data/nyuv2
  vbanana prepare   image_folder photos.zip --out data/photos
  vbanana import    klein FLUX.2-klein-base-4B --out imports/klein_4b
  vbanana cache     --config klein_lora --config.model.text_cache=caches/text
  vbanana protocol  new --data data/val --task semantic

Only this folder knows flags, exit codes and folders' names; what it calls are
plain functions of a config and paths.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from vbanana_jax import __version__
from vbanana_jax.cli import (
  cache,
  decode,
  demo,
  devices,
  distributed,
  doctor,
  evaluate,
  export,
  import_,
  plan,
  predict,
  prepare,
  prompts,
  protocol,
  report,
  train,
)
from vbanana_jax.errors import (
  DiskFullError,
  Interrupted,
  UserError,
  is_disk_full,
)
from vbanana_jax.runtime import paths

_VERBS = (
  train,
  plan,
  evaluate,
  report,
  predict,
  export,
  decode,
  demo,
  prompts,
  doctor,
  prepare,
  import_,
  cache,
  protocol,
)
_TAKE_CONFIG_KEYS = ('train', 'plan', 'cache')
_CACHE = '~/.cache/vbanana_jax/xla'


def main(argv: list[str] | None = None) -> int:
  """Runs one verb; a user's mistake is one line and an exit code."""
  _print_any_name()
  parser = build_parser(sys.argv[1:] if argv is None else argv)
  args, rest = parser.parse_known_args(argv)
  if args.verb is None and not rest:
    parser.print_help()
    return 0
  if rest and args.verb not in _TAKE_CONFIG_KEYS:
    parser.error(f'unknown arguments: {" ".join(rest)}')
  try:
    for value in vars(args).values():
      paths.check_reachable(value)
    use_compilation_cache()
    return args.run(args, rest) or 0
  except Interrupted as error:  # several processes stop together
    print(f'vbanana: {error}', file=sys.stderr)
    return error.exit_code
  except UserError as error:
    print(f'vbanana: {error}', file=sys.stderr)
    exit_code = error.exit_code
  except OSError as error:
    is_full = is_disk_full(error)
    remedy = ': make room and run the same command again' * is_full
    print(f'vbanana: {error}{remedy}', file=sys.stderr)
    exit_code = (DiskFullError if is_full else UserError).exit_code
  except (RuntimeError, AssertionError, MemoryError) as error:
    try:
      devices.explain(error)
    except UserError as told:
      print(f'vbanana: {told}', file=sys.stderr)
      exit_code = told.exit_code
    else:
      raise
  except KeyboardInterrupt:
    print('vbanana: interrupted', file=sys.stderr)
    exit_code = Interrupted.exit_code
  distributed.leave(exit_code)
  return exit_code


def _print_any_name() -> None:
  """Has streams escape what they cannot encode, as names of files may hold."""
  for stream in (sys.stdout, sys.stderr):
    if getattr(stream, 'errors', None) == 'strict':
      stream.reconfigure(errors='backslashreplace')


class _Once(argparse._StoreAction):
  """Takes a flag once: of two values nobody knows which one counts."""

  _given = False

  def __call__(self, parser, namespace, values, option_string=None):
    if self._given and option_string:
      parser.error(f'{option_string} is given twice, and takes one value')
    self._given = True
    super().__call__(parser, namespace, values, option_string)


class _Parser(argparse.ArgumentParser):
  """Says the default of every flag that has one, and takes each once."""

  def __init__(self, *args, **options):
    super().__init__(*args, **options)
    for name in (None, 'store'):
      self.register('action', name, _Once)

  def add_argument(self, *names, **options):
    default, about = options.get('default'), options.get('help') or ''
    unsaid = default not in (None, '', (), [], argparse.SUPPRESS)
    if unsaid and 'default' not in about and about != argparse.SUPPRESS:
      options['help'] = f'{about} (default: %(default)s)'.strip()
    return super().add_argument(*names, **options)


def build_parser(
  argv: Sequence[str] | None = None,
) -> argparse.ArgumentParser:
  """All verbs with their flags.

  Args:
    argv: the command; what only other verbs need is not imported. All of it by
      default.
  """
  parser = _Parser(
    prog='vbanana',
    description='An image generator, lightly tuned, as a vision generalist.',
    epilog='First time? Run: bash launch/quickstart.sh',
  )
  parser.add_argument(
    '--version', action='version', version=f'vbanana_jax {__version__}'
  )
  verbs = parser.add_subparsers(dest='verb', metavar='VERB')
  for verb in _VERBS:
    if verb is prepare:
      prepare.add_verb(verbs, with_kinds=argv is None or 'prepare' in argv)
    else:
      verb.add_verb(verbs)
  return parser


def use_compilation_cache() -> None:
  """Keeps compiled programs between runs, where the home can be written."""
  import jax

  folder = paths.to_path(os.environ.get('JAX_COMPILATION_CACHE_DIR') or _CACHE)
  if not paths.is_bucket(folder):  # which has no folders
    try:
      folder.mkdir(parents=True, exist_ok=True)
    except OSError:
      return
  jax.config.update('jax_compilation_cache_dir', str(folder))
  # Small programs too: a command has dozens, and each compiles for longer than
  # it is read.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
