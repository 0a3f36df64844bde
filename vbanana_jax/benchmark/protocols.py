"""Protocols: all that a benchmark number depends on, one small file each.

A protocol never changes once it is used: another crop, cap or wording is
another version, in another file.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterable
from typing import Any

from vbanana_jax.benchmark import protocol_file, readers
from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

FOLDER = pathlib.Path(__file__).parents[1] / 'protocols'


@dataclasses.dataclass(frozen=True)
class Protocol:
  """How one benchmark is asked, read and scored.

  Attributes:
    name: of the benchmark, without the version.
    version: of this file.
    task: depth, normals, semantic, referring or instance.
    reader: key in `data.readers.READERS`.
    split: as the reader calls it.
    count: number of examples of the whole split; None where unknown.
    ids_sha256: digest of the ids in order (see `hash_ids`); None where no
      published list is known.
    verified: whether the reader was checked on real files.
    image_size: what a generator is shown, for readers.
    resampling: how decoded values are brought to the truth's size:
      'nearest', or 'smooth' (bilinear among finite values).
    crop: pixels that count: see `metrics.crops.make_crop`; None for all.
    near_m: truths must be farther than this.
    cap_m: and nearer than this; None for no cap.
    clamp_m: predictions are moved into this range.
    alignment: of the headline metrics, for readers: 'none' means meters and
      axes as they come. Aligned scores have names of their own.
    pooling: of the headline metrics, for readers: 'image' for means over
      images, 'pixel' for one pool of pixels.
    classes: names with the colors that the prompt gives them.
    background: color of all that has no class or is not asked for.
    void_radius: 8-bit levels; a color farther from all of the legend has no
      class. None reads every pixel as the nearest.
    decoder: of instances: its name and options.
    prompt: with {legend} or {phrase} filled in.
    sampler: steps that our own network samples in; 0 is one pass.
    passes: pictures a question; several are put to the vote.
    seeds: of noise and of re-drawn legends, one a pass; see
      `questions.get_seed`.
    headline: metrics that the tables show, the first one first.
    known_difference: from what the paper or its rivals did, in words.
    notation: of colors in the prompt, of `palettes.NOTATIONS`; 'angle' are
      numbers, <r, g, b>.
    other_splits: count and ids_sha256 of splits besides the protocol's own,
      as far as they are known.
    standard_split: the protocol's own, where `split` was chosen instead of it
      (see `choose_split`); None where `split` is the protocol's.
  """

  name: str
  version: int
  task: str
  reader: str
  split: str
  count: int | None
  ids_sha256: str | None
  verified: bool
  image_size: str
  resampling: str
  crop: dict[str, Any] | None
  near_m: float | None
  cap_m: float | None
  clamp_m: list[float] | None
  alignment: str
  pooling: str
  classes: list[tuple[str, list[int]]] | None
  background: list[int] | None
  void_radius: float | None
  decoder: dict[str, Any] | None
  prompt: str
  sampler: dict[str, int]
  passes: int
  seeds: list[int]
  headline: list[str]
  known_difference: str
  notation: str = 'angle'
  other_splits: dict[str, dict[str, Any]] = dataclasses.field(
    default_factory=dict
  )
  standard_split: str | None = None

  def __hash__(self):
    return hash((self.title, self.split))

  @property
  def title(self) -> str:
    """Name and version, as results have it."""
    return f'{self.name}_v{self.version}'

  @property
  def label(self) -> str:
    """As `title`, and the split where it is not the protocol's own."""
    return f'{self.title}_{self.split}' if self.standard_split else self.title

  def choose_split(self, split: str | None) -> 'Protocol':
    """The same questions and scores on another split of the benchmark.

    Raises:
      UserError: a split that the benchmark does not have, with all those that
        it has.
    """
    if split in (None, self.split):
      return self
    splits = readers.READERS[self.reader].splits
    if split not in splits:
      raise UserError(
        f'--split: {self.name} has no split {split!r}: choose of '
        f'{", ".join(splits)}'
      )
    known = self.other_splits.get(split, {})
    return dataclasses.replace(
      self,
      split=split,
      count=known.get('count'),
      ids_sha256=known.get('ids_sha256'),
      standard_split=self.split,
    )

  def has_known_ids(self, items: Iterable[readers.Item]) -> bool | None:
    """Whether items are the published ones; None where no list is known.

    A folder may list them in the published order or in that of their ids.
    """
    if self.ids_sha256 is None:
      return None
    items = list(items)
    by_id = sorted(items, key=lambda item: item.id)
    return self.ids_sha256 in (hash_ids(items), hash_ids(by_id))

  def open(self, root: str | pathlib.Path) -> readers.Reader:
    """The benchmark's folder; UserError where it is not one, or of others."""
    reader = readers.READERS[self.reader](root, self.split)
    found = getattr(reader, 'class_names', ())
    wanted = tuple(name for name, _ in self.classes or ())
    if found and found != wanted:
      raise UserError(
        f'{root}: has other classes than {self.title}: {", ".join(found[:6])} '
        f'in place of {", ".join(wanted[:6])}: make a protocol for it with '
        'vbanana protocol new'
      )
    return reader


@functools.cache
def list_protocols() -> tuple[str, ...]:
  """Titles of all protocols, as in `nyuv2_depth_v1`."""
  return tuple(
    path.stem
    for path in sorted(FOLDER.glob('*_v*.json'))
    if 'reader' in json.loads(path.read_text())
  )


def load_protocol(name: str, split: str | None = None) -> Protocol:
  """A protocol by its title, the newest version of its name, or its file.

  Args:
    name: the title, the name, or a path that ends with .json.
    split: of the benchmark; the protocol's own if not given.

  Raises:
    UserError: an unknown name or split, with all the known ones, or a file that
      is not one of `vbanana protocol new`.
  """
  if protocol_file.is_named(name):
    return protocol_file.load(paths.to_path(name), Protocol).choose_split(split)
  versions = [
    title
    for title in list_protocols()
    if name in (title, title.rpartition('_v')[0])
  ]
  if not versions:
    known = ', '.join(sorted({t.rpartition('_v')[0] for t in list_protocols()}))
    raise UserError(f'no protocol {name!r}: choose of {known}')
  newest = max(versions, key=lambda title: int(title.rpartition('_v')[2]))
  protocol = Protocol(**json.loads((FOLDER / f'{newest}.json').read_text()))
  return protocol.choose_split(split)


def hash_ids(items: Iterable[readers.Item]) -> str:
  """SHA-256 of the ids, in order, one a line."""
  lines = ''.join(f'{item.id}\n' for item in items)
  return hashlib.sha256(lines.encode()).hexdigest()
