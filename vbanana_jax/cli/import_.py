"""`vbanana import`: a published network, proven and ready to be tuned."""

from vbanana_jax.cli import flags


def add_verb(verbs) -> None:
  """Adds `import`."""
  verb = verbs.add_parser(
    'import',
    help='check a published network and make it ready for tuning',
    description='Checks all of a snapshot of FLUX.2 klein base (names, shapes, '
    'types, every number), and writes it with a manifest into --out, which '
    'config.model.snapshot takes. Interrupted, the same command goes on.',
    epilog='Example: vbanana import klein FLUX.2-klein-base-4B --out '
    'imports/klein_4b',
  )
  verb.add_argument('family', choices=('klein',))
  verb.add_argument(
    'path',
    type=flags.path,
    help='folder of a snapshot, as huggingface-cli download leaves it, or the '
    "vendor's single file",
  )
  verb.add_argument(
    '--parts',
    type=flags.path,
    metavar='FOLDER',
    help='folder with model_index.json and the other parts, for a single '
    "file; the file's own if not given",
  )
  flags.add_states(verb)
  verb.add_argument('--out', type=flags.path, required=True)
  verb.set_defaults(run=run_import)


def run_import(args, rest) -> int:
  from vbanana_jax.klein import importer, sources
  from vbanana_jax.runtime import byte_bar, paths

  for path in (args.path, args.parts):
    if path is not None:
      paths.refuse_bucket(path, 'tensors cannot be read by slices')
  source = sources.open_source(args.path, args.parts, args.states)
  with byte_bar.open_bar('import') as start:
    manifest = importer.import_snapshot(source, args.out, start)
  _print_manifest(args.out, manifest)
  return 0


def _print_manifest(out, manifest) -> None:
  for name, part in manifest['parts'].items():
    types = ', '.join(part['types'])
    print(
      f'{out}: {name}: {part["used"]} of {part["tensors"]} tensors ({types}) '
      f'fill all {part["parameters"]} parameters, {part["weights"]:,} weights'
    )
    if dead := part['dead']:
      print(f'{out}: {name}: not needed: {dead[0]} to {dead[-1]}, {len(dead)}')
  size = sum(file['bytes'] for file in manifest['files'].values())
  print(f'{out}: {manifest["network"]}; license: {manifest["license"]}')
  print(
    f'{out}: {len(manifest["files"])} files, {size / 1e9:.2f} GB; SHA-256 of '
    'each in import.json'
  )
