"""A source that a user wrote in Python: `open_source` of a file."""

import os
from typing import Any

import numpy as np

from vbanana_jax import config
from vbanana_jax.data import sources
from vbanana_jax.errors import UserError

_FUNCTION = 'open_source'
_NEEDS = ('labels', '__len__', '__getitem__')


class PythonSource:
  """What `open_source(size)` of a file returns, as a source on disk.

  The file runs as code.

  Args:
    path: of the file.
    size: height and width of examples.

  Raises:
    UserError: no such file, or no such function in it, or what it returns is
      no source.
  """

  endless = False
  lost = ()

  def __init__(self, path: str | os.PathLike, size: int):
    self.name = str(path)
    module = config.load_module(self.name)
    if not callable(getattr(module, _FUNCTION, None)):
      raise UserError(
        f'{path}: has no function {_FUNCTION}(size), which returns the source'
      )
    self._source = module.open_source(size)
    for key in _NEEDS:
      if not hasattr(self._source, key):
        raise UserError(
          f'{path}: {_FUNCTION} returns a {type(self._source).__name__} '
          f'without {key}: a source has labels, len() and rows'
        )
    self.labels = frozenset(self._source.labels)

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> sources.Example:
    return self._source[index]

  def draw(self, index: int, rng: np.random.Generator) -> sources.Example:
    """A varied reading of a row, where the source has any."""
    draw: Any = getattr(self._source, 'draw', None)
    return self[index] if draw is None else draw(index, rng)

  def locate(self, index: int) -> str:
    """File and row."""
    return f'{self.name} row {index}'
