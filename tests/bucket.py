"""A bucket in memory, with a bucket's habits, in place of Cloud Storage.

Files come through fsspec, in place of gcsfs; arrays through the JSON API, which
the library of arrays speaks itself.

There are no folders, only names that begin alike. An object appears when its
writer closes it, and is never added to. Renaming copies, one object after the
other. Making an object can be asked to fail where there is one.
"""

import contextlib
import functools
import http.server
import io
import json
import os
import sys
import threading
import types
import urllib.parse
import zlib
from typing import ClassVar

import fsspec


class Bucket(fsspec.AbstractFileSystem):
  """All buckets of a test: `objects` maps BUCKET/NAME to bytes."""

  protocol = ('gs', 'gcs')
  objects: ClassVar[dict[str, bytes]] = {}
  refusal: ClassVar[str | None] = None

  @classmethod
  def _strip_protocol(cls, path):
    return str(path).removeprefix('gs://').rstrip('/')

  def _check(self):
    if self.refusal:
      raise RuntimeError(self.refusal)

  def info(self, path, **kwargs):
    self._check()
    path = self._strip_protocol(path)
    if path in self.objects:
      size = len(self.objects[path])
      return {'name': path, 'size': size, 'type': 'file', 'mtime': 0}
    if any(name.startswith(f'{path}/') for name in self.objects):
      return {'name': path, 'size': 0, 'type': 'directory'}
    raise FileNotFoundError(path)

  def ls(self, path, detail=True, **kwargs):
    self._check()
    path = self._strip_protocol(path)
    names = {
      '/'.join([path, name.removeprefix(f'{path}/').split('/')[0]])
      for name in list(self.objects)
      if name.startswith(f'{path}/')
    }
    if not names:
      if path in self.objects:
        names = {path}
      else:
        raise FileNotFoundError(path)
    return [self.info(n) if detail else n for n in sorted(names)]

  def _open(self, path, mode='rb', **kwargs):
    self._check()
    path = self._strip_protocol(path)
    if mode == 'rb':
      if path not in self.objects:
        raise FileNotFoundError(path)
      return io.BytesIO(self.objects[path])
    assert mode == 'wb', f'a bucket has no mode {mode}'
    return _Upload(self.objects, path)

  def pipe_file(self, path, value, mode='overwrite', **kwargs):
    self._check()
    path = self._strip_protocol(path)
    if mode == 'create' and path in self.objects:
      raise FileExistsError(path)
    self.objects[path] = bytes(value)

  def mkdir(self, path, create_parents=True, **kwargs):
    self._check()

  makedirs = mkdir

  def rm_file(self, path):
    self._check()
    if self.objects.pop(self._strip_protocol(path), None) is None:
      raise FileNotFoundError(path)

  _rm = rm_file

  def rm(self, path, recursive=False, maxdepth=None):
    path = self._strip_protocol(path)
    inside = [x for x in list(self.objects) if x.startswith(f'{path}/')]
    for name in inside if recursive else []:
      self.rm_file(name)
    if path in self.objects or not (recursive and inside):
      self.rm_file(path)

  def cp_file(self, path1, path2, **kwargs):
    source = self.objects[self._strip_protocol(path1)]
    self.objects[self._strip_protocol(path2)] = source


class _Upload(io.BytesIO):
  def __init__(self, objects, name):
    super().__init__()
    self.place = objects, name

  def __exit__(self, kind, error, trace):
    if kind is None:
      self.close()

  def close(self):
    if not self.closed:
      objects, name = self.place
      objects[name] = self.getvalue()
    super().close()


class _Api(http.server.BaseHTTPRequestHandler):
  """The few requests of the JSON API that reading and writing arrays takes."""

  protocol_version = 'HTTP/1.1'

  def log_message(self, *args):
    pass

  def _answer(self, code, body=b'', **headers):
    self.send_response(code)
    self.send_header('Content-Length', str(len(body)))
    for name, value in headers.items():
      self.send_header(name.replace('_', '-'), value)
    self.end_headers()
    self.wfile.write(body)

  def _answer_json(self, value):
    self._answer(200, json.dumps(value).encode())

  def _place(self):
    url = urllib.parse.urlsplit(self.path)
    _, _, rest = url.path.partition('/storage/v1/b/')
    name, _, inside = rest.partition('/o')
    inside = urllib.parse.unquote(inside.removeprefix('/'))
    asked = dict(urllib.parse.parse_qsl(url.query))
    return name, inside or asked.get('name', ''), asked

  def do_GET(self):
    bucket, name, asked = self._place()
    objects = Bucket.objects
    if not name:
      start = asked.get('startOffset') or asked.get('prefix', '')
      end = asked.get('endOffset') or '\uffff'
      names = [x.removeprefix(f'{bucket}/') for x in list(objects)]
      items = [_describe(bucket, x) for x in sorted(names) if start <= x < end]
      self._answer_json({'items': items})
    elif f'{bucket}/{name}' not in objects:
      self._answer(404)
    else:
      data = objects[f'{bucket}/{name}']
      head = {'x_goog_generation': _generation(data)}
      if wanted := self.headers.get('Range'):
        first, last = wanted.removeprefix('bytes=').split('-')
        part = data[int(first) : int(last) + 1] if last else data[int(first) :]
        end = int(first) + len(part) - 1
        head['Content_Range'] = f'bytes {first}-{end}/{len(data)}'
        self._answer(206, part, **head)
      else:
        self._answer(200, data, **head)

  def do_POST(self):
    bucket, name, asked = self._place()
    data = self.rfile.read(int(self.headers['Content-Length']))
    if asked.get('ifGenerationMatch') == '0' and (
      f'{bucket}/{name}' in Bucket.objects
    ):
      self._answer(412)
      return
    Bucket.objects[f'{bucket}/{name}'] = data
    self._answer_json(_describe(bucket, name))

  def do_DELETE(self):
    bucket, name, _ = self._place()
    there = Bucket.objects.pop(f'{bucket}/{name}', None)
    self._answer(404 if there is None else 204)


def _generation(data):
  return str(zlib.crc32(data) + 1)


def _describe(bucket, name):
  data = Bucket.objects[f'{bucket}/{name}']
  return {
    'name': name,
    'bucket': bucket,
    'size': str(len(data)),
    'generation': _generation(data),
    'metageneration': '1',
  }


@functools.cache
def serve():
  """Starts the API and tells the library of arrays of it; once a process."""
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Api)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  os.environ['TENSORSTORE_GCS_HTTP_URL'] = (
    f'http://127.0.0.1:{server.server_port}'
  )
  os.environ['GOOGLE_AUTH_TOKEN_FOR_TESTING'] = 'anybody'
  # Asked when checkpoints are deleted, whether folders are left over.
  storage = types.ModuleType('google.cloud.storage')
  storage.Client = _Client
  cloud = types.ModuleType('google.cloud')
  cloud.storage = storage
  sys.modules.setdefault('google.cloud', cloud)
  sys.modules['google.cloud'].storage = storage
  sys.modules['google.cloud.storage'] = storage


class _Client:
  def get_bucket(self, name):
    return types.SimpleNamespace(hierarchical_namespace_enabled=False)


@contextlib.contextmanager
def open_bucket():
  """`Bucket.objects`, empty, behind every gs:// path."""
  serve()
  fsspec.register_implementation('gcs', Bucket, clobber=True)
  Bucket.objects.clear()
  yield Bucket.objects
  Bucket.objects.clear()
  Bucket.refusal = None
