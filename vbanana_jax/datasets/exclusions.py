"""Pictures that must not be trained on: by id, file name, or benchmark.

The same photograph is called otherwise in every set that uses it: of COCO,
`COCO_train2014_000000123456.jpg`, `000000123456.jpg` and `123456` are one.
"""

import collections
import hashlib
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vbanana_jax import labels
from vbanana_jax.benchmark import protocols, readers
from vbanana_jax.benchmark.readers import files
from vbanana_jax.data import image_formats
from vbanana_jax.data.labeled import DataSet, LabeledPicture
from vbanana_jax.errors import UserError

# COCO's names of 2014, and with the number of an object as RefCOCO has them.
_COCO = re.compile(r'coco_[a-z]+\d{4}_0*(\d+)(_\d+)?')
_SHOWN = 2


class ExclusionList(NamedTuple):
  """Pictures by name.

  Attributes:
    name: of the list, for people.
    pictures: ids or file names, in any spelling.
  """

  name: str
  pictures: tuple[str, ...]

  @property
  def sha256(self) -> str:
    """Digest of the names, in order, one a line."""
    lines = ''.join(f'{each}\n' for each in self.pictures)
    return hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()


class RemainingSet(DataSet):
  """A `DataSet` without the pictures of exclusion lists.

  Attributes:
    exclusions: the set's own, then of each list its `name`, `sha256`, the
      number of its `pictures`, and how many it `left_out`; ready for JSON.
  """

  def __init__(
    self,
    dataset: DataSet,
    kept: Sequence[int],
    exclusions: Sequence[Mapping[str, Any]],
  ):
    self._dataset, self._kept = dataset, tuple(kept)
    self.exclusions = (*dataset.exclusions, *exclusions)
    self.name: str = dataset.name
    self.license: str = dataset.license
    self.source: str = dataset.source
    self.classes: labels.Classes | None = dataset.classes
    self.skipped = dataset.skipped
    self.also_read = dataset.also_read
    self.ids = [dataset.ids[k] for k in self._kept]
    names = get_files(dataset)
    self.files = [names[k] for k in self._kept]
    self.notes = [
      *dataset.notes,
      *(
        f'{each["name"]}: {each["left_out"]} pictures left out by its '
        f'{each["pictures"]} names'
        for each in exclusions
      ),
    ]

  def load(self, index: int) -> LabeledPicture:
    return self._dataset.load(self._kept[index])

  def close(self) -> None:
    self._dataset.close()


def exclude(dataset: DataSet, lists: Iterable[ExclusionList]) -> DataSet:
  """The set without what the lists name; the set itself without lists.

  A name means a picture by its id, by the path of its file, or by the name of
  its file, without the ending and in any spelling of COCO.

  Raises:
    UserError: a name that could mean several pictures of different files, or
      nothing is left.
  """
  lists = list(lists)
  if not lists:
    return dataset
  index = _Index(dataset.ids, get_files(dataset))
  out: set[int] = set()
  exclusions = []
  for each in lists:
    found = {k for name in each.pictures for k in index.find(name, each.name)}
    exclusions.append(
      {
        'name': each.name,
        'sha256': each.sha256,
        'pictures': len(each.pictures),
        'left_out': len(found - out),
      }
    )
    out |= found
  kept = [k for k in range(len(dataset.ids)) if k not in out]
  if not kept:
    raise UserError(
      f'{", ".join(each.name for each in lists)}: leaves nothing of '
      f'{dataset.name}: is it the list of the pictures to keep?'
    )
  return RemainingSet(dataset, kept, exclusions)


def load_list(path: pathlib.Path) -> ExclusionList:
  """Names of a text file, one a line, or of JSON.

  JSON: a list of names or numbers, or a table of COCO, whose `images` are
  meant.

  Raises:
    UserError: names the file, where it is neither, or names nothing.
  """
  if path.suffix.lower() != '.json':
    names = [x for x in files.load_lines(path) if not x.startswith('#')]
  else:
    value = files.load_json(path)
    if isinstance(value, dict) and isinstance(value.get('images'), list):
      value = [
        x.get('file_name') if isinstance(x, dict) else x
        for x in value['images']
      ]
    is_list = isinstance(value, list) and all(
      isinstance(x, str | int) and not isinstance(x, bool) for x in value
    )
    if not is_list:
      raise UserError(
        f'{path}: write a list of ids or file names, or give a table of COCO '
        'with its images'
      )
    names = [str(x) for x in value]
  if not names:
    raise UserError(f'{path}: names no picture')
  return ExclusionList(path.name, tuple(names))


def list_benchmark(text: str) -> ExclusionList:
  """Photographs of a benchmark, given as NAME=FOLDER or NAME:SPLIT=FOLDER.

  NAME is a protocol, or a reader together with a split.

  Raises:
    UserError: another form, an unknown name, or a folder that is not its.
  """
  name, sign, folder = text.partition('=')
  name, _, split = name.strip().partition(':')
  if not (name and sign and folder.strip()):
    raise UserError(
      f'--exclude-benchmark {text}: write PROTOCOL=FOLDER, as in '
      'refcocog_umd_val_referring=data/refer, or PROTOCOL:SPLIT=FOLDER'
    )
  root = pathlib.Path(folder.strip())
  if name in readers.READERS:
    splits = readers.READERS[name].splits
    if split not in splits:
      raise UserError(
        f'--exclude-benchmark {text}: write {name}:SPLIT=FOLDER, with one of '
        f'{", ".join(splits)}'
      )
    reader, label = readers.READERS[name](root, split), f'{name}:{split}'
  else:
    protocol = protocols.load_protocol(name, split or None)
    reader, label = protocol.open(root), protocol.label
  names = dict.fromkeys(item.image or item.id for item in reader.items)
  return ExclusionList(label, tuple(names))


def get_files(dataset: DataSet) -> Sequence[str]:
  """Of each id the path of its photograph; the id where a set has none."""
  return getattr(dataset, 'files', dataset.ids)


def fold(name: str) -> str:
  """A picture's name without folders, ending, zeros and case.

  The names that COCO gives one photograph are folded to its number.
  """
  last = name.replace('\\', '/').rsplit('/', 1)[-1].casefold()
  stem, dot, ending = last.rpartition('.')
  if dot and f'.{ending}' in image_formats.SUFFIXES:
    last = stem
  coco = _COCO.fullmatch(last)
  if coco:
    return coco[1]
  return str(int(last)) if last.isdecimal() and last.isascii() else last


class _Index:
  """Rows of a set by all of the names that mean them."""

  def __init__(self, ids: Sequence[str], names: Sequence[str]):
    self._names = names
    self._exact = collections.defaultdict(set)
    self._folded = collections.defaultdict(set)
    for k, (each, name) in enumerate(zip(ids, names)):
      self._exact[each].add(k)
      self._exact[name].add(k)
      self._folded[fold(each)].add(k)
      self._folded[fold(name)].add(k)

  def find(self, name: str, place: str) -> set[int]:
    if name in self._exact:
      return self._exact[name]
    found = self._folded.get(fold(name), set())
    if len({self._names[k] for k in found}) <= 1:
      return found
    path = '/' + name.replace('\\', '/').casefold()
    same = {
      k
      for k in found
      if path.endswith(end := f'/{self._names[k]}'.casefold())
      or end.endswith(path)
    }
    if len({self._names[k] for k in same}) == 1:
      return same
    shown = ' and '.join(sorted({self._names[k] for k in found})[:_SHOWN])
    raise UserError(
      f'{place}: {name} could mean several pictures, as {shown}: write the '
      'path or the id'
    )
