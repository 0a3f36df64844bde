"""Features of photographs, by the network that comes with the package."""

import itertools
import pathlib
from collections.abc import Iterable, Iterator

import jax
import numpy as np
from jaxtyping import Float, UInt8

from vbanana_jax import sharding
from vbanana_jax.evaluation import rows
from vbanana_jax.metrics import efficientnet
from vbanana_jax.training import exported_weights

PATH = (
  pathlib.Path(efficientnet.__file__).parent
  / efficientnet.SPACE
  / exported_weights.WEIGHTS
)
LISTED = {
  'bytes': 7016064,
  'sha256': 'f24e47739a26017b9cc9092ce6e32cc5882cc002c268cf5a88d6b53ab5bb3728',
}
_ROWS = 8  # pictures at a time


def load_layers(path: pathlib.Path = PATH) -> dict[str, efficientnet.Layer]:
  """The network's layers in float32.

  Raises:
    DamagedError: the file is not the one that comes with the package.
  """
  data = exported_weights.read_listed(
    path, LISTED, by='this version', again='install vbanana_jax again'
  )
  tensors = exported_weights.unpack(path, data, ('F16', 'F32'))
  return efficientnet.fold_norms(tensors)


class FeatureSpace:
  """Finds features of pictures of one size; compiled once.

  Args:
    mesh: devices that share the pictures.
  """

  def __init__(self, mesh: jax.sharding.Mesh):
    everywhere = sharding.replicated_sharding(mesh)
    self._mesh = mesh
    self._rows = sharding.round_up_rows(_ROWS, mesh)
    self._layers = jax.device_put(load_layers(), everywhere)
    self._find = jax.jit(_find_features, out_shardings=everywhere)

  def find(
    self, pictures: Iterable[UInt8[np.ndarray, 'h w 3']]
  ) -> Float[np.ndarray, 'n 1280']:
    """Features, a row a picture; pictures are asked for as they are needed."""
    counts = []

    def start():
      for batch in _make_batches(pictures, self._rows):
        counts.append(len(batch))
        filled = np.resize(batch, (self._rows, *batch.shape[1:]))
        yield self._find(self._layers, rows.put_rows(filled, self._mesh))

    parts = rows.fetch_states(start(), wait=rows.is_cpu(self._mesh))
    found = [part[:count] for part, count in zip(parts, counts, strict=True)]
    return np.concatenate([np.zeros((0, efficientnet.FEATURES)), *found])


def _find_features(layers, pictures_u8):
  return efficientnet.features(layers, pictures_u8 / 255.0)


def _make_batches(pictures, rows_at_once) -> Iterator[np.ndarray]:
  left = iter(pictures)
  while batch := list(itertools.islice(left, rows_at_once)):
    yield np.stack(batch)
