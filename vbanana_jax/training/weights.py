"""A config's network, and the weights of a workdir that fit it."""

import dataclasses
import hashlib
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util
from jax.experimental import multihost_utils

from vbanana_jax import families, models, sharding
from vbanana_jax.data import pairings
from vbanana_jax.errors import UserError
from vbanana_jax.models import layers
from vbanana_jax.runtime import processes
from vbanana_jax.training import provenance, trained_folders
from vbanana_jax.training.state import (
  join_weights,
  make_logical_axes,
  make_params,
  split_weights,
)


def build_network(
  config: dict[str, Any],
  mesh: jax.sharding.Mesh | None = None,
  precision: models.Precision | None = None,
  *,
  trained: bool = False,
) -> models.Network:
  """The network of a config, for the vocabulary of its family.

  Args:
    config: see `configs/base.py`.
    mesh: devices that share its weights or its batches; one if not given.
    precision: arithmetic on one device; the backend's own if not given.
    trained: whether it is for a training, which lacks what
      `config.model.text_cache` makes needless; it cannot be asked.

  Raises:
    UserError: for a mistake in the model's section, pictures that do not
      divide into its patches, or heads that the mesh cannot share.
  """
  if not trained:
    config = {**config, 'model': {**config['model'], 'text_cache': ''}}
  if mesh is None:
    precision = precision or models.build_precision()
    return _build(config, precision, layers.identity)
  # The devices may be described and not present: see `plan`.
  platform = mesh.devices.flat[0].platform
  precision = models.build_precision(platform)
  if precision.blocked and mesh.size > 1:
    attend = sharding.shard_map_over_heads(precision.blocked, mesh)
    precision = dataclasses.replace(precision, blocked=attend)
  constrain = sharding.build_activation_constraint(mesh)
  model = _build(config, precision, constrain)
  sharding.check_heads(model.heads, mesh, config['sharding'])
  return model


def _build(config, precision, constrain) -> models.Network:
  family = families.get_family(config['model'])
  model = family.build_network(config['model'], precision, constrain)
  size, patch = config['image_size'], model.config.patch
  if patch < 1 or size < patch or size % patch:
    raise UserError(
      f'config.image_size is {size}, which does not divide into patches of '
      f'{patch} pixels'
    )
  return model


def make_manifest(config: dict[str, Any]) -> dict[str, Any]:
  """What a checkpoint says of itself: what it means without being in it."""
  model = config['model']
  return families.get_family(model).describe(model)


class LoadedRun(NamedTuple):
  """A trained workdir, ready to be asked.

  Attributes:
    config: see `configs/base.py`, as plain nested dicts.
    model: its network, for `mesh`.
    params: its averaged weights and its frozen parts, split over `mesh` as
      `config['sharding']` says.
    mesh: the devices: the run's mesh, or one like it where theirs differ.
  """

  config: dict[str, Any]
  model: models.Network
  params: Any
  mesh: jax.sharding.Mesh


def load_run(run: pathlib.Path) -> LoadedRun:
  """A run's or an export's network, its averaged weights split as in training.

  Every device reads its own part of them. Says which mesh the devices form.

  Raises:
    UserError: there are no weights, they are of another network or damaged, or
      their token ids mean something else.
  """
  config = provenance.load_run_json(run)['config']
  trained_folders.require(run)
  step = trained_folders.newest_step(run)
  processes.check_agree({'config of the run': config, 'its last step': step})
  mesh, model, abstract = _find_mesh(run, config)
  with trained_folders.open_weights(run) as stored:
    check_manifest(stored, config)
    params, frozen = split_weights(model, abstract)
    params = stored.restore_ema(params)
  weights = join_weights(params, load_frozen(config, frozen))
  return LoadedRun(config, model, weights, mesh)


