"""A snapshot of FLUX.2 klein on disk: its parts, checked and loaded.

The folder is what `huggingface-cli download` leaves: `transformer`, `vae`,
`text_encoder`, `tokenizer`, `scheduler` and `model_index.json`.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vbanana_jax import models
from vbanana_jax.errors import UserError
from vbanana_jax.klein import configs, stored, tables, weights
from vbanana_jax.klein.tokenizer import PromptTokenizer
from vbanana_jax.models import numerics
from vbanana_jax.models.klein import rotary
from vbanana_jax.models.klein.autoencoder import Autoencoder
from vbanana_jax.models.klein.config import (
  AutoencoderConfig,
  TextConfig,
  TransformerConfig,
)
from vbanana_jax.models.klein.qwen import TextEncoder
from vbanana_jax.models.klein.transformer import Transformer

Network = Transformer | Autoencoder | TextEncoder
# After which layers of Qwen3 the published transformer takes its text.
STATES = (9, 18, 27)
_INDEX = 'model_index.json'
_PIPELINE = 'Flux2KleinPipeline'


@dataclasses.dataclass(frozen=True)
class Part:
  """One network of a snapshot, and what fills it.

  Attributes:
    network: the module.
    rows: which stored tensor fills which parameter.
    dead: names of tensors that are not needed.
    folder: name of the part's folder.
    stem: of the names of its weights' files.
  """

  network: Network
  rows: Sequence[tables.Row]
  dead: tuple[str, ...]
  folder: str
  stem: str

  def make_abstract(self) -> Any:
    """Shapes and types of the parameters; nothing is computed."""
    return models.unbox(self.make_boxed())

  def make_boxed(self) -> Any:
    """The same with the names of axes, for `models.get_axes`."""
    return _make_boxed(self.network)

  def list_tensors(self, snapshot: pathlib.Path) -> dict[str, stored.Stored]:
    """All stored tensors of the part, after a check of names and shapes.

    Raises:
      UserError: they are not those that the config asks for.
    """
    tensors = stored.list_tensors(snapshot / self.folder, self.stem)
    weights.check(self.rows, self.make_abstract(), tensors, self.dead)
    return tensors

  def load(
    self, snapshot: pathlib.Path, dtype: Any = None, abstract: Any = None
  ) -> Any:
    """Parameters from the files of a snapshot, after a check of all of them.

    Args:
      snapshot: the folder in which the part's folder is.
      dtype: of the parameters; None keeps what is stored.
      abstract: as `make_abstract`, with the shardings that the parameters
        get; on the first device if not given.

    Raises:
      UserError: the stored tensors are not those that the config asks for.
    """
    tensors = self.list_tensors(snapshot)
    abstract = self.make_abstract() if abstract is None else abstract
    return weights.load(self.rows, abstract, tensors, dtype)


def build_transformer(
  config: TransformerConfig, precision: numerics.Precision
) -> Part:
  """The part `transformer`."""
  return Part(
    Transformer(config, precision),
    tables.transformer_rows(config),
    (),
    'transformer',
    'diffusion_pytorch_model',
  )


def build_autoencoder(
  config: AutoencoderConfig, precision: numerics.Precision
) -> Part:
  """The part `vae`."""
  return Part(
    Autoencoder(config, precision),
    tables.autoencoder_rows(config),
    ('bn.num_batches_tracked',),
    'vae',
    'diffusion_pytorch_model',
  )


def build_text_encoder(
  config: TextConfig, depth: int, precision: numerics.Precision
) -> Part:
  """The part `text_encoder`, of whose `depth` layers the first are used."""
  rows = tables.text_rows(config)
  whole = tables.text_rows(dataclasses.replace(config, states=(depth,)))
  dead = {row.stored for row in whole} - {row.stored for row in rows}
  return Part(
    TextEncoder(config, precision),
    rows,
    ('model.norm.weight', 'lm_head.weight', *sorted(dead)),
    'text_encoder',
    'model',
  )


class Snapshot:
  """The configs of a snapshot, all read; weights are read when asked for.

  Attributes:
    folder: where it lies.
    distilled: whether it was made to be sampled in a few steps without
      guidance; such a network is not for training.
    states: after which layers of the text encoder features are taken.
    parts: by the name of their folders.
    tokenizer: of prompts.
  """

  def __init__(
    self,
    folder: str | os.PathLike,
    precision: numerics.Precision,
    states: tuple[int, ...] = STATES,
  ):
    """Reads the configs.

    Args:
      folder: of the snapshot.
      precision: arithmetic of the transformer and of the text encoder; the
        autoencoder's is float32, since every color passes through it.
      states: after which layers of the text encoder features are taken.

    Raises:
      UserError: a file is missing or damaged, or names a network that is not
        FLUX.2 klein.
    """
    self.folder, self.states = pathlib.Path(folder), states
    index = stored.read_json(self.folder / _INDEX)
    if index.get('_class_name') != _PIPELINE:
      raise UserError(
        f'{self.folder / _INDEX} names a {index.get("_class_name")}, not a '
        f'{_PIPELINE}: take a snapshot of FLUX.2 klein'
      )
    self.distilled = bool(index.get('is_distilled', False))
    path = self.folder / 'scheduler' / 'scheduler_config.json'
    configs.check_scheduler(path, stored.read_json(path))
    transformer = configs.read_transformer(*self._read('transformer'))
    autoencoder = configs.read_autoencoder(*self._read('vae'))
    path, values = self._read('text_encoder')
    text = configs.read_text(path, values, states)
    self._check_widths(transformer, autoencoder, text)
    path = self.folder / 'tokenizer' / 'tokenizer.json'
    self.tokenizer = PromptTokenizer(path)
    if self.tokenizer.vocab_size > text.vocab_size:
      raise UserError(
        f'{path} has {self.tokenizer.vocab_size} tokens and the text encoder '
        f'knows {text.vocab_size}: download all parts of one snapshot'
      )
    built = (
      build_transformer(transformer, precision),
      build_autoencoder(autoencoder, numerics.Precision()),
      build_text_encoder(text, values['num_hidden_layers'], precision),
    )
    self.parts = {part.folder: part for part in built}

  def load(self, name: str, dtype: Any = None, abstract: Any = None) -> Any:
    """Parameters of a part; see `Part.load`."""
    return self.parts[name].load(self.folder, dtype, abstract)

  def _read(self, name: str) -> tuple[pathlib.Path, Mapping[str, Any]]:
    path = self.folder / name / 'config.json'
    return path, stored.read_json(path)

  def _check_widths(self, transformer, autoencoder, text) -> None:
    """Raises UserError where the parts do not fit together."""
    for name, ours, theirs in (
      ('vae', autoencoder.channels, transformer.channels),
      ('text_encoder', text.features, transformer.text_width),
    ):
      if ours != theirs:
        raise UserError(
          f'{self.folder}: {name} makes {ours} features a token and the '
          f'transformer takes {theirs}: download all parts of one snapshot'
        )


@functools.lru_cache(maxsize=8)
def _make_boxed(network: Network) -> Any:
  """See `Part.make_boxed`; tracing a network takes a second."""
  inputs = _make_inputs(network)
  init = jax.eval_shape(
    lambda key: network.init(key, *inputs), jax.random.key(0)
  )
  return init['params']


def _make_inputs(network: Network) -> tuple[Any, ...]:
  """The smallest inputs that a network can be initialized with."""
  if isinstance(network, TextEncoder):
    return jnp.zeros((1, 1), int), jnp.ones((1, 1), bool)
  c = network.config
  if isinstance(network, Autoencoder):
    return (jnp.zeros((1, *c.token_px, 3), 'f'),)
  return (
    jnp.zeros((1, 1, c.channels), 'f'),
    jnp.zeros(1, 'f'),
    jnp.zeros((1, 1, c.text_width), 'f'),
    rotary.picture_places([(1, 1)]),
  )
