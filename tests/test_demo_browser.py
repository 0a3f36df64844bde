"""The demo page in a real browser, as people meet it.

Needs the extras [demo] and [browser] and a Chromium on the PATH; docs/demo.md.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import odd_files
import pytest
from PIL import Image

pytest.importorskip('gradio', reason='the [demo] extra is not installed')
gradio_client = pytest.importorskip('gradio_client')
sync_api = pytest.importorskip(
  'playwright.sync_api', reason='the [browser] extra is not installed'
)
CHROMIUM = next(
  filter(
    None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))
  ),
  None,
)
pytestmark = pytest.mark.skipif(
  CHROMIUM is None, reason='there is no Chromium on the PATH'
)
PATIENCE_MS = 300_000  # a shared machine may compile for long
MOST_GROWTH_MB = 40  # in the later half of 200 answers


class Server:
  """`vbanana demo` in a process of its own, at one port for all its lives."""

  def __init__(self, workdir, folder):
    with socket.create_server(('127.0.0.1', 0)) as free:
      self.port = free.getsockname()[1]
    self.url = f'http://127.0.0.1:{self.port}'
    self._workdir, self.folder = workdir, folder
    self.process = None

  def start(self):
    root = str(pathlib.Path(__file__).parent.parent)
    self.process = subprocess.Popen(
      [
        *(sys.executable, '-m', 'vbanana_jax', 'demo', '--max-megabytes', '1'),
        *('--workdir', str(self._workdir), '--port', str(self.port)),
      ],
      env={
        **os.environ,
        'PYTHONPATH': root,
        'TMPDIR': str(self.folder),
        'XLA_FLAGS': '',
      },
      stdout=subprocess.PIPE,
      text=True,
    )
    line = self.process.stdout.readline()
    assert self.url in line, line

  def kill(self, how=signal.SIGKILL):
    self.process.send_signal(how)
    self.process.wait(30)
    self.process.stdout.close()

  def measure_mb(self) -> float:
    status = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
    return int(re.search(r'VmRSS:\s+(\d+)', status)[1]) / 1024


@pytest.fixture(scope='module')
def server(untrained_run, tmp_path_factory):
  server = Server(untrained_run, tmp_path_factory.mktemp('tmp'))
  server.start()
  yield server
  server.kill(signal.SIGINT)


@pytest.fixture(scope='module')
def browser():
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=CHROMIUM, args=['--no-sandbox']
    )
    yield browser
    browser.close()


@pytest.fixture
def visit(server, browser):
  """Opens the page; in the end nothing was wrong and nobody else was asked."""
  with contextlib.ExitStack() as stack:
    addresses, errors = [], []

    def open_page(width=1280, scheme='light'):
      context = browser.new_context(
        viewport={'width': width, 'height': 844}, color_scheme=scheme
      )
      stack.callback(context.close)
      page = context.new_page()
      page.set_default_timeout(60_000)
      page.on('request', lambda request: addresses.append(request.url))
      page.on('pageerror', lambda error: errors.append(str(error)))
      page.goto(server.url)
      page.wait_for_selector('#ask')
      return page

    yield open_page
  outside = [
    url for url in addresses
    if not url.startswith((server.url, 'data:', 'blob:'))
  ]  # fmt: skip
  assert not outside and not errors


def make_png(color, shape=(40, 60)) -> bytes:
  pixels = np.full((*shape, 3), color, np.uint8)
  return odd_files.encode(Image.fromarray(pixels), 'PNG')


def give(page, name, content, kind='image/png'):
  with page.expect_response(lambda answer: '/upload' in answer.url):
    page.set_input_files(
      '#photo input[type=file]',
      {'name': name, 'mimeType': kind, 'buffer': content},
    )


def choose(page, task):
  """Chooses a task; the page is done when its fields have changed."""
  with page.expect_response(lambda answer: '/gradio_api/' in answer.url):
    page.check(f'#task input[value={task}]')
  page.wait_for_timeout(300)


def wait_for(page, task):
  page.wait_for_selector(
    f'.vb-answer[data-task={task}] vb-view canvas', timeout=PATIENCE_MS
  )


def is_too_wide(page):
  return page.evaluate('document.documentElement.scrollWidth > innerWidth')


@pytest.mark.parametrize('width', [390, 1280])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_a_picture_is_given_and_asked_about(visit, width, scheme):
  page = visit(width, scheme)
  assert not is_too_wide(page)
  page.click('#scene')
  page.wait_for_selector('#photo img', timeout=PATIENCE_MS)
  page.click('#ask')
  wait_for(page, 'depth')
  assert not is_too_wide(page)
  answer = page.locator('#answer')
  assert answer.evaluate('x => x.getBoundingClientRect().top < innerHeight')
  canvas = page.locator('vb-view canvas')
  canvas.hover(position={'x': 20, 'y': 20})
  told = page.locator('.vb-told')
  sync_api.expect(told).to_have_text(
    re.compile(r'^([\d.e+]+ m|sky), confidence \d+ %$')
  )
  before = canvas.evaluate('x => x.toDataURL()')
  page.click('.vb-ways button:has-text("cloud")')
  sync_api.expect(page.locator('.vb-below')).to_contain_text('Drag to turn')
  assert canvas.evaluate('x => x.toDataURL()') != before
  with page.expect_download() as download:
    page.click('.vb-download')
  assert pathlib.Path(download.value.path()).read_bytes()[:2] == b'PK'
  is_dark = page.evaluate(
    'getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 100'
  )
  assert is_dark == (scheme == 'dark')


def test_every_kind_of_answer_has_a_viewer(visit):
  page = visit()
  give(page, 'a.png', make_png((200, 30, 30)))
  for task in ('normals', 'semantic', 'edit'):
    choose(page, task)
    page.click('#ask')
    wait_for(page, task)
    canvas = page.locator('vb-view canvas')
    page.wait_for_timeout(300)
    for button in page.locator('.vb-ways button').all():
      button.click()
      page.wait_for_timeout(100)
    first = page.locator('.vb-ways button').first
    first.click()
    page.wait_for_timeout(100)
    before = canvas.evaluate('x => x.toDataURL()')
    canvas.hover(position={'x': 15, 'y': 25})
    page.wait_for_timeout(200)
    moved = canvas.evaluate('x => x.toDataURL()') != before
    assert moved == (task != 'edit')  # a whole picture follows nothing
    if task == 'semantic':
      row = page.locator('.vb-label').first
      row.click()
      assert row.get_attribute('aria-pressed') == 'true'
      row.click()
      assert row.get_attribute('aria-pressed') == 'false'


def test_a_keyboard_is_enough(visit):
  page = visit()

  def tab_to(test):
    for _ in range(60):
      page.keyboard.press('Tab')
      if page.evaluate(
        f'(() => {{const x = document.activeElement; return {test}}})()'
      ):
        return
    pytest.fail(f'never reached: {test}')

  tab_to("x.id === 'scene'")
  page.keyboard.press('Enter')
  page.wait_for_selector('#photo img', timeout=PATIENCE_MS)
  tab_to("x.id === 'ask'")
  page.keyboard.press('Enter')
  wait_for(page, 'depth')
  page.evaluate("document.querySelector('#ask').focus()")
  tab_to("x.textContent === 'cloud'")
  page.keyboard.press('Enter')
  tab_to("x.tagName === 'CANVAS'")
  canvas = page.locator('vb-view canvas')
  before = canvas.evaluate('x => x.toDataURL()')
  page.keyboard.press('ArrowRight')
  page.keyboard.press('+')
  page.wait_for_function(
    "old => document.querySelector('vb-view canvas').toDataURL() !== old",
    arg=before,
  )
  tab_to("x.className === 'vb-download'")


def test_a_wrong_file_and_a_vast_one_are_named(visit):
  page = visit()
  for name, content, says in (
    ('page.png', odd_files.TEXTS['page.png'], 'not a JPEG, PNG'),
    ('cut.png', make_png((9, 9, 9))[:90], 'cut.png: damaged picture'),
    ('vast.png', odd_files.make_vast_png(60_000), 'far too many pixels'),
  ):
    give(page, name, content)
    page.click('#ask')
    error = page.locator('.vb-error')
    sync_api.expect(error).to_contain_text(says, timeout=PATIENCE_MS)
    page.click('#photo button[aria-label="Remove Image"]')
  page.click('#ask')
  sync_api.expect(page.locator('.vb-error')).to_contain_text('no picture')


def test_a_huge_file_is_refused(visit):
  page = visit()
  give(page, 'huge.bmp', b'BM' + bytes(2 * 2**20), 'image/bmp')
  sync_api.expect(page.locator('.toast-body')).to_contain_text(
    'maximum', ignore_case=True
  )
  give(page, 'small.png', make_png((30, 90, 30)))
  page.click('#ask')
  wait_for(page, 'depth')


def test_two_users_at_once_have_their_own_answers(visit):
  pages = [visit(), visit()]
  colors = [(250, 20, 20), (20, 20, 250)]
  for page, color in zip(pages, colors):
    give(page, 'a.png', make_png(color))
    page.wait_for_selector('#photo img', timeout=PATIENCE_MS)
  for page in pages:
    page.click('#ask')
  for page, color in zip(pages, colors):
    wait_for(page, 'depth')
    page.click('.vb-ways button:has-text("picture")')
    page.wait_for_timeout(300)
    pixel = page.locator('vb-view canvas').evaluate(
      "x => [...x.getContext('2d').getImageData(2, 2, 1, 1).data]"
    )
    assert np.abs(np.subtract(pixel[:3], color)).max() < 12


def test_a_killed_server_serves_an_open_page_again(server, visit):
  page = visit()
  server.kill()
  server.start()
  page.reload()
  page.click('#scene')
  page.wait_for_selector('#photo img', timeout=PATIENCE_MS)
  page.click('#ask')
  wait_for(page, 'depth')


def test_files_of_the_machine_are_no_uploads(server, tmp_path):
  secret = tmp_path / 'secret.png'
  secret.write_bytes(make_png((1, 2, 3)))
  photo = {'path': str(secret), 'meta': {'_type': 'gradio.FileData'}}
  said = call(server, [photo, 'depth', '', 0, 0])
  assert 'event: error' in said and 'vb-answer' not in said
  copies = [p for p in server.folder.rglob('*') if p.name == 'secret.png']
  assert not copies
  with pytest.raises(urllib.error.HTTPError, match='403'):
    read(f'{server.url}/gradio_api/file={secret}')
  assert 'vb-answer' in call(server, [None, 'generate', 'a ball', 0, 1])


def call(server, data) -> str:
  """What the server says to a question, as events."""
  where = f'{server.url}/gradio_api/call/ask'
  event = json.loads(read(where, json.dumps({'data': data}).encode()))
  return read(f'{where}/{event["event_id"]}')


def read(url, data=None) -> str:
  headers = {'content-type': 'application/json'}
  asked = urllib.request.Request(url, data, headers)
  with urllib.request.urlopen(asked, timeout=PATIENCE_MS / 1000) as answer:
    return answer.read().decode()


def test_memory_stays_flat(server, tmp_path):
  for k in range(4):
    (tmp_path / f'{k}.png').write_bytes(
      make_png((60 * k, 90, 30), (50, 50 + k))
    )
  client = gradio_client.Client(server.url, verbose=False)
  questions = (('depth', ''), ('normals', ''), ('semantic', 'floor, wall'))
  used = {}
  for k in range(200):
    task, words = questions[k % 3]
    photo = gradio_client.handle_file(tmp_path / f'{k % 4}.png')
    found = client.predict(photo, task, words, k, 0, api_name='/ask')
    assert f'data-task="{task}"' in found
    used[k] = server.measure_mb()
  print(f'{used[99]:.0f} MB after 100 answers, {used[199]:.0f} after 200')
  assert used[199] - used[99] < MOST_GROWTH_MB
