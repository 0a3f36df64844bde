"""DIODE: laser-scanned depth and normals, to train on."""

import pathlib
from typing import Any, ClassVar

import numpy as np

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.benchmark.readers import diode as reader
from vbanana_jax.datasets import depth_set, kinds, photo_set
from vbanana_jax.errors import UserError

# Of the set's development kit, for 1024 x 768 pixels; fx and fy do differ.
_CAMERA = labels.Intrinsics(886.81, 927.06, 512.0, 384.0)


class Diode(depth_set.DepthSet):
  """Photographs of `SPLIT/indoors|outdoor/scene_*/scan_*/`, 1024 x 768.

  Beside `ID.png` stand `ID_depth.npy` (768, 1024, 1), meters, and
  `ID_depth_mask.npy`, 1 where they are valid; `ID_normal.npy` where the
  download of normals was unpacked into the same folder.

  Source: Vasiljevic et al., "DIODE: A Dense Indoor and Outdoor DEpth Dataset",
  2019. That depth is along z is assumed, as the set's users do.
  """

  name: ClassVar[str] = 'DIODE'
  license: ClassVar[str] = 'MIT'
  source: ClassVar[str] = 'https://diode-dataset.org (train.tar.gz)'
  median_m: ClassVar[tuple[float, float]] = (0.2, 350.0)

  def __init__(
    self, root, *, split='train', scenes='indoors', derive_normals=False
  ):
    super().__init__(root, derive_normals=derive_normals)
    places = ('indoors', 'outdoor') if scenes == 'all' else (scenes,)
    entries = []
    for place in places:
      pattern = f'{split}/{place}/scene_*/scan_*/*.png'
      photos = sorted(self.root.glob(pattern))
      if not photos:
        raise UserError(
          f'{self.root}: no {pattern}: get {self.name} from {self.source}'
        )
      for path in photos:
        image = path.relative_to(self.root).as_posix()
        stem = image.removesuffix('.png')
        entries.append(photo_set.Entry(base.make_id(path.stem), image, stem))
    for ending in (reader.DEPTH, reader.MASK):
      self._require(entry.found + ending for entry in entries)
    self._set_entries(entries, self.root)

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    path = self.root / (entry.found + reader.DEPTH)
    depth_m = reader.load_masked_depth(
      path, self.root / (entry.found + reader.MASK)
    )
    normals = _load_normals(self.root / f'{entry.found}_normal.npy')
    return self._finish(photo, depth_m, path, _CAMERA, normals)


def _load_normals(path: pathlib.Path) -> np.ndarray | None:
  """x right, y up, z to the viewer as stored, and zero where not known."""
  if not path.is_file():
    return None
  stored = files.load_npy(path, shape=(*reader.SIZE, 3), dtypes='f')
  length = np.linalg.norm(stored, axis=-1, keepdims=True)
  known = np.isfinite(length) & (length > 0)
  unit = np.where(known, stored, 0) / np.where(known, length, 1)
  return base.check_normals(unit.astype(np.float32), path)


KIND = kinds.Kind(
  about='DIODE: laser-scanned depth, and its normals where they are there',
  example='vbanana prepare diode data/diode --split train --out data/diode_t',
  open=Diode,
  flags=(
    kinds.Flag('--split', 'a folder of the set', 'train', ('train', 'val')),
    kinds.Flag('--scenes', 'which of them', 'indoors',
               ('indoors', 'outdoor', 'all')),
    depth_set.FLAG,
  ),
)  # fmt: skip
