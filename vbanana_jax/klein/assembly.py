"""Folders of large files, written piece by piece: hashed, checked, resumed.

No more than one piece is in memory. What another process began is not written
again: its bytes are read, for the hash, and the rest is added to them.
"""

import glob
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vbanana_jax.errors import DiskFullError, UserError
from vbanana_jax.klein import stored
from vbanana_jax.runtime import paths, workdir_lock

# Told of every number of bytes that are done, and what gives it for how many.
Report = Callable[[int], object]
Start = Callable[[int], Report]
PIECE_BYTES = 1 << 24
_DONE = '.done.json'  # of the files that are whole, in a folder being made
_READ_BYTES = 1 << 22
# Bits of a number's exponent: all set in NaN and infinity.
_EXPONENTS = {
  'BF16': np.uint16(0x7F80),
  'F16': np.uint16(0x7C00),
  'F32': np.uint32(0x7F800000),
}


class Piece(NamedTuple):
  """The next bytes of a file.

  Attributes:
    size: how many.
    read: gives them.
    tensor: whose numbers they are; '' if of none.
    dtype: of the numbers, as safetensors names it.
  """

  size: int
  read: Callable[[], bytes]
  tensor: str = ''
  dtype: str = ''


class Target(NamedTuple):
  """A file that is to be written.

  Attributes:
    name: below the folder that is made, with '/'.
    source: that it comes from, for messages.
    pieces: all its bytes.
  """

  name: str
  source: pathlib.Path
  pieces: Sequence[Piece]

  @property
  def size(self) -> int:
    """Bytes of the whole file."""
    return sum(piece.size for piece in self.pieces)


def copy(name: str, source: pathlib.Path) -> Target:
  """A file as it is.

  Raises:
    UserError: it cannot be read.
  """
  try:
    size = source.stat().st_size
  except OSError as error:
    raise stored.unreadable(source, error) from error
  return Target(name, source, list(_cut(source, 0, size, '', '')))


def copy_tensors(
  name: str, source: pathlib.Path, tensors: stored.Tensors
) -> Target:
  """A file of tensors as it is, whose numbers are looked at on the way.

  Args:
    name: of the new file.
    source: of the old one.
    tensors: what it holds.

  Raises:
    UserError: it cannot be read.
  """
  header = stored.read_header(source)
  pieces = list(_cut(source, 0, len(header.data), '', ''))
  for tensor, (start, stop) in header.spans.items():
    dtype = tensors[tensor].dtype
    pieces += _cut(source, start, stop, tensor, dtype)
  return Target(name, source, pieces)


def _cut(
  source: pathlib.Path, start: int, stop: int, tensor: str, dtype: str
) -> Iterator[Piece]:
  for first in range(start, stop, PIECE_BYTES):
    size = min(PIECE_BYTES, stop - first)

    def read(first=first, size=size) -> bytes:
      with source.open('rb') as file:
        file.seek(first)
        return file.read(size)

    yield Piece(size, read, tensor, dtype)


def make_folder(
  out: pathlib.Path,
  targets: Sequence[Target],
  fingerprint: str,
  finish: Callable[[Mapping[str, str]], Mapping[str, bytes]],
  start: Start,
) -> None:
  """Makes a folder that appears when it is whole.

  What is interrupted waits beside it, hidden, and the same call goes on from
  there; after any other failure nothing is left.

  Args:
    out: the folder.
    targets: its files.
    fingerprint: of what they are a function of, see `make_fingerprint`.
    finish: gives further files, small ones, from the SHA-256 of the others.
    start: is told how many bytes there are.

  Raises:
    UserError: `out` is there, or a source is damaged or changes.
    DiskFullError: there is no room.
  """
  if out.exists():
    raise UserError(
      f'{out} holds something else already: choose another --out or remove it'
    )
  total = sum(target.size for target in targets)
  with workdir_lock.hold_out(out):
    partial = out.with_name(f'.{out.name}.{fingerprint[:16]}.partial')
    _remove_others(out, partial)
    began = sum(p.stat().st_size for p in partial.rglob('*') if p.is_file())
    if (free := paths.get_free_bytes(out.parent)) < total - began:
      raise DiskFullError(
        f'{out.parent} has {free / 1e9:.1f} GB free and {total / 1e9:.1f} GB '
        'are to be written: make room and run the same command again'
      )
    try:
      hashes = _write_all(targets, partial, start(total))
      for name, data in finish(hashes).items():
        paths.write_whole(partial / name, data)
      os.rename(partial, out)
      (out / _DONE).unlink()
    except Exception:
      shutil.rmtree(partial, ignore_errors=True)
      raise


def make_fingerprint(about: Any, targets: Sequence[Target]) -> str:
  """Digest of what files are a function of.

  Args:
    about: what they depend on beside their sources, as JSON.
    targets: of whose sources length and time count.
  """
  facts = [about]
  for target in targets:
    stat = target.source.stat()
    facts.append([target.name, stat.st_size, stat.st_mtime_ns])
  return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _remove_others(out: pathlib.Path, own: pathlib.Path) -> None:
  """Removes what was begun from other sources under the same name."""
  digits = '[0-9a-f]' * 16
  for other in out.parent.glob(f'.{glob.escape(out.name)}.{digits}.partial'):
    if other != own:
      shutil.rmtree(other)


def _write_all(
  targets: Sequence[Target], partial: pathlib.Path, report: Report
) -> dict[str, str]:
  """Writes what is not there yet; SHA-256 by name."""
  journal = partial / _DONE
  done = json.loads(journal.read_bytes()) if journal.exists() else {}
  for target in targets:
    path = partial / target.name
    if target.name in done and path.is_file():
      report(target.size)
      continue
    began = path.with_name(f'{path.name}.part')
    done[target.name] = write(target, began, report)
    os.replace(began, path)
    paths.write_whole(journal, json.dumps(done).encode())
  return done


def write(target: Target, path: pathlib.Path, report: Report) -> str:
  """Writes a file, or the rest of it, and gives its SHA-256.

  Args:
    target: what to write.
    path: where; what is there already was written by this function.
    report: is told of every number of bytes that are done.

  Raises:
    UserError: the source is damaged or changed, or a number is not finite.
    OSError: of the disk that is written.
  """
  found = hashlib.sha256()
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('a+b') as file:
    kept = _find_kept(target.pieces, file.seek(0, os.SEEK_END))
    file.truncate(kept)
    file.seek(0)
    left = kept
    while left:
      data = file.read(min(_READ_BYTES, left))
      found.update(data)
      report(len(data))
      left -= len(data)
    done = 0
    for piece in target.pieces:
      done += piece.size
      if done <= kept:
        continue
      data = _read(target, piece)
      file.write(data)
      found.update(data)
      report(len(data))
  return found.hexdigest()


def _find_kept(pieces: Sequence[Piece], size: int) -> int:
  """Bytes of the whole pieces that the first `size` bytes hold."""
  kept = 0
  for piece in pieces:
    if kept + piece.size > size:
      break
    kept += piece.size
  return kept


def _read(target: Target, piece: Piece) -> bytes:
  try:
    data = piece.read()
  except OSError as error:
    raise stored.unreadable(target.source, error) from error
  if len(data) != piece.size:
    raise UserError(
      f'{target.source} has become shorter: let its download end first'
    )
  if bits := _EXPONENTS.get(piece.dtype):
    numbers = np.frombuffer(data, bits.dtype)
    if np.any((numbers & bits) == bits):
      raise UserError(
        f'{target.source}: {piece.tensor} holds NaN or infinity: download the '
        'snapshot again'
      )
  return data
