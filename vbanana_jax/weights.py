"""A config's network, and the weights of a workdir that fit it."""

import pathlib
from typing import Any

import jax

from vbanana_jax import checkpoint, logs, models, sharding
from vbanana_jax.errors import UserError
from vbanana_jax.state import make_params
from vbanana_jax.tokenizer import Tokenizer


def build_network(config: dict[str, Any]) -> models.DiT:
  """The network of a config, for the vocabulary that the package ships.

  Raises:
    UserError: for a mistake in the model's section, or pictures that do not
      divide into its patches.
  """
  size, patch = config['image_size'], config['model']['patch']
  if patch < 1 or size < patch or size % patch:
    raise UserError(
      f'config.image_size is {size}, which does not divide into patches of '
      f'{patch} pixels (config.model.patch)'
    )
  return models.build_model(
    {**config['model'], 'vocab_size': Tokenizer.load().vocab_size}
  )


def make_manifest() -> dict[str, Any]:
  """What a checkpoint says of itself: what its token ids mean."""
  return {'tokenizer': Tokenizer.load().hash}


def load_run(run: pathlib.Path) -> tuple[dict[str, Any], models.DiT, Any]:
  """Config, network and averaged weights of a trained workdir."""
  config = logs.load_json(run / 'run.json')['config']
  model = build_network(config)
  return config, model, load_averaged(run, model, config['image_size'])


def load_averaged(run: pathlib.Path, model: models.DiT, size: int) -> Any:
  """Averaged weights of a workdir, whole on every device.

  Raises:
    UserError: there is no checkpoint, it is of another network, or its token
      ids mean something else.
  """
  checkpoint.require(run)
  abstract = jax.eval_shape(lambda: make_params(model, size=size, seed=0))
  with checkpoint.Checkpoints(run) as checkpoints:
    check_tokenizer(checkpoints)
    return checkpoints.restore_ema(
      sharding.make_abstract(abstract, sharding.make_mesh())
    )


def check_tokenizer(checkpoints: checkpoint.Checkpoints) -> None:
  """Refuses weights whose token ids mean something else."""
  theirs = checkpoints.load_manifest()['tokenizer']
  if theirs != Tokenizer.load().hash:
    raise UserError(
      f'{checkpoints.path} was trained with another vocabulary: install the '
      'version of vbanana_jax that its run.json names'
    )
