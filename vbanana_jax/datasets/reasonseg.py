"""ReasonSeg: every question about a photograph, with the region it means."""

from typing import Any, ClassVar

from vbanana_jax import labels
from vbanana_jax.benchmark.readers import reasonseg
from vbanana_jax.datasets import kinds, photo_set
from vbanana_jax.errors import UserError

_SPLITS = ('train', 'val', 'test')


class ReasonSeg(photo_set.PhotoSet):
  """The folder that the benchmark's reader reads, with all texts.

  A photograph with regions that the score leaves out is not taken: a phrase
  either means a pixel or does not.

  Source: as of `benchmark.readers.reasonseg`.
  """

  name: ClassVar[str] = reasonseg.ReasonSeg.name
  license: ClassVar[str] = reasonseg.ReasonSeg.license
  source: ClassVar[str] = reasonseg.ReasonSeg.source

  def __init__(self, root, *, split: str = 'train'):
    super().__init__(root)
    self._reader = reasonseg.ReasonSeg(self.root, split)
    entries, unclear = [], 0
    for item in self._reader.items:
      texts, shapes = self._reader.load_annotation(item.image)
      if any('ignore' in label.lower() for label, _ in shapes):
        unclear += 1
        continue
      texts = tuple(dict.fromkeys(filter(None, texts)))
      entries.append(photo_set.Entry(item.id, item.image, (item, texts)))
    if unclear:
      self.notes.append(f'{unclear} pictures have regions to ignore: left out')
    self._set_entries(entries, self.root / split)

  def _load_labels(self, entry, photo) -> dict[str, Any]:
    item, texts = entry.found
    mask = self._reader.load_truth(item)['mask']
    if mask.shape != photo.frame.upright:
      raise UserError(f'{photo.path}: changed while it was read')
    return {'phrases': tuple(labels.Phrase(text, mask) for text in texts)}


KIND = kinds.Kind(
  about='ReasonSeg: questions that take reasoning, and the region they mean',
  example='vbanana prepare reasonseg ReasonSeg --split train --out data/reason',
  open=ReasonSeg,
  flags=(kinds.Flag('--split', 'train, val or test', 'train', _SPLITS),),
)
