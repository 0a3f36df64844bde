"""Small prepared folders of labeled pictures, for whole trainings."""

import io

import numpy as np
from labeled_rows import LabeledRows
from PIL import Image

from vbanana_jax.data import labeled, prepare

# Name of a folder -> what its records have.
SETS = {
  'squares': ('semantic', 'instance'),
  'camera': ('depth_m', 'normals'),
  'told': ('phrases', 'captions', 'edit'),
}
# All tasks that they can train, and scenes, as keys of a mixture.
MIXTURE = {
  'semantic@squares': 2, 'instance@squares': 1, 'depth@camera': 1,
  'normals@camera': 1, 'referring@told': 1, 'generate@told': 1,
  'edit@told': 1, 'generate': 1,
}  # fmt: skip


class LabeledSet(labeled.DataSet):
  """Rows of `LabeledRows` as a folder would give them.

  Args:
    name: of `SETS`.
    size: height and width of the photographs.
    count: how many.
  """

  license = 'of a test'
  source = 'nowhere'

  def __init__(self, name, size=40, count=12):
    self.name = name
    self.ids = [f'{name}{k}' for k in range(count)]
    self._keys = SETS[name]
    self._rows = LabeledRows(size, count)
    has_classes = 'semantic' in self._keys
    self.classes = self._rows.classes if has_classes else None

  def load(self, index):
    row = self._rows[index]
    found = {key: row[key] for key in self._keys}
    if 'instance' in found:
      found['instance_class'] = tuple(map(int, row['instance_class']))
    for key in ('phrases', 'captions'):
      if key in found:
        found[key] = tuple(found[key])
    if 'edit' in found:
      found['edit'] = labeled.EditedPicture(
        row['edit']['instruction'], to_png(row['edit']['rgb'])
      )
    name = self.ids[index]
    return labeled.LabeledPicture(name, name, to_png(row['rgb']), **found)


def to_png(rgb):
  file = io.BytesIO()
  Image.fromarray(np.rint(255 * rgb).astype(np.uint8)).save(file, 'PNG')
  return file.getvalue()


def prepare_sets(folder):
  """Prepares all of `SETS` in a folder; returns overrides of a config."""
  overrides = []
  for name in SETS:
    prepare.prepare_dataset(LabeledSet(name), folder / name)
    overrides += [
      f'--config.sources.{name}.kind=records',
      f'--config.sources.{name}.path={folder / name}',
      # Short instructions: the step is compiled for one length.
      f'--config.sources.{name}.style=quick',
      f'--config.sources.{name}.most_classes=4',
      f'--config.sources.{name}.augment.crop_scale=0.5,1',
      f'--config.sources.{name}.augment.flip=0.5',
      f'--config.sources.{name}.augment.brightness=0.2',
    ]
  return overrides + [
    f'--config.mixture.{key}={weight}' for key, weight in MIXTURE.items()
  ]


def spoil_record(folder, name, record):
  """Changes one bit of the photograph of a record of `prepare_sets`."""
  (path,) = (folder / name).glob('*.array_record')
  content = bytearray(path.read_bytes())
  photo = LabeledSet(name).load(record).encoded
  content[content.index(photo) + len(photo) // 2] ^= 4
  path.write_bytes(content)
