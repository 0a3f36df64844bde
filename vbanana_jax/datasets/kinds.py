"""What a kind of `vbanana prepare` is: a layout on disk, and its flags."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from vbanana_jax.data import labeled


class Flag(NamedTuple):
  """A flag of one kind.

  Attributes:
    name: as it is written, '--split'.
    about: what it is, one line.
    default: where it is not given; of a switch False, of one that may be given
      again ().
    choices: the values that there are; () for any.
    parse: from the text that was given, which raises ValueError where it
      cannot.
    is_switch: whether it takes no value.
    repeats: whether it may be given again; its values are a tuple.
    range: least and greatest whole number that it is; None for other values.
  """

  name: str
  about: str
  default: Any = None
  choices: tuple[str, ...] = ()
  parse: Callable[[str], Any] = str
  is_switch: bool = False
  repeats: bool = False
  range: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Kind:
  """A layout on disk.

  Attributes:
    about: one line, for the list of kinds.
    example: a command that prepares one.
    open: from the path if there is one, and the flags' values by name
      (`--max-text` is `max_text`), to the data set; UserError names what is
      missing there.
    flags: those that it takes besides those of every kind.
    path: what its path is, as 'a folder or zip'; '' where it reads none.
    most_bad: pictures that may be left out as bad before all are refused.
    takes_license: whether the terms of its pictures may be given, as those of
      anybody's pictures are not known.
  """

  about: str
  example: str
  open: Callable[..., labeled.DataSet]
  flags: tuple[Flag, ...] = ()
  path: str = 'the folder'
  most_bad: str = '5 percent'
  takes_license: bool = False
