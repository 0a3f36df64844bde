"""A small labeled source in memory: every label, by rows of a seed."""

import numpy as np

from vbanana_jax import labels
from vbanana_jax.data import texts

NAMES = tuple(f'kind {chr(97 + k // 26)}{chr(97 + k % 26)}' for k in range(60))


class LabeledRows:
  """Rows of squares on a ground, with everything that can be known of them.

  Left of each picture a stripe is VOID, its depth NaN, its normal zero.

  Args:
    size: height and width.
    count: rows.
    keys: labels that are there; all by default.
    name: of the source.
  """

  endless = False
  lost = ()
  ALL = frozenset(
    {
      'rgb', 'depth_m', 'normals', 'semantic', 'classes', 'instance',
      'instance_class', 'phrases', 'captions', 'edit',
    }
  )  # fmt: skip

  def __init__(self, size=32, count=10, keys=ALL, name='rows'):
    self.name = name
    self.labels = frozenset(keys)
    self._size = size
    self._count = count
    self.classes = labels.Classes(
      names=NAMES,
      areas=tuple(range(len(NAMES))),
      things=(1, 2, 3),
      synonyms={1: ('thing', 'stuff')},
    )

  def __len__(self):
    return self._count

  def locate(self, index):
    return f'{self.name} record {index}'

  def __getitem__(self, index):
    rng = np.random.default_rng([17, index])
    size = self._size
    instance = np.zeros((size, size), np.int32)
    instance[2:10, 8:16] = 1
    instance[12:24, 10:20] = 2
    instance[26:30, 20:30] = 3
    kinds = np.array([1, 1 + index % 3, 3], np.int32)
    semantic = np.append(4 + index % 8, kinds)[instance].astype(np.int32)
    rgb = rng.random((size, size, 3), np.float32)
    depth_m = (1 + semantic).astype(np.float32)
    normals = np.zeros((size, size, 3), np.float32)
    normals[..., 2] = 1.0
    for array, unknown in (
      (semantic, labels.VOID), (instance, labels.VOID),
      (depth_m, np.nan), (normals, 0.0),
    ):  # fmt: skip
      array[:, :4] = unknown
    phrases = [
      labels.Phrase(f'number {k} of {index}', instance == k) for k in (1, 2, 3)
    ]
    example = {
      'rgb': rgb,
      'depth_m': depth_m,
      'normals': normals,
      'semantic': semantic,
      'classes': self.classes,
      'instance': instance,
      'instance_class': kinds,
      'phrases': texts.PhraseList(phrases),
      'captions': texts.CaptionList([f'picture {index}', 'some squares']),
      'edit': {'instruction': 'Invert it.', 'rgb': 1 - rgb},
    }
    return {
      'index': index,
      **{key: example[key] for key in self.labels},
    }
