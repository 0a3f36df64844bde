"""What every benchmark reader offers, and the checks that readers share."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from vbanana_jax.errors import UserError
from vbanana_jax.runtime import paths

_UNSAFE = re.compile(r'[^A-Za-z0-9._-]+')
_FACING_AWAY = -0.1  # mean z of a picture's normals, where z is to the viewer
_MIRRORED = -0.2  # share of agreement with depth, from -1 to 1
_SAME_SURFACE = 0.05  # relative step of depth between neighbors, at most


@dataclasses.dataclass(frozen=True)
class Item:
  """One example of a benchmark.

  Attributes:
    id: unique in the split, of `[A-Za-z0-9._-]`; the name, without its suffix,
      of the picture that a generator paints for it.
    image: path of the photograph inside the folder, with forward slashes;
      empty where photographs live inside a container.
    phrase: what a referring or instance example asks for.
  """

  id: str
  image: str
  phrase: str | None = None


@runtime_checkable
class Reader(Protocol):
  """A benchmark folder as photographs and truths.

  Truth by task: depth `depth_m` f32[h w], 0 where not measured; normals
  `normals` f32[h w 3], x right, y up, z to the viewer, zero where there is
  none; semantic `semantic` int32[h w], 255 where ignored; referring `mask` and
  `ignore` bool[h w]; instance `masks` bool[annotators k h w] and `crowd`
  bool[annotators k].
  """

  task: ClassVar[str]
  root: pathlib.Path
  items: tuple[Item, ...]

  def load_image(self, item: Item) -> UInt8[np.ndarray, 'h w 3']: ...

  def load_truth(self, item: Item) -> dict[str, np.ndarray]: ...


class FolderReader:
  """Opens a benchmark's folder: checks its layout, then lists its items.

  A reader fills the class variables and writes `_list_items`, `load_image` and
  `load_truth`.

  Attributes:
    name: the benchmark, as in errors.
    task: which task its truth belongs to.
    splits: the splits that can be asked for.
    layout: paths or globs inside the folder that must match something;
      `{split}` stands for the split.
    source: where to get the data.
    license: its terms, in short.
    verified: whether the layout was read in published loaders of the set.
      Where it is known from memory alone, the reader checks what it assumes.

  Raises:
    UserError: names an unknown split, a missing path, or an id that appears
      twice.
  """

  name: ClassVar[str]
  task: ClassVar[str]
  splits: ClassVar[tuple[str, ...]]
  layout: ClassVar[tuple[str, ...]]
  source: ClassVar[str]
  license: ClassVar[str]
  verified: ClassVar[bool]

  def __init__(self, root: str | paths.Path, split: str):
    self.root = paths.to_path(root)
    self.split = split
    if split not in self.splits:
      raise UserError(
        f'{self.name}: no split {split!r}: choose from {", ".join(self.splits)}'
      )
    missing = find_missing(self.root, self.layout, split)
    if missing:
      raise UserError(
        f'{self.root}: not a whole {self.name} folder, there is no '
        f'{", ".join(missing)}: get it from {self.source}'
      )
    self.items = tuple(self._list_items())
    check_ids(self.items, self.root)

  def _list_items(self) -> Iterable[Item]:
    raise TypeError(f'{type(self).__name__} lists no items')

  def require(self, paths: Sequence[str]) -> None:
    """Refuses a folder where some of its listed files do not exist."""
    absent = [path for path in paths if not (self.root / path).is_file()]
    if absent:
      raise UserError(
        f'{self.root / absent[0]}: no such file ({len(absent)} of the '
        f'{len(paths)} listed are missing): get {self.name} from {self.source}'
      )

  def glob(self, pattern: str) -> list[str]:
    """Matching files relative to the folder, sorted."""
    return sorted(
      path.relative_to(self.root).as_posix()
      for path in self.root.glob(pattern)
      if path.is_file() and not path.name.startswith('.')
    )


def find_missing(
  root: pathlib.Path, layout: Sequence[str], split: str
) -> list[str]:
  """Entries of `layout` that match nothing inside `root`."""
  patterns = [entry.replace('{split}', split) for entry in layout]
  return [entry for entry in patterns if next(root.glob(entry), None) is None]


def make_id(*parts: str) -> str:
  """Joins parts with `-`; characters that file names lack become `_`."""
  return '-'.join(_UNSAFE.sub('_', part).strip('.') for part in parts)


def check_ids(items: Sequence[Item], place: pathlib.Path) -> None:
  """Refuses an empty list, and ids that are unsafe or not unique."""
  if not items:
    raise UserError(f'{place}: lists no examples: is the folder complete?')
  seen = set()
  for item in items:
    if item.id in seen:
      raise UserError(f'{place}: two examples are called {item.id}')
    if not item.id or _UNSAFE.search(item.id) or item.id.startswith('.'):
      raise UserError(f'{place}: {item.id!r} cannot name a file')
    seen.add(item.id)


def check_name(name: str, place: pathlib.Path) -> str:
  """A relative path from a list file, refused if it leaves the folder."""
  parts = pathlib.PurePosixPath(name).parts
  climbs = name.startswith('/') or '..' in parts or '\\' in name
  if not parts or climbs or ':' in parts[0]:
    raise UserError(f'{place}: {name!r} is not a path inside the folder')
  return name


def make_depth_m(
  depth_m: np.ndarray, place: object, *, median_m: tuple[float, float]
) -> Float[np.ndarray, 'h w']:
  """Depth as float32 meters with 0 for every pixel that has no measurement.

  Args:
    depth_m: meters; infinite and 0 are taken as not measured.
    place: the file, for errors.
    median_m: the median of the measured pixels must lie within; a wrong unit
      does not.

  Raises:
    UserError: NaN, negative depth or an unlikely median.
  """
  with np.errstate(over='ignore'):  # float64 beyond float32 becomes infinite
    depth_m = np.asarray(depth_m, np.float32)
  if np.isnan(depth_m).any():
    raise UserError(f'{place}: NaN depth: a damaged or converted file')
  depth_m = np.where(np.isfinite(depth_m), depth_m, np.float32(0))
  if (depth_m < 0).any():
    raise UserError(f'{place}: negative depth: not a depth map in meters')
  measured = depth_m[depth_m > 0]
  if measured.size:
    low, high = median_m
    median = float(np.median(measured))
    if not low <= median <= high:
      raise UserError(
        f'{place}: median depth {median:.4g} m, expected {low:g} to {high:g}: '
        'check the unit of the file'
      )
  return depth_m


def check_normals(
  normals: Float[np.ndarray, 'h w 3'], place: object
) -> Float[np.ndarray, 'h w 3']:
  """Refuses normals of another length than 1, or facing away from the viewer.

  Visible surfaces face the viewer, so that their mean z is positive.
  """
  length = np.linalg.norm(normals, axis=-1)
  valid = length > 0
  if valid.any():
    median = float(np.median(length[valid]))
    if not 0.9 <= median <= 1.1:
      raise UserError(
        f'{place}: median length of normals {median:.3g}, expected 1: check '
        'the encoding of the file'
      )
    mean_z = float(normals[valid][:, 2].mean(dtype=np.float64))
    if mean_z < _FACING_AWAY:
      raise UserError(
        f'{place}: normals face away from the viewer (mean z {mean_z:.2f}): '
        'the file has other axes than expected'
      )
  return normals


def check_mirrored(
  normals: Float[np.ndarray, 'h w 3'],
  depth_m: Float[np.ndarray, 'h w'],
  place: object,
) -> None:
  """Refuses normals whose x or y contradicts the depth of the picture.

  Along a row, a plane recedes to the right where its normal points right;
  down a column it comes nearer where its normal points up.
  """
  for name, axis, sign in (('x', 1, 1.0), ('y', 0, -1.0)):
    near = np.moveaxis(depth_m, axis, -1)
    facing = np.moveaxis(normals[..., 1 - axis], axis, -1)[..., :-1]
    step = near[..., 1:] - near[..., :-1]
    measured = (near[..., 1:] > 0) & (near[..., :-1] > 0)
    kept = measured & (np.abs(step) < _SAME_SURFACE * near[..., :-1])
    total = np.abs(facing[kept]).sum(dtype=np.float64)
    agreed = (facing[kept] * np.sign(sign * step[kept])).sum(dtype=np.float64)
    if total > 0 and agreed / total < _MIRRORED:
      raise UserError(
        f'{place}: normals are mirrored: {name} contradicts the depth of the '
        f'picture (agreement {agreed / total:.2f} of 1)'
      )


def check_shapes(
  shape: tuple[int, ...], expected: tuple[int, ...], place: object
) -> None:
  """Refuses a file whose height and width are not the expected ones."""
  if tuple(shape[:2]) != tuple(expected[:2]):
    raise UserError(
      f'{place}: {shape[1]} x {shape[0]} pixels, expected {expected[1]} x '
      f'{expected[0]}'
    )
