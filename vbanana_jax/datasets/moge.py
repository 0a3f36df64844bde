"""Geometry folders as MoGe's training reads them."""

import io
import math
import pathlib
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.datasets import depth_set, kinds, photo_set
from vbanana_jax.errors import UserError

_UNKNOWN, _SKY = 0, 65535
_INDEX = '.index.txt'


class MogeFolders(depth_set.DepthSet):
  """A folder an example: `image.jpg`, `depth.png` and `meta.json`.

  `.index.txt` lists the folders, one a line; without it all that hold a
  `depth.png` are taken. Depth is a 16-bit PNG: 0 is not known, 65535 the sky,
  and with x = (value - 1) / 65533 the others are near^(1 - x) far^x, where near
  and far are texts in the PNG. `intrinsics` in `meta.json` is a 3 x 3 matrix in
  shares of the width and height. Depth is taken as meters: of sets without a
  unit leave it out.

  Source: the data format of github.com/microsoft/MoGe.
  """

  name: ClassVar[str] = 'MoGe folders'
  license: ClassVar[str] = "each data set's own"
  source: ClassVar[str] = 'https://github.com/microsoft/MoGe'

  def __init__(self, root, *, derive_normals=False):
    super().__init__(root, derive_normals=derive_normals)
    index = self.root / _INDEX
    if index.is_file():
      folders = [base.check_name(x, index) for x in files.load_lines(index)]
    else:
      folders = sorted(
        path.parent.relative_to(self.root).as_posix()
        for path in self.root.glob('**/depth.png')
      )
    if not folders:
      raise UserError(
        f'{self.root}: no folder with image.jpg, depth.png and meta.json in it'
      )
    self._require(
      f'{folder}/{name}'
      for folder in folders
      for name in ('depth.png', 'meta.json')
    )
    entries = [
      photo_set.Entry(
        base.make_id(*folder.split('/')), self._find_photo(folder), folder
      )
      for folder in folders
    ]
    self._require(entry.image for entry in entries)
    self._set_entries(entries, self.root)

  def _find_photo(self, folder: str) -> str:
    places = [f'{folder}/image.{ending}' for ending in ('jpg', 'png', 'webp')]
    found = (place for place in places if (self.root / place).is_file())
    return next(found, places[0])

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    folder = self.root / entry.found
    depth_m = _load_depth_m(folder / 'depth.png')
    size = photo.frame.width, photo.frame.height
    place = folder / 'meta.json'
    camera = _load_camera(place, size)
    return self._finish(
      photo, depth_m, folder / 'depth.png', camera, camera_file=place
    )


def _load_depth_m(path: pathlib.Path) -> np.ndarray:
  stored = files.load_png16(path).astype(np.float64)
  with Image.open(io.BytesIO(files.load_bytes(path))) as image:
    image.load()  # Texts may stand behind the pixels.
    texts = dict(image.info)
  words = [texts.get('near'), texts.get('far')]
  if None in words:
    raise UserError(f'{path}: no texts near and far in it: not a depth of MoGe')
  near, far = depth_set.parse_numbers(words, f'{path}, near and far', 2)
  if not 0 < near <= far:
    raise UserError(f'{path}: near {near:g} and far {far:g}: no range of depth')
  share = (stored - 1) / 65533
  depth_m = np.exp((1 - share) * math.log(near) + share * math.log(far))
  depth_m = np.where(stored == _UNKNOWN, np.nan, depth_m)
  return np.where(stored == _SKY, np.inf, depth_m)


def _load_camera(path: pathlib.Path, size) -> labels.Intrinsics | None:
  stored = files.load_json(path, dict).get('intrinsics')
  if stored is None:
    return None
  place = f'{path}, intrinsics'
  rows = np.ravel(stored) if isinstance(stored, list) else [stored]
  numbers = depth_set.parse_numbers(rows, place, 9)
  fx, fy, cx, cy = depth_set.read_matrix(numbers)
  width, height = size
  return labels.Intrinsics(fx * width, fy * height, cx * width, cy * height)


KIND = kinds.Kind(
  about='MoGe-style folders: image.jpg, depth.png, meta.json an example',
  example='vbanana prepare moge data/irs --derive-normals --out data/irs_r',
  open=MogeFolders,
  flags=(depth_set.FLAG,),
)
