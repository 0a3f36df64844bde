"""A bucket in memory, with a bucket's habits, in place of gcsfs.

There are no folders, only names that begin alike. An object appears when its
writer closes it, and is never added to. Renaming copies, one object after the
other. Making an object can be asked to fail where there is one.
"""

import contextlib
import io
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
    del self.objects[self._strip_protocol(path)]

  _rm = rm_file

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


@contextlib.contextmanager
def open_bucket():
  """`Bucket.objects`, empty, behind every gs:// path."""
  fsspec.register_implementation('gcs', Bucket, clobber=True)
  Bucket.objects.clear()
  yield Bucket.objects
  Bucket.objects.clear()
  Bucket.refusal = None
