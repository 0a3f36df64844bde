"""Which photographs of a folder a split means."""

import fnmatch
from collections.abc import Sequence
from typing import Any

from vbanana_jax.benchmark.readers import files
from vbanana_jax.data import image_formats
from vbanana_jax.datasets import folder_fields
from vbanana_jax.errors import UserError

ALL = 'all'


def choose(
  fields: folder_fields.Fields, stems: Sequence[str], split: str
) -> list[str]:
  """Stems of a split's photographs, in order.

  Args:
    fields: whose `splits` are lists of names or patterns, names of files with
      such, or {"except": split}.
    stems: of all photographs.
    split: one of them, or 'all'; '' where there are none.

  Raises:
    UserError: names the split or the entry that means no photograph.
  """
  known = list(fields.splits)
  if split == ALL or (not split and not known):
    return list(stems)
  if split not in known:
    choices = ', '.join([*known, ALL])
    if not known:
      raise UserError(f'--split {split}: {fields.place} has no "splits"')
    said = f'no {split!r}' if split else 'which one'
    raise UserError(f'--split: {said}: choose of {choices}')
  return _read(fields, stems, split, ())


def _read(fields, stems, split, above) -> list[str]:
  entry: Any = fields.splits.get(split)
  if split in above or entry is None:
    raise UserError(f'{fields.place}: splits.{above[-1]} excepts {split!r}')
  if isinstance(entry, dict):
    others = entry.get('except')
    if set(entry) != {'except'} or not isinstance(others, str | list):
      raise UserError(
        f'{fields.place}: splits.{split} is {entry!r}: a list of names, a file '
        'with such, or {"except": a split, or several}'
      )
    left_out = {
      stem
      for other in ([others] if isinstance(others, str) else others)
      for stem in _read(fields, stems, other, (*above, split))
    }
    return [stem for stem in stems if stem not in left_out]
  names = entry
  if isinstance(entry, str):
    names = files.load_lines(fields.place.parent / entry)
  if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
    raise UserError(f'{fields.place}: splits.{split} is not a list of names')
  chosen = set()
  for name in names:
    pattern = _to_stem(name, fields.patterns['images'].folder)
    found = fnmatch.filter(stems, pattern)
    if not found:
      raise UserError(
        f'{fields.place}: splits.{split}: no photograph is called {name}'
      )
    chosen.update(found)
  return [stem for stem in stems if stem in chosen]


def _to_stem(name: str, folder: str) -> str:
  name = name.replace('\\', '/').removeprefix('./').removeprefix(f'{folder}/')
  stem, dot, ending = name.rpartition('.')
  return (
    stem if dot and f'.{ending.lower()}' in image_formats.SUFFIXES else name
  )