def _find_mesh(
  run: pathlib.Path, config: dict[str, Any]
) -> tuple[jax.sharding.Mesh, models.Network, Any]:
  """The run's mesh, or the most similar one that devices and weights allow.

  Returns:
    the mesh, the network for it, and shapes of the weights with shardings.
  """
  own = config['mesh']
  failure = None
  for sizes in (own, *sharding.find_similar_meshes(own, len(jax.devices()))):
    try:
      mesh = sharding.build_mesh(sizes)
      model = build_network(config, mesh)
      abstract = make_abstract_params(config, model, mesh)
    except UserError as error:  # of the run's own mesh, if none will do
      failure = failure or error
      continue
    if mesh.size > 1 or failure:
      processes.log(
        f'{run}: config.sharding={config["sharding"]}, and the devices are '
        f'{sharding.describe_mesh(mesh.shape)}'
        + (f': {sharding.describe_mesh(own)} does not fit' if failure else '')
      )
    return mesh, model, abstract
  raise failure


def make_abstract_params(
  config: dict[str, Any], model: models.Network, mesh: jax.sharding.Mesh
) -> Any:
  """Shapes, types and shardings of a config's weights, frozen parts too."""
  size = config['image_size']
  abstract = jax.eval_shape(lambda: make_params(model, size=size, seed=0))
  axes = make_logical_axes(model, size=size)
  return sharding.make_abstract(
    abstract,
    sharding.make_shardings(abstract, axes, mesh, config['sharding']),
  )


def find_trained_tasks(config: dict[str, Any], kind: str = '') -> set[str]:
  """Tasks that a run has learned, or those that it began from, by name.

  Args:
    config: of the run.
    kind: of the sources to learn from; any if not given.
  """
  tasks: set[str] = set()
  seen: set[str] = set()
  while True:
    tasks |= set(pairings.find_tasks(config, kind))
    tasks |= _find_told(config, kind)
    start = config.get('init_from')
    if not start or start in seen:
      return tasks
    seen.add(start)
    try:
      config = provenance.load_run_json(trained_folders.to_folder(start))[
        'config'
      ]
    except (UserError, OSError):  # moved away: what it learned is not known
      return tasks


def _find_told(config: dict[str, Any], kind: str) -> set[str]:
  """Tasks that an export says were learned, from sources of a kind."""
  told = config.get('learned', {})
  return {x for k, names in told.items() if kind in ('', k) for x in names}


def hash_weights(params: Any) -> str:
  """SHA-256 of names, shapes, types and values: the same in every copy.

  Of several processes that share the weights all have to ask together.
  """
  found = hashlib.sha256()
  flat = traverse_util.flatten_dict(params, sep='/')
  for name in sorted(flat):
    leaf = flat[name]
    if getattr(leaf, 'is_fully_addressable', True):
      leaf = np.asarray(leaf)
    else:
      leaf = multihost_utils.process_allgather(leaf, tiled=True)
    found.update(f'{name} {leaf.dtype} {leaf.shape}\n'.encode())
    found.update(leaf.tobytes())
  return found.hexdigest()


def load_frozen(config: dict[str, Any], abstract: Any) -> Any:
  """Frozen parts of a config's network, which no checkpoint has; or None.

  Args:
    config: see `configs/base.py`.
    abstract: their shapes, types and shardings, by name; None for none.
  """
  if abstract is None:
    return None
  model = config['model']
  return families.get_family(model).load_parts(model, abstract, config['seed'])


def check_manifest(
  stored: trained_folders.StoredWeights, config: dict[str, Any]
) -> None:
  """Refuses weights that were trained with something else beside them."""
  theirs, ours = stored.load_manifest(), make_manifest(config)
  if theirs['tokenizer'] != ours['tokenizer']:
    raise UserError(
      f'{stored.path} was trained with another vocabulary: install the '
      'version of vbanana_jax that its run.json names'
    )
  if theirs != ours:
    raise UserError(
      f'{stored.path} was trained on another snapshot than '
      f'{config["model"]["snapshot"]}: name its own with config.model.snapshot'
    )
