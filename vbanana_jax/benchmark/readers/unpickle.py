"""Plain data from a pickle, and nothing else.

A pickle is a program. Data of this project is never one; RefCOCOg is only
published as one. Here it may build None, bools, numbers, strings, lists,
tuples and dicts: its instructions are listed and checked before any is run, and
it can neither name nor call a class or a function.
"""

import io
import pathlib
import pickle
import pickletools
from typing import Any

from vbanana_jax.benchmark.readers import files
from vbanana_jax.errors import UserError

_CONSTANTS = {'NONE', 'NEWTRUE', 'NEWFALSE'}
_NUMBERS = {
  'INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT',
  'BINFLOAT',
}  # fmt: skip
_TEXTS = {
  'STRING', 'BINSTRING', 'SHORT_BINSTRING', 'UNICODE', 'BINUNICODE',
  'SHORT_BINUNICODE', 'BINUNICODE8', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8',
}  # fmt: skip
_CONTAINERS = {
  'LIST', 'EMPTY_LIST', 'APPEND', 'APPENDS', 'TUPLE', 'EMPTY_TUPLE', 'TUPLE1',
  'TUPLE2', 'TUPLE3', 'DICT', 'EMPTY_DICT', 'SETITEM', 'SETITEMS',
}  # fmt: skip
_STORES = {'PUT', 'BINPUT', 'LONG_BINPUT', 'MEMOIZE'}
_CONTROL = {
  'MARK', 'POP', 'POP_MARK', 'DUP', 'GET', 'BINGET', 'LONG_BINGET', 'PROTO',
  'FRAME', 'STOP',
}  # fmt: skip
_PLAIN = _CONSTANTS | _NUMBERS | _TEXTS | _CONTAINERS | _STORES | _CONTROL

# What the standard library raises for a damaged pickle.
_DAMAGED = (
  pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError,
  TypeError, AttributeError, OverflowError, MemoryError,
)  # fmt: skip


class _PlainUnpickler(pickle.Unpickler):
  """Refuses every global: a second lock behind the list of instructions."""

  def find_class(self, module: str, name: str):
    raise pickle.UnpicklingError(f'it names {module}.{name}')

  def persistent_load(self, persistent_id):
    raise pickle.UnpicklingError(f'it names an outside object {persistent_id}')


def load_plain_pickle(path: pathlib.Path) -> Any:
  """What a pickle of plain data holds, of any protocol.

  Strings written by Python 2 are read as UTF-8, or as Latin-1 if they are not.

  Raises:
    UserError: names the file, where it is damaged, larger than a picture may
      be, or asks for a class, a function or anything else but plain data.
  """
  encoded = files.load_bytes(path)
  _check_instructions(encoded, path)
  try:
    try:
      return _PlainUnpickler(io.BytesIO(encoded), encoding='utf-8').load()
    except UnicodeDecodeError:
      return _PlainUnpickler(io.BytesIO(encoded), encoding='latin-1').load()
  except _DAMAGED as error:
    raise UserError(f'{path}: damaged pickle ({error})') from error


def _check_instructions(encoded: bytes, path: pathlib.Path) -> None:
  """Refuses a pickle with any instruction that plain data does not need."""
  stores = 0
  try:
    for instruction, argument, _ in pickletools.genops(encoded):
      if instruction.name not in _PLAIN:
        # GLOBAL and INST show what they would import.
        what = f'{instruction.name} {argument or ""}'.strip()
        raise UserError(
          f'{path}: refused: a pickle that asks for {what} is a program, not '
          'plain data: get the published file'
        )
      if instruction.name in _STORES:
        # Numbered in order, by Python 2 from 1. A far number would make the
        # standard library ask for a table of that size.
        if argument is not None and argument > stores + 1:
          raise UserError(f'{path}: damaged pickle (entry {argument} too far)')
        stores += 1
  except _DAMAGED as error:
    raise UserError(f'{path}: damaged pickle ({error})') from error
