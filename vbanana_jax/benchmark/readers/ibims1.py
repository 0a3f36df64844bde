"""iBims-1: laser-scanned indoor depth with validity masks."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vbanana_jax.benchmark.readers import base, files
from vbanana_jax.errors import UserError

_LIST = 'imagelist.txt'
_SCALE_M = 50.0 / 65535.0
_MASKS = ('mask_invalid', 'mask_transp')  # above 0 means keep
_MEDIAN_M = (0.3, 50.0)  # of one photograph


class Ibims1(base.FolderReader):
  """Depth of 100 photographs of 640 x 480 pixels, the "raw" download.

  `imagelist.txt` names the photographs; `rgb/`, `depth/`, `mask_invalid/` and
  `mask_transp/` hold a PNG of that name each. Depth is 16-bit, meters = value
  * 50 / 65535, 0 where not measured; a pixel counts where both masks are
  above 0. Pixels that a prediction leaves at 0 are not excused, unlike in the
  set's own script.

  Source: Koch et al., "Evaluation of CNN-based Single-Image Depth Estimation
  Methods", ECCV workshops 2018.
  """

  name: ClassVar[str] = 'iBims-1'
  task: ClassVar[str] = 'depth'
  splits: ClassVar[tuple[str, ...]] = ('test',)
  layout: ClassVar[tuple[str, ...]] = (
    _LIST,
    'rgb/*.png',
    'depth/*.png',
    'mask_invalid/*.png',
    'mask_transp/*.png',
  )
  source: ClassVar[str] = (
    'https://www.asg.ed.tum.de/lmf/ibims1 (ibims1_core_raw)'
  )
  license: ClassVar[str] = 'CC BY-NC-SA 4.0'
  verified: ClassVar[bool] = True

  def _list_items(self) -> Iterator[base.Item]:
    path = self.root / _LIST
    names = [base.check_name(name, path) for name in files.load_lines(path)]
    for folder in ('rgb', 'depth', *_MASKS):
      self.require([f'{folder}/{name}.png' for name in names])
    for name in names:
      yield base.Item(base.make_id(name), f'rgb/{name}.png')

  def load_image(self, item: base.Item) -> np.ndarray:
    return files.load_rgb(self.root / item.image)

  def load_truth(self, item: base.Item) -> dict[str, np.ndarray]:
    name = item.image.removeprefix('rgb/')
    size = files.load_image_size(self.root / item.image)
    path = self.root / 'depth' / name
    stored = files.load_png16(path)
    base.check_shapes(stored.shape, size, path)
    for folder in _MASKS:
      place = self.root / folder / name
      mask = files.load_labels(place)
      base.check_shapes(mask.shape, size, place)
      if not mask.any():
        raise UserError(f'{place}: keeps no pixel: is the mask inverted?')
      stored = np.where(mask > 0, stored, 0)
    depth_m = base.make_depth_m(stored * _SCALE_M, path, median_m=_MEDIAN_M)
    return {'depth_m': depth_m}
