"""Which pictures of a folder to train on: what a person decides, when asked."""

import collections
import fnmatch
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vbanana_jax.data import label_maps
from vbanana_jax.data.folders import Member
from vbanana_jax.errors import UserError

_TRAINING = ('train', 'training', 'trainset', 'trn')
_SPLITS = (
  *_TRAINING, 'trainval', 'val', 'valid', 'validation', 'valset', 'minival',
  'dev', 'test', 'testing', 'testset', 'eval', 'evaluation',
)  # fmt: skip
_OF_ANY_SPLIT = (
  'data', 'image', 'images', 'img', 'imgs', 'jpg', 'photos', 'rgb', 'set',
)  # fmt: skip
_NAMED = 6


class Selection(NamedTuple):
  """What a person says about which pictures to take.

  A pattern has `*`, `?` and `[...]`; without a `/` it is of any folder or file
  by its own name, with one of a path from the top, and what lies below.

  Attributes:
    include: take only what one of these matches, if there are any.
    exclude: take nothing that one of these matches.
    take_all: label maps and splits side by side are meant.
  """

  include: tuple[str, ...] = ()
  exclude: tuple[str, ...] = ()
  take_all: bool = False

  def choose(self, pictures: Sequence[Member], place: str) -> list[Member]:
    """The pictures that are meant, in order.

    Raises:
      UserError: a pattern that matches nothing; and where labels or several
        splits are among them and `take_all` is not set, with counts.
    """
    for flag in ('include', 'exclude'):
      for pattern in getattr(self, flag):
        if not any(matches(member.name, pattern) for member in pictures):
          raise UserError(f'--{flag} {pattern}: matches no picture in {place}')
    chosen = [
      member
      for member in pictures
      if (not self.include or _matches_any(member.name, self.include))
      and not _matches_any(member.name, self.exclude)
    ]
    if not self.take_all:
      _ask(chosen, place)
    return chosen

  def check_splits(self, counts: Mapping[str, int], place: str) -> None:
    """Asks where a table of captions says that pictures are of several splits.

    Args:
      counts: pictures that are chosen, by what the table calls their split.
      place: what is prepared, for the error.

    Raises:
      UserError: `take_all` is not set.
    """
    splits = {_get_split(name) for name in counts} - {None}
    if len(splits) > 1 and not self.take_all:
      raise UserError(
        f'{place}: by their table the pictures are of several splits '
        f'({_count(counts)}): keep the lines of one in the table, with '
        '--allow-unmatched for the other pictures, or --all for everything'
      )


TAKE_PHOTOGRAPHS = Selection()


def matches(name: str, pattern: str) -> bool:
  """Whether a pattern of `Selection` takes a file."""
  pattern = pattern.removeprefix('./').rstrip('/')
  parts = name.split('/')
  if '/' not in pattern:
    return any(fnmatch.fnmatchcase(part, pattern) for part in parts)
  depth = pattern.count('/') + 1
  return len(parts) >= depth and all(
    fnmatch.fnmatchcase(part, wanted)
    for part, wanted in zip(parts, pattern.split('/'))
  )


def find_splits(names: Sequence[str]) -> dict[str, int]:
  """Pictures by the folder of their split, where several lie side by side."""
  beside = collections.defaultdict(collections.Counter)
  for name in names:
    parts = posixpath.dirname(name).split('/')
    for depth, part in enumerate(parts):
      if _get_split(part):
        beside['/'.join(parts[:depth])][part] += 1
  found = collections.Counter()
  for counts in beside.values():
    if len({_get_split(part) for part in counts}) > 1:
      found.update(counts)
  return dict(found)


def _ask(chosen: Sequence[Member], place: str) -> None:
  labels = label_maps.find_label_maps(chosen)
  taken = {member.name for found in labels.values() for member in found}
  splits = find_splits([m.name for m in chosen if m.name not in taken])
  if not labels and not splits:
    return
  if len(taken) == len(chosen):
    raise UserError(
      f'{place}: all of {len(chosen)} pictures look like label maps, masks or '
      'depth maps: name the folder of the photographs, or take them with --all'
    )
  seen, flags = [], []
  if labels:
    counts = {pattern: len(found) for pattern, found in labels.items()}
    seen.append(
      f'{len(taken)} label maps, masks or depth maps ({_count(counts)})'
    )
    flags += [f'--exclude {_quote(pattern)}' for pattern in counts]
  if splits:
    seen.append(f'splits side by side ({_count(splits)})')
    training = [name for name in splits if _get_split(name) in _TRAINING]
    flags += [
      f'--include {_quote(name)}' for name in training or list(splits)[:1]
    ]
  if flags[_NAMED:]:
    flags = [*flags[:_NAMED], '...']
  raise UserError(
    f'{place}: among {len(chosen)} pictures are {" and ".join(seen)}: say what '
    f'to train on, as in {" ".join(flags)}, or --all for everything'
  )


def _count(counts: Mapping[str, int]) -> str:
  shown = [f'{name} {n}' for name, n in list(counts.items())[:_NAMED]]
  return ', '.join([*shown, '...'] if len(counts) > _NAMED else shown)


def _quote(pattern: str) -> str:
  return f"'{pattern}'" if re.search(r'[^\w./-]', pattern) else pattern


def _get_split(folder: str) -> str | None:
  """The split that a folder is named for, as `val` for `val2017`."""
  words = re.findall('[a-z]+', folder.lower())
  split = [word for word in words if word not in _OF_ANY_SPLIT]
  return split[0] if len(split) == 1 and split[0] in _SPLITS else None


def _matches_any(name: str, patterns: Sequence[str]) -> bool:
  return any(matches(name, pattern) for pattern in patterns)
