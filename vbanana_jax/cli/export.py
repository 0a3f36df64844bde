"""`vbanana export`."""

import argparse

from vbanana_jax.cli import flags, runs
from vbanana_jax.errors import UserError


def add_verb(verbs) -> None:
  """Adds `export`."""
  verb = verbs.add_parser(
    'export',
    help='write a run as weights to share, as a program that answers without '
    'this code, or klein for diffusers',
    description='Writes how a run answers one question, painted and decoded, '
    'as a folder for serving: one program for several platforms and any '
    'number of pictures, its weights, and a manifest that says what goes in '
    'and comes out. Runs without the code of the network: see '
    'vbanana_jax/inference/exported.py, or vbanana predict --exported. With '
    '--format safetensors it writes the weights and all that is known of them, '
    'as a folder that opens wherever a run does (docs/networks.md). With '
    '--format diffusers it writes FLUX.2 klein, as imported or tuned, as a '
    'snapshot that diffusers loads.',
    epilog='Example: vbanana export --workdir runs/quickstart --task depth '
    '--size 48x64 --out served',
  )
  flags.add_workdir(verb, newest=True)
  flags.add_question(verb)
  verb.add_argument('--out', type=flags.path, required=True)
  verb.add_argument(
    '--format',
    choices=('program', 'safetensors', 'diffusers', 'peft'),
    default='program',
    help='safetensors: weights of a run of our own networks; diffusers: '
    '--workdir is an import of FLUX.2 klein, or a run that '
    'tuned one or trained an adapter of one; peft: such an adapter',
  )
  verb.add_argument(
    '--size',
    type=_to_size,
    metavar='HxW',
    help='height and width of its pictures; the trained square if not given',
  )
  verb.add_argument(
    '--platforms',
    default='cpu,cuda,tpu',
    help='what it is for, split by commas; all of them if not given',
  )
  verb.add_argument(
    '--overwrite',
    action='store_true',
    help='replace an export of another question or run in --out',
  )
  verb.add_argument(
    '--results',
    type=flags.path,
    nargs='+',
    metavar='FILE',
    help='of vbanana evaluate, for the model card of --format safetensors; '
    'those in --workdir if not given',
  )
  verb.set_defaults(run=run_export)


def run_export(args, rest) -> int:
  if args.results and args.format != 'safetensors':
    raise UserError('--results are for the card of --format safetensors')
  if args.format != 'program':
    return _export_weights(args)
  from vbanana_jax.inference import export
  from vbanana_jax.inference.request import build_question

  platforms = tuple(args.platforms.split(','))
  unknown = set(platforms) - set(export.PLATFORMS)
  if unknown:
    raise UserError(
      f'--platforms {args.platforms}: choose of {", ".join(export.PLATFORMS)}'
    )
  request = flags.make_request(args)
  build_question(request)  # a mistake in the words should not wait
  run = runs.choose_run(args.workdir)
  found = export.export_run(
    run,
    request,
    args.out,
    size=args.size,
    platforms=platforms,
    overwrite=args.overwrite,
  )
  for path in found:
    print(path)
  return 0


def _export_weights(args) -> int:
  if flags.has_question(args) or args.classes or args.size:
    raise UserError(
      f'--format {args.format} writes weights alone: leave the question and '
      '--size out'
    )
  if args.workdir is None:
    raise UserError(
      f'--format {args.format} needs --workdir: which import or run?'
    )
  if args.format == 'safetensors':
    return _export_network(args)
  if args.overwrite:
    raise UserError(f'--format {args.format} overwrites nothing')
  return _export_klein(args)


def _export_network(args) -> int:
  from vbanana_jax.evaluation import network_export

  found = network_export.export_network(
    args.workdir,
    args.out,
    results=args.results or (),
    overwrite=args.overwrite,
  )
  for path in found:
    print(path)
  return 0


def _export_klein(args) -> int:
  from vbanana_jax.klein import adapter_files, exporter, imported
  from vbanana_jax.runtime import byte_bar
  from vbanana_jax.training.tuned import has_adapter, load_adapter, load_tuned

  folder, tuned = args.workdir, None
  run = None if imported.is_import(folder) else _find_run(folder)
  if run and has_adapter(run):
    adapter = load_adapter(run)
    for path in adapter_files.write(args.out, adapter, args.format):
      print(path)
    return 0
  if args.format == 'peft':
    raise UserError(
      f'{folder} has no adapter, and --format peft writes that alone: train '
      'one with config.model.lora.rank, or use --format diffusers'
    )
  if run:
    found = load_tuned(run)
    words = f'{run.absolute()}, step {found.step}'
    folder, tuned = found.snapshot, exporter.Tuned(found.params, words)
  with byte_bar.open_bar('export') as start:
    names = exporter.export_snapshot(folder, args.out, start, tuned)
  for name in names:
    print(args.out / name)
  return 0


def _find_run(workdir):
  """The trained run that a folder is, or holds as tune/."""
  from vbanana_jax.training import checkpoint

  runs_there = (workdir, workdir / 'tune')
  run = next(filter(checkpoint.newest_step, runs_there), None)
  if run is None:
    raise UserError(
      f'{workdir} is neither an import of FLUX.2 klein nor a trained run'
    )
  return run


def _to_size(text: str) -> tuple[int, int]:
  edges = text.split('x')
  if len(edges) != 2 or not all(edge.isdecimal() for edge in edges):
    raise argparse.ArgumentTypeError(f'{text} is not as 48x64')
  return int(edges[0]), int(edges[1])
