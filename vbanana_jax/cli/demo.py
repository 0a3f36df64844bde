"""`vbanana demo`."""

from vbanana_jax.cli import flags, runs


def add_verb(verbs) -> None:
  """Adds `demo`."""
  verb = verbs.add_parser(
    'demo',
    help='open a page to play with, on this machine',
    description='Serves a page where pictures are dropped, photographed or '
    'drawn, and answers are looked at: docs/demo.md. Ctrl-C ends it.',
    epilog="Needs: pip install 'vbanana-jax[demo]'",
  )
  flags.add_workdir(verb, newest=False)
  verb.add_argument(
    '--host', default='127.0.0.1', help='address; this machine alone by default'
  )
  verb.add_argument('--port', type=flags.at_least(0, 65535), default=7860)
  verb.add_argument(
    '--max-megabytes',
    type=flags.at_least(1, 1024),
    default=20,
    help='of a file',
  )
  verb.add_argument(
    '--max-seconds', type=flags.at_least(1), default=300, help='of an answer'
  )
  verb.add_argument(
    '--max-waiting',
    type=flags.at_least(1),
    default=8,
    help='questions in the queue; more are refused',
  )
  verb.set_defaults(run=run_demo)


def run_demo(args, rest) -> int:
  from vbanana_jax import networks

  run = runs.choose_run(args.workdir or networks.find(networks.DEFAULT))
  from vbanana_jax.demo import page

  page.import_gradio()  # what is missing is said before weights are read
  from vbanana_jax import api
  from vbanana_jax.demo import asking, server

  limits = asking.Limits(
    args.max_megabytes, float(args.max_seconds), args.max_waiting
  )
  asker = asking.Asker(api.open(run), limits)
  name = str(args.workdir or networks.DEFAULT)
  server.serve(asker, name, host=args.host, port=args.port)
  return 0
