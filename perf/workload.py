"""Networks and batches that measurements share: config, weights, a batch."""

from typing import Any

import jax
import numpy as np

from vbanana_jax import keys, models
from vbanana_jax.config import load_config
from vbanana_jax.training import weights
from vbanana_jax.training.state import TrainState, make_params

# Named sizes by their width.
SIZES = {fields['width']: name for name, fields in models.SIZES.items()}
_SHORTEST_TEXT = 12


def make_config(
  width: int, *, batch_size: int, image_size: int = 64, patch: int = 8
) -> dict[str, Any]:
  """The quickstart's config with another network, as plain dicts."""
  config = load_config('quickstart').to_dict()
  config['model'].update(size=SIZES[width], patch=patch)
  return {**config, 'batch_size': batch_size, 'image_size': image_size}


def make_batch(config: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
  """A training batch of noise: its time does not depend on what it shows.

  Half of the examples have a source, and instructions are of all lengths; see
  `types.Batch`.
  """
  rng = keys.make_rng(seed, 'benchmark')
  b, size = config['batch_size'], config['image_size']
  length = config['data']['text_length']
  vocabulary = weights.build_network(config).config.vocab_size
  tokens = rng.integers(1, vocabulary, (b, length)).astype(np.int32)
  used = rng.integers(min(_SHORTEST_TEXT, length), length + 1, b)
  tokens[np.arange(length) >= used[:, None]] = 0

  def draw(*shape: int) -> np.ndarray:
    return rng.random((b, size, size, *shape), dtype=np.float32)

  return {
    'tokens': tokens,
    'source': draw(3),
    'has_source': np.arange(b) % 2 == 0,
    'target': draw(3),
    'weight_px': draw(),
    'task': (np.arange(b) % 2).astype(np.int32),
    'noise_scale': np.ones(b, np.float32),
    'one_pass_share': np.full(b, 0.5, np.float32),
    'index': np.arange(b, dtype=np.int32),
  }


def make_random_params(model, config: dict[str, Any], seed: int = 0) -> Any:
  """Weights by their shapes alone: nothing is compiled, no product is with 0.

  Matrices keep the size of what they multiply, gains are near one.
  """
  shapes = jax.eval_shape(
    lambda: make_params(model, size=config['image_size'], seed=seed)
  )
  rng = keys.make_rng(seed, 'weights')

  def draw(path, leaf):
    noise = rng.standard_normal(leaf.shape, dtype=np.float32)
    if path[-1].key in ('scale', 'text_key_norm'):
      return 1 + np.float32(0.1) * noise
    return noise * np.float32(leaf.shape[-2:][0] ** -0.5)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def make_state(model, optimizer, config: dict[str, Any]) -> TrainState:
  """A state of `make_random_params`, on the default device."""
  params = jax.device_put(make_random_params(model, config))
  return TrainState(
    step=jax.numpy.zeros((), np.int32),
    params=params,
    ema_params=jax.tree.map(jax.numpy.copy, params),
    opt_state=optimizer.init(params),
  )
