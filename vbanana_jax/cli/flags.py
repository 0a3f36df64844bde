"""What several verbs share: argument types and how facts are printed."""

import argparse
import pathlib
from collections.abc import Sequence
from typing import Any

from vbanana_jax.errors import UserError


def at_least(least: int):
  """An argparse type: an integer that is not below `least`."""

  def number(text: str) -> int:
    value = int(text)
    if value < least:
      raise argparse.ArgumentTypeError(f'{text} is less than {least}')
    return value

  return number


def add_protocol(verb: argparse.ArgumentParser, *, required=True) -> None:
  """Adds --protocol, --data and --passes."""
  verb.add_argument(
    '--protocol',
    required=required,
    metavar='NAME',
    help='of a benchmark, as in nyuv2_depth; a wrong one lists them all',
  )
  verb.add_argument(
    '--data',
    required=required,
    type=pathlib.Path,
    help='the folder of the benchmark, as docs/benchmarks.md draws it',
  )
  verb.add_argument(
    '--passes',
    type=at_least(1),
    help='pictures a question, with legends dealt anew, put to the vote',
  )


def check_names(images: Sequence[pathlib.Path]) -> None:
  """Refuses images whose answers would be written over each other."""
  stems = [image.stem for image in images]
  if len(set(stems)) < len(stems):
    raise UserError('two images have the same name: answer them into two --out')


def to_text(fact: Any) -> str:
  """One line for a person; numbers with four digits."""
  if isinstance(fact, float):
    return f'{fact:.4g}'
  if isinstance(fact, dict):
    return ', '.join(f'{name} {to_text(x)}' for name, x in fact.items())
  if isinstance(fact, list):
    return ' '.join(to_text(x) for x in fact)
  return str(fact)
