"""RGB-D folders: photographs, 16-bit depth, and the camera's intrinsics."""

import math
import pathlib
import re
from typing import Any, ClassVar

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.data import image_formats
from vbanana_jax.datasets import depth_set, kinds, photo_set
from vbanana_jax.errors import UserError

_PHOTOS = ('images', 'image', 'rgb', 'color')  # folders beside `depth`
_WORDS = {'depth', 'rgb', 'color', 'image', 'img', 'sync'}  # of file names
_CAMERA_FILES = (
  'intrinsics*.json', 'intrinsic*.txt', 'intrinsic/intrinsic_color.txt',
  'camera*.json', 'camera*.txt', 'K*.txt', 'calib*.json', 'calib*.txt',
)  # fmt: skip
_SIZE_IN_NAME = re.compile(r'(?<!\d)(\d{2,5})x(\d{2,5})(?!\d)')
_NOT_MEASURED = (0, 65535)


class RgbdFolder(depth_set.DepthSet):
  """Photographs and depth of one camera, in one of two layouts.

  Either `images/NAME.jpg` (or `image`, `rgb`, `color`) and `depth/NAME.png`, at
  the top or in a folder for each recording, or `NAME.color.png` and
  `NAME.depth.png` side by side, as in 7-Scenes. Names may differ in words as
  depth_ and rgb_. Depth is a 16-bit PNG of z-depth in 1 / `per_meter` m, where
  0 and 65535 are not measured. It may be smaller than its photograph if it has
  the same aspect: then each pixel of the photograph gets the nearest depth.

  Intrinsics are a JSON with fx, fy, cx, cy, or text with 4, 9 or 16 numbers,
  looked for beside the recording's folders and then above; of several, the one
  whose name has the size of the photograph (`270x180`). The first pixel's
  center is taken as (0, 0), as OpenCV does. Poses are not read.
  """

  name: ClassVar[str] = 'RGB-D folder'
  license: ClassVar[str] = ''
  source: ClassVar[str] = ''
  any_size: ClassVar[bool] = True

  def __init__(
    self, root, *, per_meter=1000.0, intrinsics='', step=1,
    derive_normals=False,
  ):  # fmt: skip
    super().__init__(root, derive_normals=derive_normals)
    self.name = self.root.resolve().name
    if not 0 < per_meter < math.inf:
      raise UserError(f'--per-meter {per_meter:g} is not a number above 0')
    self._per_meter = per_meter
    self._given = intrinsics and _read_given(intrinsics)
    pairs = self._find_pairs()
    if not pairs:
      raise UserError(
        f'{self.root}: no depth/NAME.png beside images/ or rgb/, and no '
        'NAME.depth.png beside NAME.color.png'
      )
    entries = [
      photo_set.Entry(
        base.make_id(*image.relative_to(self.root).with_suffix('').parts),
        image.relative_to(self.root).as_posix(),
        depth,
      )
      for depth, image in pairs[::step]
    ]
    self._set_entries(entries, self.root)

  def _find_pairs(self) -> list[tuple[pathlib.Path, pathlib.Path]]:
    pairs, alone = [], 0
    for folder in sorted({p.parent for p in self.root.rglob('*.png')}):
      depths = sorted(folder.glob('*.png'))
      if folder.name != 'depth':
        depths = [path for path in depths if path.name.endswith('.depth.png')]
      wanted = {_key(path.stem) for path in depths}
      photos = self._list_photos(folder, wanted) if depths else {}
      for path in depths:
        photo = photos.get(_key(path.stem))
        alone += photo is None
        if photo is not None:
          pairs.append((path, photo))
    if alone:
      self.notes.append(f'{alone} depth maps have no photograph')
    return pairs

  def _list_photos(self, folder, wanted) -> dict[str, pathlib.Path]:
    """Photographs of a folder's depth maps, by the keys that those have."""
    places = [folder]
    if folder.name == 'depth':
      places = [folder.with_name(name) for name in _PHOTOS]
    place = next((each for each in places if each.is_dir()), None)
    found: dict[str, pathlib.Path] = {}
    for path in sorted(place.iterdir()) if place else ():
      if (
        path.suffix.lower() not in image_formats.SUFFIXES
        or _key(path.stem) not in wanted
        or path.name.startswith('.')
        or path.name.endswith('.depth.png')
      ):
        continue
      other = found.setdefault(_key(path.stem), path)
      if other != path:
        raise UserError(
          f'{place}: {other.name} and {path.name} have the name of one depth '
          'map: keep one of them'
        )
    return found

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    stored = files.load_png16(entry.found)
    depth_m = np.where(
      np.isin(stored, _NOT_MEASURED), np.nan, stored / self._per_meter
    )
    size = photo.frame.width, photo.frame.height
    place, camera = self._given or self._find_camera(photo.path.parent, size)
    return self._finish(photo, depth_m, entry.found, camera, camera_file=place)

  def _find_camera(self, folder, size):
    """The file of intrinsics in the nearest folder that has one, and them."""
    while True:
      found = dict.fromkeys(
        path for glob in _CAMERA_FILES for path in sorted(folder.glob(glob))
      )
      fitting = [path for path in found if _read_size(path) == size]
      fitting = fitting or [path for path in found if _read_size(path) is None]
      if len(fitting) > 1:
        names = ', '.join(path.name for path in fitting)
        raise UserError(
          f'{folder}: {names}: which has the intrinsics of '
          f'{size[0]} x {size[1]} pixels? Say it with --intrinsics'
        )
      if fitting:
        return fitting[0], load_camera(fitting[0])
      if folder == self.root:
        return None, None
      folder = folder.parent


def load_camera(path: pathlib.Path) -> labels.Intrinsics:
  """Intrinsics of a JSON or text file, as `RgbdFolder` says.

  Raises:
    UserError: the file holds none.
  """
  if path.suffix.lower() != '.json':
    numbers = depth_set.load_numbers(path, 4, 9, 16)
    return depth_set.count_from_centers(*depth_set.read_matrix(numbers))
  stored = files.load_json(path, dict)
  keys = ('fx', 'fy', 'cx', 'cy')
  if not all(key in stored for key in keys):
    raise UserError(f'{path}: has no {", ".join(keys)}')
  numbers = depth_set.parse_numbers((stored[key] for key in keys), path, 4)
  return depth_set.count_from_centers(*numbers)


def _read_given(text: str) -> tuple[object, labels.Intrinsics]:
  if ',' not in text:
    return text, load_camera(pathlib.Path(text))
  place = f'--intrinsics {text}'
  numbers = depth_set.parse_numbers(text.split(','), place, 4)
  return place, depth_set.count_from_centers(*numbers)


def _read_size(path: pathlib.Path) -> tuple[int, int] | None:
  found = _SIZE_IN_NAME.search(path.name)
  return (int(found[1]), int(found[2])) if found else None


def _key(stem: str) -> str:
  """What the names of a photograph and its depth have in common."""
  words = re.split(r'[._-]', stem)
  kept = [word for word in words if word.lower() not in _WORDS]
  return '.'.join(kept) or stem


KIND = kinds.Kind(
  about='photographs with 16-bit depth of a depth camera, as your own',
  example='vbanana prepare rgbd data/office --derive-normals '
  '--out data/office_records',
  open=RgbdFolder,
  takes_license=True,
  flags=(
    kinds.Flag(
      '--per-meter', 'steps of the depth in one meter', 1000.0, (),
      float,
    ),
    kinds.Flag('--intrinsics', 'a file, or fx,fy,cx,cy', ''),
    depth_set.STEP,
    depth_set.FLAG,
  ),
)  # fmt: skip
