"""Procedural scenes as pictures with all of their labels."""

import numpy as np

from vbanana_jax import keys, labels
from vbanana_jax.data import labeled, sources
from vbanana_jax.datasets import kinds
from vbanana_jax.drawing import pictures
from vbanana_jax.runtime import files
from vbanana_jax.scenes import camera, world
from vbanana_jax.scenes import labels as scene_labels

_CAPTIONS = 3  # of a scene, at most
_ROUNDS, _AT_ONCE = 3, 3  # of phrases


class FrozenScenes(labeled.DataSet):
  """Rows 0 to number - 1 of the scenes of a level and a seed.

  Captions and phrases are drawn once, several of each.

  Args:
    level: of `scenes.world.LEVELS`.
    seed: of the scenes, as `config.seed`.
    number: of scenes.
    size: pixels a side.
  """

  license = 'none: drawn by this program'
  source = 'vbanana prepare scenes'

  def __init__(
    self, *, level: str = 'quick', seed: int = 0, number: int, size: int
  ):
    self.name = f'{level} scenes {seed}'
    self._seed = seed
    self._scenes = sources.SceneSource(level, seed, size, extras=['edit'])
    self.classes = scene_labels.make_classes(world.LEVELS[level])
    self.ids = [f'{level}-{seed}-{k}' for k in range(number)]

  def load(self, index: int) -> labeled.LabeledPicture:
    example = self._scenes[index]
    rng = keys.make_rng(self._seed, 'frozen', index)
    height, width = example['depth_m'].shape
    matrix = camera.intrinsics(example['scene'], height, width)
    edit = example['edit']
    return labeled.LabeledPicture(
      id=self.ids[index],
      file=self.ids[index],
      encoded=_encode(example['rgb']),
      depth_m=np.asarray(example['depth_m'], np.float32),
      normals=np.asarray(example['normals'], np.float32),
      semantic=np.asarray(example['semantic']),
      instance=np.asarray(example['instance']),
      instance_class=tuple(map(int, example['instance_class'])),
      phrases=_draw_phrases(example['phrases'], rng),
      captions=_draw_captions(example['captions'], rng),
      intrinsics=labels.Intrinsics(
        *map(float, (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]))
      ),
      edit=labeled.EditedPicture(edit['instruction'], _encode(edit['rgb'])),
    )


def _encode(rgb) -> bytes:
  return files.to_png(pictures.to_u8(rgb))


def _draw_captions(captions: labels.Captions, rng) -> tuple[str, ...]:
  drawn = (captions.draw(rng) for _ in range(_CAPTIONS))
  return tuple(dict.fromkeys(filter(None, drawn)))


def _draw_phrases(phrases: labels.Phrases, rng) -> tuple[labels.Phrase, ...]:
  """Different ones; each round's masks do not overlap."""
  found: dict[str, labels.Phrase] = {}
  for _ in range(_ROUNDS):
    for phrase in phrases.draw(rng, _AT_ONCE):
      mask = np.asarray(phrase.mask, bool)
      found.setdefault(phrase.text, labels.Phrase(phrase.text, mask))
  return tuple(found.values())


KIND = kinds.Kind(
  about='drawn scenes, frozen with all of their labels',
  example='vbanana prepare scenes --number 4096 --size 128 --out data/scenes',
  open=FrozenScenes,
  path='',
  flags=(
    kinds.Flag('--level', 'of the scenes', 'quick', tuple(world.LEVELS)),
    kinds.Flag('--seed', 'of the scenes', 0, range=(0, keys.MOST_SEED)),
    kinds.Flag('--number', 'of scenes', 1024, range=(1, 10**9)),
    kinds.Flag('--size', 'pixels a side', 64, range=(8, 4096)),
  ),
)
