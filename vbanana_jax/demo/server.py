"""Serves the page on this machine, and nothing from any other."""

import html
import os
import pathlib
import socket
import sys
import tempfile
from typing import Any

from vbanana_jax.demo import page as page_lib
from vbanana_jax.demo.asking import Asker
from vbanana_jax.demo.bundles import Bundles
from vbanana_jax.errors import UserError

VIEWERS = pathlib.Path(__file__).parent / 'viewers'
_SCRIPTS = ('view', 'cloud', 'kinds')  # in this order
# Browsers are told to load nothing from another host. Gradio's page has scripts
# and styles inside, and compiles templates.
_POLICY = (
  "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' "
  "'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; frame-ancestors "
  "'self'"
)


def serve(asker: Asker, name: str, *, host: str, port: int) -> None:
  """Serves until it is interrupted.

  Args:
    asker: answers.
    name: of the network, for a person.
    host: address to listen at.
    port: likewise; 0 takes a free one.

  Raises:
    UserError: the port is taken, or Gradio is not installed.
  """
  page_lib.import_gradio()
  import uvicorn

  with (
    listen(host, port) as listening,
    tempfile.TemporaryDirectory(prefix='vbanana-demo-') as folder,
  ):
    os.environ['GRADIO_TEMP_DIR'] = folder
    app = build_app(asker, name, pathlib.Path(folder))
    server = uvicorn.Server(
      uvicorn.Config(app, log_level='warning', timeout_graceful_shutdown=1)
    )
    place = host if ':' not in host else f'[{host}]'
    port = listening.getsockname()[1]
    print(f'the page is at http://{place}:{port} ; Ctrl-C ends it', flush=True)
    if not host.startswith('127.') and host not in ('localhost', '::1'):
      print('everybody who reaches this machine can ask', file=sys.stderr)
    server.run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
  """A socket at an address; UserError where it is taken or not ours."""
  try:
    family = socket.getaddrinfo(host, port)[0][0]
    return socket.create_server((host, port), family=family, backlog=128)
  except OSError as error:
    raise UserError(
      f'cannot listen at --host {host} --port {port} ({error.strerror}): '
      'choose another'
    ) from error


def build_app(asker: Asker, name: str, folder: pathlib.Path) -> Any:
  """The page with its downloads, as an ASGI application.

  Args:
    asker: answers.
    name: of the network.
    folder: where files of answers are kept.
  """
  gr = page_lib.import_gradio()
  import fastapi
  from fastapi import responses

  app = fastapi.FastAPI(openapi_url=None)
  bundles = Bundles(folder)

  @app.get(f'/{page_lib.DOWNLOADS}/{{bundle}}')
  def download(bundle: str):
    path = bundles.find(bundle)
    if path is None:
      return responses.PlainTextResponse('ask again: it is not kept', 404)
    return responses.FileResponse(
      path, media_type='application/zip', filename='answer.zip'
    )

  page = page_lib.build_page(asker, bundles, html.escape(name))
  # Gradio takes any file of this machine for an upload before it has launched,
  # and what is mounted never has.
  page.has_launched = True
  scripts = [(VIEWERS / f'{name}.js').read_text() for name in _SCRIPTS]
  app = gr.mount_gradio_app(
    app,
    page,
    path='/',
    footer_links=[],
    max_file_size=asker.limits.megabytes * 2**20,
    ssr_mode=False,
    theme=gr.themes.Default(
      font=['system-ui', 'sans-serif'], font_mono=['monospace']
    ),
    css=(VIEWERS / 'page.css').read_text(),
    head=f'<script>{"".join(scripts)}</script>',
  )
  return _only_this_host(app)


def _only_this_host(app: Any) -> Any:
  """The application, with a policy for browsers on everything it sends."""
  policy = (b'content-security-policy', _POLICY.encode())

  async def send_with_policy(scope, receive, send):
    async def send_more(message):
      if message['type'] == 'http.response.start':
        message = {**message, 'headers': [*message['headers'], policy]}
      await send(message)

    await app(scope, receive, send_more)

  return send_with_policy
