"""Labeled pictures: how fast they are prepared, and read by two threads.

  python -m perf.labeled_records [--number 256] [--rounds 5]

Random photographs with every label: depth in millimeters, normals, 20 classes,
8 objects, 4 phrases. Preparing decodes and checks all of it and writes it.
Reading is to 64 pixels: the photograph alone, each label with it, all of them,
and all of them varied.
"""

import io
import pathlib
import tempfile
from concurrent import futures
from typing import Any

import numpy as np
from PIL import Image

from perf import pictures, run, timing
from vbanana_jax import labels
from vbanana_jax.data import (
  augment,
  labeled,
  prepare,
  prepare_pictures,
  record_source,
)

CLASSES, OBJECTS, PHRASES = 20, 8, 4
SIZE = 64  # pixels that they are read to
VARIED = augment.Settings(
  crop_scale=(0.4, 1.0), crop_ratio=(0.8, 1.25), flip=0.5, gamma=0.3,
  brightness=0.15, contrast=0.15, saturation=0.2,
)  # fmt: skip
# What of a picture is kept, by the name of the row.
KEPT = {
  'the photograph': (),
  'and depth in millimeters': ('depth_m',),
  'and normals': ('normals',),
  'and classes': ('semantic',),
  'and phrases': ('phrases',),
  'and all labels': labeled.LABELS,
}


class RandomPictures(labeled.DataSet):
  """Photographs with regions in blocks, and smooth depth.

  Args:
    number: of pictures.
    kept: labels that they have.
  """

  name = 'random pictures'

  def __init__(self, number: int, kept: tuple[str, ...]):
    self.ids = [str(k) for k in range(number)]
    names = tuple(f'class {k}' for k in range(CLASSES))
    everything = tuple(range(CLASSES))
    self.classes = labels.Classes(names, everything, everything)
    self._all = [self._make(k, kept) for k in range(min(number, 16))]

  def load(self, index: int) -> labeled.LabeledPicture:
    return self._all[index % len(self._all)]

  def _make(self, seed: int, kept) -> labeled.LabeledPicture:
    rng = np.random.default_rng(seed)
    height, width = pictures.HEIGHT, pictures.WIDTH
    slope = np.add.outer(np.linspace(2, 4, height), np.linspace(0, 1, width))
    depth_m = (np.rint(1000 * slope) / 1000).astype(np.float32)
    normals = np.ones((height, width, 3), np.float32)
    normals += rng.normal(0, 0.1, normals.shape).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    objects = _spread(rng.integers(0, OBJECTS + 1, (6, 8)))
    found = {
      'depth_m': depth_m,
      'normals': normals,
      'semantic': _spread(rng.integers(0, CLASSES, (12, 16))),
      'instance': objects,
      'phrases': tuple(
        labels.Phrase(f'object {k}', objects == k)
        for k in range(1, PHRASES + 1)
      ),
      'captions': ('a photograph',),
      'intrinsics': labels.Intrinsics(500, 500, width / 2, height / 2),
    }
    found = {key: value for key, value in found.items() if key in kept}
    if 'instance' in found:
      found['instance_class'] = tuple(range(OBJECTS))
    photo_u8 = pictures.make_photo(seed)
    file = io.BytesIO()
    Image.fromarray(photo_u8).save(file, 'JPEG', quality=90)
    return labeled.LabeledPicture(
      str(seed), str(seed), file.getvalue(), **found
    )


def measure(
  number: int = 256, rounds: int = 5, threads: int = 2
) -> dict[str, Any]:
  """Rates of preparing and of reading.

  Args:
    number: of pictures.
    rounds: turns of each.
    threads: that read.
  """
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    whole = RandomPictures(number, labeled.LABELS)
    reads, sizes = {}, {}
    for name, kept in KEPT.items():
      out = folder / name.replace(' ', '_')
      manifest = prepare.prepare_dataset(RandomPictures(number, kept), out)
      sizes[name] = manifest['bytes'] // number
      source = record_source.RecordSource(out, SIZE, VARIED)
      reads[name] = lambda s=source: _read(s.__getitem__, number, threads)
    reads['and all labels, varied'] = lambda: _read(
      lambda k: source.draw(k, np.random.default_rng(k)), number, threads
    )
    limits = prepare_pictures.USUAL

    def prepare_all() -> None:
      for _ in prepare_pictures.make_records(whole, range(number), limits):
        pass

    times = timing.interleave({**reads, 'preparing': prepare_all}, rounds)
  rates = {
    name: timing.summarize_rates(both, number) for name, both in times.items()
  }
  return {
    'tables': {'rates': rates},
    'bytes_per_record': sizes,
    'pictures': f'{pictures.WIDTH} x {pictures.HEIGHT}, JPEG',
    'threads': threads,
  }


def _spread(blocks: np.ndarray) -> np.ndarray:
  """Ids of blocks at the size of a photograph."""
  rows = np.arange(pictures.HEIGHT) * blocks.shape[0] // pictures.HEIGHT
  columns = np.arange(pictures.WIDTH) * blocks.shape[1] // pictures.WIDTH
  return blocks[rows][:, columns].astype(np.int32)


def _read(read, number: int, threads: int) -> None:
  with futures.ThreadPoolExecutor(threads) as pool:
    for _ in pool.map(read, range(number)):
      pass


if __name__ == '__main__':
  run.run_main(measure, quick={'number': 32, 'rounds': 1})
