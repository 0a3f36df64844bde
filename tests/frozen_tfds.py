"""A TFDS data set as others prepare them: scenes with their labels."""

import dataclasses
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from vbanana_jax import keys
from vbanana_jax.data import sources
from vbanana_jax.scenes import language


@dataclasses.dataclass(kw_only=True)
class FrozenScenesConfig(tfds.core.BuilderConfig):
  """Which scenes to freeze: rows 0..n-1 of (level, seed) at a size."""

  level: str = 'quick'
  seed: int = 0
  n: int = 64
  size: int = 64


class FrozenScenes(tfds.core.GeneratorBasedBuilder):
  """Procedural scenes as a TFDS data set, built without TensorFlow."""

  VERSION = tfds.core.Version('1.0.0')
  # No download, so no checksums beside the code. TFDS 4.9.10 would look for
  # them with importlib_resources, which it does not install.
  code_path = None
  builder_config: FrozenScenesConfig

  def _info(self) -> tfds.core.DatasetInfo:
    size = self.builder_config.size
    tensor = tfds.features.Tensor
    return tfds.core.DatasetInfo(
      builder=self,
      description='Procedural scenes with exact labels.',
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(
            shape=(size, size, 3), encoding_format='png'
          ),
          'depth_m': tensor(shape=(size, size), dtype=np.float32),
          'normals': tensor(shape=(size, size, 3), dtype=np.float32),
          'semantic': tensor(shape=(size, size), dtype=np.int32),
          'instance': tensor(shape=(size, size), dtype=np.int32),
          'caption': tfds.features.Text(),
        }
      ),
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    del dl_manager  # nothing to download
    return {'train': self._generate_examples()}

  def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
    config = self.builder_config
    source = sources.SceneSource(config.level, config.seed, config.size)
    for index in range(config.n):
      example = source[index]
      rng = keys.make_rng(config.seed, 'caption', index)
      labels = {
        key: np.asarray(example[key])
        for key in ('depth_m', 'normals', 'semantic', 'instance')
      }
      yield (
        index,
        {
          'image': _encode_png(example['rgb']),
          'caption': language.caption(example['scene'], rng, 2),
          **labels,
        },
      )


def freeze_scenes(data_dir, *, level: str, seed: int, n: int, size: int) -> str:
  """Builds the data set under `data_dir`; returns its TFDS name."""
  config = FrozenScenesConfig(
    name=f'{level}_{size}px_{n}_seed{seed}',
    level=level,
    seed=seed,
    n=n,
    size=size,
  )
  builder = FrozenScenes(
    data_dir=str(data_dir), config=config, file_format='array_record'
  )
  builder.download_and_prepare()
  return f'{builder.name}/{config.name}'


def _encode_png(rgb: np.ndarray) -> io.BytesIO:
  # TFDS encodes arrays with TensorFlow, but takes encoded bytes as they are.
  rgb_u8 = np.round(255 * np.asarray(rgb)).astype(np.uint8)
  file = io.BytesIO()
  Image.fromarray(rgb_u8).save(file, format='PNG')
  file.seek(0)
  return file
