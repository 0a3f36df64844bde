"""Finds the file that somebody else's table means by a name."""

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from vbanana_jax.data import image_formats

_ROOT = re.compile(r'(file:)?//*|[A-Za-z]:/')


class FileNames:
  """Files by all of the names that mean them.

  A name is looked up as it is; then with `\\` as `/`; then whatever its case
  and the way its accents are composed (a Mac writes e and an accent); without
  its ending; and as the end of a longer path, or a longer path's end. What
  could mean two files means none.

  Args:
    names: with forward slashes, of each file all that it is known by, the
      first its own.
  """

  def __init__(self, names: Iterable[tuple[str, ...]]):
    self._own = set()
    self._known = defaultdict(set)
    self._by_last_part = defaultdict(set)
    for own, *others in names:
      self._own.add(own)
      for name in (own, *others):
        key = _fold(name)
        for spelling in (key, _cut_ending(key)):
          self._known[spelling].add(own)
          self._by_last_part[posixpath.basename(spelling)].add((spelling, own))

  def find(self, folder: str, written: str) -> str | None:
    """The file that a table in `folder` means; None where there is none."""
    for spelling in dict.fromkeys((written, written.replace('\\', '/'))):
      path = posixpath.normpath(spelling)
      if posixpath.join(folder, path) in self._own:
        return posixpath.join(folder, path)
    key = _fold(path)
    root = _ROOT.match(key)
    if root is None:
      found = self._known.get(_fold(posixpath.join(folder, path)), ())
      if found:
        return _the_only(found)
    key = key[root.end() if root else 0 :]
    return self._find_by_end(_fold(folder), key)

  def _find_by_end(self, folder: str, key: str) -> str | None:
    """The file in `folder` whose path in it ends as `key` does."""
    start = f'{folder}/' if folder else ''
    found = defaultdict(set)
    for name, own in self._by_last_part.get(posixpath.basename(key), ()):
      if not name.startswith(start):
        continue
      path = name[len(start) :]
      if f'/{key}'.endswith(f'/{path}') or f'/{path}'.endswith(f'/{key}'):
        found[min(len(path), len(key))].add(own)
    return _the_only(found[max(found)]) if found else None


def leaves_folder(written: str) -> bool:
  """Whether a name climbs out of its folder, or lies right below the root."""
  path = posixpath.normpath(written.replace('\\', '/'))
  return path.startswith('../') or bool(re.fullmatch('/[^/]*', path))


def _the_only(found: Iterable[str]) -> str | None:
  return next(iter(found)) if len(found) == 1 else None


def _fold(name: str) -> str:
  folded = unicodedata.normalize('NFC', name).casefold()
  return unicodedata.normalize('NFC', folded)


def _cut_ending(key: str) -> str:
  stem, ending = posixpath.splitext(key)
  return stem if ending in image_formats.SUFFIXES else key
