"""What `prepare --dry-run` looks at and says before anything is written."""

import collections
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vbanana_jax import labels
from vbanana_jax.data import (
  bad_records,
  labeled,
  prepare_pictures,
  prepare_sheet,
  records,
)
from vbanana_jax.data.prepare_pictures import Limits
from vbanana_jax.errors import UserError

LOOKED = 64  # pictures that are read and checked
EXAMPLES = 8  # of them, that are drawn
_SHOWN = 3  # reasons of a refusal
_LISTED = 8  # pictures that are bad


class Sheet(NamedTuple):
  """What a person looks at before hours of preparing.

  Attributes:
    picture_u8: of `prepare_sheet.draw_sheet`, of some from all over the set.
    lines: what was found in those that were looked at.
    refusal: why `prepare` would refuse the set, if as many of all its pictures
      are bad; '' where it would not.
  """

  picture_u8: prepare_sheet.Picture
  lines: tuple[str, ...]
  refusal: str


def make_sheet(dataset: labeled.DataSet, limits: Limits) -> Sheet:
  """Pictures from all over the set, as they would be written.

  Raises:
    UserError: none of them is good; says why.
  """
  total = len(dataset.ids)
  places = _spread(range(total), LOOKED)
  found = _Found()
  for made in prepare_pictures.make_records(dataset, places, limits):
    found.add(made)
  if not found.good:
    reasons = '; '.join([*found.bad, *found.left_out][:_SHOWN]) or 'empty'
    raise UserError(f'{dataset.name}: no picture to prepare ({reasons})')
  shown = [dataset.load(index) for index in _spread(found.good, EXAMPLES)]
  return Sheet(
    prepare_sheet.draw_sheet(shown, dataset.classes),
    tuple(_describe(dataset, found, shown)),
    _find_refusal(len(found.bad), len(places), total, limits),
  )


class _Found:
  """What became of the pictures that were looked at."""

  def __init__(self):
    self.good: list[int] = []
    self.bad: list[str] = []
    self.left_out: list[str] = []
    self.known: collections.Counter[str] = collections.Counter()
    self.pixels: collections.Counter[int] = collections.Counter()

  def add(self, made: prepare_pictures.Made) -> None:
    if made.record is None:
      reasons = self.bad if made.is_bad else self.left_out
      reasons.append(f'{made.file}: {made.reason}')
      return
    self.good.append(made.index)
    self.known.update(made.known)
    if 'semantic' in made.known:
      ids = records.unpack_picture(made.record, ('semantic',)).semantic
      values, counts = np.unique(ids, return_counts=True)
      self.pixels.update(dict(zip(values.tolist(), counts.tolist())))


def _spread(items: Sequence[int], most: int) -> list[int]:
  """At most so many items, evenly from the first to the last."""
  places = np.linspace(0, len(items) - 1, min(most, len(items)))
  return [items[int(place)] for place in places.round()]


def _find_refusal(bad: int, looked: int, total: int, limits: Limits) -> str:
  allowed = bad_records.to_count(limits.most_bad, total, '--most-bad')
  if bad * total <= allowed * looked:
    return ''
  return (
    f'{bad} of {looked} pictures that were looked at are bad, and --most-bad '
    f'allows {allowed} of {total}: mend them, or allow more'
  )


def _describe(
  dataset: labeled.DataSet,
  found: _Found,
  shown: Sequence[labeled.LabeledPicture],
) -> Iterator[str]:
  looked = len(found.good) + len(found.bad) + len(found.left_out)
  yield f'{len(dataset.ids)} pictures, {looked} looked at'
  yield f'license: {dataset.license or "not said"}'
  if dataset.source:
    yield f'source: {dataset.source}'
  if dataset.classes is not None:
    classes = dataset.classes
    names = ', '.join(classes.names[:8]) + ', ...' * (len(classes.names) > 8)
    yield (
      f'{len(classes.names)} classes ({names}), {len(classes.areas)} that can '
      f'be asked for by area, {len(classes.things)} with objects'
    )
  yield from dataset.notes
  for key in labeled.LABELS:
    if found.known[key]:
      values = [getattr(each, key) for each in shown if key in each.known]
      about = _describe_label(key, values) if values else ''
      yield f'{key}: {found.known[key]} of {len(found.good)} good ones{about}'
  if found.pixels and dataset.classes is not None:
    yield from _describe_classes(found.pixels, dataset.classes.names)
  yield from _list_reasons('bad', found.bad)
  yield from _list_reasons('left out', found.left_out)


def _describe_classes(pixels, names) -> Iterator[str]:
  """Shares of the classes, and those that no picture shows."""
  total = sum(pixels.values())
  there = [(names[k], n) for k, n in pixels.most_common() if k >= 0]
  shares = ', '.join(f'{name} {_round(n / total)}' for name, n in there)
  yield f'pixels of classes: {shares}'
  absent = [name for k, name in enumerate(names) if not pixels[k]]
  if absent:
    yield f'classes that were not seen: {", ".join(absent)}'


def _round(share: float) -> str:
  return f'{share:.1%}' if share >= 0.0005 else 'below 0.1%'


def _list_reasons(what: str, reasons: Sequence[str]) -> Iterator[str]:
  for reason in reasons[:_LISTED]:
    yield f'{what}: {reason}'
  if reasons[_LISTED:]:
    yield f'{what}: ... ({len(reasons)} of those that were looked at)'


def _describe_label(key: str, values) -> str:
  if key == 'depth_m':
    known = np.concatenate([v[np.isfinite(v)] for v in values])
    share = known.size / sum(value.size for value in values)
    low, middle, high = np.quantile(known, (0, 0.5, 1))
    return (
      f', {low:.3g} to {high:.3g} m, median {middle:.3g} m, known at '
      f'{share:.0%} of the pixels'
    )
  if key in ('semantic', 'instance'):
    share = np.mean([np.mean(value != labels.VOID) for value in values])
    return f', known at {share:.0%} of the pixels'
  if key == 'normals':
    share = np.mean([value.any(-1).mean() for value in values])
    return f', known at {share:.0%} of the pixels'
  if key in ('captions', 'phrases'):
    return f', {np.mean([len(value) for value in values]):.2g} a picture'
  return ''
